"""What work cost so far: seconds and bytes by stage, slots of paced sites, space on disk. Reads only."""

from dataclasses import dataclass
from typing import Any

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql


@dataclass(frozen=True, slots=True)
class Rate:
    """What a stage's newest batches cost. `items` are videos for download, else pictures."""

    seconds: float
    items: int
    size_bytes: int
    videos: int

    @property
    def seconds_per_item(self) -> float | None:
        """None when nothing was measured."""
        return self.seconds / self.items if self.items else None

    @property
    def seconds_per_video(self) -> float | None:
        """None when nothing was measured."""
        return self.seconds / self.videos if self.videos else None


def rates(cursor: Cursor) -> dict[str, Rate]:
    """Rates by stage, of whatever project was mined last."""
    return {
        row.stage: Rate(row.seconds or 0.0, row.items, row.size_bytes, row.videos)
        for row in cursor.execute(sql("measured", "rates"))
    }


def paced_seconds(cursor: Cursor, project_id: int) -> float:
    """Seconds until the slowest open site has given the project's waiting videos their slots."""
    rows = cursor.execute(sql("measured", "paced"), {"project_id": project_id}).fetchall()
    return max((float(row.videos * row.pace_s) for row in rows), default=0.0)


def disk(cursor: Cursor, project_id: int) -> Any:
    """Bytes of the project's own videos and frames and of the database; vectors: embeddings by number."""
    return cursor.execute(sql("measured", "disk"), {"project_id": project_id}).fetchone()


def sites(cursor: Cursor, project_id: int) -> list[Any]:
    """Sites that the project's sources and videos come from: name, state, reason, since, next_try."""
    return cursor.execute(sql("measured", "sites"), {"project_id": project_id}).fetchall()


def any_embedding(cursor: Cursor, project_id: int) -> tuple[str, int] | None:
    """Artifact of some embeddings and how many vectors it holds: all vectors have its size."""
    row = cursor.execute(sql("measured", "any_embedding"), {"project_id": project_id}).fetchone()
    return (str(row.path), int(row.vectors)) if row is not None else None


def images(cursor: Cursor, project_id: int) -> int:
    """How many pictures the next dataset version would have, backgrounds aside."""
    row: Any = cursor.execute(sql("measured", "images"), {"project_id": project_id}).fetchone()
    return int(row.n)
