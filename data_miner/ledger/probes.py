"""Probes of models by digest and kind of card, so that each pair is measured once in the ledger's life."""

from dataclasses import asdict

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql
from data_miner.models.vram import Probe


def find(cursor: Cursor, digest: str, device: str) -> Probe | None:
    """What was measured of a model on cards of this name, None when nobody has."""
    row = cursor.execute(sql("probes", "find"), {"digest": digest, "device": device}).fetchone()
    return Probe(row.load_bytes, row.bytes_per_image, row.images_per_second) if row is not None else None


def keep(cursor: Cursor, digest: str, device: str, probe: Probe) -> Probe:
    """Keep a measurement unless one is there; returns the one that stands, for all workers the same."""
    cursor.execute(sql("probes", "keep"), {"digest": digest, "device": device, **asdict(probe)})
    return find(cursor, digest, device) or probe
