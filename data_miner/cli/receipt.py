"""Receipts of takedowns: what was removed, never what it showed.

Written before the first deletion and completed after the last, so that a killed command knows what is left to do.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_miner.errors import DataMinerError
from data_miner.export.withdrawal import Withdrawn
from data_miner.ledger.forget import Holdings


@dataclass(frozen=True, slots=True)
class Receipt:
    """One takedown. As JSON below receipts/."""

    asked: str  # as it was typed: the same command finds it again
    videos: Sequence[str]  # ids
    uploaders: Sequence[str] = ()
    reason: str = ""
    began: str = ""  # UTC
    finished: str | None = None  # None: killed on the way; the same command goes on
    rows: Mapping[str, int] = field(default_factory=dict)  # of the ledger, by kind
    projects: Sequence[str] = ()
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # artifact key -> sha256, size_bytes
    kept_files: Sequence[str] = ()  # the user's own, which were only referenced
    datasets: Mapping[str, Mapping[str, Mapping[str, str]]] = field(
        default_factory=dict
    )  # project, version, image: sha256
    boxes: int = 0  # on those images

    def with_holdings(self, held: Holdings) -> "Receipt":
        """Add what the ledger has; a second run adds to what the first one found."""
        own = {row.key for row in held.files if row.key.startswith("file://")}
        files = {
            row.key: {"sha256": row.sha256, "size_bytes": row.size_bytes} for row in held.files if row.key not in own
        }
        kinds = {name: self.rows.get(name, 0) + n for name, n in held.counts.items() if name != "under_way"}
        return replace(
            self,
            videos=_merged(self.videos, held.videos),
            rows=kinds,
            projects=_merged(self.projects, held.projects),
            files={**self.files, **files},
            kept_files=_merged(self.kept_files, own),
        )

    def with_datasets(self, found: Iterable[Withdrawn]) -> "Receipt":
        """Add what the dataset versions have."""
        datasets = {name: {version: dict(own) for version, own in all_.items()} for name, all_ in self.datasets.items()}
        boxes: dict[str, int] = {}
        for one in found:
            images = datasets.setdefault(one.project, {}).setdefault(one.version, {})
            new = {name: digest for name, digest in one.images.items() if name not in images}
            images.update(new)
            boxes.update({name: one.boxes.get(name, 0) for name in new})
        return replace(self, datasets=datasets, boxes=self.boxes + sum(boxes.values()))

    @property
    def images(self) -> int:
        """Different images in all versions."""
        return len(
            {(project, name) for project, all_ in self.datasets.items() for own in all_.values() for name in own}
        )


def find(folder: Path, asked: str) -> tuple[str, Receipt] | None:
    """The receipt of the same command, typed before, and its name."""
    for path in sorted(folder.glob("*.json")):
        receipt = _parsed(path)
        if receipt is not None and receipt.asked == asked:
            return path.name, receipt
    return None


def read(folder: Path, name: str) -> Receipt | None:
    """One receipt; None when it is not here: another machine's."""
    return _parsed(folder / name)


def new_name(folder: Path, subject: str) -> str:
    """`2026-12-18-UCx1y2z3.json`, a name that is free."""
    first = f"{datetime.now(UTC):%Y-%m-%d}-{subject}"
    names = [first, *(f"{first}-{n}" for n in range(2, 1000))]
    return next(f"{name}.json" for name in names if not (folder / f"{name}.json").exists())


def write(folder: Path, name: str, receipt: Receipt) -> None:
    """Write it whole and durably. DataMinerError when the folder cannot be written."""
    text = json.dumps(asdict(receipt), indent=2, sort_keys=True, ensure_ascii=False)
    part = folder / f".{name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / name)
    except OSError as error:
        raise DataMinerError(
            f"receipt {folder / name} cannot be written: {(error.strerror or str(error)).lower()}"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def now() -> str:
    """This moment, as receipts write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _parsed(path: Path) -> Receipt | None:
    try:
        return Receipt(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _merged(one: Iterable[str], two: Iterable[str]) -> list[str]:
    return sorted({*one, *two})
