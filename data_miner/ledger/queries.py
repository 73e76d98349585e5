"""Named SQL from `ledger/sql/*.sql`. A query starts at a line `-- name: claim` and ends at the next one."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


@cache
def load(topic: str) -> dict[str, str]:
    """Read every query of `sql/<topic>.sql`; raises ValueError when two share a name."""
    text = (files("data_miner.ledger") / "sql" / f"{topic}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]  # what stands before the first name is the file's own comment
    names = parts[::2]
    if len(set(names)) != len(names):
        raise ValueError(f"sql/{topic}.sql names a query twice: {sorted(names)}")
    return {name: body.strip() for name, body in zip(names, parts[1::2], strict=True)}


def sql(topic: str, name: str) -> str:
    """Return one named query, e.g. `sql("jobs", "claim")`; raises KeyError with the names there are."""
    queries = load(topic)
    if name not in queries:
        raise KeyError(f"sql/{topic}.sql has no query {name}; it has {', '.join(sorted(queries))}")
    return queries[name]
