"""`data-miner forget`: obeys a takedown. Rows first, in one transaction; files after it; the same command goes on."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from data_miner.cli import receipt as receipts
from data_miner.cli import words
from data_miner.cli.context import open_ledger, open_store
from data_miner.cli.invocation import Invocation, around, pass_invocation
from data_miner.cli.naming import UnknownNameError, uploader_meant, video_meant
from data_miner.cli.receipt import Receipt
from data_miner.config.settings import Settings
from data_miner.errors import UsageError
from data_miner.export import withdrawal
from data_miner.export.base import SPLITS
from data_miner.ledger import forget as ledger_forget
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.forget import Holdings, Order
from data_miner.sources.names import video_name
from data_miner.sources.safety import safe_name
from data_miner.store.artifacts import Store

_KINDS = ("videos", "shards", "embeddings")
_PATIENCE_S = 600.0


@click.command()
@around
@click.argument("video", required=False, metavar="[VIDEO]")
@click.option("--uploader", metavar="WHO", help="All videos of an uploader: name, handle or channel id.")
@click.option("--dry-run", is_flag=True, help="Say what there is of it and change nothing.")
@click.option("--reason", metavar="TEXT", default="", help="Goes into the receipt.")
@pass_invocation
def forget(invocation: Invocation, video: str | None, uploader: str | None, dry_run: bool, reason: str) -> None:
    """Obey a takedown: remove a video or uploader from everything.

    VIDEO is an id, an address or the name of one of its images. File, frames, embeddings, boxes and images in all
    dataset versions of all projects go; no source brings it back. A receipt is written. This cannot be undone.
    """
    if (video is None) == (uploader is None):
        raise UsageError("forget what? name one VIDEO, or --uploader WHO")
    settings, asked = invocation.settings, video or f"--uploader {uploader}"
    folder = settings.data / "receipts"
    with open_ledger(settings, create=False) as ledger:
        store, _ = open_store(settings, ledger, create=False)
        with ledger.transaction() as cursor:
            name, receipt, wanted = _ordered(cursor, folder, asked, video, uploader)
            receipt = replace(receipt, reason=reason or receipt.reason)
            held = ledger_forget.holdings(cursor, receipt.videos, wanted.uploaders)
        found = receipt.with_holdings(held).with_datasets(withdrawal.find(settings.datasets, receipt.videos))
        if dry_run:
            click.echo(_inventory(found, held))
            return
        done = _obey(ledger, store, settings, name, receipt, wanted)
    if receipt.finished is not None and replace(done, finished=receipt.finished) == receipt:
        click.echo(f"forgotten before; nothing of it was left. Receipt {words.shown(folder / name)}")
        return
    _tell(done, settings, folder / name)
    if held.counts["under_way"]:
        click.echo("data-miner: a worker had it in hand; what it still writes is swept by the run", err=True)


def _ordered(
    cursor: Cursor, folder: Path, asked: str, video: str | None, uploader: str | None
) -> tuple[str, Receipt, Order]:
    """What is to be forgotten, with the receipt of the same order where one was given before."""
    before = receipts.find(folder, asked)
    try:
        wanted, subject = _meant(cursor, video, uploader)
    except UnknownNameError:
        if before is None:
            raise
        wanted = Order(before[1].videos, before[1].uploaders)  # nothing is called so any more: it was obeyed
        subject = ""
    videos, who = set(ledger_forget.videos_of(cursor, wanted)), list(wanted.uploaders)
    obeyed = ledger_forget.earlier(cursor, replace(wanted, videos=sorted(videos)))
    if before is not None and before[0] not in {one.receipt for one in obeyed}:
        before = (before[0], Receipt(asked, []))  # killed before its commit: all is counted anew
    name, receipt = before or ("", Receipt(asked, []))
    for one in obeyed:
        videos.update(one.videos)
        who += [other for other in one.uploaders if other not in who]
        name, receipt = name or one.receipt, receipt if name else receipts.read(folder, one.receipt) or receipt
    who += [one for one in receipt.uploaders if one not in who]
    receipt = replace(receipt, videos=sorted(videos | set(receipt.videos)), uploaders=who)
    return name or receipts.new_name(folder, subject), receipt, Order(receipt.videos, who)


def _meant(cursor: Cursor, video: str | None, uploader: str | None) -> tuple[Order, str]:
    if uploader is not None:
        ids = uploader_meant(cursor, uploader).ids
        return Order(uploaders=ids), safe_name(ids[0], 60)
    video_id = video_meant(cursor, str(video))
    if video_id is None:
        raise UnknownNameError(f"{video}: no video is called so; name its id (youtube:…) or its address")
    return Order(videos=(video_id,)), video_name(video_id)


def _obey(ledger: Ledger, store: Store, settings: Settings, name: str, before: Receipt, wanted: Order) -> Receipt:
    """Rows, then files; the receipt says from the first on what is to go."""
    folder, found = settings.data / "receipts", withdrawal.find(settings.datasets, wanted.videos)

    def commit(cursor: Cursor) -> Receipt:
        ledger_forget.take_turns(cursor, wanted.videos)
        held = ledger_forget.holdings(cursor, wanted.videos, wanted.uploaders)  # again: now nobody adds to it
        pending = before.with_holdings(held).with_datasets(found)
        pending = replace(pending, began=before.began or receipts.now(), finished=None)
        receipts.write(folder, name, pending)
        ledger_forget.forget(cursor, wanted.videos, wanted.uploaders, name)
        return pending

    pending = ledger.with_retry(commit, deadline_s=60, statement_timeout_s=_PATIENCE_S)
    _delete_files(ledger, store, settings.scratch, wanted.videos, pending.files)
    # Again: an export that was under way may have written another version meanwhile.
    pending = pending.with_datasets(withdrawal.find(settings.datasets, wanted.videos))
    receipts.write(folder, name, pending)
    withdrawal.withdraw(settings.datasets, wanted.videos, pending.projects)
    _delete_pages(settings.data / "reports", pending.projects)
    done = replace(pending, finished=receipts.now())
    receipts.write(folder, name, done)
    return done


def _delete_files(ledger: Ledger, store: Store, scratch: Path, video_ids: Sequence[str], files: Iterable[str]) -> None:
    """Artifacts that rows named, others that jobs on these videos made, and what lies half done on this node."""
    for key in files:
        store.delete(key)
    for kind in _KINDS:
        keys = list(store.list(kind))
        with ledger.transaction() as cursor:
            made = ledger_forget.made_by(cursor, video_ids, keys)
        for key in made:
            store.delete(key)
    with ledger.transaction() as cursor:
        ids = ledger_forget.job_ids(cursor, video_ids)
    for job_id in ids:
        shutil.rmtree(scratch / "download" / f"{job_id:09d}", ignore_errors=True)
        for part in (scratch / "extract").glob(f"{job_id:09d}-*"):
            part.unlink(missing_ok=True)


def _delete_pages(folder: Path, projects: Iterable[str]) -> None:
    """Reports and contact sheets that were written apart from a version."""
    for project in projects:
        for page in [*folder.glob(f"{project}.html"), *folder.glob(f"plan-{project}-*.html")]:
            page.unlink(missing_ok=True)


def _inventory(found: Receipt, held: Holdings) -> str:
    images = f"{_count(found.images, 'image')}{_where(found, ' in ')}"
    parts = [_count(len(held.videos), "video"), _count(held.counts["frames"], "frame"), images, _boxes(found)]
    return " · ".join([*parts, "copies made with --out are not known"])


def _tell(done: Receipt, settings: Settings, path: Path) -> None:
    without = f" {_where(done)} {_are(done)} now without {_these(done.images)}." if done.images else ""
    click.echo(f"done; refused for ever. Receipt {words.shown(path)}.{without}")
    for project, side, versions in _emptied(done, settings.datasets):
        click.echo(f"data-miner: {side} of {project} {versions} is empty now", err=True)
    for url in done.kept_files:
        click.echo(f"data-miner: {url} is your own file and stays; delete it yourself", err=True)


def _emptied(done: Receipt, datasets: Path) -> list[tuple[str, str, str]]:
    """Sides of the split that have no image left."""
    found = []
    for project, versions in done.datasets.items():
        for side in SPLITS:
            folders = [(version, datasets / project / version / "images" / side) for version in versions]
            empty = [version for version, folder in folders if folder.is_dir() and not any(folder.glob("*.jpg"))]
            if empty:
                found.append((project, side, _span(empty)))
    return found


def _where(found: Receipt, before: str = "") -> str:
    """`glass_door v3 to v6, other v1`."""
    places = [f"{project} {_span(list(versions))}" for project, versions in sorted(found.datasets.items())]
    return before + ", ".join(places) if places else ""


def _span(versions: list[str]) -> str:
    numbers = sorted(int(version[1:]) for version in versions)
    if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"v{numbers[0]} to v{numbers[-1]}"
    return ", ".join(f"v{number}" for number in numbers)


def _are(done: Receipt) -> str:
    return "are" if sum(map(len, done.datasets.values())) > 1 else "is"


def _these(images: int) -> str:
    return f"these {words.number(images)} images" if images > 1 else "this image"


def _boxes(found: Receipt) -> str:
    return f"{words.number(found.boxes)} box{'' if found.boxes == 1 else 'es'}"


def _count(n: int, what: str) -> str:
    return f"{words.number(n)} {what}{'' if n == 1 else 's'}"
