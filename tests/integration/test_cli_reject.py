"""reject, typed against a ledger in which a real project was mined, and what the next run makes of it."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from data_miner.cli.main import run
from data_miner.config.settings import Settings
from data_miner.config.sites import load_sites
from data_miner.ledger import words
from data_miner.ledger.connection import Ledger
from data_miner.records import VideoInfo
from data_miner.sources.names import image_name
from tests.support import mined

Kept = list[tuple[str, int]]


def kept(ledger: Ledger) -> Kept:
    """What the next version would hold."""
    with ledger.transaction() as cursor:
        rows = cursor.execute(
            """SELECT ps.video_id, pf.pts_ms FROM project_frame pf
               JOIN project_segment ps USING (project_id, segment_id)
               WHERE pf.is_kept AND pf.reason IS NULL ORDER BY 1, 2"""
        ).fetchall()
    return [(row.video_id, row.pts_ms) for row in rows]


def rejections(ledger: Ledger) -> set[tuple[str | None, int | None, str | None]]:
    """What is rejected: video, time, uploader."""
    with ledger.transaction() as cursor:
        rows = cursor.execute("SELECT video_id, pts_ms, uploader FROM rejection").fetchall()
    return {(row.video_id, row.pts_ms, row.uploader) for row in rows}


def mine_on(ledger: Ledger) -> Kept:
    """Do what is left to do, as a run would; returns what is kept then."""
    settings = Settings.from_env()
    mined.work_off(ledger, settings, load_sites(settings))
    return kept(ledger)


@pytest.fixture
def typed(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Type `reject -p patterns …`; gives stdout and stderr."""

    def type_(*arguments: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        assert run(["reject", "-p", "patterns", *arguments]) == code
        shown = capsys.readouterr()
        return shown.out, shown.err

    return type_


def test_a_rejected_image_and_what_looks_like_it_stay_out(
    patterns: Ledger, typed: Callable[..., tuple[str, str]]
) -> None:
    before = kept(patterns)
    video_id, pts_ms = before[0]
    said, _ = typed(image_name(video_id, pts_ms))
    assert said == "1 image rejected; out of the next version, never mined again (--undo takes it back)\n"
    after = mine_on(patterns)
    # Its double in the film that shows the same does not come in its place.
    assert after == before[1:]
    with patterns.transaction() as cursor:
        looks = cursor.execute("SELECT FROM project_frame WHERE dedup_reason = 'rejected'").rowcount
        assert looks == 1 and cursor.execute("SELECT FROM project_frame WHERE reason = 'rejected'").rowcount == 1


def test_undo_gives_exactly_what_there_was(patterns: Ledger, typed: Callable[..., tuple[str, str]]) -> None:
    before = kept(patterns)
    names = [image_name(*moment) for moment in before[:3]]
    typed(*names)
    assert len(mine_on(patterns)) < len(before)
    assert typed("--undo", *names)[0] == "3 images may be mined again\n"
    assert mine_on(patterns) == before and not rejections(patterns)
    assert typed("--undo", *names)[0] == "3 images may be mined again; nothing of it was rejected\n"


def test_a_rejected_video_gives_nothing_and_its_doubles_come_back(
    patterns: Ledger, typed: Callable[..., tuple[str, str]]
) -> None:
    before = kept(patterns)
    with patterns.transaction() as cursor:  # two films show the same: the first stands for the second's pictures
        row = cursor.execute(
            """SELECT DISTINCT mine.video_id, other.video_id AS double FROM project_frame pf
               JOIN project_segment other USING (project_id, segment_id)
               JOIN project_segment mine ON mine.segment_id = pf.representative_segment_id
               WHERE mine.video_id <> other.video_id"""
        ).fetchone()
    assert row is not None
    video_id, double = row.video_id, row.double
    assert typed(video_id)[0].startswith("1 video rejected")
    assert mine_on(patterns) == sorted((double if video == video_id else video, pts_ms) for video, pts_ms in before)
    with patterns.transaction() as cursor:
        row = cursor.execute("SELECT reason FROM project_video WHERE video_id = %s", [video_id]).fetchone()
    assert row is not None and row.reason == "rejected"
    typed("--undo", video_id)
    assert mine_on(patterns) == before


def test_a_list_is_done_but_for_the_names_that_nothing_has(
    patterns: Ledger, typed: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    (video_id, pts_ms), (_, second) = kept(patterns)[:2]
    listing = tmp_path / "wrong.txt"
    listing.write_text(
        f"# seen in val_batch0\n\n{image_name(video_id, pts_ms)}\n"
        f"some/folder/{image_name(video_id, second)}  # a curtain\nyoutubeZ\n{image_name(video_id, pts_ms + 1)}\n"
    )
    said, err = typed("--from", str(listing), code=1)
    assert said.startswith("2 images rejected") and rejections(patterns) == {
        (video_id, pts_ms, None),
        (video_id, second, None),
    }
    unknown = err.splitlines()
    assert len(unknown) == 2 and "youtubeZ: no picture, video or uploader" in unknown[0]
    assert "no picture was taken at that time" in unknown[1]
    assert typed("--from", str(listing), code=1)[0] == "2 images rejected already; nothing was changed\n"


def test_names_come_on_stdin_too(
    patterns: Ledger, typed: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(image_name(*kept(patterns)[0]).encode())))
    assert typed("--from", "-")[0].startswith("1 image rejected")


def test_a_video_that_no_search_has_found_yet_can_be_rejected(
    patterns: Ledger, typed: Callable[..., tuple[str, str]]
) -> None:
    said, err = typed("https://youtu.be/3kX9f0aQbLs?t=83", "youtube:aa81LkPq0xE")
    assert said.startswith("2 videos rejected") and "taken as the whole video" in err
    assert rejections(patterns) == {("youtube:3kX9f0aQbLs", None, None), ("youtube:aa81LkPq0xE", None, None)}
    _, err = typed("https://www.youtube.com/playlist?list=PLabc", code=1)
    assert "no picture, video or uploader is called so" in err


def test_an_uploader_is_rejected_by_any_of_his_names_under_those_that_are_his_alone(
    patterns: Ledger, typed: Callable[..., tuple[str, str]]
) -> None:
    video_id = kept(patterns)[0][0]
    with patterns.transaction() as cursor:
        cursor.execute(
            """UPDATE video SET uploader = 'ACME Interiors', uploader_id = '@acme', channel = 'ACME Interiors',
               extra = extra || '{"channel_id": "UCacme"}' WHERE id = %s""",
            [video_id],
        )
    said, err = typed("ACME Interiors")
    assert said.startswith("1 uploader (ACME Interiors (UCacme): 1 video so far) rejected")
    assert "taken as the uploader ACME Interiors" in err
    assert rejections(patterns) == {(None, None, "UCacme"), (None, None, "@acme")}
    assert video_id not in {video for video, _ in mine_on(patterns)}
    with patterns.transaction() as cursor:  # what a page may show that no listing did
        page = VideoInfo("generic:blog", "https://x.org", "x.org", extra={"channel_id": "UCacme"})
        assert len(words.rejecting(cursor, page)) == 1
        assert not words.rejecting(cursor, VideoInfo("generic:blog", "https://x.org", "x.org", channel="acme"))
    typed("--undo", "--uploader", "@acme")
    assert not rejections(patterns)


def test_two_uploaders_of_one_name_are_told_apart(patterns: Ledger, typed: Callable[..., tuple[str, str]]) -> None:
    with patterns.transaction() as cursor:
        cursor.execute("UPDATE video SET uploader = 'John', uploader_id = '@' || left(right(id, 4), 4)")
    _, err = typed("--uploader", "John", code=1)
    assert "uploaders are called so; name one by id: @" in err and not rejections(patterns)
    _, err = typed("--uploader", "Jonh", code=1)
    assert "did you mean John?" in err


def test_what_cannot_be_is_one_line(typed: Callable[..., tuple[str, str]], tmp_path: Path) -> None:
    assert "reject what?" in typed(code=2)[1]
    assert "no such file" in typed("--from", str(tmp_path / "none.txt"), code=2)[1]
    (tmp_path / "latin.txt").write_bytes("tür\n".encode("latin-1"))
    assert "not UTF-8" in typed("--from", str(tmp_path / "latin.txt"), code=2)[1]


def test_what_is_kept_is_known_at_once(patterns: Ledger, typed: Callable[..., tuple[str, str]]) -> None:
    before = kept(patterns)
    typed(image_name(*before[0]))
    told = kept(patterns)
    assert told == before[1:] and mine_on(patterns) == told
    typed(image_name(*before[0]), "--undo")
    assert kept(patterns) == before
