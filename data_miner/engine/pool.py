"""One pool: the actors of a stage and runtime key, and what is known of them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data_miner.engine.cluster import Member
from data_miner.errors import DataMinerError
from data_miner.stages.base import Share


@dataclass(slots=True)
class Pool:
    """One pool: what its actors are told, and the actors."""

    stage: str
    stages: tuple[str, ...]
    runtime_key: str
    runtime: Mapping[str, Any]
    share: Share
    depth: int
    members: list[Member] = field(default_factory=list)
    waiting: int = 0
    running: int = 0
    worked_at: float = field(default_factory=time.monotonic)
    opening_s: float = 0.0  # what the slowest of its actors took to open
    opened_at: float = 0.0
    made: int = 0
    false_starts: int = 0
    error: DataMinerError | None = None  # why it is held
    held_until: float = 0.0

    @property
    def name(self) -> str:
        """For people: the stage, and the model's key where there is one."""
        return f"{self.stage} {self.runtime_key[:6]}".strip()

    @property
    def is_held(self) -> bool:
        """Could it not be opened, a moment ago?"""
        return self.error is not None and time.monotonic() < self.held_until

    @property
    def staying(self) -> list[Member]:
        """Actors that were not asked to leave."""
        return [member for member in self.members if member.stopping_since is None]

    def note_openings(self) -> None:
        """Learn from the actors that opened what one costs."""
        for member in self.members:
            if member.opened_at is not None and member.opened_at > self.opened_at:
                self.opened_at, self.false_starts = member.opened_at, 0
                self.error = None
                self.opening_s = max(self.opening_s, member.opened_at - member.asked_at)
