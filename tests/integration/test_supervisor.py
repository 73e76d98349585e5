"""The supervisor on a real Ray, one for the module: pools, deaths, a second supervisor, signals."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from data_miner.engine import cluster as cluster_module
from data_miner.engine import scaling
from data_miner.engine import supervisor as supervisor_module
from data_miner.engine.cluster import RayCluster
from data_miner.engine.devices import Machine
from data_miner.engine.session import Session
from data_miner.engine.supervisor import Supervisor
from data_miner.errors import ModelError
from data_miner.ledger import projects, supervision
from data_miner.ledger.cluster import Cluster
from data_miner.ledger.connection import Ledger
from data_miner.ledger.place import locate
from tests.support.engine import ONE_CPU_EACH, WORLD, made_class, order, workplace
from tests.support.ledger import Miner, register, rows, run_sql, state_of
from tests.support.mining import COMMAND, Home
from tests.support.postgres import Server, reachable_folder
from tests.support.shared import shared

CPUS = 2
DEADLINE_S = 60.0
POOLS = {"download", "extract", "filter", "dedup", "detect"}


class SharedCluster(RayCluster):
    """One Ray for many supervisors: it outlives each of them."""

    def stop(self, wait_s: float = 0) -> None:
        """Only a dead one is taken down, as its supervisor wants it."""
        if not self.is_alive():
            super().stop(wait_s)

    def end(self) -> None:
        """Take it down."""
        super().stop(20)


class Bench:
    """A ledger with the made-up world registered, and a supervisor to mine it."""

    def __init__(self, ledger: Ledger, folder: Path, cluster: RayCluster) -> None:
        self.ledger, self.place = ledger, workplace(ledger, folder, CPUS)
        self.project_id = register(ledger, WORLD)
        self.supervisor = Supervisor(self.place, ONE_CPU_EACH, cluster)

    def tick_until(self, holds: Callable[[], bool]) -> None:
        """Tick until something holds."""
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline, [tuple(row) for row in self.jobs()]
            self.supervisor.tick()
            time.sleep(0.05)

    def is_settled(self) -> bool:
        """Is nothing waiting or running?"""
        return not rows(self.ledger, "SELECT FROM job WHERE state IN ('waiting', 'running') LIMIT 1")

    def jobs(self) -> list[object]:
        """Jobs by stage and state."""
        return rows(self.ledger, "SELECT stage, state, count(*) FROM job GROUP BY 1, 2 ORDER BY 1, 2")

    def in_process(self, stage: str) -> list[tuple[int, int]]:
        """(job, pid of its worker) of jobs that are started."""
        query = (
            "SELECT job.id, worker.pid FROM job JOIN worker ON worker.id = worker_id WHERE stage = %s AND is_started"
        )
        return [(row.id, row.pid) for row in rows(self.ledger, query, stage)]

    def events(self, event: str) -> list[int]:
        """Jobs that something happened to."""
        return [row.job_id for row in rows(self.ledger, "SELECT job_id FROM job_event WHERE event = %s", event)]

    def members(self) -> list[str]:
        """Names of the actors there are."""
        pools = self.supervisor._pools
        return [member.name for member in pools.members] if pools is not None else []


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[SharedCluster]:
    """Two CPUs of Ray."""
    cluster = SharedCluster(Machine(CPUS))
    assert cluster.start(60)
    yield cluster
    cluster.end()


@pytest.fixture
def bench(
    database: Ledger, tmp_path: Path, ray_cluster: SharedCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A bench whose stages are made up; a pool without work goes after a second."""
    monkeypatch.setattr(cluster_module, "_class_of", made_class)
    monkeypatch.setattr(scaling, "IDLE_S", 1.0)
    made = Bench(database, tmp_path / "data", ray_cluster)
    yield made
    made.supervisor.close()


@pytest.fixture
def expected(postgres_server: Server) -> Iterator[dict[str, list[tuple[object, ...]]]]:
    """What one undisturbed process makes of the same world."""
    ledger = postgres_server.create_migrated()
    register(ledger, WORLD)
    Miner(ledger, WORLD).run()
    yield state_of(ledger)
    postgres_server.drop(ledger)


def test_five_stages_of_one_cpu_finish_on_two_cpus_and_their_pools_go_to_zero(
    bench: Bench, ray_cluster: SharedCluster, expected: dict[str, list[tuple[object, ...]]]
) -> None:
    from ray.util.state import list_actors

    seen: set[str] = set()
    bench.tick_until(lambda: seen.update(bench.members()) or bench.is_settled())  # type: ignore[func-returns-value]
    assert state_of(bench.ledger) == expected
    assert {name.split(" ")[0] for name in seen} == POOLS
    bench.tick_until(lambda: not bench.members())
    shown = {actor.name: actor.class_name for actor in list_actors(address=ray_cluster.dashboard, limit=1000)}
    assert shown["extract 1"] == "Extract"
    assert next(kind for name, kind in shown.items() if name.startswith("detect ")) == "Detect"
    assert rows(bench.ledger, "SELECT FROM worker WHERE gone_at IS NULL AND host <> 'here'") == []


def test_a_killed_workers_job_is_done_again_and_only_the_one_in_process_counts_a_death(
    bench: Bench, expected: dict[str, list[tuple[object, ...]]]
) -> None:
    order(bench.place.settings.scratch, extract=1.0)
    running = "SELECT id FROM job WHERE stage = 'extract' AND state = 'running' AND NOT is_started"
    bench.tick_until(lambda: len(bench.in_process("extract")) == 1 and len(rows(bench.ledger, running)) == 1)
    (victim, pid), ahead = bench.in_process("extract")[0], rows(bench.ledger, running)[0].id
    os.kill(pid, signal.SIGKILL)
    order(bench.place.settings.scratch)
    bench.tick_until(lambda: bool(bench.events("died")))
    assert bench.events("died") == [victim]
    assert ahead in bench.events("released")
    assert rows(bench.ledger, "SELECT deaths FROM job WHERE id = %s", ahead)[0].deaths == 0
    bench.tick_until(bench.is_settled)
    assert state_of(bench.ledger) == expected


def test_a_job_that_kills_every_worker_is_dead_and_the_rest_is_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    order(bench.place.settings.scratch, extract=0.3)
    bench.tick_until(lambda: bool(bench.in_process("extract")))
    poison = bench.in_process("extract")[0][0]

    def is_over() -> bool:
        for job, pid in bench.in_process("extract"):
            if job == poison:
                psutil.Process(pid).kill() if psutil.pid_exists(pid) else None
        return bench.is_settled()

    bench.tick_until(is_over)
    query = "SELECT id, reason FROM job WHERE state = 'dead'"
    assert [tuple(row) for row in rows(bench.ledger, query)] == [(poison, "killed_worker")]
    assert bench.events("died") == [poison] * 3


def test_a_stage_that_cannot_be_opened_stops_the_run_with_its_own_words(bench: Bench) -> None:
    order(bench.place.settings.scratch, download="broken")
    bench.tick_until(lambda: bench.supervisor.error is not None)
    assert isinstance(bench.supervisor.error, ModelError)
    assert str(bench.supervisor.error) == "download.pt: no such weights"


def test_an_actor_that_always_dies_before_its_first_job_stops_the_run(bench: Bench) -> None:
    order(bench.place.settings.scratch, download="deadly")
    bench.tick_until(lambda: bench.supervisor.error is not None)
    assert "download cannot work" in str(bench.supervisor.error)
    assert "\n" not in str(bench.supervisor.error)


def test_a_service_holds_a_stage_that_cannot_be_opened_and_tells_whoever_follows(bench: Bench) -> None:
    follower = bench.supervisor
    service = bench.supervisor = Supervisor(bench.place, ONE_CPU_EACH, follower._cluster, is_service=True)
    order(bench.place.settings.scratch, extract="broken")
    with bench.ledger.transaction() as cursor:
        plan = projects.plans(cursor)[bench.project_id]
    service.tick()

    def is_told() -> bool:
        follower.tick()
        return follower.refusal(plan) is not None

    bench.tick_until(is_told)
    assert str(follower.refusal(plan)) == "extract.pt: no such weights"
    assert follower.refusal({**plan, "stages": ["download"]}) is None
    bench.tick_until(lambda: not rows(bench.ledger, "SELECT FROM job WHERE stage = 'download' AND state <> 'done'"))
    assert service.error is None and service.is_leading


def test_who_loses_the_lease_drains_and_leaves_the_work_to_the_other(bench: Bench) -> None:
    order(bench.place.settings.scratch, extract=0.5)
    bench.tick_until(lambda: bool(bench.in_process("extract")))
    stolen = "UPDATE supervisor SET holder = gen_random_uuid(), host = 'elsewhere', expires_at = now() + interval '1 h'"
    run_sql(bench.ledger, stolen)
    bench.supervisor._last.clear()
    bench.tick_until(lambda: not bench.members())
    assert not bench.supervisor.is_leading
    assert rows(bench.ledger, "SELECT FROM job WHERE state = 'running'") == []
    assert rows(bench.ledger, "SELECT FROM job WHERE state = 'waiting'") != []
    assert bench.events("died") == []


def test_closing_drains_and_leaves_no_running_job(bench: Bench) -> None:
    order(bench.place.settings.scratch, extract=0.5)
    bench.tick_until(lambda: bool(bench.in_process("extract")))
    bench.supervisor.close()
    assert rows(bench.ledger, "SELECT FROM job WHERE state = 'running'") == []
    assert bench.events("died") == bench.events("released") == []
    assert rows(bench.ledger, "SELECT FROM supervisor WHERE holder IS NULL") != []


def test_closing_at_once_kills_and_leaves_no_running_job(bench: Bench) -> None:
    order(bench.place.settings.scratch, extract=30.0)
    bench.tick_until(lambda: bool(bench.in_process("extract")))
    pid, started = bench.in_process("extract")[0][1], time.monotonic()
    bench.supervisor.close(lambda: True)
    assert time.monotonic() - started < 10
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert rows(bench.ledger, "SELECT FROM job WHERE state = 'running'") == []
    assert bench.events("died") == [], "nobody died of its work"


def test_a_killed_raylet_is_replaced_and_no_job_is_blamed(
    bench: Bench, ray_cluster: SharedCluster, expected: dict[str, list[tuple[object, ...]]]
) -> None:
    order(bench.place.settings.scratch, extract=1.0)
    bench.tick_until(lambda: bool(bench.in_process("extract")))
    raylets = [child for child in psutil.Process().children() if child.name() == "raylet"]
    assert len(raylets) == 1
    raylets[0].kill()
    order(bench.place.settings.scratch)
    bench.tick_until(bench.is_settled)
    assert ray_cluster.is_alive()
    assert bench.events("died") == []
    assert state_of(bench.ledger) == expected


def test_a_bound_acts_within_seconds_and_the_ledger_says_why_each_pool_has_its_size(bench: Bench) -> None:
    def count() -> int:
        return sum(name.startswith("extract ") for name in bench.members())

    def why() -> str:
        seen = rows(bench.ledger, "SELECT scaling FROM supervisor")[0].scaling or {"pools": []}
        return next((pool["why"] for pool in seen["pools"] if pool["stage"] == "extract"), "")

    order(bench.place.settings.scratch, extract=0.5)
    bench.tick_until(lambda: bool(bench.in_process("extract")))
    asked = time.monotonic()
    bench.ledger.with_retry(lambda cursor: supervision.set_bound(cursor, "extract", 3, 3))
    bench.tick_until(lambda: count() == 3)
    assert time.monotonic() - asked < 2
    bench.tick_until(lambda: "asked" in why())
    bench.ledger.with_retry(lambda cursor: supervision.set_bound(cursor, "extract", 0, 0))
    bench.tick_until(lambda: count() == 0)
    bench.tick_until(lambda: why() == "0 asked")
    assert bench.events("died") == [] and not bench.is_settled()
    bench.ledger.with_retry(lambda cursor: supervision.drop_bound(cursor, "extract"))
    bench.tick_until(lambda: bool(bench.in_process("extract")))
    bench.supervisor.close()
    assert rows(bench.ledger, "SELECT FROM supervisor WHERE scaling IS NULL") != []


def test_a_run_whose_project_is_paused_rests_and_goes_on_to_the_same(
    bench: Bench, expected: dict[str, list[tuple[object, ...]]], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[object] = []
    order(bench.place.settings.scratch, extract=0.3)

    def rest() -> None:
        _wait(lambda: bool(bench.in_process("extract")))
        bench.ledger.with_retry(lambda cursor: projects.pause(cursor, bench.project_id))
        _wait(lambda: not rows(bench.ledger, "SELECT FROM job WHERE state = 'running'"))
        before = bench.jobs()
        _wait(lambda: not bench.members())
        seen.append(before == bench.jobs() and not bench.is_settled())
        order(bench.place.settings.scratch)
        bench.ledger.with_retry(lambda cursor: projects.resume(cursor, bench.project_id))

    with bench.ledger.transaction() as cursor:
        plan = projects.plans(cursor)[bench.project_id]
    session = Session(
        bench.place,
        bench.supervisor,
        bench.project_id,
        "config",
        plan,
        revive=None,
        on_progress=lambda cursor: None,
        on_waiting=lambda cursor: None,
    )
    person = threading.Thread(target=rest)
    person.start()
    ending = session.run()
    person.join()
    assert seen == [True], "at rest nothing moved, all pools were empty, and the run stayed"
    assert ending.progress.is_settled and state_of(bench.ledger) == expected
    told = [record.message for record in caplog.records if record.name == "data_miner.engine.session"]
    assert [line.split(":")[0] for line in told] == ["paused", "resumed"]


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)


STANDING = """
import sys, time
from pathlib import Path
from data_miner.engine import supervisor
from data_miner.engine.cluster import RayCluster
from data_miner.engine.devices import Machine
from data_miner.ledger.cluster import Cluster
from data_miner.ledger.connection import Ledger
from data_miner.ledger.place import locate
from tests.support.engine import ONE_CPU_EACH, workplace

supervisor.EXPIRE_S, supervisor.RENEW_S = 2.0, 0.5
place = workplace(Ledger(sys.argv[1]), Path(sys.argv[2]))
own = supervisor.Supervisor(place, ONE_CPU_EACH, RayCluster(Machine(2)))
while True:
    own.tick()
    print(own.is_leading, flush=True)
    time.sleep(0.1)
"""


@pytest.fixture
def other(database: Ledger, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that leads; its ledger has no work, so it needs no Ray."""
    command = [sys.executable, "-c", STANDING, database.dsn, str(tmp_path / "other")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_second_supervisor_stands_by_and_takes_over(
    how: signal.Signals,
    other: "subprocess.Popen[str]",
    database: Ledger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor_module, "EXPIRE_S", 2.0)
    place = workplace(database, tmp_path / "own")
    own = Supervisor(place, ONE_CPU_EACH, RayCluster(Machine(CPUS)))
    until = time.monotonic() + 3
    while time.monotonic() < until:  # longer than a lease: it is renewed
        own.tick()
        assert not own.is_leading
        time.sleep(0.05)
    other.send_signal(how)
    deadline = time.monotonic() + 20
    while not own.is_leading:
        assert time.monotonic() < deadline
        own.tick()
        time.sleep(0.05)
    own.close()


@pytest.fixture
def home() -> Iterator[Home]:
    """A data folder with a project that takes a while."""
    root = reachable_folder()
    (root / "two.yaml").write_text(
        "classes: [bottle]\nextract: {fps: 10, segment_s: 5}\ndetect: {model: "
        f"{shared('models/yolo11n_int8_openvino_model')}}}\n"
    )
    made = Home(root / "data", root)
    yield made
    made.close()


@contextmanager
def _running(home: Home) -> Iterator["subprocess.Popen[str]"]:
    """A `run` in a process group of its own, as a terminal makes it."""
    arguments = ["run", "two.yaml", "--pipeline", "ingest", "--source", str(shared("videos"))]
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=home.cwd,
        env=home.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        process.kill()


def _is_extracting(home: Home) -> bool:
    if not home.server().alive():
        return False
    try:
        return bool(rows(_ledger(home), "SELECT FROM job WHERE stage = 'extract' AND is_started"))
    except psycopg.errors.UndefinedTable:
        return False


def _ledger(home: Home) -> Ledger:
    return Ledger(Cluster(locate(home.server().folder)).dsn)


@pytest.mark.parametrize("is_urgent", [False, True])
def test_a_signal_drains_and_a_second_stops_at_once(home: Home, is_urgent: bool) -> None:
    deadline = time.monotonic() + DEADLINE_S
    with _running(home) as process:
        while not _is_extracting(home):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT if is_urgent else signal.SIGTERM)
        if is_urgent:
            time.sleep(0.1)
            os.killpg(process.pid, signal.SIGINT)
        started = time.monotonic()
        talk, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, talk
    assert "draining" in talk and "Traceback" not in talk
    if is_urgent:
        assert time.monotonic() - started < 10
    with home.server():
        states = {row.state for row in rows(_ledger(home), "SELECT state FROM job")}
        deaths = rows(_ledger(home), "SELECT FROM job_event WHERE event = 'died'")
    assert states == {"done", "waiting"}
    assert deaths == []
    assert not [child for child in psutil.process_iter(["cmdline"]) if str(home.data) in str(child.info["cmdline"])]
