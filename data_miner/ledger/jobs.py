"""Jobs: claim, heartbeat, finish, fail. Fenced by (id, attempt, lease); only the database's clock is read."""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_miner.errors import (
    JobError,
    LaterError,
    LeaseLostError,
    NeverError,
    SiteError,
    SmallerError,
    SuspectError,
)
from data_miner.ledger import sites
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql

LEASE_S = 30.0
HUNG_S = 900.0  # no progress for so long: the work is given to another
MOST_FAILURES = 5
MOST_DEATHS = 3
FIRST_DELAY_S, LONGEST_DELAY_S = 5.0, 600.0


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job: what to do, and the right to say that it is done."""

    id: int
    stage: str
    attempt: int
    lease: uuid.UUID
    key: str
    source_id: int | None
    fetch_id: int | None
    segment_id: int | None
    project_id: int | None
    video_id: str | None
    site: str | None
    failures: int
    deaths: int

    @property
    def artifact(self) -> str:
        """Name this attempt inside an artifact key: nothing else writes there."""
        return f"{self.id:09d}-{self.attempt}"


def claim(
    cursor: Cursor,
    stage: str,
    runtime_key: str,
    worker_id: uuid.UUID,
    is_idle: bool = True,
    lease_s: float = LEASE_S,
) -> Job | None:
    """Claim the first job in data order; one that killed a worker comes last, and only when `is_idle`."""
    common = {
        "stage": stage,
        "runtime_key": runtime_key,
        "worker_id": worker_id,
        "lease_s": lease_s,
        "limit": 1,
    }
    attempts = [("claim", {"least_deaths": 0, "most_deaths": 0}), ("claim_at_site", {})]
    if is_idle:
        attempts.append(("claim", {"least_deaths": 1, "most_deaths": MOST_DEATHS}))
    for name, own in attempts:
        row = cursor.execute(sql("jobs", name), {**common, **own}).fetchone()
        if row is not None:
            return Job(**{name: getattr(row, name) for name in Job.__slots__})
    return None


def register_worker(cursor: Cursor, worker_id: uuid.UUID, pool: str, process: Mapping[str, Any]) -> None:
    """Make a worker process known; its id is new with every start."""
    cursor.execute(sql("jobs", "register_worker"), {"id": worker_id, "pool": pool, **process})


def worker_left(cursor: Cursor, worker_id: uuid.UUID) -> None:
    """A worker ended by itself."""
    cursor.execute(sql("jobs", "worker_left"), {"id": worker_id})


def living_workers(cursor: Cursor, host: str) -> list[Any]:
    """Workers of a machine that have not left: id, pid, pid_started."""
    return cursor.execute(sql("jobs", "living_workers"), {"host": host}).fetchall()


def release_workers(cursor: Cursor, worker_ids: Sequence[uuid.UUID], *, by_own_work: bool) -> int:
    """Take back what proven dead workers held; returns how many jobs. A death by its own work counts."""
    return cursor.execute(
        sql("jobs", "release_worker"),
        {"worker_ids": list(worker_ids), "deaths": int(by_own_work), "most_deaths": MOST_DEATHS},
    ).rowcount


def sweep(cursor: Cursor, lease_s: float = LEASE_S) -> int:
    """Take back expired and hung leases, wake what slept long enough; returns how many came back."""
    expired = cursor.execute(sql("jobs", "sweep_expired"), {"lease_s": lease_s, "hung_s": HUNG_S}).rowcount
    return expired + cursor.execute(sql("jobs", "wake")).rowcount


def backlog(cursor: Cursor) -> list[Any]:
    """Waiting and running jobs by stage and runtime key."""
    return cursor.execute(sql("jobs", "backlog")).fetchall()


def heartbeat(cursor: Cursor, held: Sequence[tuple[Job, int, bool]], lease_s: float = LEASE_S) -> set[int]:
    """Renew leases of (job, progress, is_started); returns the ids that are still ours."""
    rows = cursor.execute(
        sql("jobs", "heartbeat"),
        {
            "ids": [job.id for job, _, _ in held],
            "attempts": [job.attempt for job, _, _ in held],
            "leases": [job.lease for job, _, _ in held],
            "progress": [progress for _, progress, _ in held],
            "started": [started for _, _, started in held],
            "lease_s": lease_s,
        },
    ).fetchall()
    return {row.id for row in rows}


def lock(cursor: Cursor, job: Job) -> None:
    """Take the locks a finish needs, the video first; raises LeaseLostError when the job is another's."""
    if job.video_id is not None:
        cursor.execute(sql("jobs", "lock_video"), {"video_id": job.video_id})
    if cursor.execute(sql("jobs", "lock_leased"), _lease(job)).rowcount == 0:
        raise LeaseLostError(f"job {job.id} attempt {job.attempt} is not ours any more")


def finish(cursor: Cursor, job: Job, reason: str = "") -> None:
    """Set a locked job done; raises LeaseLostError when it is not ours."""
    _own(cursor, "finish", job, reason=reason or None)
    if job.site is not None:
        # Not given or not wanted says nothing of the site: a broken one calls everything gone.
        sites.answered(cursor, job.site, job.id, is_served=not reason, is_media=job.stage == "download")


def is_done_by(cursor: Cursor, job: Job) -> bool:
    """Tell after a connection broke in a commit whether it took place."""
    return cursor.execute(sql("jobs", "is_done_by"), {"id": job.id, "attempt": job.attempt}).rowcount == 1


def release(cursor: Cursor, job: Job, delay_s: float = 0) -> bool:
    """Give a job back unharmed; False when it was not ours any more."""
    return cursor.execute(sql("jobs", "release"), {**_lease(job), "delay_s": delay_s}).rowcount == 1


def fail(cursor: Cursor, job: Job, error: JobError, worker_id: uuid.UUID | None = None) -> str:
    """Record a failure by its error's retry rule; returns the event: retry, blocked or dead."""
    lock(cursor, job)
    text = {"reason": error.reason, "detail": error.detail[:2000]}
    match error:
        case SiteError() if job.site is not None:
            event = _refused(cursor, job, error, text)
        case SuspectError() | LaterError(reason="network") if job.site is not None:
            event = _suspected(cursor, job, error, text)  # network: nobody answers, which is seldom the video's
        case NeverError():
            event = _buried(cursor, job, text)
        case LaterError(reason="disk_full"):
            event = _retried(cursor, job, text, counts=0)  # it waits for a person, however long that takes
        case SmallerError() | LaterError() | SiteError() | SuspectError():
            event = _retried(cursor, job, text)
        case _:
            event = _buried(cursor, job, text)
    cursor.execute(
        sql("jobs", "note"),
        {"id": job.id, "attempt": job.attempt, "event": event, "worker_id": worker_id, **text},
    )
    return event


def _retried(cursor: Cursor, job: Job, text: dict[str, str], counts: int = 1, delay_s: float | None = None) -> str:
    if job.failures + counts >= MOST_FAILURES:
        return _buried(cursor, job, text)
    if delay_s is None:
        # Exponential backoff with full jitter below it, so that a thousand do not come back in one instant.
        delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2**job.failures) * random.uniform(0.5, 1.0)
    _own(cursor, "retry_later", job, counts=counts, delay_s=delay_s, **text)
    return "retry"


def _buried(cursor: Cursor, job: Job, text: dict[str, str]) -> str:
    _own(cursor, "bury", job, **text)
    return "dead"


def _refused(cursor: Cursor, job: Job, error: JobError, text: dict[str, str]) -> str:
    _own(cursor, "block", job, **text)  # first, so that shut() holds it with the others
    sites.shut(cursor, str(job.site), job.id, error.reason, error.detail)
    return "blocked"


def _suspected(cursor: Cursor, job: Job, error: JobError, text: dict[str, str]) -> str:
    found = sites.suspect(cursor, str(job.site), job.id, error.reason)
    if found.is_of_site:
        return _refused(cursor, job, error, text)
    # While the site serves others the refusal is this video's own and counts.
    return _retried(cursor, job, text, counts=int(found.is_of_video), delay_s=found.patience_s)


def _own(cursor: Cursor, name: str, job: Job, **parameters: Any) -> None:
    if cursor.execute(sql("jobs", name), {**_lease(job), **parameters}).rowcount == 0:
        raise LeaseLostError(f"job {job.id} attempt {job.attempt} is not ours any more")


def _lease(job: Job) -> dict[str, Any]:
    return {"id": job.id, "attempt": job.attempt, "lease": job.lease}
