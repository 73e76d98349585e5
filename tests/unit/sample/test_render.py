"""Rendered films on disk: bytes, truth, reuse."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import av
import imagehash
import numpy as np
from PIL import Image

from data_miner.sample.films import CATALOGUE, Film, Shot
from data_miner.sample.render import DEFAULT_SEED, FPS, films, render_film, render_sample

SHORT = Film(
    "short",
    "A short film",
    "Two shots.",
    ("test",),
    "Nobody",
    "none",
    "20240101",
    (Shot("glass_door", 2, 1, people=True), Shot("window", 1, 2)),
)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def decoded(path: Path) -> list[tuple[int, np.ndarray]]:
    with av.open(str(path)) as file:
        return [(round(frame.time * 1000), frame.to_ndarray(format="gray")) for frame in file.decode(video=0)]


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    paths = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        paths.append(render_film(tmp_path / name, SHORT, seed).path)
    assert digest(paths[0]) == digest(paths[1]) != digest(paths[2])
    assert digest(paths[0].with_suffix(".json")) == digest(paths[1].with_suffix(".json"))


def test_truth_has_the_times_of_the_frames_on_disk(tmp_path: Path) -> None:
    video = render_film(tmp_path, SHORT, 3)
    assert [pts for pts, _ in video.truth] == [pts for pts, _ in decoded(video.path)]
    assert len(video.truth) == SHORT.seconds * FPS == video.duration_s * FPS
    assert any(boxes for _, boxes in video.truth[:20]) and not any(boxes for _, boxes in video.truth[20:])


def test_finished_films_are_reused_and_broken_ones_are_not(tmp_path: Path) -> None:
    first = render_film(tmp_path, SHORT, 3)
    stamp, whole = first.path.stat().st_mtime_ns, digest(first.path)
    assert render_film(tmp_path, SHORT, 3) == first
    assert first.path.stat().st_mtime_ns == stamp

    first.path.write_bytes(first.path.read_bytes()[:1000])
    render_film(tmp_path, SHORT, 3)
    assert digest(first.path) == whole

    first.path.with_suffix(".json").write_text("{")
    assert render_film(tmp_path, SHORT, 3).frames == first.frames
    assert render_film(tmp_path, replace(SHORT, title="Other"), 3).title == "Other"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["short.json", "short.mp4"]


def test_the_truth_beside_the_file_says_what_else_is_seen(tmp_path: Path) -> None:
    video = render_film(tmp_path, SHORT, 3)
    record = json.loads(video.path.with_suffix(".json").read_text())
    assert record["title"] == "A short film"
    assert any("window" in frame["others"] for frame in record["frames"][20:])


def hashes(folder: Path, *shots: Shot) -> list[imagehash.ImageHash]:
    """phash of a frame a second of a film cut from these shots."""
    video = render_film(folder, replace(SHORT, name=f"film_{shots[0].scene}", shots=shots), DEFAULT_SEED)
    return [imagehash.phash(Image.fromarray(luma)) for _, luma in decoded(video.path)[::FPS]]


def test_a_compilation_holds_near_duplicates_of_another_films_clip(tmp_path: Path) -> None:
    lobby, compilation = CATALOGUE[0].shots, CATALOGUE[4].shots
    (clip,) = set(lobby) & set(compilation)
    before = compilation[0]
    alone, within = hashes(tmp_path, clip), hashes(tmp_path, before, clip)[before.seconds :]
    assert len(alone) == len(within) == clip.seconds
    assert all(one - other <= 6 for one, other in zip(alone, within, strict=True))


def test_a_still_camera_gives_near_duplicates_and_other_scenes_none(tmp_path: Path) -> None:
    (still_shot,) = (shot for shot in CATALOGUE[2].shots if shot.move == "hold")
    still = hashes(tmp_path, still_shot)
    assert sum(min(one - other for other in still if other is not one) <= 6 for one in still) >= 20
    elsewhere = hashes(tmp_path, *(replace(shot, seconds=2) for film in CATALOGUE[3:6] for shot in film.shots))
    assert min(one - other for one in still for other in elsewhere) > 6


def test_the_catalogue_names_a_film_that_a_keyword_drops() -> None:
    assert sum("3d animation" in film.title for film in CATALOGUE) == 1
    assert len({film.name for film in CATALOGUE}) == len(CATALOGUE) == 12


def test_more_films_than_the_catalogue_are_new_scenes_under_new_names() -> None:
    chosen = list(films(25, DEFAULT_SEED))
    assert len({film.name for film, _ in chosen}) == 25
    assert chosen[12][1] != chosen[0][1] and chosen[12][0].title != chosen[0][0].title


def test_a_set_is_rendered_in_catalogue_order(tmp_path: Path) -> None:
    (video,) = render_sample(tmp_path, videos=1)
    assert (video.name, video.title) == (CATALOGUE[0].name, CATALOGUE[0].title)
    assert video.path == tmp_path / "office_lobby_tour.mp4" and video.path.is_file()
