"""show, typed with every kind of name against a ledger in which a real project was mined."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from data_miner.cli.main import run
from data_miner.export.names import image_name
from data_miner.ledger import lookup
from data_miner.ledger.connection import Ledger
from tests.support.mined import BOX, Place

YOUTUBE = "youtube:3kX9f0aQbLs"
HOSTILE = "vimeo:кино/../42"


@pytest.fixture
def named(patterns: Ledger) -> Ledger:
    """The mined project, its first kept video now from YouTube and its last under an id that is no file name."""
    with patterns.transaction() as cursor:
        ids = [row.video_id for row in cursor.execute(_KEPT)]
        for old, new, url in (
            (ids[0], YOUTUBE, "https://www.youtube.com/watch?v=3kX9f0aQbLs"),
            (ids[-1], HOSTILE, "https://player.example/v?id=42&list=a#main"),
        ):
            cursor.execute(
                """INSERT INTO video (id, url, site, title, uploader, license, upload_date, duration_s, extra)
                   SELECT %s, %s, 'web', 'Office lobby tour', 'ACME Interiors', 'CC BY', '20240311', 6.1, extra
                   FROM video WHERE id = %s""",
                [new, url, old],
            )
            cursor.execute(
                "ALTER TABLE project_segment DROP CONSTRAINT IF EXISTS project_segment_project_id_video_id_fkey"
            )
            for table in ("source_video", "project_video", "project_segment", "fetch", "job"):
                cursor.execute(f'UPDATE "{table}" SET video_id = %s WHERE video_id = %s', [new, old])
    return patterns


_KEPT = """SELECT ps.video_id FROM project_segment ps JOIN project_frame pf USING (project_id, segment_id)
    WHERE pf.is_kept GROUP BY 1, ps.rank ORDER BY ps.rank"""


def typed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Type `show`; returns what came on stdout, or on stderr when it should fail."""
    capsys.readouterr()
    assert run(["show", *arguments]) == code, capsys.readouterr().err
    shown = capsys.readouterr()
    return shown.err if code else shown.out


def facts(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The same with --json, read."""
    found: dict[str, Any] = json.loads(typed(capsys, *arguments, "--json"))
    return found


@pytest.mark.parametrize(
    "said",
    [
        "youtube_3kX9f0aQbLs_000002000.jpg",
        "youtube_3kX9f0aQbLs_000002000",
        "runs/detect/train/youtube_3kX9f0aQbLs_000002000.jpg",
        "C:\\sets\\youtube_3kX9f0aQbLs_000002000.JPG",
        "youtube_3kX9f0aQbLs_000002000_jpg.rf.0123456789abcdef.jpg",
        "1a2b3c4d-youtube_3kX9f0aQbLs_000002000.jpg",
        "labels/train/youtube_3kX9f0aQbLs_000002000.txt",
        "youtube:3kX9f0aQbLs_000002000",
        "3kX9f0aQbLs_000002000",
        "https://youtu.be/3kX9f0aQbLs?t=2",
        "https://youtu.be/3kX9f0aQbLs?si=abc&t=0m2s",
        "youtu.be/3kX9f0aQbLs?t=2s",
        "https://www.youtube.com/watch?v=3kX9f0aQbLs&t=2s",
        "https://m.youtube.com/watch?app=m&v=3kX9f0aQbLs#t=2",
        "https://www.youtube.com/embed/3kX9f0aQbLs?start=2",
        "youtube:3kX9f0aQbLs#t=2",
    ],
)
def test_a_picture_is_found_by_every_name_it_has(named: Ledger, capsys: pytest.CaptureFixture[str], said: str) -> None:
    found = facts(capsys, said)
    assert (found["video"], found["pts_ms"], found["name"]) == (YOUTUBE, 2000, "youtube_3kX9f0aQbLs_000002000.jpg")


def test_an_id_that_is_no_file_name_is_found_by_its_images(named: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    name = image_name(HOSTILE, 1000)
    assert hashlib.sha256(HOSTILE.encode()).hexdigest()[:16] in name
    for said in (name, HOSTILE, "https://player.example/v?id=42&list=a#main", "https://player.example/v?id=42&list=a"):
        assert facts(capsys, said)["video"] == HOSTILE
    assert facts(capsys, "https://player.example/v?id=42&list=a#main&t=1")["pts_ms"] == 1000


def test_the_card_of_a_picture_tells_all(named: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for version, split in (("v3", "val"), ("v10", "train")):
        folder = tmp_path / "data/datasets/patterns" / version / "images" / split
        folder.mkdir(parents=True)
        (folder / "youtube_3kX9f0aQbLs_000002000.jpg").write_bytes(b"")
    with named.transaction() as cursor:
        cursor.execute("UPDATE project_frame SET reason = NULL")
    lines = typed(capsys, "youtube_3kX9f0aQbLs_000002000.jpg").splitlines()
    assert lines[0].startswith(
        'video      https://www.youtube.com/watch?v=3kX9f0aQbLs&t=2s   "Office lobby tour" by ACME'
    )
    assert lines[1].startswith('           license CC BY · 2024-03-11 · found by "') and ", rank " in lines[1]
    assert lines[2].startswith("picture    320×192 · sharpness ") and lines[2].endswith(" · at 0:02")
    assert lines[3] == "filter     good"
    assert lines[4].startswith("dedup      kept; stands for 1 frame, in local:")
    x1, y1, x2, y2 = BOX.xyxy
    assert lines[5] == f'boxes      thing 0.75 [{x1:.0f} {y1:.0f} {x2:.0f} {y2:.0f}] thing.pt "thing"'
    assert lines[6] == "in         v3 val · v10 train" and len(lines) == 7


def test_a_duplicate_names_the_picture_it_repeats(named: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    kept = facts(capsys, "youtube_3kX9f0aQbLs_000002000")["projects"][0]["dedup"]
    copy = next(iter(kept["stands_for"]))
    found = facts(capsys, image_name(copy, 2000))
    assert found["projects"][0]["dedup"]["like"] == "youtube_3kX9f0aQbLs_000002000.jpg"
    assert "duplicate of youtube_3kX9f0aQbLs_000002000.jpg, 0 bits apart" in typed(capsys, image_name(copy, 2000))


def test_a_video_tells_how_it_fares_in_each_project(named: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    text = typed(capsys, "3kX9f0aQbLs")
    assert f"           {YOUTUBE} · 6.1 s · license CC BY" in text and "project    patterns" in text
    assert "state      mined" in text
    assert "frames     7 extracted → 7 good → 7 match → 7 unique → 4 with boxes" in text
    assert facts(capsys, YOUTUBE, "-p", "patterns") == facts(capsys, YOUTUBE)


def test_a_dead_video_says_of_what_and_where_to_look(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], mined_template: tuple[str, Place]
) -> None:
    broken = mined_template[1].folder / "films" / "broken.mp4"
    for said in (str(broken), "films/broken.mp4", "broken.mp4"):
        text = typed(capsys, said)
        assert "state      dead (unreadable)" in text and "dead unreadable (data-miner jobs show " in text


def test_a_persons_words_stand_on_the_card(named: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    with named.transaction() as cursor:
        project = cursor.execute("SELECT id FROM project").fetchone().id
        cursor.execute("INSERT INTO rejection (project_id, video_id, pts_ms) VALUES (%s, %s, 1000)", [project, YOUTUBE])
        cursor.execute("INSERT INTO rejection (project_id, uploader) VALUES (%s, 'ACME Interiors')", [project])
        cursor.execute(
            "INSERT INTO human_label (project_id, video_id, pts_ms) VALUES (%s, %s, 2000)", [project, YOUTUBE]
        )
        cursor.execute(
            "INSERT INTO human_box VALUES (%s, %s, 2000, 0, 'thing', 0.25, 0.25, 0.5, 0.75)", [project, YOUTUBE]
        )
        cursor.execute(
            "INSERT INTO human_label (project_id, video_id, pts_ms) VALUES (%s, %s, 4000)", [project, YOUTUBE]
        )
        cursor.execute("INSERT INTO forgotten (video_id, receipt) VALUES (%s, 'r.json')", [HOSTILE])
    assert "rejected   by a person, " in typed(capsys, "3kX9f0aQbLs_000001000")
    assert "boxes      thing by a person [80 48 160 144]" in typed(capsys, "3kX9f0aQbLs_000002000")
    assert "boxes      none, as a person says" in typed(capsys, "3kX9f0aQbLs_000004000")
    assert "rejected by a person, " in typed(capsys, YOUTUBE) and "(everything by ACME" in typed(capsys, YOUTUBE)
    assert "never again; receipt r.json" in typed(capsys, HOSTILE)


def test_a_time_without_a_picture_offers_the_nearest(named: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    said = typed(capsys, "youtube_3kX9f0aQbLs_000002500.jpg", code=1)
    assert said == (
        "data-miner: youtube:3kX9f0aQbLs: no picture was taken at 0:02.500; nearest: "
        "youtube_3kX9f0aQbLs_000002000.jpg (0:02) and youtube_3kX9f0aQbLs_000003000.jpg (0:03)\n"
    )
    assert "at 1:00; nearest: youtube_3kX9f0aQbLs_000006000.jpg" in typed(
        capsys, "https://youtu.be/3kX9f0aQbLs?t=60", code=1
    )


def test_an_unknown_name_is_one_line_with_the_nearest(named: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    for said in ("youtube_3kX9f0aQbLz_000002000.jpg", "3kX9f0aQbLz", "youtube:3kX9f0aQblS"):
        told = typed(capsys, said, code=1)
        assert told == f"data-miner: {said}: nothing here is called so; did you mean {YOUTUBE}?\n"
    for said in ("nothing.jpg", "https://youtu.be/AAAAAAAAAAA", "https://[bad", "%", "_000000000", " ", "a\udc80b"):
        assert "nothing here is called so; `data-miner frames" in typed(capsys, said, code=1)
    assert "no project 'other'" in typed(capsys, YOUTUBE, "-p", "other", code=2)


def test_a_bare_id_of_two_videos_shows_both(named: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    with named.transaction() as cursor:
        cursor.execute("INSERT INTO video (id, url) VALUES ('vimeo:3kX9f0aQbLs', 'https://vimeo.example/3kX9f0aQbLs')")
        assert {found.video_id for found in lookup.resolve(cursor, "3kX9f0aQbLs")} == {YOUTUBE, "vimeo:3kX9f0aQbLs"}
    assert typed(capsys, "3kX9f0aQbLs").count("video      https://") == 2


def test_nothing_mined_is_said_and_nothing_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "DATA_MINER_STORE", "DATA_MINER_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_MINER_DATA", str(tmp_path / "data"))
    assert "nothing mined yet" in typed(capsys, "youtube:abc", code=1)
    assert not (tmp_path / "data").exists()
