"""status, projects, sites, jobs and retry, typed against a ledger in which a real project was mined."""

import json
import uuid
from pathlib import Path

import pytest

from data_miner.cli.main import run
from data_miner.engine.process import identity
from data_miner.ledger import projects
from data_miner.ledger.connection import Ledger

TOP = "project state config videos stages frames boxes boxes_by_class drops failures sites eta_s disk_bytes dataset"
VIDEOS = "found skipped waiting blocked downloaded mined dead"
STAGES, STATES = "download extract filter dedup detect", "waiting running done dead blocked"
FRAMES = "extracted good passed unique with_boxes"
SHUT_SITE = """
    INSERT INTO site (name, sleep_interval, max_sleep_interval, sleep_requests, trial_interval, state, reason,
        since, next_try)
    VALUES ('tube', 20, 40, 1, 3600, 'shut', 'bot_check', now(), now() + interval '1 hour')"""


def typed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Type a command; returns what came on stdout."""
    capsys.readouterr()
    assert run(arguments) == code, capsys.readouterr().err
    return capsys.readouterr().out


def test_status_json_has_exactly_the_promised_keys(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(typed(capsys, "status", "-p", "patterns", "--json"))
    assert list(found) == TOP.split()
    assert list(found["videos"]) == VIDEOS.split()
    assert list(found["stages"]) == STAGES.split()
    assert all(list(states) == STATES.split() for states in found["stages"].values())
    assert list(found["frames"]) == FRAMES.split()


def test_status_json_counts_what_was_mined(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(typed(capsys, "status", "-p", "patterns", "--json"))
    assert found["state"] == "finished" and found["eta_s"] is None and found["dataset"] is None
    assert found["videos"] == {
        "found": 4,
        "skipped": 0,
        "waiting": 0,
        "blocked": 0,
        "downloaded": 3,
        "mined": 3,
        "dead": 1,
    }
    # Seven instants each, and two of the films show the same pictures: dedup keeps those of one.
    assert found["frames"] == {"extracted": 21, "good": 21, "passed": 21, "unique": 14, "with_boxes": 8}
    assert found["boxes_by_class"] == {"thing": 8} and found["boxes"] == 8
    assert found["drops"]["dedup"] == {"duplicate": 7} and found["drops"]["detect"] == {"no_detection": 6}
    assert found["failures"] == {"download": {"unreadable": 1}}
    assert found["disk_bytes"]["frames"] > 20_000 and found["disk_bytes"]["videos"] == 0


def test_status_of_one_project_reads_as_a_funnel(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    text = typed(capsys, "status", "--project", "patterns")
    assert "patterns · finished" in text
    assert "21 extracted → 21 good → 21 match → 14 unique → 8 with boxes" in text
    assert "4: 3 mined · 1 dead" in text and "download unreadable 1" in text


def test_a_living_run_makes_the_project_running_and_gives_an_eta(
    patterns: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    with patterns.transaction() as cursor:
        project = projects.find(cursor, "patterns")
        assert project is not None
        projects.follow(cursor, uuid.uuid4(), project.id, project.config_hash, identity())
        cursor.execute("UPDATE job SET state = 'waiting' WHERE stage IN ('dedup', 'detect')")
    found = json.loads(typed(capsys, "status", "-p", "patterns", "--json"))
    assert found["state"] == "running"
    assert found["eta_s"] is None, "detect was never measured"
    with patterns.transaction() as cursor:
        cursor.execute("UPDATE job SET state = 'done' WHERE stage = 'detect'")
    found = json.loads(typed(capsys, "status", "-p", "patterns", "--json"))
    assert found["eta_s"] is None, "a video that waits for dedup will wait for detect too"
    with patterns.transaction() as cursor:
        cursor.execute(
            "INSERT INTO batch_stat (job_id, stage, items, seconds)"
            """ SELECT id, 'detect', 7, '{"process": 0.25}' FROM job WHERE stage = 'detect'"""
        )
    found = json.loads(typed(capsys, "status", "-p", "patterns", "--json"))
    assert found["eta_s"] == pytest.approx(3 * (0.5 + 0.25), abs=0.1)


def test_a_shut_site_makes_the_project_blocked_and_names_it(
    patterns: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    with patterns.transaction() as cursor:
        cursor.execute(SHUT_SITE)
        cursor.execute("UPDATE video SET site = 'tube' WHERE id = (SELECT min(id) FROM video)")
        cursor.execute(
            "UPDATE job SET state = 'blocked', site = 'tube', reason = 'bot_check'"
            " WHERE stage = 'download' AND video_id = (SELECT min(id) FROM video)"
        )
    found = json.loads(typed(capsys, "status", "-p", "patterns", "--json"))
    assert found["state"] == "blocked"
    assert list(found["sites"]["tube"]) == ["state", "reason", "since", "next_try"]
    assert found["sites"]["tube"]["reason"] == "bot_check" and found["sites"]["tube"]["next_try"] is not None
    assert "tube: bot_check" in typed(capsys, "status")
    sites = typed(capsys, "sites")
    assert "tube" in sites and "shut" in sites and "one per 20 to 40 s" in sites
    assert json.loads(typed(capsys, "sites", "--json"))[0]["blocked"] == 1


def test_projects_list_shows_mined_ones_and_files_that_wait(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "next_one.yaml").write_text("sources: {urls: []}\n")
    monkeypatch.setenv("DATA_MINER_CONFIGS", str(tmp_path))
    entries = {row["project"]: row for row in json.loads(typed(capsys, "projects", "list", "--json"))}
    assert entries["patterns"]["state"] == "finished" and entries["patterns"]["images"] == 8
    assert entries["next_one"]["state"] == "new" and entries["next_one"]["file"].endswith("next_one.yaml")


def test_a_deleted_project_is_gone_and_its_videos_stay(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert "patterns deleted" in typed(capsys, "projects", "delete", "patterns", "--yes")
    with patterns.transaction() as cursor:
        assert projects.names(cursor) == []
        row = cursor.execute("SELECT count(*) AS n FROM frame").fetchone()
        assert row is not None and row.n == 21


def test_a_project_that_is_being_mined_is_not_deleted(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    with patterns.transaction() as cursor:
        project = projects.find(cursor, "patterns")
        assert project is not None
        projects.follow(cursor, uuid.uuid4(), project.id, project.config_hash, identity())
    assert run(["projects", "delete", "patterns", "--yes"]) == 2
    assert "being mined by process" in capsys.readouterr().err


def test_nobody_is_asked_where_nobody_can_answer(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["projects", "delete", "patterns"]) == 2
    assert "add --yes" in capsys.readouterr().err


def test_dead_jobs_are_listed_counted_and_shown(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(typed(capsys, "jobs", "-p", "patterns", "--dead", "--json"))
    assert [(row["stage"], row["reason"]) for row in listed] == [("download", "unreadable")]
    counted = json.loads(typed(capsys, "jobs", "--state", "dead", "--by", "reason", "--json"))
    assert [(row["stage"], row["reason"], row["n"]) for row in counted] == [("download", "unreadable", 1)]
    shown = typed(capsys, "jobs", "show", str(listed[0]["id"]))
    assert "broken" in shown and "attempt 1: dead unreadable" in shown
    assert len(json.loads(typed(capsys, "jobs", "--stage", "extract", "--limit", "2", "--json"))) == 2


def test_an_unknown_job_is_one_line(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["jobs", "show", "999999"]) == 2
    assert capsys.readouterr().err == "data-miner: no job 999999; `data-miner jobs` lists them\n"


def test_retry_wakes_dead_jobs_with_a_clean_slate(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert "download unreadable 1" in typed(capsys, "retry", "-p", "patterns", "--reason", "unreadable")
    with patterns.transaction() as cursor:
        row = cursor.execute(
            "SELECT j.state, j.failures, j.reason, pv.is_held, pv.moved FROM job j JOIN project_video pv"
            " ON pv.fetch_id = j.fetch_id WHERE j.stage = 'download' AND j.state <> 'done'"
        ).fetchone()
    assert row is not None
    assert (row.state, row.failures, row.reason, row.is_held) == ("waiting", 0, None, False)
    assert row.moved > 0, "what was held comes back at the end of the data order"
    assert json.loads(typed(capsys, "status", "-p", "patterns", "--json"))["state"] == "idle"


def test_retry_leaves_other_reasons_and_stages_alone(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    for choice in (("--reason", "disk_full"), ("--stage", "extract")):
        assert typed(capsys, "retry", "-p", "patterns", *choice) == ""
    with patterns.transaction() as cursor:
        assert cursor.execute("SELECT FROM job WHERE state = 'dead'").rowcount == 1


def test_retry_of_a_shut_sites_job_waits_with_the_others(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    with patterns.transaction() as cursor:
        cursor.execute(SHUT_SITE)
        cursor.execute("UPDATE job SET site = 'tube' WHERE state = 'dead'")
    typed(capsys, "retry", "-p", "patterns")
    with patterns.transaction() as cursor:
        row = cursor.execute("SELECT state, reason FROM job WHERE site = 'tube'").fetchone()
    assert row is not None and (row.state, row.reason) == ("blocked", "bot_check")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("status", "-p", "paterns"), 2, "no project 'paterns'; did you mean patterns?"),
        (("status", "-p", "./elsewhere.yaml"), 1, "elsewhere: nothing mined yet"),
        (("retry",), 2, "which project? add -p NAME"),
        (("jobs", "--stage", "extrakt"), 2, "extrakt"),
    ],
)
def test_bad_words_are_one_line(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert run(arguments) == code
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
