"""What the sample site shows: index, feed and watch pages, for people and for yt-dlp."""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import quote


class Listed(Protocol):
    """What the site must know of a video; `RenderedVideo` fits. `uploader` and `upload_date` may be there."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def tags(self) -> Sequence[str]: ...
    @property
    def path(self) -> Path: ...
    @property
    def duration_s(self) -> float: ...


class Site(Protocol):
    """What the pages must know of the site."""

    @property
    def url(self) -> str: ...
    @property
    def videos(self) -> Mapping[str, Listed]: ...
    @property
    def gone(self) -> Sequence[str]: ...
    def watch_url(self, name: str) -> str:
        """The page of one video."""
        ...

    def media_url(self, name: str) -> str:
        """The file of one video."""
        ...


def page_at(site: Site, path: str) -> tuple[str, str] | None:
    """Write the page at a path as (text, content type); None where there is none."""
    pages: dict[str, Callable[[Site], str]] = {"/": _index, "/index.html": _index}
    if path in pages:
        return pages[path](site), "text/html"
    if path == "/feed.xml":
        return _feed(site), "application/rss+xml"
    name = path.removeprefix("/watch/").removesuffix(".html")
    video = site.videos.get(name) if path == f"/watch/{name}.html" else None
    return (_watch(site, video), "text/html") if video else None


def _index(site: Site) -> str:
    rows = "".join(
        f'<li><a href="{site.watch_url(v.name)}">{html.escape(v.title)}</a> {v.duration_s:.0f} s</li>'
        for v in site.videos.values()
    )
    return (
        "<!doctype html><html><head><meta charset=utf-8><title>Sample site</title>"
        '<link rel="alternate" type="application/rss+xml" href="/feed.xml"></head>'
        f'<body><h1>Sample site</h1><ul>{rows}</ul><p><a href="/feed.xml">feed</a></p></body></html>'
    )


def _feed(site: Site) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"><channel>'
        f"<title>Sample site</title><link>{site.url}/</link><description>All videos</description>"
        f"{''.join(_feed_items(site))}</channel></rss>"
    )


def _feed_items(site: Site) -> Iterator[str]:
    for video in site.videos.values():
        yield _feed_item(site, video.name, video.title, video.description, video.duration_s, _uploaded(video))
    for name in site.gone:
        yield _feed_item(site, name, name.replace("_", " ").capitalize(), "", 10.0, _uploaded(None))


def _feed_item(site: Site, name: str, title: str, text: str, duration_s: float, day: datetime) -> str:
    return (
        f"<item><title>{_xml(title)}</title><link>{_xml(site.watch_url(name))}</link>"
        f"<description>{_xml(text)}</description><pubDate>{format_datetime(day)}</pubDate>"
        f"<itunes:duration>{duration_s:.3f}</itunes:duration></item>"
    )


def _watch(site: Site, video: Listed) -> str:
    """Write a page with schema.org's VideoObject, which yt-dlp's generic extractor reads in one request.

    No <video> tag: yt-dlp would take that and leave title, duration and tags.
    """
    facts = {
        "@context": "https://schema.org",
        "@type": "VideoObject",
        "name": video.title,
        "description": video.description,
        "contentUrl": site.media_url(video.name),
        "encodingFormat": "video/mp4",
        "duration": f"PT{video.duration_s:.3f}S",
        "uploadDate": _uploaded(video).strftime("%Y-%m-%d"),
        "author": {"@type": "Person", "name": getattr(video, "uploader", "") or "Sample Films"},
        "keywords": ",".join(video.tags),
    }
    data = json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c")
    title = html.escape(video.title)
    return (
        f"<!doctype html><html><head><meta charset=utf-8><title>{title}</title>"
        f'<script type="application/ld+json">{data}</script></head><body><h1>{title}</h1>'
        f"<p>{html.escape(video.description)}</p>"
        f'<p><a href="/media/{quote(video.name)}{video.path.suffix}">watch</a></p></body></html>'
    )


def _uploaded(video: Listed | None) -> datetime:
    text = str(getattr(video, "upload_date", "") or "20240311")
    day = date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:8]}")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _xml(text: str) -> str:
    return html.escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text))
