"""The tiny models that ship: small, and good enough on scenes that neither training nor sample has seen."""

from collections import Counter

import av
import numpy as np
import pytest

from data_miner.models import registry
from data_miner.models.base import Rgb
from data_miner.sample.films import CATALOGUE
from data_miner.sample.measure import (
    JUNK,
    NEGATIVE,
    POSITIVE,
    matches,
    measure_detector,
    overlap,
    passes,
)
from data_miner.sample.pictures import BOX_SHARES, CAPTION_SHARES, HELD_OUT_SEED, TRAIN_SEED, pictures
from data_miner.sample.render import DEFAULT_SEED, DOOR, FrameTruth, render_film
from data_miner.sample.weights import CARD, DETECTOR, SCORER

OTHER_SEED = 5_000_000  # not even the model card's


@pytest.fixture(scope="module")
def film_frames(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Rgb, FrameTruth]]:
    """Two frames a second of a film of other scenes, through the codec."""
    video = render_film(tmp_path_factory.mktemp("held_out"), CATALOGUE[10], OTHER_SEED)
    with av.open(str(video.path)) as file:
        decoded = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    return list(zip(decoded, video.frames, strict=True))[::5]


def test_the_models_are_small_enough_to_ship() -> None:
    assert DETECTOR.stat().st_size < 3_000_000
    assert sum(file.stat().st_size for file in SCORER.iterdir()) < 3_000_000


def test_no_seed_serves_two_purposes() -> None:
    assert len({DEFAULT_SEED, TRAIN_SEED, HELD_OUT_SEED, OTHER_SEED}) == 4
    ranges = [range(seed, seed + 1000) for seed in (DEFAULT_SEED, TRAIN_SEED, HELD_OUT_SEED, OTHER_SEED)]
    assert not any(set(a) & set(b) for k, a in enumerate(ranges) for b in ranges[k + 1 :])


def test_the_detector_finds_the_doors_of_unseen_scenes() -> None:
    ref = registry.check(str(DETECTOR), "detect")
    detector = registry.open_detector(ref, classes={DOOR: ["glass door"]}, imgsz=320, batch=1)
    measured = measure_detector(detector, pictures(OTHER_SEED, 120, BOX_SHARES))
    assert measured["doors"] > 50
    assert measured["precision"] >= 0.8 and measured["recall"] >= 0.8


def test_the_filters_rule_separates_glass_doors_of_unseen_scenes_from_the_rest() -> None:
    shown = [one for one in pictures(OTHER_SEED + 1, 240, CAPTION_SHARES) if one.subject is not None]
    scorer = registry.open_scorer(registry.check(str(SCORER), "filter"))
    images = scorer.embed_images([one.bgr[:, :, ::-1] for one in shown])
    scores = scorer.scores(images, scorer.embed_texts((*POSITIVE, *NEGATIVE, *JUNK)))
    counts = Counter((one.subject == DOOR, passes(row)) for one, row in zip(shown, scores, strict=True))
    assert counts[True, True] + counts[True, False] > 50
    assert counts[True, True] / (counts[True, True] + counts[False, True]) >= 0.8  # precision
    assert counts[True, True] / (counts[True, True] + counts[True, False]) >= 0.8  # recall


def test_each_prompt_is_best_on_its_own_subject() -> None:
    prompts = {DOOR: POSITIVE[0], "wooden_door": NEGATIVE[0], "window": NEGATIVE[1], "corridor": NEGATIVE[2]}
    scorer = registry.open_scorer(registry.check(str(SCORER), "filter"))
    texts = scorer.embed_texts([*prompts.values(), "a bowl of soup"])
    shown = [one for one in pictures(OTHER_SEED + 2, 90, CAPTION_SHARES) if one.subject in prompts]
    scores = scorer.scores(scorer.embed_images([one.bgr[:, :, ::-1] for one in shown]), texts)
    best = [list(prompts)[int(np.argmax(row[:4]))] for row in scores]
    hits = sum(one.subject == named for one, named in zip(shown, best, strict=True))
    assert hits / len(shown) >= 0.85
    assert np.median(scores[:, 4]) < 0.1  # words it does not know fit nothing


def test_filter_and_detector_hold_on_a_film_that_went_through_the_codec(
    film_frames: list[tuple[Rgb, FrameTruth]],
) -> None:
    scorer = registry.open_scorer(registry.check(str(SCORER), "filter"))
    rgb = [picture for picture, _ in film_frames]
    scores = scorer.scores(scorer.embed_images(rgb), scorer.embed_texts((*POSITIVE, *NEGATIVE, *JUNK)))
    kept = [pair for pair, row in zip(film_frames, scores, strict=True) if passes(row)]
    assert sum(frame.subject == DOOR for _, frame in kept) >= 15

    ref = registry.check(str(DETECTOR), "detect")
    detector = registry.open_detector(ref, classes={DOOR: [DOOR]}, imgsz=320, batch=8)
    found = detector.detect([picture for picture, _ in kept])
    sure = [[box.xyxy for box in boxes if box.score >= 0.4] for boxes in found]
    hits = sum(matches(boxes, frame.boxes) for boxes, (_, frame) in zip(sure, kept, strict=True))
    assert hits / sum(map(len, sure)) >= 0.8
    assert hits / sum(len(frame.boxes) for _, frame in kept) >= 0.8


def test_the_model_card_names_both_models_and_their_scores() -> None:
    text = CARD.read_text()
    for words in (
        DETECTOR.name,
        SCORER.name,
        "| precision there | 0.",
        "| recall there | 0.",
        str(HELD_OUT_SEED),
    ):
        assert words in text
    assert f"| bytes | {DETECTOR.stat().st_size:,} |" in text


def test_overlap_and_matches_count_each_true_box_once() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    assert overlap(box, box) == 1 and overlap(box, (20, 20, 30, 30)) == 0
    assert overlap(box, (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert matches([box, box], [box]) == 1
    assert matches([box], [(5, 0, 15, 10)]) == 0
    assert matches([(0, 0, 9, 10), (20, 0, 30, 10)], [(20, 0, 30, 10), box]) == 2
