"""The report of a project that was really mined: its numbers, its pictures, its bounds."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from data_miner.cli.main import run
from data_miner.ledger import projects, status
from data_miner.ledger.connection import Ledger
from data_miner.report.findings import Findings, take
from data_miner.report.project import write_report
from data_miner.report.sheet import SheetFrame, SheetGroup, write_sheet
from data_miner.sources.names import image_name
from data_miner.store.artifacts import Store
from tests.support.mined import Place
from tests.support.scores import judge, score_frames


def project_of(ledger: Ledger) -> Any:
    """The mined project's row."""
    with ledger.transaction() as cursor:
        return projects.find(cursor, "patterns")


def report_of(ledger: Ledger, place: Place, path: Path, **more: Any) -> str:
    """Write a report and read it back."""
    size_bytes = write_report(ledger, project_of(ledger), Store(place.settings.store), path, **more)
    assert path.stat().st_size == size_bytes
    return path.read_text()


def pictures_in(page: str) -> list[str]:
    """The JPEGs of a page, in base64."""
    found = re.search(r'<script type="application/json" id="pictures">(.*?)</script>', page)
    assert found is not None
    listed: list[str] = json.loads(found[1])
    return listed


def value_of(row: Any, score: str) -> float:
    """A frame's value of a score, from what the ledger stores."""
    values = {"margin": lambda: row.positive - row.negative, "junk_margin": lambda: row.positive - row.junk}
    values |= {"darkest": lambda: row.brightness, "brightest": lambda: row.brightness}
    return float(values[score]() if score in values else getattr(row, score))


def passed(ledger: Ledger) -> int:
    """Frames that match now, as `status` counts them."""
    with ledger.transaction() as cursor:
        return status.frames(cursor, project_of(ledger).id)["passed"]


@pytest.fixture
def place(mined_template: tuple[str, Place]) -> Place:
    """Where the files of the mined project are."""
    return mined_template[1]


@pytest.fixture
def found(patterns: Ledger) -> Findings:
    """The mined project with scores, read for a report."""
    score_frames(patterns)
    return take(patterns, "patterns")


def test_charts_count_at_the_mark_what_the_funnel_counts(patterns: Ledger, found: Findings) -> None:
    with patterns.transaction() as cursor:
        funnel = status.frames(cursor, found.project.id)
    assert 0 < funnel["passed"] < funnel["good"] == 21
    now = {histogram.score.name: histogram.passing(histogram.score.mark) for histogram in found.histograms}
    quality = dict.fromkeys(("darkest", "brightest", "contrast", "sharpness"), funnel["good"])
    assert now == quality | dict.fromkeys(("positive", "negative", "margin", "junk", "junk_margin"), funnel["passed"])


def test_the_detectors_chart_foretells_frames_with_a_box_and_near_misses_come_first(patterns: Ledger) -> None:
    conf = next(histogram for histogram in take(patterns, "patterns").histograms if histogram.score.name == "conf")
    assert conf.score.mark == 0.3 and conf.passing(0.3) == conf.passing(0.75) == 8, "the box of `mined` has .75"
    with patterns.transaction() as cursor:
        project = projects.find(cursor, "patterns")
        assert project is not None and status.frames(cursor, project.id)["with_boxes"] == 8
        cursor.execute("UPDATE project SET plan = jsonb_set(plan, '{detect,params,conf}', '0.8')")
        cursor.execute("UPDATE project SET config = jsonb_set(config, '{detect,conf}', '0.8')")
        assert status.frames(cursor, project.id)["with_boxes"] == 0 == conf.passing(0.8)
    missed = next(drop.nearest for drop in take(patterns, "patterns").dropped if drop.reason == "no_detection")
    assert [distance for _, distance in missed] == [pytest.approx(0.05)] * 8 + [None] * 6, "nothing found comes last"


@pytest.mark.parametrize("name", ["positive", "negative", "margin", "junk", "junk_margin"])
def test_what_would_pass_elsewhere_is_what_a_run_there_passes(patterns: Ledger, found: Findings, name: str) -> None:
    histogram = next(histogram for histogram in found.histograms if histogram.score.name == name)
    foretold = {edge: histogram.passing(edge) for edge in histogram.edges if 0 <= edge <= 1}
    came = {}
    for edge in foretold:
        with patterns.transaction() as cursor:
            judge(cursor, found.project, {name: edge})
        came[edge] = passed(patterns)
    assert foretold == came and len(set(came.values())) > 2


def test_quality_charts_foretell_good_frames(patterns: Ledger, found: Findings) -> None:
    sharpness = next(histogram for histogram in found.histograms if histogram.score.name == "sharpness")
    for edge in sharpness.edges[1:-1:3]:
        with patterns.transaction() as cursor:
            judge(cursor, found.project, {"min_sharpness": edge})
            good = status.frames(cursor, found.project.id)["good"]
        assert sharpness.passing(edge) == good


def test_examples_lie_in_their_bin_and_no_frame_is_counted_twice(found: Findings) -> None:
    for histogram in found.histograms:
        if histogram.score.name == "conf":
            continue
        assert sum(found_bin.frames for found_bin in histogram.bins) == 21
        for found_bin in histogram.bins:
            assert len(found_bin.examples) == min(8, found_bin.frames)
            low, high = [-1e9, *histogram.edges][found_bin.number], [*histogram.edges, 1e9][found_bin.number]
            for key in found_bin.examples:
                assert low - 1e-6 <= value_of(found.rows[key], histogram.score.name) <= high + 1e-6


def test_drops_come_with_the_least_distance_first(found: Findings) -> None:
    drops = {drop.reason: drop for drop in found.dropped}
    assert {"no_match", "negative", "thin_margin"} <= set(drops)
    for reason in ("no_match", "negative", "junk", "thin_margin"):
        if reason in drops:
            distances = [distance for _, distance in drops[reason].nearest]
            assert len(distances) == drops[reason].count
            assert distances == sorted(distances) and distances[0] is not None and distances[0] >= -1e-6
    missed = [found.rows[key].positive for key, _ in drops["no_match"].nearest]
    assert missed == sorted(missed, reverse=True)


def test_the_same_state_gives_the_same_bytes_and_no_path_of_this_machine(
    patterns: Ledger, place: Place, tmp_path: Path
) -> None:
    score_frames(patterns)
    one = report_of(patterns, place, tmp_path / "a" / "report.html", is_dated=False, version="v1")
    two = report_of(patterns, place, tmp_path / "b.html", is_dated=False, version="v1")
    assert one == two and "report of v1" in one
    assert str(place.folder) not in one and str(tmp_path) not in one and "film0" in one
    assert "next try" not in one and "next try" in report_of(patterns, place, tmp_path / "c.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b.html", "c.html"], "nothing unfinished is left"


def test_a_page_stops_taking_pictures_when_it_is_full_and_says_so(
    patterns: Ledger, place: Place, tmp_path: Path
) -> None:
    whole = report_of(patterns, place, tmp_path / "whole.html")
    everything = pictures_in(whole)
    budget_bytes = sum(map(len, everything)) // 2
    page = report_of(patterns, place, tmp_path / "half.html", budget_bytes=budget_bytes)
    shown = pictures_in(page)
    assert 0 < sum(map(len, shown)) <= budget_bytes and "more pictures would not fit" in page
    assert len(everything) > 12 and "would not fit" not in whole
    assert page.count('class="none"') > 0 == whole.count('class="none"')


def test_a_page_with_much_text_gives_up_pictures_to_stay_below_the_limit(
    patterns: Ledger, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = report_of(patterns, place, tmp_path / "whole.html")
    limit_bytes = len(whole.encode()) - sum(map(len, pictures_in(whole))) // 3
    monkeypatch.setattr("data_miner.report.page.LIMIT_BYTES", limit_bytes)
    page = report_of(patterns, place, tmp_path / "report.html")
    assert len(page.encode()) <= limit_bytes and "more pictures would not fit" in page
    places = {int(number) for number in re.findall(r'data-picture="(\d+)"', page)}
    assert places == set(range(len(pictures_in(page)))), "no place without its picture, no picture without a place"


def test_pictures_of_what_a_person_rejected_or_an_owner_withdrew_are_not_shown(
    patterns: Ledger, place: Place, tmp_path: Path
) -> None:
    project, before = project_of(patterns), report_of(patterns, place, tmp_path / "before.html")
    with patterns.transaction() as cursor:
        keys = cursor.execute(
            "SELECT video_id, pts_ms FROM project_segment JOIN frame USING (segment_id) ORDER BY 1, 2"
        )
        names = {image_name(row.video_id, row.pts_ms): row for row in keys}
        shown = [row for name, row in names.items() if name in before]
        rejected, withdrawn = shown[0], shown[-1]
        cursor.execute(
            "INSERT INTO rejection (project_id, video_id, pts_ms) VALUES (%s, %s, %s)", (project.id, *rejected)
        )
        cursor.execute("INSERT INTO forgotten (video_id, receipt) VALUES (%s, 'receipt.json')", (withdrawn.video_id,))
        judge(cursor, project, {})
    page = report_of(patterns, place, tmp_path / "report.html")
    hidden = {name for name, row in names.items() if row.video_id == withdrawn.video_id or row == rejected}
    assert rejected.video_id != withdrawn.video_id and len(hidden) == 8
    left = {name for name in names if name in page}
    assert left and not left & hidden and len(pictures_in(page)) == len(left)
    assert "<b>rejected</b>" in page and "Counted, not shown." in page


def test_pixels_that_were_collected_leave_a_place(patterns: Ledger, place: Place, tmp_path: Path) -> None:
    with patterns.transaction() as cursor:
        cursor.execute("UPDATE segment SET shard = NULL WHERE id = (SELECT min(id) FROM segment)")
        cursor.execute("UPDATE segment SET shard = 'shards/nowhere.tar' WHERE id = (SELECT max(id) FROM segment)")
    page = report_of(patterns, place, tmp_path / "report.html")
    assert len(pictures_in(page)) == 7 and "14 pictures are not in the store any more" in page


def test_boxes_of_a_person_look_different(patterns: Ledger, place: Place, tmp_path: Path) -> None:
    project = project_of(patterns)
    with patterns.transaction() as cursor:
        kept = cursor.execute(
            """SELECT ps.video_id, pf.pts_ms
               FROM project_frame pf JOIN project_segment ps USING (project_id, segment_id)
               WHERE pf.is_kept AND pf.pts_ms / 1000 %% 2 = 1 ORDER BY 1, 2 LIMIT 1""",
            (),
        ).fetchone()
        cursor.execute(
            "INSERT INTO human_label (project_id, video_id, pts_ms) VALUES (%s, %s, %s)", (project.id, *kept)
        )
        cursor.execute(
            "INSERT INTO human_box VALUES (%s, %s, %s, 0, 'thing', 0.25, 0.25, 0.75, 0.75)", (project.id, *kept)
        )
    page = report_of(patterns, place, tmp_path / "report.html")
    assert page.count('<rect class="human" x="80.0" y="48.0" width="160.0" height="96.0"/>') == 1
    assert "box of a person" in page and "thing by hand" in page and page.count('<rect class="machine"') >= 8


def test_what_the_web_says_is_text(patterns: Ledger, place: Place, tmp_path: Path) -> None:
    with patterns.transaction() as cursor:
        cursor.execute(
            """UPDATE video SET title = '</script><img src=x onerror=alert(1)>"''', url = 'javascript:alert(2)'"""
        )
        cursor.execute("UPDATE project SET config = jsonb_set(config, '{description}', '\"<b>bold</b>\"')")
    page = report_of(patterns, place, tmp_path / "report.html")
    assert "<img src=x" not in page and "&lt;img src=x" in page and "<b>bold" not in page
    assert 'href="javascript' not in page


def test_a_project_without_a_frame_has_a_page_that_says_so(
    database: Ledger, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_miner.cli.preparation import load, registration
    from data_miner.config.sites import load_sites
    from pipelines.mine import PIPELINE

    monkeypatch.chdir(place.folder)
    name, config = load(str(place.file), place.settings, (), None)
    with database.transaction() as cursor:
        projects.register(cursor, registration(name, config, PIPELINE, place.settings), load_sites(place.settings))
    page = report_of(database, place, tmp_path / "report.html")
    assert "Nothing is mined yet" in page and "data-miner run -p patterns" in page and pictures_in(page) == []
    assert "No frame has a score yet." in page and "No frame was dropped." in page


def test_a_site_that_nothing_came_from_is_no_trouble(patterns: Ledger, place: Place, tmp_path: Path) -> None:
    with patterns.transaction() as cursor:  # its slots are at -infinity, as the schema has it
        cursor.execute("INSERT INTO site VALUES ('never.example', 20, 40, 1, NULL, 3600)")
        cursor.execute("UPDATE source SET site = 'never.example'")
    assert [site.name for site in take(patterns, "patterns").sites] == ["never.example"]
    assert "<html" in report_of(patterns, place, tmp_path / "report.html")


def test_a_sheet_shows_chosen_frames_in_their_order(patterns: Ledger, place: Place, tmp_path: Path) -> None:
    with patterns.transaction() as cursor:
        rows = cursor.execute("SELECT segment_id, pts_ms FROM frame ORDER BY pts_ms DESC, segment_id").fetchall()
    frames = [SheetFrame(row.segment_id, row.pts_ms, f"number {i}", "<i>") for i, row in enumerate(rows)]
    groups = [SheetGroup("Enter", frames[:5], "lowest first"), SheetGroup("Leave", [])]
    project, path = project_of(patterns), tmp_path / "plan.html"
    size_bytes = write_sheet(patterns, project, Store(place.settings.store), path, "positive 0.3 → 0.24", groups)
    page = path.read_text()
    assert size_bytes == path.stat().st_size and len(pictures_in(page)) == 5
    assert re.findall(r">(number \d)</span>", page) == [f"number {i}" for i in range(5)]
    assert "lowest first" in page and "No frame to show." in page and "<i></span>" not in page


def test_the_command_says_where_the_page_is(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["report", "-p", "patterns"]) == 0
    path = tmp_path / "data" / "reports" / "patterns.html"
    assert capsys.readouterr().out == f"{path.as_uri()}\n" and path.read_text().startswith("<!doctype html>")
    assert run(["report", "-p", "patterns", "--out", str(tmp_path / "deep" / "r.html")]) == 0
    assert (tmp_path / "deep" / "r.html").is_file()


def test_a_place_that_cannot_be_written_is_one_line(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for target, said in ((tmp_path, "a folder"), (tmp_path / "file" / "r.html", "cannot be written")):
        assert run(["report", "-p", "patterns", "--out", str(target)]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert run(["report", "-p", "pattern"]) == 2 and "did you mean patterns?" in capsys.readouterr().err
