"""`data-miner reject`: images, videos and uploaders that a project never wants again."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from data_miner.cli import words
from data_miner.cli.aftermath import settle
from data_miner.cli.context import open_ledger, project_row
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.cli.naming import Meaning, UnknownNameError, pictures_named, understand, uploader_meant
from data_miner.errors import UsageError
from data_miner.ledger import words as ledger_words
from data_miner.ledger.connection import Cursor

_PATIENCE_S = 600.0
_MOST_BYTES = 50_000_000  # of a file of names: about a million


@click.command()
@around
@with_project
@click.argument("names", nargs=-1, metavar="NAME…")
@click.option("--from", "listing", metavar="FILE", help="Names, one a line; # comments; - is stdin.")
@click.option("--uploader", "uploaders", multiple=True, metavar="WHO", help="Name, handle or channel id; repeatable.")
@click.option("--undo", is_flag=True, help="Take the rejection of these back.")
@pass_invocation
def reject(
    invocation: Invocation, names: tuple[str, ...], listing: str | None, uploaders: tuple[str, ...], undo: bool
) -> int:
    """Take images, videos or uploaders out for good.

    NAME is an image's file name, a video's id or address, or an uploader. What looks like a rejected image is not
    mined either. Names that nothing has are said, the others are done.
    """
    settings, project_name = invocation.settings, invocation.wanted_project()
    wanted = [*names, *(_listed(listing) if listing is not None else ())]
    if not wanted and not uploaders:
        raise UsageError("reject what? name images, videos or --uploader WHO, or give a list with --from FILE")
    with open_ledger(settings, create=False) as ledger:
        with ledger.transaction() as cursor:
            project = project_row(cursor, project_name, settings)
            meaning, unknown = _understood(cursor, project.id, wanted, uploaders)

        def work(cursor: Cursor) -> int:
            ledger_words.take_turn(cursor, project.id)
            change = ledger_words.take_back if undo else ledger_words.reject
            changed = change(cursor, project.id, meaning.meant)
            if changed:
                ledger_words.apply(cursor, project.id)
            return changed

        changed = ledger.with_retry(work, deadline_s=60, statement_timeout_s=_PATIENCE_S)
        if changed:
            settle(ledger, settings, project.name)
    for line in [*meaning.notes, *unknown]:
        click.echo(f"data-miner: {line}", err=True)
    if meaning.pictures or meaning.videos or meaning.uploaders:
        click.echo(_told(meaning, changed, undo=undo))
    return 1 if unknown else 0


def _understood(
    cursor: Cursor, project_id: int, names: Sequence[str], uploaders: Sequence[str]
) -> tuple[Meaning, list[str]]:
    """What the names mean, and a line for each that means nothing."""
    meaning, unknown, pictures = Meaning(), list[str](), pictures_named(cursor, project_id, names)
    for name in dict.fromkeys(names):
        try:
            if name in pictures:
                meaning.pictures[pictures[name]] = None
            else:
                understand(cursor, project_id, name, meaning)
        except UnknownNameError as error:
            unknown.append(str(error))
    for who in dict.fromkeys(uploaders):
        try:
            uploader = uploader_meant(cursor, who)
            meaning.uploaders[uploader.ids[0]] = uploader
        except UnknownNameError as error:
            unknown.append(str(error))
    return meaning, unknown


def _told(meaning: Meaning, changed: int, *, undo: bool) -> str:
    counts = {"image": len(meaning.pictures), "video": len(meaning.videos), "uploader": len(meaning.uploaders)}
    counted = [f"{words.number(n)} {name}{'s' if n > 1 else ''}" for name, n in counts.items() if n]
    who = ", ".join(
        f"{one.name}: {words.number(one.videos)} video{'s' * (one.videos != 1)} so far"
        for one in meaning.uploaders.values()
    )
    what = " and ".join([", ".join(counted[:-1]), counted[-1]] if len(counted) > 1 else counted)
    what += f" ({who})" if who else ""
    if undo:
        return f"{what} may be mined again" + ("" if changed else "; nothing of it was rejected")
    if not changed:
        return f"{what} rejected already; nothing was changed"
    return f"{what} rejected; out of the next version, never mined again (--undo takes it back)"


def _listed(listing: str) -> Iterator[str]:
    """Names of a file, one a line."""
    try:
        data = sys.stdin.buffer.read(_MOST_BYTES + 1) if listing == "-" else _read(Path(listing).expanduser())
    except OSError as error:
        raise UsageError(f"--from {listing}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"--from {listing}: larger than any list of names")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"--from {listing}: not UTF-8 text (byte {error.start})") from error
    for line in text.splitlines():
        name = line.partition(" #")[0].strip()
        if name and not name.startswith("#"):
            yield name


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)
