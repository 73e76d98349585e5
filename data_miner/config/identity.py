"""Names of configurations, and the difference of two in words. Reading them is in `project`."""

import hashlib
import json
from pathlib import PurePath
from typing import Any

from data_miner.config.origins import LEAVES, flatten
from data_miner.config.schema import ProjectConfig

_SAYS_NOTHING = ("description", "filter.batch", "dedup.batch", "detect.batch")  # cannot change a result

_MOST_CHANGES = 10  # of one list that are named one by one


def config_hash(config: ProjectConfig) -> str:
    """12 hex digits over all that can change what is mined; free of formatting, key order and description.

    Absolute paths count, so two checkouts may differ; `rules_hash` is the one for files that travel.
    """
    return _digest({key: value for key, value in _flat(config).items() if key not in _SAYS_NOTHING})


def rules_hash(config: ProjectConfig) -> str:
    """12 hex digits over how pictures are taken and judged, for the manifest of a dataset.

    Sources do not count, they are rows of their own, and of an absolute path only the last part does: the
    same project mined below another folder gives the same dataset files.
    """
    rules = {key: _nameonly(value) for key, value in _flat(config).items() if not key.startswith("sources.")}
    return _digest({key: value for key, value in rules.items() if key not in _SAYS_NOTHING})


def difference(old: ProjectConfig, new: ProjectConfig) -> list[str]:
    """What changed, a line a key: `filter.thresholds.positive 0.3 → 0.24`, lists as `+added −removed`."""
    before, after = _flat(old), _flat(new)
    return [_change(key, before[key], after[key]) for key in LEAVES if before[key] != after[key]]


def _flat(config: ProjectConfig) -> dict[str, Any]:
    return flatten(config.model_dump(mode="json"), "config")


def _digest(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _nameonly(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("/"):
        return PurePath(value).name
    return [_nameonly(item) for item in value] if isinstance(value, list) else value


def _change(key: str, old: Any, new: Any) -> str:
    if isinstance(old, list) and isinstance(new, list) and key not in ("filter.brightness",):
        before, after = [_short(item) for item in old], [_short(item) for item in new]
        gone, come = set(before) - set(after), set(after) - set(before)
        added, removed = [f"+{item}" for item in after if item in come], [f"−{item}" for item in before if item in gone]
        return f"{key} {' '.join(_some(added) + _some(removed)) or 'reordered'}"
    return f"{key} {_short(old)} → {_short(new)}"


def _some(changes: list[str]) -> list[str]:
    """The first of ten thousand prompts, and how many there are."""
    if len(changes) <= _MOST_CHANGES:
        return changes
    return [*changes[:_MOST_CHANGES], f"and {len(changes) - _MOST_CHANGES:,} more"]


def _short(value: Any) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
