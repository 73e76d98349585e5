import pickle
import threading
import time

import psycopg
import pytest

from data_miner.errors import UnreachableError, UsageError
from data_miner.ledger.connection import Cursor, Ledger
from tests.support.postgres import Server

NOBODY = "postgresql://kim:geheim@127.0.0.1:9/lab"  # port 9: nothing listens


@pytest.fixture
def ledger(empty_database: Ledger) -> Ledger:
    with empty_database.transaction() as cursor:
        cursor.execute("CREATE SCHEMA data_miner")
        cursor.execute("CREATE TABLE note (n int)")
    return empty_database


def count(ledger: Ledger) -> int:
    with ledger.transaction() as cursor:
        return int(cursor.execute("SELECT count(*) AS n FROM data_miner.note").fetchone().n)


def cut_others(ledger: Ledger) -> None:
    with ledger.transaction() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_transaction_commits_at_its_end(ledger: Ledger) -> None:
    with ledger.transaction() as cursor:
        cursor.execute("INSERT INTO note VALUES (1)")
        assert count(ledger) == 0
    assert count(ledger) == 1


def test_an_exception_rolls_the_transaction_back(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.transaction() as cursor:
        cursor.execute("INSERT INTO note VALUES (1)")
        raise RuntimeError
    assert count(ledger) == 0


def test_no_connection_stays_open_between_transactions(ledger: Ledger) -> None:
    for _ in range(3):
        count(ledger)
    with ledger.listen("unused") as listener:
        deadline, others = time.monotonic() + 10, 1
        while others and time.monotonic() < deadline:  # a backend takes a moment to go after its client
            with ledger.transaction() as cursor:
                others = (
                    cursor.execute(
                        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()"
                        " AND pid <> pg_backend_pid() AND query <> %s",
                        ('LISTEN "unused"',),
                    )
                    .fetchone()
                    .n
                )
        assert others == 0
        assert listener.wait(0) == []


def test_a_ledger_travels_to_a_worker_by_pickle(ledger: Ledger) -> None:
    assert count(pickle.loads(pickle.dumps(ledger))) == 0


def test_nobody_answering_is_one_line_with_a_hint_and_no_password() -> None:
    with pytest.raises(UnreachableError) as caught, Ledger(NOBODY).transaction():
        pass
    text = str(caught.value)
    assert "\n" not in text
    assert "127.0.0.1:9/lab does not answer" in text
    assert "data-miner doctor" in text
    assert "geheim" not in text + repr(Ledger(NOBODY))


def test_an_address_that_is_none_is_told_without_quoting_it() -> None:
    with pytest.raises(UsageError) as caught:
        _ = Ledger("postgres:geheim@nowhere").place
    assert "postgresql://USER@HOST" in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unknown_database_names_the_cure(postgres_server: Server) -> None:
    with pytest.raises(UnreachableError, match="check the database name"):
        Ledger(postgres_server.dsn("missing")).connect()


def test_a_connection_that_is_cut_is_an_unreachable_database(ledger: Ledger) -> None:
    with pytest.raises(UnreachableError, match="broke off"), ledger.transaction() as cursor:
        cursor.execute("SELECT 1")
        cut_others(ledger)
        cursor.execute("SELECT 1")


def test_a_wrong_statement_stays_a_wrong_statement(ledger: Ledger) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), ledger.transaction() as cursor:
        cursor.execute("SELECT * FROM missing")


def test_a_statement_that_runs_too_long_is_cancelled_and_not_retried(ledger: Ledger) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        ledger.with_retry(lambda cursor: cursor.execute("SELECT pg_sleep(5)"), statement_timeout_s=0.05)


def test_work_is_done_again_after_its_connection_was_cut(ledger: Ledger) -> None:
    tries = []

    def work(cursor: Cursor) -> str:
        tries.append(1)
        cursor.execute("INSERT INTO note VALUES (1)")
        if len(tries) == 1:
            cut_others(ledger)
        return "done"

    assert ledger.with_retry(work, deadline_s=10) == "done"
    assert (len(tries), count(ledger)) == (2, 1)


def test_a_deadlock_costs_one_of_two_workers_a_second_try(ledger: Ledger) -> None:
    with ledger.transaction() as cursor:
        cursor.execute("INSERT INTO note VALUES (1), (2)")
    meet = threading.Barrier(2, timeout=10)
    tries = []

    def work(first: int) -> None:
        fresh = threading.local()

        def swap(cursor: Cursor) -> None:
            tries.append(first)
            cursor.execute("UPDATE note SET n = n WHERE n = %s", (first,))
            if not hasattr(fresh, "met"):
                fresh.met = True
                meet.wait()
            cursor.execute("UPDATE note SET n = n WHERE n = %s", (3 - first,))

        ledger.with_retry(swap, deadline_s=20)

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(tries) == 3


def test_retrying_ends_at_its_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(UnreachableError):
        Ledger(NOBODY).with_retry(lambda cursor: None, deadline_s=0.5)
    assert time.monotonic() - started < 2


def test_retrying_ends_when_told_to_stop() -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(UnreachableError):
        Ledger(NOBODY).with_retry(lambda cursor: None, stop=stop)


def test_a_listener_hears_what_another_transaction_commits(ledger: Ledger) -> None:
    with ledger.listen("nudge") as listener:
        assert listener.wait(0.01) == []
        with ledger.transaction() as cursor:
            cursor.execute("SELECT pg_notify('nudge', 'download')")
        assert listener.wait(5) == ["download"]


def test_a_listener_notices_that_it_was_cut(ledger: Ledger) -> None:
    with pytest.raises(UnreachableError), ledger.listen("nudge") as listener:
        cut_others(ledger)
        listener.wait(5)
