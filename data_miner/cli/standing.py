"""A project's standing as one dict, for `status --json` and `run --json`. How it reads is in summary.py."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from data_miner.config.settings import Settings
from data_miner.engine.session import living_followers
from data_miner.errors import DataMinerError
from data_miner.export.versions import latest_version
from data_miner.ledger import measured, status
from data_miner.ledger.connection import Cursor
from data_miner.store.artifacts import Store


def status_of(cursor: Cursor, project: Any, settings: Settings) -> dict[str, Any]:
    """Everything `status --json` says of a project, with exactly the keys it promises. Times are ISO, UTC."""
    by_class = status.boxes_by_class(cursor, project.id)
    state = state_of(cursor, project)
    return {
        "project": project.name,
        "state": state,
        "config": project.config_hash,
        "videos": status.videos(cursor, project.id),
        "stages": status.stages(cursor, project.id),
        "frames": status.frames(cursor, project.id),
        "boxes": sum(by_class.values()),
        "boxes_by_class": by_class,
        "drops": status.drops(cursor, project.id),
        "failures": status.failures(cursor, project.id),
        "sites": {site.name: _site(site) for site in measured.sites(cursor, project.id)},
        "eta_s": eta_of(cursor, project.id) if state == "running" else None,
        "disk_bytes": _disk_bytes(cursor, project, settings),
        "dataset": dataset_of(project, settings),
    }


def state_of(cursor: Cursor, project: Any) -> str:
    """idle, running, blocked, paused or finished."""
    if project.is_paused:
        return "paused"
    left = status.progress(cursor, project.id)
    if left.is_settled:
        return "blocked" if left.blocked or project.plan.get("missing") else "finished"
    return "running" if living_followers(cursor, project.id) else "idle"


def eta_of(cursor: Cursor, project_id: int) -> float | None:
    """Seconds left: the slowest site's slots, or the work of all stages over what works now, if that is more.

    A video that waits for a stage waits for all later ones too. None while a stage has work and no rate.
    """
    rates, work_s, videos, running = measured.rates(cursor), 0.0, 0, 1
    for stage, states in status.stages(cursor, project_id).items():
        videos += states["waiting"] + states["running"]
        running = max(running, states["running"])
        if stage == "download" or videos == 0:
            continue  # its time is the sites', not ours
        rate = rates.get(stage)
        if rate is None or rate.seconds_per_video is None:
            return None
        work_s += videos * rate.seconds_per_video
    return round(max(measured.paced_seconds(cursor, project_id), work_s / running), 1)


def dataset_of(project: Any, settings: Settings) -> str | None:
    """The folder of the newest dataset version; None before the first."""
    found = latest_version(settings.datasets / project.name)
    return str(found.path.resolve()) if found is not None else None


def _site(site: Any) -> dict[str, Any]:
    return {
        "state": site.state,
        "reason": site.reason,
        "since": site.since.isoformat() if site.since else None,
        "next_try": site.next_try.isoformat() if site.next_try and site.state != "open" else None,
    }


def _disk_bytes(cursor: Cursor, project: Any, settings: Settings) -> dict[str, int]:
    used = measured.disk(cursor, project.id)
    return {
        "videos": used.videos,
        "frames": used.frames,
        "embeddings": used.vectors * _vector_bytes(cursor, project.id, settings) if used.vectors else 0,
        "datasets": folder_bytes(settings.datasets / project.name),
        "weights": folder_bytes(settings.models),
        "database": used.database,
    }


def _vector_bytes(cursor: Cursor, project_id: int, settings: Settings) -> int:
    found = measured.any_embedding(cursor, project_id)
    if found is None:
        return 0
    path, vectors = found
    try:
        return Store(settings.store).size(path) // vectors
    except (OSError, DataMinerError):
        return 0


def folder_bytes(folder: Path) -> int:
    """Bytes below a folder; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # a version in the making
                found = (Path(parent) / name).lstat()
                seen[found.st_dev, found.st_ino] = found.st_size
    return sum(seen.values())
