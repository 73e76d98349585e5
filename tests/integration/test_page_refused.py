"""A page that is the first to name its uploader: what a person said of him holds before any bytes are asked for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data_miner.config.sites import UNPACED, Sites
from data_miner.ledger import words
from data_miner.ledger.connection import Ledger
from data_miner.ledger.words import Meant
from data_miner.records import VideoInfo
from data_miner.sources.base import Skipped
from data_miner.stages.base import Node
from data_miner.stages.download import Download
from data_miner.store.artifacts import Store

PAGE = VideoInfo("tube:abc", "https://tube.example/abc", "tube", "A door", uploader="ACME", extra={"channel_id": "UC1"})


def _refused(ledger: Ledger, tmp_path: Path, page_id: str = "tube:abc") -> str | None:
    node = Node(ledger, Store(str(tmp_path)), tmp_path, (), Sites(UNPACED))
    runner: Any = Download().open(node)
    with ledger.transaction() as cursor:
        projects = cursor.execute("SELECT id FROM project").fetchall()
    found: str | None = runner._refused(PAGE, page_id, SimpleNamespace(projects=projects))
    return found


def test_an_uploader_who_was_rejected_is_refused_by_his_page(patterns: Ledger, tmp_path: Path) -> None:
    assert _refused(patterns, tmp_path) is None
    with patterns.transaction() as cursor:
        project = cursor.execute("SELECT id FROM project").fetchone()
        assert project is not None
        words.take_turn(cursor, project.id)
        words.reject(cursor, project.id, Meant(uploaders=["UC1"]))
    assert _refused(patterns, tmp_path) == "rejected"


@pytest.mark.parametrize(("video", "uploader"), [(None, "UC1"), ("tube:real", None)])
def test_what_was_withdrawn_is_skipped_and_its_page_not_kept(
    patterns: Ledger, tmp_path: Path, video: str | None, uploader: str | None
) -> None:
    with patterns.transaction() as cursor:
        cursor.execute(
            "INSERT INTO forgotten (video_id, uploader, receipt) VALUES (%s, %s, 'r.json')", [video, uploader]
        )
    with pytest.raises(Skipped) as caught:
        _refused(patterns, tmp_path, "tube:real")
    assert caught.value.reason == "forgotten"
