"""`data-miner labels import`: boxes that a person corrected elsewhere stand in every later version."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from data_miner.cli import words
from data_miner.cli.aftermath import settle
from data_miner.cli.context import open_ledger, project_row
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.config.project import restore
from data_miner.errors import DataMinerError
from data_miner.labels.base import LabelledImage, ShareBox
from data_miner.labels.comparing import Difference, compare
from data_miner.labels.names import frames_meant, plain
from data_miner.labels.reading import FORMATS, read_labels
from data_miner.ledger import words as ledger_words
from data_miner.ledger.connection import Cursor
from data_miner.ledger.words import Moment, Picture
from data_miner.sources.names import video_name

_SHOWN = 5  # names of pictures that are not ours
_PATIENCE_S = 600.0


@dataclass
class _Found:
    """What an import comes to."""

    known: int = 0
    strangers: list[str] = field(default_factory=list)
    corrected: dict[Moment, Sequence[ShareBox]] = field(default_factory=dict)
    difference: Difference = field(default_factory=Difference)
    rejected: int = 0


@click.group()
@around
def labels() -> None:
    """Import labels that a person corrected."""


@labels.command("import")
@around
@with_project
@click.argument("place", metavar="DIR|ZIP")
@click.option("--format", "wanted", type=click.Choice(FORMATS), help="Default: what is there, YOLO where both are.")
@click.option("--dry-run", is_flag=True, help="Say what is in it and change nothing.")
@pass_invocation
def import_labels(invocation: Invocation, place: str, wanted: str | None, dry_run: bool) -> None:
    """Import YOLO or COCO labels, matched by image name: from CVAT, Label Studio, Roboflow or an edited export.

    Pictures whose boxes are as they were stay the machine's. All others are marked human, and no run overwrites
    them. An empty label file says that nothing is on the picture.
    """
    settings, name = invocation.settings, invocation.wanted_project()
    with open_ledger(settings, create=False) as ledger:
        with ledger.transaction() as cursor:
            project = project_row(cursor, name, settings)
        config = restore(project.config, project.name)
        brought = read_labels(Path(place).expanduser(), list(config.classes), wanted)
        for note in brought.notes:
            click.echo(f"data-miner: {note}", err=True)

        def work(cursor: Cursor) -> _Found:
            ledger_words.take_turn(cursor, project.id)
            found = _compared(cursor, project.id, brought.images)
            if found.corrected and not dry_run:
                ledger_words.put_labels(cursor, project.id, {key: _plain(one) for key, one in found.corrected.items()})
                ledger_words.apply(cursor, project.id)
            return found

        found = ledger.with_retry(work, deadline_s=60, statement_timeout_s=_PATIENCE_S)
        if found.corrected and not dry_run:
            settle(ledger, settings, project.name)
    _tell(found, project.name, is_done=not dry_run)


def _compared(cursor: Cursor, project_id: int, images: Sequence[LabelledImage]) -> _Found:
    """Find whose pictures these are and what a person changed on them."""
    by_moment, found = _by_moment(cursor, project_id, images), _Found()
    pictures = ledger_words.pictures(cursor, project_id, list({one for meant in by_moment.values() for one in meant}))
    places: dict[Moment, str] = {}
    for image in images:
        picture = next((pictures[one] for one in by_moment[image.name] if one in pictures), None)
        if picture is None:
            found.strangers.append(image.name)
            continue
        if picture.moment in places:
            raise DataMinerError(
                f"{places[picture.moment]} and {image.place} label the same picture; keep one (export without copies)"
            )
        places[picture.moment] = image.place
        _count(found, picture, image)
    if not found.known:
        raise DataMinerError(
            f"none of the {words.number(len(images))} images is of this project: {_some(found.strangers)}"
        )
    return found


def _by_moment(cursor: Cursor, project_id: int, images: Sequence[LabelledImage]) -> dict[str, list[Moment]]:
    """Pictures that each name may mean, the most literal first."""
    names = _video_names(ledger_words.videos_of(cursor, project_id))
    return {
        image.name: [
            (names[key], pts_ms)
            for video, pts_ms in frames_meant(image.name)
            for key in (video, plain(video))
            if key in names
        ]
        for image in images
    }


def _video_names(video_ids: Iterable[str]) -> Mapping[str, str]:
    """Video ids by their part of an image's name, and by what tools that allow no dots make of it."""
    exact = {video_name(video_id): video_id for video_id in video_ids}
    return {plain(name): video_id for name, video_id in exact.items()} | exact


def _count(found: _Found, picture: Picture, image: LabelledImage) -> None:
    found.known += 1
    found.rejected += picture.is_rejected
    before = [ShareBox(*box) for box in picture.boxes]
    difference = compare(before, image.boxes, picture.width, picture.height)
    if difference:
        found.corrected[picture.moment] = image.boxes
        found.difference += difference


def _plain(boxes: Sequence[ShareBox]) -> list[ledger_words.ShareBox]:
    return [(box.label, box.x1, box.y1, box.x2, box.y2) for box in boxes]


def _tell(found: _Found, name: str, *, is_done: bool) -> None:
    if found.strangers:
        number = words.number(len(found.strangers))
        click.echo(f"data-miner: {number} not of {name}, left out: {_some(found.strangers)}", err=True)
    if found.rejected:
        click.echo(f"data-miner: {found.rejected} of them rejected before; they stay out", err=True)
    same = found.known - len(found.corrected)
    counts = f"{_images(found.known)} known by name: {words.number(same)} as they were"
    if not found.corrected:
        click.echo(f"{counts}, none corrected. Nothing was changed.")
        return
    changed = zip(("new", "moved", "removed", "of another class"), found.difference.counts, strict=True)
    boxes = ", ".join(f"{words.number(n)} {what}" for what, n in changed if n)
    boxes = boxes.replace(" ", " boxes ", 1) if not boxes.startswith("1 ") else boxes.replace(" ", " box ", 1)
    end = "Marked human; no run overwrites them." if is_done else "Nothing was changed (--dry-run)."
    click.echo(f"{counts}, {words.number(len(found.corrected))} corrected ({boxes}). {end}")


def _images(number: int) -> str:
    return f"{words.number(number)} image{'' if number == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
