"""`data-miner engine` as processes: who leads, who stands by, what a `run` beside it does, and what it refuses."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from data_miner.ledger.connection import Ledger
from tests.support.ledger import run_sql
from tests.support.mining import COMMAND, Home
from tests.support.postgres import reachable_folder
from tests.support.proxy import Proxy
from tests.support.videos import write_video

DEADLINE_S = 60.0
TAKEN_OVER_S = 20.0
IN_A_HURRY = """
import sys
from data_miner.engine import supervisor
supervisor.EXPIRE_S, supervisor.RENEW_S = 2.0, 0.5  # 15 and 5: nobody waits for those in a test
from data_miner.cli.main import main
main()
"""
TWO_NODES = """
import os, subprocess, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
done = subprocess.run(
    [sys.executable, "-m", "data_miner", "engine"], env={**os.environ, "RAY_ADDRESS": cluster.address}, timeout=60
)
cluster.shutdown()
sys.exit(done.returncode)
"""


class Engine:
    """One process, and what it says."""

    def __init__(self, home: Home, talk: Path, program: list[str], variables: dict[str, str]) -> None:
        self._talk = talk
        with talk.open("w") as file:
            self.process = subprocess.Popen(
                [*program, "engine"],
                cwd=home.cwd,
                env={**home.environment(), **variables},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def said(self) -> str:
        """All of it so far."""
        return self._talk.read_text()

    def leads(self) -> bool:
        """Did it say last that it supervises?"""
        told = [line for line in self.said().splitlines() if line.startswith(("engine ·", "standby:"))]
        return bool(told) and told[-1].startswith("engine ·")

    def end(self, how: signal.Signals) -> int:
        """Send a signal and wait; returns the exit code."""
        self.process.send_signal(how)
        return self.process.wait(DEADLINE_S)


Start = Callable[..., Engine]


@pytest.fixture
def home() -> Iterator[Home]:
    """A data folder to be."""
    root = reachable_folder()
    found = Home(root / "data", root)
    yield found
    found.close()
    shutil.rmtree(root)


@pytest.fixture
def start(home: Home, tmp_path: Path) -> Iterator[Start]:
    """Starts engines, and ends what is left of them."""
    made: list[Engine] = []

    def begin(*program: str, **variables: str) -> Engine:
        made.append(Engine(home, tmp_path / f"{len(made)}.txt", list(program), variables))
        return made[-1]

    yield begin
    for engine in made:
        engine.process.kill()
        engine.process.wait()


def _until(holds: Callable[[], object], within_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["killed", "stopped", "cut off"])
def test_of_two_started_together_one_leads_and_the_other_takes_over(start: Start, database: Ledger, how: str) -> None:
    proxies = [Proxy(database), Proxy(database)]
    engines = [start(sys.executable, "-c", IN_A_HURRY, DATABASE_URL=proxy.ledger.dsn) for proxy in proxies]
    _until(lambda: all("supervises" in one.said() or one.leads() for one in engines))
    assert sum(one.leads() for one in engines) == 1
    leader, standby = sorted(engines, key=Engine.leads, reverse=True)
    assert f"standby: {leader.process.pid} on " in standby.said()
    match how:
        case "killed":
            leader.process.kill()
        case "stopped":
            leader.process.send_signal(signal.SIGSTOP)
        case _:
            proxies[engines.index(leader)].close()
    _until(standby.leads, TAKEN_OVER_S)
    if how == "stopped":
        leader.process.send_signal(signal.SIGCONT)
        _until(lambda: f"standby: {standby.process.pid} on " in leader.said())
        assert leader.end(signal.SIGINT) == 130
    assert standby.end(signal.SIGTERM) == 0
    assert "Traceback" not in leader.said() + standby.said()


def test_a_run_beside_an_engine_follows_it_and_starts_no_ray(home: Home, start: Start) -> None:
    (home.cwd / "film").mkdir()
    write_video(home.cwd / "film" / "short.mp4", range(0, 1000, 100))
    (home.cwd / "doors.yaml").write_text("classes: [door]\nsources: {folder: film}\ndetect: {model: null}\n")
    engine = start(*COMMAND)
    _until(engine.leads)
    assert "ray starts with the first work" in engine.said()
    with home.start("run", "doors.yaml", "--pipeline", "ingest") as run:
        own = psutil.Process(run.pid)
        children = set[str]()
        while run.poll() is None:
            try:
                children |= {child.name() for child in own.children(recursive=True)}
            except psutil.NoSuchProcess:
                break
            time.sleep(0.1)
    assert run.returncode == 0, home.talk()
    assert not children & {"raylet", "gcs_server"}
    assert engine.process.poll() is None
    assert "raylet" in {child.name() for child in psutil.Process(engine.process.pid).children()}
    assert '{"projects":{"doors":' in engine.said()
    assert engine.end(signal.SIGTERM) == 0
    assert "Traceback" not in engine.said()
    assert not home.server().alive(), "the last one out stops it"


def test_a_newer_schema_is_exit_5(database: Ledger, home: Home) -> None:
    run_sql(database, "UPDATE alembic_version SET version_num = '9999'")
    away = Home(home.data, home.cwd, {"DATABASE_URL": database.dsn})
    done = away.type("engine", timeout_s=30)
    assert done.returncode == 5
    assert len(done.stderr.splitlines()) == 1


def test_the_embedded_database_with_two_nodes_is_exit_4_with_a_hint(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWO_NODES],
        env={**home.environment(), "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(Path.cwd())},
        cwd=home.cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 4, done.stderr
    assert "2 nodes" in done.stderr and "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr
