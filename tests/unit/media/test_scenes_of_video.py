"""Scenes: the rule on grey levels, and on rendered shots joined in known ways."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data_miner.media.container import opened_video
from data_miner.media.decoding import Decoder
from data_miner.media.probe import probe
from data_miner.media.reader import Picture, SegmentReader
from data_miner.media.sampling import Cut, Sampling, cut_segments
from data_miner.media.scenes import LONGEST_S, MIN_SCENE_S, REACH_S, Scene, SmallPictures, scenes_of
from data_miner.sample.films import Shot
from data_miner.sample.render import shoot
from data_miner.sample.scenes import KINDS
from tests.support.videos import cut_off, write_video

THRESHOLD = 27.0
SCENE = Sampling("scene", scene_threshold=THRESHOLD)
FRAME_MS = 40
Seen = tuple[Fraction, NDArray[np.uint8]]


def grey(level: int) -> NDArray[np.uint8]:
    """ContentDetector compares hue, saturation and value: grey of another level by d differs by d / 3."""
    return np.full((4, 4, 3), level, np.uint8)


def stream(levels: list[int], pts_ms: list[int] | None = None) -> list[Seen]:
    times = pts_ms or [FRAME_MS * i for i in range(len(levels))]
    return [(Fraction(ms, 1000), grey(level)) for ms, level in zip(times, levels, strict=True)]


def begins(levels: list[int]) -> list[int]:
    """The frames at which scenes begin."""
    found = scenes_of(stream(levels), THRESHOLD, 0, 10**9)
    return [round(scene.start_s * 1000) // FRAME_MS for scene in found]


def test_a_scene_begins_with_the_video_and_where_the_picture_changes() -> None:
    assert begins([0] * 40 + [100] * 40 + [200] * 40) == [0, 40, 80]
    assert begins([0] * 40 + [80] * 40) == [0], "80 grey levels are 26.7, just below"
    assert begins([0] * 40 + [81] * 40) == [0, 40], "81 are 27"


def test_a_change_from_frame_to_frame_counts_and_a_slow_one_does_not() -> None:
    assert begins([*range(0, 250, 10)] + [250] * 40) == [0]


@pytest.mark.parametrize("flash", [[255], [255, 255, 255], [90, 180, 255, 180, 90], [255, 200, 140, 80, 60, 30]])
def test_a_flash_begins_no_scene(flash: list[int]) -> None:
    assert begins([0] * 40 + flash + [0] * 40) == [0]


def test_a_flash_beside_a_cut_leaves_the_cut() -> None:
    assert begins([0] * 40 + [255] * 2 + [0] * 5 + [150] * 40) == [0, 47]
    assert begins([0] * 40 + [150] * 5 + [255] * 2 + [150] * 40) == [0, 40]


def test_a_strobe_is_one_scene() -> None:
    assert begins([0] * 40 + [0, 255] * 60 + [0] * 40) == [0]


def test_of_changes_that_are_too_near_the_greatest_counts() -> None:
    assert begins([0] * 40 + [100] * 5 + [250] * 40) == [0, 45]
    assert begins([0] * 40 + [150] * 5 + [240] * 40) == [0, 40]
    assert begins([0] * 40 + [120] * 5 + [240] * 40) == [0, 40], "of equal ones the first"
    assert begins([0] * 5 + [240] * 40) == [0], "and before all the beginning of the video"


def test_scenes_of_the_least_length_all_count() -> None:
    least = int(MIN_SCENE_S * 1000) // FRAME_MS
    assert begins([0] * least + [100] * least + [0] * least + [240] * least) == [0, least, 2 * least, 3 * least]


def test_a_long_scene_is_judged_by_its_first_minute() -> None:
    taken: list[Fraction] = []

    def endless() -> Iterator[Seen]:
        for k in range(10**6):
            taken.append(Fraction(k, 2))
            yield taken[-1], grey(0)

    (scene,) = scenes_of(endless(), THRESHOLD, 0, 10_000)
    assert scene.middle_s == LONGEST_S / 2
    assert taken[-1] <= LONGEST_S + REACH_S + 1


def test_a_segment_where_no_scene_begins_looks_no_further() -> None:
    frames = iter(stream([0] * 1000))
    assert list(scenes_of(frames, THRESHOLD, 2_000, 10_000)) == []
    assert next(frames)[0] <= 10 + REACH_S + Fraction(2 * FRAME_MS, 1000)


gaps = st.sampled_from([1, 7, 40, 41, 100, 300, 599, 600, 601, 2000])
steps = st.tuples(gaps, st.sampled_from([0, 0, 0, 3, 81, 85, 120, 240]))


def scenes_in_pieces(frames: list[Seen], length_ms: int) -> list[Scene]:
    """What segments find that begin to decode as late as they may."""
    found, end_ms = list[Scene](), int(frames[-1][0] * 1000) + 1
    for start_ms in range(int(frames[0][0] * 1000), end_ms, length_ms):
        before = [k for k, (pts_s, _) in enumerate(frames) if pts_s < Fraction(start_ms, 1000) - REACH_S]
        found += scenes_of(frames[before[-1] if before else 0 :], THRESHOLD, start_ms, start_ms + length_ms)
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=1, max_size=60), st.integers(50, 5000), st.integers(0, 5000))
def test_pieces_find_the_scenes_of_the_whole(moves: list[tuple[int, int]], length_ms: int, first_ms: int) -> None:
    times = first_ms + np.cumsum([gap for gap, _ in moves])
    levels = np.cumsum([step for _, step in moves]) % 256
    frames = stream(levels.tolist(), times.tolist())
    whole = list(scenes_of(frames, THRESHOLD, 0, 10**9))
    assert scenes_in_pieces(frames, length_ms) == whole
    assert whole[0].start_s == frames[0][0]
    for scene in whole:
        taken = next(pts_s for pts_s, _ in frames if pts_s >= scene.middle_s)
        later = [other.start_s for other in whole if other.start_s > scene.start_s]
        assert scene.start_s <= taken < min(later, default=Fraction(10**6))


def test_scores_are_those_that_pyscenedetect_writes_down() -> None:
    from scenedetect import ContentDetector, FrameTimecode, StatsManager

    from data_miner.media.scenes import _scorer

    random, detector, score_of = np.random.default_rng(5), ContentDetector(), _scorer()
    detector.stats_manager = StatsManager()
    for number in range(5):
        rgb = random.integers(0, 256, (36, 64, 3), np.uint8)
        time = FrameTimecode(number, 25.0)
        detector.process_frame(time, rgb)
        score = score_of(rgb)
        if number:
            assert score == detector.stats_manager.get_metrics(time, ["content_val"])[0]


FLASH = 3  # every third shot has one


def take(number: int) -> list[NDArray[np.uint8]]:
    """1.2 to 2 s of a rendered shot of 8, 10 frames a second: pans, pushes and still ones, some with people."""
    kind, move = KINDS[number % len(KINDS)], ("pan", "hold", "push")[number % 3]
    pictures = islice(shoot(Shot(kind, 8, 2000 + number, move, people=number % 4 == 0), seed=9), 12 + number % 9)
    shot = [np.ascontiguousarray(bgr[::2, ::2, ::-1]) for bgr, _, _ in pictures]
    if number % FLASH == 0:
        shot[7] = (shot[7] // 8 + 220).astype(np.uint8)
    return shot


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """40 shots, hard cuts between them, 14 flashes; and the times at which the shots begin."""
    shots = [take(number) for number in range(40)]
    pictures = [rgb for shot in shots for rgb in shot]
    starts = np.cumsum([0] + [len(shot) for shot in shots[:-1]]) * 100
    height, width = pictures[0].shape[:2]
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    options: dict[str, Any] = {"gop": 40, "codec_options": {"preset": "veryfast", "crf": "25"}}
    write_video(path, [100 * i for i in range(len(pictures))], size=(width, height), pictures=pictures, **options)
    return path, starts.tolist()


def read(
    path: Path, segment_ms: int = 600_000, max_frames: int | None = None, **options: Any
) -> tuple[list[Picture], list[SegmentReader]]:
    media = probe(path)
    cuts = cut_segments(media.first_pts_ms, media.duration_ms, SCENE, segment_ms, max_frames)
    readers = [SegmentReader(path, SCENE, cut, media.first_pts_ms, max_side=128, **options) for cut in cuts]
    return [picture for reader in readers for picture in reader], readers


def times(pictures: list[Picture]) -> list[int]:
    return [picture.pts_ms for picture in pictures]


def test_hard_cuts_of_rendered_shots_are_found_and_flashes_are_not(film: tuple[Path, list[int]]) -> None:
    path, starts = film
    small = SmallPictures()
    with opened_video(path) as (container, video):
        frames = [(pts_s, small.of(frame)) for pts_s, frame in Decoder(container, video).frames()]
    found = {round(scene.start_s * 1000) for scene in scenes_of(frames, THRESHOLD, 0, 10**9)} - {0}
    cuts = set(starts) - {0}
    assert len(cuts) == 39
    assert len(found & cuts) / len(cuts) >= 0.95
    assert len(found & cuts) / len(found) >= 0.95


@pytest.mark.parametrize("segment_ms", [2600, 7777])
def test_segments_of_a_film_give_the_pictures_of_one_piece(film: tuple[Path, list[int]], segment_ms: int) -> None:
    whole, _ = read(film[0])
    pieces, readers = read(film[0], segment_ms, threads=2)
    assert len(readers) >= 7
    assert times(pieces) == times(whole)
    assert all(np.array_equal(left.rgb, right.rgb) for left, right in zip(whole, pieces, strict=True))


def test_scenes_are_thinned_evenly(film: tuple[Path, list[int]]) -> None:
    all_of_them = times(read(film[0])[0])
    pictures, (reader,) = read(film[0], max_frames=4)
    assert times(pictures) == [all_of_them[i * len(all_of_them) // 4] for i in range(4)]
    assert reader.dropped_max_frames == len(all_of_them) - 4


def plain(levels: list[int]) -> list[NDArray[np.uint8]]:
    return [np.full((128, 192, 3), level, np.uint8) for level in levels]


FOUR_SHOTS = [20] * 50 + [120] * 50 + [220] * 50 + [70] * 50


def test_scenes_before_a_break_are_kept(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [40 * i for i in range(200)], pictures=plain(FOUR_SHOTS))
    whole = times(read(path)[0])
    assert whole == [1000, 3000, 5000, 7000]
    cut_off(path, 0.7)
    pictures, (reader,) = read(path)
    assert reader.truncated
    assert 2 <= len(pictures) <= 4
    assert times(pictures)[:-1] == whole[: len(pictures) - 1]
    assert whole[len(pictures) - 1] - 1000 <= pictures[-1].pts_ms < whole[len(pictures) - 1], "half of what is left"


def test_the_true_times_of_a_late_and_uneven_video_count(tmp_path: Path) -> None:
    early, late = [5000 + 10 * i for i in range(100)], [6000 + 400 * i for i in range(20)]
    path = write_video(tmp_path / "a.mkv", early + late, pictures=plain([20] * 100 + [200] * 20))
    assert times(read(path)[0]) == [5500, 10_000]
    assert times(read(path, 900)[0]) == times(read(path)[0])


def test_a_video_without_a_change_gives_its_middle(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [40 * i for i in range(101)], pictures=plain([90] * 101))
    assert times(read(path)[0]) == [2000]
    pictures, readers = read(path, 500)
    assert times(pictures) == [2000]
    assert [len(list(reader)) for reader in readers] == [1] + [0] * 8


def test_a_video_of_one_frame_gives_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [0], pictures=plain([90]))
    assert times(read(path)[0]) == [0]


def test_a_picture_far_ahead_is_sought_and_is_the_same(tmp_path: Path) -> None:
    slowly = plain([20 + i // 2 for i in range(400)])
    path = write_video(tmp_path / "a.mp4", [200 * i for i in range(400)], gop=20, pictures=slowly)
    (picture,) = SegmentReader(path, SCENE, Cut(0, 1000), 0)
    (same,) = [
        other for other in SegmentReader(path, Sampling("interval"), Cut(0, 80_000), 0) if other.pts_ms == 30_000
    ]
    assert picture.pts_ms == 1000 * LONGEST_S / 2
    assert np.array_equal(picture.rgb, same.rgb)
    assert abs(int(picture.rgb[64, 96, 0]) - 95) <= 2


def test_there_are_signs_of_life_before_the_first_picture(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [40 * i for i in range(250)], pictures=plain([90] * 250))
    decoded: list[int] = []
    next(iter(SegmentReader(path, SCENE, Cut(0, 10_000), 0, beat=decoded.append)))
    assert decoded[:2] == [100, 200]
