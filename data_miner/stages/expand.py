"""Expand: ask a source once which videos it has. Not one of the five: it runs in the download pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data_miner.config.schema import ProjectConfig
from data_miner.errors import NeverError
from data_miner.ledger import videos
from data_miner.ledger.connection import Cursor
from data_miner.ledger.jobs import Job
from data_miner.sources.base import Skipped
from data_miner.sources.client import Options
from data_miner.stages.base import Beat, Node, Outcome, Runner, Share, StagePlan


@dataclass(frozen=True)
class Expand:
    """List a search, playlist, channel, feed, URL or folder."""

    name: ClassVar[str] = "expand"
    version: ClassVar[int] = 1
    share: ClassVar[Share] = Share(cpus=0.25)

    @classmethod
    def plan(cls, config: ProjectConfig, upstream: Mapping[str, StagePlan], models: Sequence[Path]) -> StagePlan:
        """Sources are rows of their own; the stage has no parameters."""
        return StagePlan(key="expand", params={})

    @classmethod
    def from_runtime(cls, runtime: Mapping[str, Any]) -> "Expand":
        """Nothing needs loading."""
        return cls()

    def open(self, node: Node) -> Runner:
        """Ready at once."""
        return _Runner(node)


class _Runner:
    def __init__(self, node: Node) -> None:
        self._node = node

    def load(self, job: Job) -> Any:
        with self._node.ledger.transaction() as cursor:
            return videos.source(cursor, int(job.source_id or 0))

    def process(self, job: Job, work: Any, beat: Beat) -> Outcome:
        try:
            found = self._list(work)
        except Skipped as skipped:
            raise NeverError(skipped.reason, skipped.detail) from skipped
        return Outcome(rows=found, items=len(found))

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        videos.expanded(cursor, int(job.source_id or 0), outcome.rows, self._node.paces)

    def close(self) -> None:
        pass

    def _list(self, source: Any) -> Any:
        if source.kind == "folder":
            from data_miner.sources.local import expand_folder

            return expand_folder(Path(source.locator))
        from data_miner.sources.ytdlp import expand

        options = options_for(source.download, self._node.paces.pace(source.site).sleep_requests)
        return expand(source.locator, options=options)


def options_for(download: Mapping[str, Any], sleep_requests_s: float = 0.0) -> Options:
    """How a project lets the web be asked: the private hosts it allows by name."""
    return Options(allow=frozenset(download["allow_hosts"]), sleep_requests_s=sleep_requests_s)
