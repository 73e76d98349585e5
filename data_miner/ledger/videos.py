"""Sources, videos and fetched files: rows in, rows out."""

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from data_miner.config.sites import Sites
from data_miner.ledger import order, sites
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql
from data_miner.records import MediaFile, VideoInfo


def info_of(row: Any) -> VideoInfo:
    """Read a video row."""
    return VideoInfo(
        id=row.id,
        url=row.url,
        site=row.site,
        title=row.title,
        uploader=row.uploader,
        uploader_id=row.uploader_id,
        channel=row.channel,
        license=row.license,
        upload_date=row.upload_date,
        duration_s=row.duration_s,
        tags=tuple(row.tags),
        extra=row.extra,
    )


def source(cursor: Cursor, source_id: int) -> Any:
    """A source with its project's download settings."""
    return cursor.execute(sql("videos", "source"), {"source_id": source_id}).fetchone()


def expanded(cursor: Cursor, source_id: int, found: Sequence[VideoInfo], paces: Sites) -> int:
    """Write what a source listed: new videos, ranks, places in the project; returns how many are new."""
    row = source(cursor, source_id)
    ranks = {r.video_id: r.rank for r in cursor.execute(sql("videos", "ranked"), {"source_id": source_id})}
    following = max(ranks.values(), default=-1) + 1
    for info in found:  # a refresh keeps known ranks and appends
        if info.id not in ranks:
            ranks[info.id], following = following, following + 1
    listed = sorted({info.id: info for info in found}.values(), key=lambda info: info.id)
    for info in listed:  # by id, and each row is locked even when nothing in it changes: as a finish does
        upsert(cursor, info, is_page=False)
    sites.ensure_all(cursor, [row.site, *(info.site for info in listed)], paces)
    order.take_turns(cursor, [row.project_id])
    new = sum(_place(cursor, row, info.id, ranks[info.id]) for info in listed)
    cursor.execute(sql("videos", "expanded"), {"source_id": source_id})
    return new


def _place(cursor: Cursor, row: Any, video_id: str, rank: int) -> bool:
    """Give a listed video its place in the project; returns whether it is new there."""
    place = {"source_id": row.id, "project_id": row.project_id, "video_id": video_id, "rank": rank}
    cursor.execute(sql("videos", "rank_video"), place)
    placed = cursor.execute(sql("videos", "add_to_project"), place).fetchone()
    if placed is None or placed.is_new:
        return placed is not None
    cursor.execute(sql("videos", "move_segments"), place)
    cursor.execute(sql("videos", "move_jobs"), place)
    return False


def upsert(cursor: Cursor, info: VideoInfo, is_page: bool) -> None:
    """Write a video's metadata; a listing (not is_page) never overwrites what its page said."""
    cursor.execute(
        sql("videos", "upsert_video"),
        {
            "id": info.id,
            "url": info.url,
            "site": info.site,
            "title": _storable(info.title),
            "uploader": _storable(info.uploader),
            "uploader_id": _storable(info.uploader_id),
            "channel": _storable(info.channel),
            "license": _storable(info.license),
            "upload_date": info.upload_date,
            "duration_s": info.duration_s,
            "tags": [_storable(tag) for tag in info.tags],
            "extra": Jsonb(dict(info.extra)),
            "is_page": is_page,
        },
    )


def fetch(cursor: Cursor, fetch_id: int) -> Any:
    """A fetch with its video's row."""
    return cursor.execute(sql("videos", "fetch"), {"fetch_id": fetch_id}).fetchone()


def wanting_projects(cursor: Cursor, fetch_id: int) -> list[Any]:
    """Projects that want the video and have not dropped it."""
    return cursor.execute(sql("videos", "wanting_projects"), {"fetch_id": fetch_id}).fetchall()


def page_read(cursor: Cursor, fetch_id: int, info: VideoInfo) -> None:
    """Keep what the video's page said; what follows for each project is derived."""
    upsert(cursor, info, is_page=True)


def skipped(cursor: Cursor, video_id: str, reason: str) -> None:
    """The site does not give this video, to nobody who has not got it."""
    cursor.execute(sql("videos", "skip"), {"video_id": video_id, "reason": reason})


def fetched(cursor: Cursor, fetch_id: int, path: str, file: MediaFile) -> None:
    """The file is here: where, what, how long."""
    cursor.execute(
        sql("videos", "fetched"),
        {
            "fetch_id": fetch_id,
            "path": path,
            "sha256": file.sha256,
            "size_bytes": file.size_bytes,
            "width": file.media.width,
            "height": file.media.height,
            "codec": file.media.codec,
            "average_fps": file.media.average_fps,
            "first_pts_ms": file.media.first_pts_ms,
            "duration_ms": file.media.duration_ms,
        },
    )


def _storable(text: str) -> str:
    """PostgreSQL's text takes anything but NUL, UTF-8 anything but lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
