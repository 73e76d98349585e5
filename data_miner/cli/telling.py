"""What `show` says of a video or a picture: the facts of `card`, as lines."""

from collections.abc import Iterator, Mapping
from typing import Any

from data_miner.cli import words
from data_miner.cli.framing import amount, at

_INDENT = 11
_LISTS = ("positive", "negative", "junk")


def lines(facts: Mapping[str, Any]) -> list[str]:
    """The facts of either as a person reads them."""
    told = [*_of_video(facts), *(_of_picture(facts) if "pts_ms" in facts else _of_files(facts))]
    for own in facts["projects"]:
        if len(facts["projects"]) > 1 or "pts_ms" not in facts:
            told.append(("project", f"{own['project']}{_mark(own)}"))
        told += _of_verdicts(own) if "pts_ms" in facts else _of_progress(own)
    return [f"{name:<{_INDENT}}{text}" for name, text in told]


def _of_video(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    who = facts["uploader"] or facts["channel"]
    title = f'   "{_line(facts["title"])}"' if facts["title"] else ""
    yield "video", f"{facts['url']}{title}{f' by {_line(who)}' if who else ''}"
    found = facts["found_by"]
    several = len({one["project"] for one in found}) > 1
    ways = [f'found by "{_query(one)}", rank {one["rank"] + 1}' + f" ({one['project']})" * several for one in found]
    parts = [f"license {facts['license']}" if facts["license"] else "", _day(facts["upload_date"]), *ways[:1]]
    if "pts_ms" not in facts:
        parts = [facts["video"], words.duration(facts["duration_s"]) if facts["duration_s"] else "", *parts]
    for text in (" · ".join(filter(None, parts)), *ways[1:]):
        yield "", text
    if facts["skipped"]:
        yield "", f"its site does not give it: {facts['skipped']}"
    if facts["forgotten_at"]:
        yield "forgotten", f"{words.clock(facts['forgotten_at'])}, never again; receipt {facts['receipt']}"


def _day(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 else date


def _query(source: Mapping[str, Any]) -> str:
    locator = str(source["locator"])
    return locator.partition(":")[2] if source["kind"] == "search" else locator


def _of_files(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for file in facts["files"]:
        if file["fetched_at"] is None:
            continue
        length = words.duration((file["duration_ms"] or 0) / 1000)
        what = f"{file['width']}×{file['height']} {file['codec']}, {length}, {words.size(file['size_bytes'] or 0)}"
        yield "file", what + (" · collected" if file["path"] is None else f" · {file['path']}")


def _of_progress(own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "state", own["state"] + (f" ({own['reason']})" if own["reason"] else "")
    if own["jobs"]:
        yield "jobs", " · ".join(_job(job) for job in own["jobs"])
    frames = own["frames"]
    if frames["extracted"]:
        names = {"extracted": "extracted", "good": "good", "passed": "match", "unique": "unique"}
        steps = [f"{words.number(frames[key])} {name}" for key, name in names.items()]
        yield "frames", " → ".join([*steps, f"{words.number(frames['with_boxes'])} with boxes"])
    if own["dropped"]:
        yield "dropped", words.reasons(own["dropped"])
    if own["split"]:
        yield "side", own["split"]


def _job(job: Mapping[str, Any]) -> str:
    of = f"{words.number(job['n'])} " if job["n"] > 1 else ""
    reason = f" {job['reason']}" if job["reason"] else ""
    hint = f" (data-miner jobs show {job['example']})" if job["state"] in ("dead", "blocked") else ""
    return f"{job['stage']} {of}{job['state']}{reason}{hint}"


def _of_picture(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    gone = " · its pixels were collected" if facts["is_collected"] else ""
    yield (
        "picture",
        f"{facts['width']}×{facts['height']} · sharpness {facts['sharpness']:.0f} · brightness "
        f"{facts['brightness']:.0f} · contrast {facts['contrast']:.0f} · at {at(facts['pts_ms'])}{gone}",
    )


def _of_verdicts(own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    verdict, dedup = own["filter"], own["dedup"]
    if own["rejected_at"]:
        yield "rejected", f"by a person, {words.clock(own['rejected_at'])}"
    told = [kind for kind in _LISTS if verdict[kind] is not None]
    scores = [f"{kind} {verdict[kind]:.2f} {words.brief(verdict[f'{kind}_prompt'])}" for kind in told]
    missed_by = f", failed by {amount(verdict['failed_by'], verdict['distance'])}" if verdict["failed_by"] else ""
    yield "filter", "   ".join(filter(None, [f"{verdict['verdict'] or 'waiting'}{missed_by}", " · ".join(scores)]))
    if verdict["verdict"] in ("match", "good"):
        yield "dedup", _dedup(dedup)
    if dedup["is_kept"]:
        yield from _boxes(own)
    if own["datasets"]:
        yield "in", " · ".join(own["datasets"])


def _dedup(dedup: Mapping[str, Any]) -> str:
    if dedup["is_kept"] is None:
        return "waiting"
    if not dedup["is_kept"]:
        bits = f", {dedup['like_bits']} bits apart" if dedup["like"] and dedup["reason"] == "duplicate" else ""
        return f"{dedup['reason']}" + (f" of {dedup['like']}{bits}" if dedup["like"] else "")
    by_video: Mapping[str, int] = dedup["stands_for"]
    total = sum(by_video.values())
    if not total:
        return "kept"
    others = [f"{words.number(n)} of them in {video}" for video, n in by_video.items() if video != dedup["video"]]
    shown = [*others[:3], f"others in {len(others) - 3} more videos"] if len(others) > 3 else others
    if len(by_video) == 1 and others:
        shown = [f"in {next(iter(by_video))}"]
    return ", ".join([f"kept; stands for {words.number(total)} frame{'s' if total > 1 else ''}", *shown])


def _boxes(own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    name = "boxes"
    for box in own["boxes"]:
        corners = " ".join(f"{box[key]:.0f}" for key in ("x1", "y1", "x2", "y2"))
        score = "by a person" if box["is_human"] else f"{box['score']:.2f}"
        model = f" {str(box['model']).rpartition('/')[2]}" if box["model"] else ""
        votes = f" found by {box['agreement']}" if box["agreement"] > 1 else ""
        prompt = f' "{words.brief(box["prompt"])}"' if box["prompt"] else ""
        yield name, f"{box['label']} {score} [{corners}]{model}{votes}{prompt}"
        name = ""
    if not own["boxes"]:
        checked = "none, as a person says" if own["labelled_at"] else "none"
        yield name, checked if own["is_detected"] or own["labelled_at"] else "waiting"


def _mark(own: Mapping[str, Any]) -> str:
    who = f" (everything by {own['rejected_uploader']})" if own.get("rejected_uploader") else ""
    return f" · rejected by a person, {words.clock(own['rejected_at'])}{who}" if own["rejected_at"] else ""


def _line(text: str) -> str:
    return " ".join(text.split())
