"""Votes of several detectors: held against the rules by brute force, and against any order of the boxes."""

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_miner.models.roles import KINDS
from data_miner.models.voting import Found, Voted, floor_of, iou_matrix, vote
from data_miner.records import Box

LABELS = ("door", "person", "bag")


def box(label: str, score: float, *xyxy: float, prompt: str = "") -> Box:
    return Box(label, score, (xyxy[0], xyxy[1], xyxy[2], xyxy[3]), prompt)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, once more."""
    width = min(one.xyxy[2], other.xyxy[2]) - max(one.xyxy[0], other.xyxy[0])
    height = min(one.xyxy[3], other.xyxy[3]) - max(one.xyxy[1], other.xyxy[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(b.xyxy[2] - b.xyxy[0]) * (b.xyxy[3] - b.xyxy[1]) for b in (one, other)]
    return width * height / (sum(areas) - width * height)


def test_an_object_that_two_models_see_beats_a_surer_one_that_a_third_sees() -> None:
    voted = vote(
        [
            Found("trusted", 0.25, [box("door", 0.30, 0, 0, 100, 100)]),
            Found("second", 0.25, [box("door", 0.40, 2, 0, 100, 100), box("door", 0.95, 300, 0, 400, 100)]),
            Found("third", 0.25, [box("door", 0.35, 0, 2, 100, 100)]),
        ]
    )
    assert [(one.model, one.agreement, one.box.score) for one in voted] == [("trusted", 3, 0.30), ("second", 1, 0.95)]


def test_agreement_is_counted_before_boxes_are_merged() -> None:
    """The middle box overlaps both others enough, they not each other: it is seen three times and stands for all."""
    left, middle, right = ([0, 0, 100, 100], [12, 0, 112, 100], [24, 0, 124, 100])
    found = [Found(name, 0, [box("door", 0.5, *xyxy)]) for name, xyxy in (("a", left), ("b", middle), ("c", right))]
    assert [(one.model, one.agreement) for one in vote(found)] == [("b", 3)]


def test_many_boxes_of_one_model_are_one_voice() -> None:
    boxes = [box("door", 0.5 + k / 100, k, 0, 100 + k, 100) for k in range(10)]
    voted = vote([Found("a", 0, boxes), Found("b", 0, [])])
    assert {one.agreement for one in voted} == {1} and len(voted) == 1 and voted[0].box == boxes[-1]


def test_a_box_below_its_models_floor_has_no_voice() -> None:
    xyxy = (0, 0, 10, 10)
    low, high = Found("sam3", 0.5, [box("door", 0.49, *xyxy)]), Found("yolo", 0.25, [box("door", 0.25, *xyxy)])
    assert [(one.model, one.agreement) for one in vote([low, high])] == [("yolo", 1)]


def test_of_two_classes_in_one_place_the_better_stands_unless_they_may_overlap() -> None:
    found = [
        Found(
            "a",
            0,
            [box("person", 0.9, 0, 0, 100, 100), box("bag", 0.8, 0, 0, 100, 60), box("door", 0.7, 0, 0, 100, 90)],
        )
    ]
    assert [one.box.label for one in vote(found)] == ["person"]
    assert [one.box.label for one in vote(found, may_overlap=[frozenset(("bag", "person"))])] == ["person", "bag"]


def test_a_class_keeps_its_best_boxes_only() -> None:
    boxes = [box("door", 0.3 + k / 1000, 20 * k, 0, 20 * k + 10, 10) for k in range(40)]
    voted = vote([Found("a", 0, boxes)])
    assert [one.box for one in voted] == boxes[:9:-1]
    assert len(vote([Found("a", 0, boxes)], most_per_class=3)) == 3


def test_nothing_found_is_nothing_voted() -> None:
    assert vote([]) == vote([Found("a", 0, [])]) == []


def test_boxes_without_area_stand_for_themselves() -> None:
    assert [one.agreement for one in vote([Found("a", 0, [box("door", 0.5, 5, 5, 5, 5)] * 2)])] == [1, 1]


@pytest.mark.parametrize(
    ("kind", "floor"), [("grounding-dino", 0.35), ("mm-grounding-dino", 0.35), ("yolo-world", 0.25), ("owlv2", 0.25)]
)
def test_every_kind_of_detector_has_its_floor(kind: str, floor: float) -> None:
    assert kind in KINDS and floor_of(kind) == floor


places = st.integers(0, 6)
boxes = st.builds(
    lambda label, score, x, y, width, height: box(label, score / 20, x, y, x + width, y + height),
    st.sampled_from(LABELS),
    st.integers(0, 20),
    places,
    places,
    places,
    places,
)
detectors = st.lists(st.tuples(st.sampled_from((0.0, 0.25, 0.5)), st.lists(boxes, max_size=8)), max_size=4)


def found_by(seen: list[tuple[float, list[Box]]]) -> list[Found]:
    return [Found(f"model {rank}", floor, own) for rank, (floor, own) in enumerate(seen)]


def rank_of(one: Voted) -> tuple[int, str, float]:
    return -one.agreement, one.model, -one.box.score


@given(detectors, st.integers(1, 3), st.sampled_from([frozenset(pair) for pair in itertools.combinations(LABELS, 2)]))
@settings(max_examples=150, deadline=None)
def test_votes_keep_every_rule(seen: list[tuple[float, list[Box]]], most: int, pair: frozenset[str]) -> None:
    found = found_by(seen)
    voted = vote(found, may_overlap=[pair], most_per_class=most)
    valid = [(one.model, candidate) for one in found for candidate in one.boxes if candidate.score >= one.floor]
    assert not Counter((one.model, one.box) for one in voted) - Counter(valid)
    for one in voted:
        seen_by = {model for model, b in valid if b.label == one.box.label and overlap(b, one.box) >= 0.7}
        assert one.agreement == len(seen_by | {one.model})
    for one, other in itertools.combinations(voted, 2):
        limit = 0.7 if one.box.label == other.box.label else 0.5
        assert overlap(one.box, other.box) < limit or {one.box.label, other.box.label} == pair
    assert all(count <= most for count in Counter(one.box.label for one in voted).values())
    assert [rank_of(one) for one in voted] == sorted(rank_of(one) for one in voted)
    assert bool(voted) == bool(valid)


@given(detectors)
@settings(max_examples=100, deadline=None)
def test_every_box_that_is_gone_had_a_better_one_in_its_place(seen: list[tuple[float, list[Box]]]) -> None:
    found = found_by(seen)
    voted = vote(found, cross_iou=1.1, most_per_class=99)
    for model in found:
        for candidate in model.boxes:
            if candidate.score >= model.floor and candidate not in [one.box for one in voted]:
                assert any(one.box.label == candidate.label and overlap(one.box, candidate) >= 0.7 for one in voted), (
                    candidate
                )


@given(detectors, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_a_models_boxes_does_not_matter(
    seen: list[tuple[float, list[Box]]], chance: random.Random
) -> None:
    turned = [(floor, chance.sample(own, len(own))) for floor, own in seen]
    assert vote(found_by(turned)) == vote(found_by(seen))


@given(st.lists(boxes, max_size=8))
@settings(max_examples=50, deadline=None)
def test_overlaps_are_those_of_the_definition(some: list[Box]) -> None:
    matrix = iou_matrix(some)
    assert matrix.shape == (len(some), len(some))
    for i, j in itertools.product(range(len(some)), repeat=2):
        assert matrix[i, j] == pytest.approx(overlap(some[i], some[j]))
