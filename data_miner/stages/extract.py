"""Extract: a segment's sampled pictures into one shard of JPEGs, each measured and hashed once."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data_miner.config.schema import ProjectConfig
from data_miner.errors import NeverError, NotNowError
from data_miner.ledger import frames
from data_miner.ledger.connection import Cursor
from data_miner.ledger.jobs import Job
from data_miner.records import FrameRow, key_of
from data_miner.sources.local import file_behind
from data_miner.stages.base import Beat, Node, Outcome, Runner, Share, StagePlan


@dataclass(frozen=True, slots=True)
class _Extracted:
    frames: Sequence[FrameRow]
    shard: str
    sha256: str
    size_bytes: int
    dropped_max_frames: int
    is_truncated: bool


@dataclass(frozen=True)
class Extract:
    """Sample a segment."""

    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 1
    share: ClassVar[Share] = Share(cpus=1.0)

    @classmethod
    def plan(cls, config: ProjectConfig, upstream: Mapping[str, StagePlan], models: Sequence[Path]) -> StagePlan:
        """Everything here changes pixels, so everything is in the key; the video's own file is the subject's."""
        from data_miner.media.quality import RECIPE
        from data_miner.media.reader import VERSION

        is_scene = config.extract.strategy == "scene"
        params = config.extract.model_dump(mode="json", exclude={"fps"} if is_scene else {"scene_threshold"})
        if is_scene:
            from data_miner.media.scenes import RECIPE as HOW_SCENES_ARE_FOUND

            params["recipe"] = HOW_SCENES_ARE_FOUND
        return StagePlan(
            key=key_of(stage=cls.name, version=[cls.version, VERSION], measured=RECIPE, **params),
            params=params,
        )

    @classmethod
    def from_runtime(cls, runtime: Mapping[str, Any]) -> "Extract":
        """Nothing needs loading."""
        return cls()

    def open(self, node: Node) -> Runner:
        """Ready at once."""
        return _Runner(node)


@dataclass(frozen=True, slots=True)
class _Work:
    segment: Any
    params: Mapping[str, Any]


class _Runner:
    def __init__(self, node: Node) -> None:
        self._node = node

    def load(self, job: Job) -> _Work:
        with self._node.ledger.transaction() as cursor:
            segment = frames.segment(cursor, int(job.segment_id or 0))
            params = frames.extract_params(cursor, segment.id, segment.key)
        if params is None:
            raise NotNowError("no project asks for this extract key now")
        if segment.path is None:
            raise NotNowError("the video was collected and is fetched again")
        return _Work(segment, params)

    def process(self, job: Job, work: _Work, beat: Beat) -> Outcome:
        from data_miner.store.shards import ShardWriter

        started, rows = time.monotonic(), list[FrameRow]()
        scratch = self._node.scratch / "extract"
        scratch.mkdir(parents=True, exist_ok=True)
        shard = scratch / f"{job.artifact}.tar"
        with ExitStack() as stack:
            # Moved into the store when all went well; otherwise the next attempt starts anew.
            stack.callback(shard.unlink, missing_ok=True)
            reader = self._reader(stack, work, beat)
            writer = stack.enter_context(ShardWriter(shard))
            for row in self._rows(reader, writer, work.params["quality"]):
                rows.append(row)
                beat(len(rows))
            sha256 = writer.close()
            if not rows and reader.truncated and work.segment.start_ms == work.segment.first_pts_ms:
                raise NeverError("unreadable", "the stream breaks before its first picture")
            size_bytes, key = shard.stat().st_size, f"shards/{job.artifact}.tar"
            self._node.store.put_file(key, shard, move=True)
        extracted = _Extracted(rows, key, sha256, size_bytes, reader.dropped_max_frames, reader.truncated)
        seconds = {"decode and measure": time.monotonic() - started}
        return Outcome(rows=extracted, items=len(rows), size_bytes=size_bytes, seconds=seconds)

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        made: _Extracted = outcome.rows
        frames.extracted(
            cursor,
            int(job.segment_id or 0),
            made.frames,
            shard=made.shard,
            sha256=made.sha256,
            size_bytes=made.size_bytes,
            dropped_max_frames=made.dropped_max_frames,
            is_truncated=made.is_truncated,
        )

    def close(self) -> None:
        pass

    def _reader(self, stack: ExitStack, work: _Work, beat: Beat) -> Any:
        from data_miner.media.reader import SegmentReader
        from data_miner.media.sampling import Cut, Sampling

        segment, params = work.segment, work.params
        if segment.path.startswith("file://"):
            path = file_behind(segment.path)
            if not path.is_file():
                raise NeverError("gone", f"{path} is not there any more")
        else:
            path = stack.enter_context(self._node.store.open_local(segment.path))
        return SegmentReader(
            path,
            Sampling.of(params),
            Cut(segment.start_ms, segment.end_ms, segment.max_frames),
            segment.first_pts_ms,
            max_side=params["max_side"],
            threads=self._node.threads,
            beat=beat,
        )

    @staticmethod
    def _rows(reader: Any, writer: Any, quality: int) -> Any:
        from data_miner.media import jpeg
        from data_miner.media.quality import measure_picture

        for picture in reader:
            data = jpeg.encode(picture.rgb, quality)
            offset, size_bytes = writer.add(picture.pts_ms, data)
            measured, phash = measure_picture(picture.rgb)
            height, width = picture.rgb.shape[:2]
            yield FrameRow(
                picture.pts_ms,
                offset,
                size_bytes,
                width,
                height,
                measured.sharpness,
                measured.brightness,
                measured.contrast,
                phash,
            )
