"""What a person drew or emptied, as a dataset shows it: marked, whole, whatever the detector says."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_miner.export.dataset import write_dataset
from data_miner.ledger import projects, words
from data_miner.ledger.connection import Ledger
from data_miner.store.artifacts import Store
from tests.support import mined


def _version(ledger: Ledger, place: mined.Place, folder: Path) -> Mapping[str, Mapping[str, str]]:
    """The manifest's rows by image."""
    with ledger.transaction() as cursor:
        project = projects.find(cursor, "patterns")
    summary = write_dataset(ledger, project, Store(place.settings.store), folder)
    assert summary is not None
    with (summary.path / "manifest.csv").open() as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def _label(folder: Path, image: str) -> str:
    found = list((folder / "patterns" / "latest" / "labels").rglob(image.replace(".jpg", ".txt")))
    assert len(found) == 1
    return found[0].read_text()


def test_a_persons_boxes_stand_in_every_later_version(patterns: Ledger, tmp_path: Path) -> None:
    place, folder = mined.Place(Path.cwd()), tmp_path / "datasets"
    project_id = mined.mine(patterns, place)
    before = _version(patterns, place, folder)
    boxed, emptied = sorted(name for name, row in before.items() if row["boxes"] == "1")[:2]
    with patterns.transaction() as cursor:
        rows = cursor.execute("SELECT video_id, pts_ms FROM project_segment JOIN frame USING (segment_id)").fetchall()
        named = {_name(row): (row.video_id, row.pts_ms) for row in rows}
        words.take_turn(cursor, project_id)
        labels: dict[tuple[str, int], list[Any]] = {
            named[boxed]: [("thing", 0.125, 0.25, 0.5, 0.75), ("thing", 0.5, 0.5, 1.0, 1.0)],
            named[emptied]: [],
        }
        words.put_labels(cursor, project_id, labels)
        words.apply(cursor, project_id)
    # Another confidence, a class that takes its word over, no detector's box at all: the person's stay.
    for overrides in ((), ("detect.conf=0.99", "export.background=0"), ("classes=[{thing: [thing, other thing]}]",)):
        mined.mine(patterns, place, *overrides)
        now = _version(patterns, place, folder)
        assert (now[boxed]["labelled_by"], now[boxed]["boxes"]) == ("human", "2")
        assert (now[emptied]["labelled_by"], now[emptied]["boxes"]) == ("human", "0")
        assert sorted(_label(folder, boxed).splitlines()) == [
            "0 0.312500 0.500000 0.375000 0.500000",
            "0 0.750000 0.750000 0.500000 0.500000",
        ]
        assert _label(folder, emptied) == ""
        assert sum(row["labelled_by"] == "human" for row in now.values()) == 2
    # A class that is gone leaves no box, and does not make its picture an example of nothing.
    mined.mine(patterns, place, "classes=[part]", "export.background=0")
    now = _version(patterns, place, folder)
    assert boxed not in now and emptied in now


def _name(row: Any) -> str:
    from data_miner.export.names import image_name

    return image_name(row.video_id, row.pts_ms)
