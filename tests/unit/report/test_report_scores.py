"""Bins of a histogram: whatever the numbers, the mark is an edge and the bins are few."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from data_miner.config.schema import ProjectConfig
from data_miner.report.scores import Score, edges_of, scores_of, written

FILTERED = {"classes": ["door"], "filter": {"model": "m", "positive": ["a"], "negative": ["b"], "junk": ["c"]}}


@given(
    mark=st.floats(0, 1),
    low=st.floats(-1, 1, width=32),
    span=st.floats(0, 2, width=32),
)
def test_the_mark_is_exactly_an_edge_and_every_score_lies_between_edges(mark: float, low: float, span: float) -> None:
    score = Score("margin", "filter.thresholds.margin", "Margin", "", mark, True, True)
    edges = edges_of(score, low, low + span)
    assert mark in edges and len(edges) <= 45
    assert all(one < other for one, other in itertools.pairwise(edges))
    assert edges[0] <= low + 1e-5 and edges[-1] >= low + span - 1e-5


@given(mark=st.floats(0, 5000), low=st.floats(0, 100), span=st.floats(0, 1e6))
def test_bins_of_sharpness_grow_and_stay_few(mark: float, low: float, span: float) -> None:
    score = Score("sharpness", "filter.min_sharpness", "Sharpness", "", mark, True, False, True)
    edges = edges_of(score, low, low + span)
    assert mark in edges and len(edges) <= 25
    assert all(one < other for one, other in itertools.pairwise(edges))


def test_a_score_that_nobody_has_has_no_bins() -> None:
    score = Score("junk", "filter.thresholds.junk", "Junk", "", 0.3, False, False)
    assert edges_of(score, None, None) == []


def test_every_threshold_of_the_project_file_has_a_chart() -> None:
    config = ProjectConfig.model_validate(FILTERED)
    shown = [score.setting for score in scores_of(config, True)]
    assert [name for name in shown if name.startswith("filter.thresholds.")] == [
        f"filter.thresholds.{name}" for name in type(config.filter.thresholds).model_fields
    ]
    assert {"filter.min_sharpness", "filter.min_contrast", "detect.conf"} <= set(shown)
    assert not any("negative" in score.setting for score in scores_of(ProjectConfig(), False))


def test_values_read_as_in_the_project_file() -> None:
    assert [written(value) for value in (0.3, 0.1, 40.0, 62.5, 1250.0, -0.05, 0.0)] == [
        "0.3",
        "0.1",
        "40",
        "62.5",
        "1,250",
        "−0.05",
        "0",
    ]
