"""Which sources a project names, in the order that gives them their ordinals."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from data_miner.config.schema import ProjectConfig
from data_miner.errors import NeverError, UsageError
from data_miner.records import SourceSpec
from data_miner.sources.base import site_of
from data_miner.sources.local import VIDEO_EXTENSIONS, read_batch_file
from data_miner.sources.safety import check_url


def sources_of(config: ProjectConfig, added: Sequence[str] = (), sample_feed: str | None = None) -> list[SourceSpec]:
    """List a project's sources: searches, URLs, batch file, folder, sample, then those added by a flag.

    Raises UsageError for a path that is not there or an address that is refused.
    """
    return list(_listed(config, added, sample_feed))


def _listed(config: ProjectConfig, added: Sequence[str], sample_feed: str | None) -> Iterator[SourceSpec]:
    allow = frozenset(config.sources.allow_hosts)
    for query in config.sources.search.queries:
        yield SourceSpec("search", f"ytsearch{config.sources.search.results}:{query}", "youtube")
    for url in config.sources.urls:
        yield _url(url, allow)
    if config.sources.batch_file:
        yield from (_url(url, allow) for url in read_batch_file(Path(config.sources.batch_file)))
    if config.sources.folder:
        yield _folder(config.sources.folder)
    if sample_feed is not None:
        yield SourceSpec("url", sample_feed, site_of(sample_feed))
    for text in added:
        yield from _added(text, allow)


def _added(text: str, allow: frozenset[str]) -> Iterator[SourceSpec]:
    """A URL or a search as yt-dlp takes it, a folder, a video file, or a file of URLs."""
    path = Path(text).expanduser()
    if "://" in text or (":" in text and not path.exists()):
        yield _url(text, allow)
    elif path.is_file() and path.suffix.lower().lstrip(".") not in VIDEO_EXTENSIONS:
        yield from (_url(url, allow) for url in read_batch_file(path))
    else:
        yield _folder(text)


def _folder(text: str) -> SourceSpec:
    path = Path(text).expanduser().resolve()
    if not path.exists():
        raise UsageError(f"{text}: no such file or folder, and no URL")
    return SourceSpec("folder", str(path), None)


def _url(url: str, allow: frozenset[str]) -> SourceSpec:
    if "://" in url:
        parts = urlsplit(url)
        refusal = _refusal(f"{parts.scheme}://{parts.netloc}", allow)
        if refusal is not None:
            raise UsageError(f"{url}: {refusal}")
    return SourceSpec("url", url, site_of(url))


@lru_cache(maxsize=4096)
def _refusal(origin: str, allow: frozenset[str]) -> str | None:
    """Why a host is refused; each is looked up once, a batch file may hold thousands of URLs of one."""
    try:
        check_url(origin, allow)
    except NeverError as error:
        return error.detail
    return None
