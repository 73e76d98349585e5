"""Where things are on this machine: the data folder and the services that the environment names.

Settings never create anything and never print a secret. What to mine is in `project`, not here.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data_miner.errors import UsageError

# libpq's variables that name a server or a database; PGUSER or PGPASSWORD alone name none
_PG_NAMES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGDATABASE")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MinFree:
    """How much of a disk stays free: the larger of a size and a share (DESIGN §7)."""

    size_bytes: int = 20 * 1000**3
    share: float = 0.05

    def of(self, total_bytes: int) -> int:
        """Bytes that must stay free on a disk of `total_bytes`."""
        return max(self.size_bytes, int(self.share * total_bytes))


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. Every path is absolute, so a copy sent to another process means the same."""

    data: Path
    store: str  # absolute path or fsspec URL
    database_url: str | None = field(default=None, repr=False)  # "" = as libpq's PG*; None = embedded
    ray_address: str | None = None
    loki_url: str | None = field(default=None, repr=False)  # may carry a password
    min_free: MinFree = MinFree()
    configs: Path | None = None  # DATA_MINER_CONFIGS

    @classmethod
    def from_env(cls, data: str | None = None, env: Mapping[str, str] = os.environ) -> "Settings":
        """Read the environment; `data` is the --data flag and wins over DATA_MINER_DATA. UsageError."""
        folder = absolute(data or env.get("DATA_MINER_DATA") or "data")
        store = env.get("DATA_MINER_STORE") or str(folder / "store")
        configs = env.get("DATA_MINER_CONFIGS")
        return cls(
            data=folder,
            store=store if "://" in store else str(absolute(store)),
            database_url=_database_url(env),
            ray_address=env.get("RAY_ADDRESS") or None,
            loki_url=env.get("LOKI_URL") or None,
            min_free=parse_min_free(env.get("DATA_MINER_MIN_FREE", "")),
            configs=absolute(configs) if configs else None,
        )

    @property
    def postgres(self) -> Path:
        """Folder of the embedded server."""
        return self.data / "postgres"

    @property
    def models(self) -> Path:
        """Folder of weights."""
        return self.data / "models"

    @property
    def logs(self) -> Path:
        """Folder of log files."""
        return self.data / "logs"

    @property
    def datasets(self) -> Path:
        """Folder with one folder of versions a project."""
        return self.data / "datasets"

    @property
    def scratch(self) -> Path:
        """Node-local folder of unfinished work: partial downloads, shards being written."""
        return self.data / "scratch"

    @property
    def sample(self) -> Path:
        """Folder of the rendered videos of the offline sample."""
        return self.data / "sample"


def absolute(path: str | Path) -> Path:
    """Expand `~` and make absolute; the path need not exist."""
    return Path(path).expanduser().resolve()


def parse_min_free(text: str) -> MinFree:
    """Read DATA_MINER_MIN_FREE: `30GB`, `5%`, `30GB,5%` (the larger), `0`; empty = default. UsageError."""
    if not text.strip():
        return MinFree()
    size_bytes, share = 0, 0.0
    for part in text.split(","):
        word = part.strip()
        if word.endswith("%") and re.fullmatch(r"\d+(\.\d+)?", word[:-1]) and float(word[:-1]) <= 100:
            share = float(word[:-1]) / 100
        elif match := _SIZE.fullmatch(word):
            power = "KMGT".index(match[2].upper()) + 1 if match[2] else 0
            size_bytes = int(float(match[1]) * (1024 if match[3] else 1000) ** power)
        else:
            raise UsageError(f"DATA_MINER_MIN_FREE: {text!r} is no size; write 30GB, 5% or 30GB,5%")
    return MinFree(size_bytes, share)


def _database_url(env: Mapping[str, str]) -> str | None:
    if url := env.get("DATABASE_URL"):
        return url
    return "" if any(env.get(name) for name in _PG_NAMES) else None
