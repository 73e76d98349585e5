"""The names of every metric, which Ray exports as `ray_<name>_total`; without Ray they cost nothing.

Reasons are the words of the ledger, so that a graph, a view and a table say the same.
"""

from typing import Any

JOBS = ("data_miner_jobs", "Jobs by what they came to", ("stage", "verdict", "reason"))
FRAMES = ("data_miner_frames", "Frames by stage and reason; an empty reason passed", ("stage", "reason"))
BYTES = ("data_miner_bytes", "Bytes read or written", ("stage",))
SECONDS = ("data_miner_step_seconds", "Seconds of work by step", ("stage", "step"))

_counters: dict[str, Any] = {}


def enable() -> None:
    """Export from now on; an actor calls this once, nobody else needs Ray for a number."""
    from ray.util.metrics import Counter

    for name, description, labels in (JOBS, FRAMES, BYTES, SECONDS):
        if name not in _counters:
            _counters[name] = Counter(name, description=description, tag_keys=labels)


def count_job(stage: str, verdict: str, reason: str = "") -> None:
    """Count one job that ended: done, skipped, retried, blocked or dead."""
    _add(JOBS, 1, stage=stage, verdict=verdict, reason=reason)


def count_frames(stage: str, reason: str, frames: int) -> None:
    """Count frames that a stage passed (reason "") or dropped."""
    _add(FRAMES, frames, stage=stage, reason=reason)


def count_bytes(stage: str, size_bytes: int) -> None:
    """Count bytes that a stage read or wrote."""
    _add(BYTES, size_bytes, stage=stage)


def count_seconds(stage: str, step: str, seconds: float) -> None:
    """Count the time of one step of a stage."""
    _add(SECONDS, seconds, stage=stage, step=step)


def _add(metric: tuple[str, str, tuple[str, ...]], value: float, **labels: str) -> None:
    counter = _counters.get(metric[0])
    if counter is not None and value > 0:  # Ray refuses an increment of 0
        counter.inc(value, tags=labels)
