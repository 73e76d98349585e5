import pytest

from data_miner.ledger import queries
from data_miner.ledger.queries import load, sql


def test_every_sql_file_loads_and_no_query_is_empty() -> None:
    folder = queries.files("data_miner.ledger") / "sql"
    topics = [entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql")]
    assert topics
    for topic in topics:
        assert all(load(topic).values()), topic


def test_a_query_ends_where_the_next_one_begins() -> None:
    names = list(load("jobs"))
    assert len(names) > 1
    assert all("-- name:" not in sql("jobs", name) for name in names)


def test_an_unknown_query_names_the_ones_there_are() -> None:
    with pytest.raises(KeyError, match="has no query nonsense; it has"):
        sql("jobs", "nonsense")
