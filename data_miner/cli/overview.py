"""All projects at a glance: a dict and a table row for each, for `status` and `projects list`."""

from collections.abc import Mapping
from typing import Any

from data_miner.cli import words
from data_miner.cli.standing import dataset_of, eta_of, state_of
from data_miner.config.settings import Settings
from data_miner.ledger import measured, projects, status
from data_miner.ledger.connection import Cursor

HEAD = ("project", "state", "videos mined/found", "images", "boxes", "eta", "why")


def overview(cursor: Cursor, settings: Settings) -> list[dict[str, Any]]:
    """One dict a project, by name."""
    return [_entry(cursor, projects.find(cursor, name), settings) for name in projects.names(cursor)]


def overview_row(entry: Mapping[str, Any]) -> list[Any]:
    """A line of the table."""
    eta = words.duration(entry["eta_s"]) if entry["eta_s"] is not None else None
    videos = f"{words.number(entry['mined'])} / {words.number(entry['found'])}"
    return [entry["project"], entry["state"], videos, entry["images"], entry["boxes"], eta, entry["why"]]


def _entry(cursor: Cursor, project: Any, settings: Settings) -> dict[str, Any]:
    state, videos = state_of(cursor, project), status.videos(cursor, project.id)
    shut = status.waits_for(cursor, project.id)
    return {
        "project": project.name,
        "state": state,
        "config": project.config_hash,
        "found": videos["found"],
        "mined": videos["mined"],
        "images": measured.images(cursor, project.id),
        "boxes": sum(status.boxes_by_class(cursor, project.id).values()),
        "eta_s": eta_of(cursor, project.id) if state == "running" else None,
        "why": _why(shut, videos) or None,
        "dataset": dataset_of(project, settings),
    }


def _why(shut: list[Any], videos: Mapping[str, int]) -> str:
    parts = [f"{site.name}: {site.reason}, next try {words.clock(site.next_try)}" for site in shut]
    return "; ".join([*parts, *([f"{videos['dead']} dead"] if videos["dead"] else [])])
