"""What a claim and a finish read does not grow with what is done: the plans of 250,000 jobs."""

import json
import uuid
from collections.abc import Iterator
from typing import Any, Self

import psycopg
import pytest

from data_miner.ledger import jobs, successors
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.queries import sql
from tests.support.crowd import fill
from tests.support.ledger import Miner, World, register
from tests.support.postgres import Server

FINISHED, BLOCKED, WAITING = 200_000, 50_000, 1_000
_JOBS = """
INSERT INTO job (stage, segment_id, key, site, ordinal, rank, state)
SELECT CASE WHEN %(site)s::text IS NULL THEN 'extract' ELSE 'download' END, %(first)s + n, 'k', %(site)s, 0, n,
    %(state)s
FROM generate_series(1, %(count)s) n"""


@pytest.fixture(scope="module")
def crowded(postgres_server: Server) -> Iterator[Ledger]:
    """A ledger whose job table is as full as after months. Jobs stand for themselves: their subjects do not exist."""
    ledger = postgres_server.create_migrated()
    with ledger.transaction() as cursor:
        cursor.execute("ALTER TABLE job DROP CONSTRAINT job_segment_id_fkey")
        cursor.execute("""INSERT INTO site (name, sleep_interval, max_sleep_interval, sleep_requests, trial_interval)
            VALUES ('open', 0, 0, 0, 60), ('shut', 0, 0, 0, 60)""")
        cursor.execute("UPDATE site SET state = 'shut' WHERE name = 'shut'")
        parts = [(None, "waiting", WAITING), ("open", "waiting", WAITING), ("shut", "blocked", BLOCKED)]
        first = 0
        for site, state, count in [*parts, (None, "done", FINISHED // 2), ("open", "done", FINISHED // 2)]:
            cursor.execute(_JOBS, {"site": site, "state": state, "count": count, "first": first})
            first += count
    with ledger.connect(autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE job")
    yield ledger
    postgres_server.drop(ledger)


class NotingCursor(psycopg.Cursor[Any]):
    """Remembers what it was asked."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection)
        self.asked: list[tuple[Any, Any]] = []

    def execute(self, query: Any, params: Any = None, **given: Any) -> Self:
        self.asked.append((query, params))
        return super().execute(query, params, **given)


def explained(cursor: Cursor, query: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The plan that ran, with what it read."""
    row = cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query, parameters).fetchone()
    assert row is not None
    found: dict[str, Any] = row[0][0] if not isinstance(row[0], str) else json.loads(row[0])[0]
    return found["Plan"]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All nodes of a plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def scans(plan: dict[str, Any]) -> set[tuple[str, str]]:
    """Tables that are read, each with the index or `all of it`."""
    found = {(node["Relation Name"], "all of it") for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
    return found | {("", node["Index Name"]) for node in nodes(plan) if "Index Name" in node}


def pages(plan: dict[str, Any]) -> int:
    """Pages that were read."""
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


CLAIM = {
    "runtime_key": "",
    "worker_id": None,
    "lease_s": 30,
    "limit": 1,
    "least_deaths": 0,
    "most_deaths": 0,
}


@pytest.mark.parametrize(
    ("name", "stage", "index"), [("claim", "extract", "job_claim"), ("claim_at_site", "download", "job_claim_site")]
)
def test_a_claim_reads_its_index_and_a_few_pages(crowded: Ledger, name: str, stage: str, index: str) -> None:
    with crowded.transaction() as cursor:
        plan = explained(cursor, sql("jobs", name), {**CLAIM, "stage": stage})
        cursor.connection.rollback()
    assert ("", index) in scans(plan)
    assert ("job", "all of it") not in scans(plan)
    assert pages(plan) < 150  # of some 7,000; most are those of the 16 indexes that the claimed row stands in


@pytest.mark.parametrize("name", ["sweep_expired", "wake", "backlog"])
def test_sweeping_and_the_backlog_read_no_finished_work(crowded: Ledger, name: str) -> None:
    with crowded.transaction() as cursor:
        plan = explained(cursor, sql("jobs", name), {"hung_s": 900, "lease_s": 30})
        cursor.connection.rollback()
    assert ("job", "all of it") not in scans(plan)
    assert pages(plan) < 300


def test_a_claim_that_finds_nothing_reads_next_to_nothing(crowded: Ledger) -> None:
    with crowded.transaction() as cursor:
        plan = explained(cursor, sql("jobs", "claim"), {**CLAIM, "stage": "detect", "worker_id": uuid.uuid4()})
    assert pages(plan) < 10


def test_a_heartbeat_touches_no_index(database: Ledger) -> None:
    register(database, World({"one": ["a"]}))
    miner = Miner(database, World({"one": ["a"]}))
    job = miner.claim()
    assert job is not None
    updates = "SELECT n_tup_upd - n_tup_hot_upd AS cold FROM pg_stat_xact_user_tables WHERE relname = 'job'"
    with database.transaction() as cursor:
        before = cursor.execute(updates).fetchone()
        for progress in range(1, 6):
            jobs.heartbeat(cursor, [(job, progress, True)])
        assert cursor.execute(updates).fetchone() == before


@pytest.fixture(scope="module")
def mined(postgres_server: Server) -> Iterator[tuple[Ledger, int]]:
    """A finished project of two thousand videos."""
    ledger = postgres_server.create_migrated()
    yield ledger, fill(ledger, 2000, frames=2)
    postgres_server.drop(ledger)


@pytest.mark.parametrize("stage", ["download", "extract", "filter", "dedup", "detect", None])
def test_what_follows_a_finish_is_asked_of_one_video(mined: tuple[Ledger, int], stage: str | None) -> None:
    ledger, project_id = mined
    with ledger.connect() as connection:
        cursor = NotingCursor(connection)
        successors.derive_after(
            cursor, None if stage in ("download", "extract", None) else project_id, "tube:v0001000", stage
        )
        plans = [explained(connection.cursor(), query, parameters) for query, parameters in cursor.asked]
        connection.rollback()
    read = set().union(*(scans(plan) for plan in plans))
    whole = {table for table, how in read if how == "all of it"}
    assert whole <= {"project", "admission", "source", "site"}  # tables of a few rows
    assert sum(map(pages, plans)) < 600
