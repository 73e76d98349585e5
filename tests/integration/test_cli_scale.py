"""scale, status --scaling, pause and resume, typed against a ledger in which a real project was mined."""

import json
import uuid

import pytest

from data_miner.cli.main import run
from data_miner.engine.process import identity
from data_miner.ledger import projects, supervision
from data_miner.ledger.connection import Ledger

POOL = {
    "name": "detect 8f31c2",
    "stage": "detect",
    "waiting": 7,
    "running": 1,
    "actors": 1,
    "starting": 0,
    "share_cpus": 0.4,
    "share_gpus": 0.25,
    "wanted": 4,
    "why": "4 asked",
}
SEEN = {"cpus": 2.0, "gpus": 1.0, "pools": [POOL]}


def typed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    """Type a command; returns what came on stdout and stderr."""
    capsys.readouterr()
    assert run(arguments) == code, capsys.readouterr().err
    told = capsys.readouterr()
    return told.out, told.err


def supervise(ledger: Ledger, **changed: object) -> uuid.UUID:
    """Be the supervisor, with an account of one pool."""
    holder = uuid.uuid4()
    with ledger.transaction() as cursor:
        assert supervision.take(cursor, holder, {**identity(), **changed}, None, 15.0) is not None
        supervision.set_scaling(cursor, holder, SEEN)
    return holder


def test_bounds_are_set_shown_and_taken_back(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = typed(capsys, "scale", "detect=4", "filter=1..6")
    assert "detect    4      4" in out and "filter    1      6" in out and "extract   auto   auto" in out
    typed(capsys, "scale", "detect=0", "filter=auto")
    assert json.loads(typed(capsys, "scale", "--json")[0]) == [{"stage": "detect", "least": 0, "most": 0}]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("detect=-1", "detect=-1: a number of actors from 0 to 10000, a range as 1..6, or auto"),
        ("detect=x", "detect=x: a number of actors"),
        ("detect=4..2", "detect=4..2: a number"),
        ("detect=99999999999999", "detect=99999999999999: a number"),
        ("detect=²", "detect=²: a number"),
        ("detect=", "detect=: a number"),
        ("detect", "detect: say how many, e.g. detect=4 or =auto"),
        ("detct=2", "no stage 'detct'; did you mean detect?"),
        ("expand=2", "no stage 'expand'; did you mean download?"),
        ("xyzzy=2", "no stage 'xyzzy'; stages: download, extract"),
    ],
)
def test_a_bound_that_cannot_be_is_one_line_and_sets_nothing(
    word: str, said: str, patterns: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = typed(capsys, "scale", "filter=2", word, code=2)
    assert out == "" and said in err and err.count("\n") == 1
    assert json.loads(typed(capsys, "scale", "--json")[0]) == []


def test_status_scaling_says_why_each_pool_has_its_size(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    supervise(patterns)
    typed(capsys, "scale", "detect=4")
    out, err = typed(capsys, "status", "--scaling")
    assert [line.split("  ")[0] for line in out.splitlines()] == ["pool", "detect 8f31c2"]
    assert "1/4" in out and "0.4 cpu · 1/4 gpu" in out and "4 asked" in out
    assert "detect     4 asked; data-miner scale detect=auto takes it back" in err
    found = json.loads(typed(capsys, "status", "--scaling", "--json")[0])
    assert found["pools"] == [POOL] and found["supervisor"]["pid"] == identity()["pid"]
    assert found["bounds"] == {"detect": {"least": 4, "most": 4}}


def test_status_scaling_says_when_nobody_supervises(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nobody supervises" in typed(capsys, "status", "--scaling")[1]
    gone = supervise(patterns, pid_started=1.0)  # a process of that id began at another time: ours is dead
    out, err = typed(capsys, "status", "--scaling")
    assert out == "" and "nobody supervises" in err
    assert json.loads(typed(capsys, "status", "--scaling", "--json")[0])["supervisor"] is None
    with patterns.transaction() as cursor:
        supervision.resign(cursor, gone)
    assert json.loads(typed(capsys, "status", "--scaling", "--json")[0])["pools"] == []


def test_a_project_is_paused_and_resumed_by_name(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert "patterns paused: 0 jobs left; data-miner resume patterns" in typed(capsys, "pause", "patterns")[0]
    assert "was paused already" in typed(capsys, "pause", "-p", "patterns")[0]
    assert json.loads(typed(capsys, "status", "-p", "patterns", "--json")[0])["state"] == "paused"
    assert "patterns resumed; then: data-miner run -p patterns" in typed(capsys, "resume", "-p", "patterns")[0]
    assert "was not paused" in typed(capsys, "resume", "patterns")[0]
    assert json.loads(typed(capsys, "status", "-p", "patterns", "--json")[0])["state"] == "finished"


def test_resume_names_the_run_that_goes_on(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "pause", "patterns")
    with patterns.transaction() as cursor:
        project = projects.find(cursor, "patterns")
        assert project is not None
        projects.follow(cursor, uuid.uuid4(), project.id, project.config_hash, identity())
    assert f"process {identity()['pid']} goes on with it" in typed(capsys, "resume", "patterns")[0]


def test_a_resting_job_can_be_looked_at(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    with patterns.transaction() as cursor:
        cursor.execute("UPDATE job SET state = 'waiting' WHERE stage = 'detect'")
    assert "2 jobs left" in typed(capsys, "pause", "patterns")[0]
    resting = json.loads(typed(capsys, "jobs", "--stage", "detect", "--json")[0])
    assert {(row["state"], row["reason"], row["not_before"]) for row in resting} == {("waiting", "paused", None)}
    assert "paused" in typed(capsys, "jobs", "show", str(resting[0]["id"]))[0]


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_project_that_is_not_there_is_one_line(
    command: str, patterns: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no project 'paterns'; did you mean patterns?" in typed(capsys, command, "paterns", code=2)[1]
    assert "which project? add -p NAME" in typed(capsys, command, code=2)[1]


def test_a_run_of_a_paused_project_ends_in_one_line(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "pause", "patterns")
    out, err = typed(capsys, "run", "-p", "patterns", code=1)
    assert (out, err) == ("", "data-miner: patterns is paused; data-miner resume patterns\n")
