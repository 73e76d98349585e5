"""Batch telemetry: best effort, its failure never fails work."""

import logging
import uuid
from collections.abc import Mapping

import psycopg
from psycopg.types.json import Jsonb

from data_miner.errors import UnreachableError
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job
from data_miner.ledger.queries import sql

log = logging.getLogger(__name__)


def record(
    ledger: Ledger,
    job: Job,
    worker_id: uuid.UUID,
    device: str,
    items: int,
    size_bytes: int,
    seconds: Mapping[str, float],
) -> None:
    """Keep what one processed batch cost."""
    try:
        with ledger.transaction() as cursor:
            cursor.execute(
                sql("stats", "record"),
                {
                    "job_id": job.id,
                    "project_id": job.project_id,
                    "stage": job.stage,
                    "worker_id": worker_id,
                    "device": device,
                    "items": items,
                    "size_bytes": size_bytes,
                    "seconds": Jsonb({step: round(value, 4) for step, value in seconds.items()}),
                },
            )
    except (UnreachableError, psycopg.Error) as error:
        log.debug("batch_stat not written: %s", error)
