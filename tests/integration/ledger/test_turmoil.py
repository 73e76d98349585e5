"""Many workers at once: nothing deadlocks, nothing is lost, and the end is that of one worker alone."""

import random
import threading
import time
from collections.abc import Callable, Sequence

from data_miner.errors import SiteError, SuspectError
from data_miner.ledger import jobs, sites, successors
from data_miner.ledger.connection import Ledger
from tests.support.ledger import ORDER, Miner, World, check_kept, register, rows, run_sql, state_of

Work = Callable[[random.Random], bool]  # one step of a thread; False: it is through


def at_once(works: Sequence[Work], seconds: float = 60) -> None:
    """Repeat each in a thread of its own until it is through; raises what one of them raised."""
    errors, is_over = list[BaseException](), threading.Event()

    def repeat(work: Work, chance: random.Random) -> None:
        try:
            while not is_over.is_set() and work(chance):
                pass
        except BaseException as error:
            errors.append(error)
            is_over.set()

    threads = [threading.Thread(target=repeat, args=(work, random.Random(n))) for n, work in enumerate(works)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    is_over.set()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def check_no_deadlock(ledger: Ledger) -> None:
    """The server broke no deadlock."""
    found = rows(ledger, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert found[0].deadlocks == 0


def worker(ledger: Ledger, world: World, effect: Callable[[jobs.Job], None] | None = None) -> Work:
    """Works while there is something to do, whatever stage comes."""
    own = threading.local()

    def step(chance: random.Random) -> bool:
        if not hasattr(own, "miner"):
            effects = {"download": effect, "expand": effect} if effect else {}
            own.miner = Miner(ledger, world, effects)
        if own.miner.step(chance.sample(ORDER, len(ORDER))) is not None:
            return True
        return effect is not None or bool(rows(ledger, "SELECT FROM job WHERE state IN ('waiting', 'running') LIMIT 1"))

    return step


def refuse(job: jobs.Job) -> None:
    """A site that is moody."""
    luck = random.random()
    if luck < 0.05:
        raise SiteError("rate_limited", "slower")
    if luck < 0.2:
        raise SuspectError("extractor_broken", "403")


def test_eight_workers_of_all_stages_end_as_one_does(database: Ledger, database_two: Ledger) -> None:
    world = World({"one": list("abcd"), "two": list("cdefg"), "three": list("agh")}, seed=5)
    for ledger in (database, database_two):
        register(ledger, world, "p", positive=0.3)
        register(ledger, world, "q", positive=0.5)
    Miner(database, world).run()
    at_once([worker(database_two, world)] * 8)
    together, alone = state_of(database_two), state_of(database)
    for found in (together, alone):  # a frame that both keep is detected once, for whoever was first
        found["jobs"] = [row for row in found["jobs"] if row[0] != "detect"]
    assert together == alone
    check_no_deadlock(database_two)


def test_everything_at_once_neither_deadlocks_nor_loses_anything(database: Ledger) -> None:
    """Six workers, a site that refuses now and then, a supervisor's tick, and somebody who turns the thresholds."""
    world = World({"one": list("abcd"), "two": list("cdefg"), "three": list("agh")}, site="tube", seed=3)
    ids = [register(database, world, name) for name in ("p", "q")]
    pause = threading.Event()

    def tick(chance: random.Random) -> bool:
        pass_time(database)
        for project_id in ids:
            database.with_retry(lambda cursor, own=project_id: successors.derive(cursor, own), deadline_s=20)
        return not pause.wait(0.05)

    def turn(chance: random.Random) -> bool:
        own = {"positive": chance.choice([0.2, 0.5]), "prompts": chance.choice(["a door", "a gate"])}
        register(database, world, "p", **own)
        return not pause.wait(0.3)

    at_once([worker(database, world, refuse)] * 6 + [tick, turn], seconds=4)
    register(database, world, "p")
    miner = Miner(database, world)
    for _ in range(20):
        pass_time(database)
        miner.run()
    assert not rows(database, "SELECT FROM job WHERE state NOT IN ('done', 'superseded')")
    for project_id in ids:
        check_kept(database, world, project_id)
    check_no_deadlock(database)


def pass_time(ledger: Ledger) -> None:
    """Let the time pass that sleeping jobs and shut sites wait for, and do what a supervisor does."""
    run_sql(ledger, "UPDATE job SET not_before = now() WHERE not_before > now() AND state = 'waiting'")
    run_sql(ledger, "UPDATE site SET next_try = now() WHERE state = 'shut'")
    ledger.with_retry(lambda cursor: jobs.sweep(cursor), deadline_s=20)
    ledger.with_retry(sites.tick, deadline_s=20)
