"""Download: a video's page, every project's verdict on it, and only then its bytes. Local files are referenced."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from data_miner.config.schema import ProjectConfig
from data_miner.errors import NeverError
from data_miner.ledger import forget, sites, videos, words
from data_miner.ledger.connection import Cursor
from data_miner.ledger.jobs import Job
from data_miner.media.probe import probe
from data_miner.records import MediaFile, VideoInfo, key_of
from data_miner.sources.base import Skipped
from data_miner.sources.local import content_digest, file_behind
from data_miner.sources.policy import Policy, judge, policy_of
from data_miner.stages.base import Beat, Node, Outcome, Runner, Share, StagePlan
from data_miner.stages.expand import options_for

MOST_SECONDS = 6 * 3600.0  # of one download; an endless stream ends here or at max_filesize


@dataclass(frozen=True, slots=True)
class _Fetched:
    info: VideoInfo | None = None  # what the page said; None: a local file, or the site does not give it
    file: MediaFile | None = None
    path: str = ""  # artifact key or file:// URL


@dataclass(frozen=True)
class Download:
    """Fetch one video-only stream of capped height."""

    name: ClassVar[str] = "download"
    version: ClassVar[int] = 1
    share: ClassVar[Share] = Share(cpus=0.25)

    @classmethod
    def plan(cls, config: ProjectConfig, upstream: Mapping[str, StagePlan], models: Sequence[Path]) -> StagePlan:
        """The key holds what changes the bytes; the policy only decides whether they are wanted."""
        own = config.download
        policy = asdict(
            Policy(match_filters=own.match_filters, skip_keywords=tuple(own.skip_keywords), license=own.license)
        )
        return StagePlan(
            key=key_of(stage=cls.name, version=cls.version, max_height=own.max_height),
            params={
                "max_height": own.max_height,
                "max_filesize": own.max_filesize,
                "allow_hosts": list(config.sources.allow_hosts),
                "policy": policy,
                "policy_key": key_of(**policy),
            },
        )

    @classmethod
    def from_runtime(cls, runtime: Mapping[str, Any]) -> "Download":
        """Nothing needs loading."""
        return cls()

    def open(self, node: Node) -> Runner:
        """Ready at once; yt-dlp is imported by the first job."""
        return _Runner(node)


@dataclass(frozen=True, slots=True)
class _Work:
    fetch: Any
    projects: Sequence[Any]


class _Runner:
    def __init__(self, node: Node) -> None:
        self._node = node

    def load(self, job: Job) -> _Work:
        with self._node.ledger.transaction() as cursor:
            fetch_id = int(job.fetch_id or 0)
            return _Work(videos.fetch(cursor, fetch_id), videos.wanting_projects(cursor, fetch_id))

    def process(self, job: Job, work: _Work, beat: Beat) -> Outcome:
        try:
            return self._reference(work) if work.fetch.site is None else self._fetch(job, work, beat)
        except Skipped as skipped:
            return Outcome(rows=_Fetched(), reason=skipped.reason)

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        fetched: _Fetched = outcome.rows
        fetch_id, video_id = int(job.fetch_id or 0), str(job.video_id)
        if fetched.info is not None:
            videos.page_read(cursor, fetch_id, fetched.info)
        elif fetched.file is None:
            videos.skipped(cursor, video_id, outcome.reason)
        if fetched.file is not None:
            videos.fetched(cursor, fetch_id, fetched.path, fetched.file)

    def close(self) -> None:
        pass

    def _reference(self, work: _Work) -> Outcome:
        """A local file stays where it is; it must still be the file that was listed."""
        path, listed = file_behind(work.fetch.url), videos.info_of(work.fetch)
        if not path.is_file():
            raise Skipped("gone", f"{path} is not there any more")
        digest, size_bytes = content_digest(path)
        if listed.extra.get("sha256") != digest:
            raise NeverError("unreadable", f"{path} changed since it was listed; run with --refresh")
        media = probe(path)
        info = replace(listed, duration_s=media.duration_ms / 1000)
        reason = _unwanted(info, work)
        if reason is not None:
            return Outcome(rows=_Fetched(info=info), reason=reason)
        file = MediaFile(path, digest, size_bytes, media, info)
        return Outcome(rows=_Fetched(info, file, path.as_uri()), items=1, size_bytes=size_bytes)

    def _fetch(self, job: Job, work: _Work, beat: Beat) -> Outcome:
        """Page, verdicts, the site's slot, bytes, probe, store: in this order."""
        from data_miner.sources import ytdlp

        started = time.monotonic()
        wanted = [project.download for project in work.projects]
        options = options_for({"allow_hosts": {host for params in wanted for host in params["allow_hosts"]}})
        page = ytdlp.metadata(work.fetch.url, options)
        # Whatever the page turned out to be, the video keeps the name it was listed under.
        info = replace(page.info, id=work.fetch.video_id, url=work.fetch.url, site=work.fetch.site)
        reason = self._refused(info, page.info.id, work) or _unwanted(info, work)
        if reason is not None:
            return Outcome(rows=_Fetched(info=info), reason=reason)
        paged = time.monotonic()
        folder = self._node.scratch / "download" / f"{job.id:09d}"
        path = ytdlp.download(
            page,
            folder,
            max_height=work.fetch.max_height,
            max_bytes=max(params["max_filesize"] for params in wanted),
            max_seconds=MOST_SECONDS,
            options=options,
            progress=beat,
            before_media=lambda: self._wait_for_slot(str(job.site), beat),
        )
        digest, size_bytes = content_digest(path)
        file = MediaFile(path, digest, size_bytes, probe(path), info)
        key = f"videos/{job.artifact}{path.suffix}"
        self._node.store.put_file(key, path, move=True)
        shutil.rmtree(folder, ignore_errors=True)
        seconds = {"page": paged - started, "media": time.monotonic() - paged}
        return Outcome(rows=_Fetched(info, file, key), items=1, size_bytes=size_bytes, seconds=seconds)

    def _refused(self, info: VideoInfo, page_id: str, work: _Work) -> str | None:
        """A person's word on the video or its uploader, which a page may be the first to name.

        Raises Skipped for what was withdrawn: of that nothing is kept, not even the page's title.
        """
        with self._node.ledger.transaction() as cursor:
            if forget.is_refused(cursor, info, page_id):
                raise Skipped("forgotten", "withdrawn with `data-miner forget`")
            is_wanted = {project.id for project in work.projects} - words.rejecting(cursor, info, page_id)
        return None if is_wanted or not work.projects else "rejected"

    def _wait_for_slot(self, site: str, beat: Beat) -> None:
        """The whole cluster's pace: take the site's next slot and wait for it, alive."""
        with self._node.ledger.transaction() as cursor:
            wait_s = sites.take_download_token(cursor, site)
        until, waited = time.monotonic() + wait_s, 0
        while (left_s := until - time.monotonic()) > 0:
            time.sleep(min(left_s, 1.0))
            waited += 1
            beat(waited)


def _unwanted(info: VideoInfo, work: _Work) -> str | None:
    """A reason when no project wants the video, None when one does."""
    reasons = [judge(info, policy_of(project.download)) for project in work.projects]
    return None if None in reasons else next(iter(reasons), "superseded")
