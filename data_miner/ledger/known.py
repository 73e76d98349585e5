"""Known sets: pictures never to mine again, by their content, with their hashes and vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql
from data_miner.ledger.verdicts import signed


@dataclass(frozen=True, slots=True)
class KnownPicture:
    """One picture of a set; its JPEG is (offset, size) in the set's shard."""

    name: str
    phash: int  # unsigned 64 bits
    offset: int
    size_bytes: int


def is_kept(cursor: Cursor, digest: str) -> bool:
    """Is this set in the ledger?"""
    return cursor.execute(sql("known", "find"), {"digest": digest}).rowcount == 1


def keep(cursor: Cursor, digest: str, path: str, pictures: Sequence[KnownPicture]) -> None:
    """Write a set; where another was faster, nothing happens: the content is the same."""
    named = {"digest": digest, "path": path, "pictures": len(pictures)}
    if cursor.execute(sql("known", "insert"), named).rowcount == 0:
        return
    with cursor.copy(sql("known", "copy_pictures")) as copy:
        for ordinal, p in enumerate(pictures):
            copy.write_row((digest, ordinal, p.name, signed(p.phash), p.offset, p.size_bytes))


def pictures(cursor: Cursor, digest: str) -> tuple[str, list[Any]]:
    """The set's shard and its pictures in order: (id, shard_offset, size_bytes), id being the ordinal."""
    found = cursor.execute(sql("known", "find"), {"digest": digest}).fetchone()
    assert found is not None  # a plan names no set before it is kept
    return str(found.path), cursor.execute(sql("known", "pictures"), {"digest": digest}).fetchall()


def add_embedding(cursor: Cursor, digest: str, model: str, path: str) -> None:
    """Record a set's vectors, a row per ordinal; the first of two commits counts."""
    cursor.execute(sql("known", "add_embedding"), {"digest": digest, "model": model, "path": path})
