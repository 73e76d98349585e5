"""Everything a report shows, read from the ledger in one snapshot. No pixels, no markup."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_miner.config.project import restore
from data_miner.config.schema import ProjectConfig
from data_miner.errors import UsageError
from data_miner.ledger import projects, status
from data_miner.ledger import report as queries
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.report import Bin, Group, Key, Scope
from data_miner.report.scores import Score, edges_of, marks_of, scores_of

BIN_PICTURES = 5
REASON_PICTURES = 60
SHEET_PICTURES = 240
GROUPS, GROUP_PICTURES = 30, 11
REASON_VIDEOS = 60
_SPARE = 3  # examples asked for beyond what is shown: a person may have rejected some
_STATEMENT_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Histogram:
    """Frames by one score."""

    score: Score
    edges: Sequence[float]
    bins: Sequence[Bin]
    always: int  # frames that pass at every value: a person labelled them

    def passing(self, edge: float) -> int:
        """Frames that stand every threshold if this one stood at `edge`, all others where they are."""
        return self.always + sum(found.passing for found in self._beyond(edge))

    def beyond(self, edge: float) -> int:
        """Frames on the passing side of `edge` by this score alone."""
        return self.always + sum(found.frames for found in self._beyond(edge))

    def _beyond(self, edge: float) -> Iterator[Bin]:
        place = self.edges.index(edge)
        return (found for found in self.bins if (found.number > place) == self.score.passes_above)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Frames that a stage dropped for one reason."""

    stage: str
    reason: str
    count: int
    nearest: Sequence[tuple[Key, float | None]]  # with the distance to the threshold; empty: counted only


@dataclass(frozen=True, slots=True)
class Findings:
    """A project at one moment."""

    project: Any
    config: ProjectConfig
    scope: Scope
    videos: Mapping[str, int]
    frames: Mapping[str, int]
    boxes_by_class: Mapping[str, int]
    failures: Mapping[str, Mapping[str, int]]
    skipped: Mapping[str, int]
    histograms: Sequence[Histogram]
    mined: Sequence[Key]
    dropped: Sequence[Dropped]
    groups: Sequence[Group]
    yields: Sequence[Any]
    skipped_videos: Sequence[Any]
    dead_videos: Sequence[Any]
    site_videos: Sequence[Any]
    sites: Sequence[Any]  # with their clocks
    rows: Mapping[Key, Any]  # of every frame that may be shown
    boxes: Mapping[Key, Sequence[Any]]  # of those that the detector or a person spoke on

    def shown(self, held: Bin) -> list[Key]:
        """The frames of a bin whose pictures are shown."""
        return [key for key in held.examples if key in self.rows][:BIN_PICTURES]


def take(ledger: Ledger, name: str) -> Findings:
    """Read a project as it stands now, whatever is mined meanwhile."""
    with ledger.transaction(statement_timeout_s=_STATEMENT_TIMEOUT_S) as cursor:
        queries.begin(cursor)
        project = projects.find(cursor, name)
        if project is None:
            raise UsageError(f"no project {name!r} any more; data-miner projects lists those there are")
        return _findings(cursor, project, restore(project.config, project.name))


def scope_of(project: Any, config: ProjectConfig) -> Scope:
    """What the queries need of a project's row."""
    keys = {stage: project.plan.get(stage, {}).get("key") for stage in ("filter", "detect")}
    return Scope(project.id, keys["filter"], keys["detect"], marks_of(config))


def _findings(cursor: Cursor, project: Any, config: ProjectConfig) -> Findings:
    scope = scope_of(project, config)
    drops = status.drops(cursor, project.id)
    histograms, mined = _histograms(cursor, scope, config), queries.mined(cursor, scope, SHEET_PICTURES)
    dropped = [
        _dropped(cursor, scope, stage, reason, count)
        for stage in ("extract", "filter", "dedup", "detect")
        for reason, count in sorted(drops[stage].items(), key=lambda entry: (-entry[1], entry[0]))
    ]
    groups = queries.groups(cursor, scope, GROUPS, GROUP_PICTURES)
    boxes = _boxes(cursor, scope, histograms, mined, dropped)
    return Findings(
        project=project,
        config=config,
        scope=scope,
        videos=status.videos(cursor, project.id),
        frames=status.frames(cursor, project.id),
        boxes_by_class=status.boxes_by_class(cursor, project.id),
        failures=status.failures(cursor, project.id),
        skipped=drops["download"],
        histograms=histograms,
        mined=mined,
        dropped=dropped,
        groups=groups,
        yields=queries.yields(cursor, scope),
        skipped_videos=queries.skipped(cursor, scope, REASON_VIDEOS),
        dead_videos=queries.dead(cursor, scope, REASON_VIDEOS),
        site_videos=queries.site_videos(cursor, scope),
        sites=status.sites(cursor, project.id),
        rows=queries.pictures(cursor, scope, list(dict.fromkeys(_keys(histograms, mined, dropped, groups)))),
        boxes=boxes,
    )


def _histograms(cursor: Cursor, scope: Scope, config: ProjectConfig) -> list[Histogram]:
    wide = queries.ranges(cursor, scope)
    labelled, boxed = queries.by_hand(cursor, scope)
    found = []
    for score in scores_of(config, scope.detect_key is not None):
        low, high = _range(wide, score)
        edges = edges_of(score, low, high)
        if edges:
            bins = queries.histogram(cursor, scope, score.name, edges, score.owns_upper, BIN_PICTURES + _SPARE)
            always = boxed if score.name == "conf" else labelled
            found.append(Histogram(score, edges, bins, always))
    return [histogram for histogram in found if histogram.bins]


def _range(wide: Any, score: Score) -> tuple[float | None, float | None]:
    if score.name == "conf":
        return 0.0, 1.0
    name = "brightness" if score.name in ("darkest", "brightest") else score.name
    return getattr(wide, f"{name}_low"), getattr(wide, f"{name}_high")


def _dropped(cursor: Cursor, scope: Scope, stage: str, reason: str, count: int) -> Dropped:
    is_shown = stage != "extract" and reason != "rejected"  # max_frames leaves no frame, a person's no is no show
    nearest = queries.dropped(cursor, scope, stage, reason, REASON_PICTURES) if is_shown else []
    return Dropped(stage, reason, count, nearest)


def _boxes(
    cursor: Cursor, scope: Scope, histograms: Sequence[Histogram], mined: Sequence[Key], dropped: Sequence[Dropped]
) -> dict[Key, list[Any]]:
    """Boxes of mined frames; of those that nearly were, the boxes that do not stand."""
    asked = [key for h in histograms if h.score.name == "conf" for held in h.bins for key in held.examples]
    asked += [key for drop in dropped if drop.stage == "detect" for key, _ in drop.nearest]
    stand = queries.boxes(cursor, scope, list(dict.fromkeys([*mined, *asked])))
    doubtful = [key for key in dict.fromkeys(asked) if key not in stand]
    return stand | queries.doubts(cursor, scope, doubtful)


def _keys(
    histograms: Sequence[Histogram], mined: Sequence[Key], dropped: Sequence[Dropped], groups: Sequence[Group]
) -> Iterator[Key]:
    yield from mined
    for histogram in histograms:
        for found in histogram.bins:
            yield from found.examples
    for drop in dropped:
        yield from (key for key, _ in drop.nearest)
    for group in groups:
        yield from (group.representative, *group.examples)
