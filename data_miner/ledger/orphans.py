"""Orphans: artifacts that no row names and that no attempt can ever commit. The ledger proves it, no age does."""

import re
from collections.abc import Sequence

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql

# <kind>/<job id, 9 digits>-<attempt>.<ext>, as Job.artifact and the stages write them
_ARTIFACT = re.compile(r"(videos|shards|embeddings)/(\d{9,18})-([1-9]\d{0,8})\.\w{1,10}")
_ATTEMPT = re.compile(r"(\d{9,18})-([1-9]\d{0,8})")


def proven(cursor: Cursor, keys: Sequence[str]) -> list[str]:
    """Those of the given artifact keys that are orphans; a name that is not ours never is."""
    named = [(key, found[1], found[2], found[3]) for key in keys if (found := _ARTIFACT.fullmatch(key)) is not None]
    return _ask(cursor, "proven", named)


def ended_attempts(cursor: Cursor, names: Sequence[str]) -> list[str]:
    """Those of the given names `<job id>-<attempt>` whose attempt is over: nothing of it will be used."""
    found = [(name, "scratch", match[1], match[2]) for name in names if (match := _ATTEMPT.fullmatch(name))]
    return _ask(cursor, "ended_attempts", found)


def ended_jobs(cursor: Cursor, names: Sequence[str]) -> list[str]:
    """Those of the given job ids that are done or that nobody wants: what was resumed is not any more."""
    ids = [(name, "scratch", name, "1") for name in names if re.fullmatch(r"\d{9,18}", name)]
    return _ask(cursor, "ended_jobs", ids)


def _ask(cursor: Cursor, query: str, named: Sequence[tuple[str, str, str, str]]) -> list[str]:
    if not named:
        return []
    parameters = {
        "names": [name for name, _, _, _ in named],
        "kinds": [kind for _, kind, _, _ in named],
        "jobs": [int(job) for _, _, job, _ in named],
        "attempts": [int(attempt) for _, _, _, attempt in named],
    }
    return [row.name for row in cursor.execute(sql("orphans", query), parameters)]
