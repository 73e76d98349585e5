"""The Ultralytics detector on real weights: boxes, batches, classes, and weights that must not be loaded."""

import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from data_miner.errors import ModelError
from data_miner.models import registry
from data_miner.models.base import Detector, Rgb
from data_miner.models.yolo import match_classes
from data_miner.records import Box
from data_miner.sample.pictures import pictures
from data_miner.sample.weights import DETECTOR
from tests.support.shared import shared

NAMES = {0: "person", 1: "wine_glass", 2: "Bottle"}
DOORS = {"glass_door": ["glass door"]}


def openvino(**settings: object) -> Detector:
    ref = registry.check("yolo11n_int8_openvino_model", "detect", [shared("models")])
    return registry.open_detector(ref, classes={"flask": ["bottle"]}, imgsz=960, **settings)  # type: ignore[arg-type]


def tiny(path: Path = DETECTOR, **settings: object) -> Detector:
    ref = registry.check(str(path), "detect")
    return registry.open_detector(ref, classes=DOORS, imgsz=320, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bottles() -> list[Rgb]:
    with av.open(str(shared("videos/bottle-detection.mp4"))) as file:
        return [frame.to_ndarray(format="rgb24") for k, frame in enumerate(file.decode(video=0)) if k % 30 == 0]


@pytest.fixture(scope="module")
def doors() -> list[Rgb]:
    return [one.bgr[:, :, ::-1] for one in pictures(3_000_000, 10, {"glass_door": 1.0})]


def same(one: list[list[Box]], other: list[list[Box]]) -> bool:
    """Equal to 1 px and .01 score, picture by picture; ranks of near-equal scores may swap."""

    def near(box: Box, boxes: list[Box]) -> bool:
        return any(
            abs(box.score - candidate.score) <= 0.01 and np.abs(np.subtract(box.xyxy, candidate.xyxy)).max() <= 1
            for candidate in boxes
        )

    pairs = [(a, b) for a, b in zip(one, other, strict=True)]
    return all(len(a) == len(b) and all(near(box, b) for box in a) for a, b in pairs)


def test_an_openvino_folder_finds_the_bottles_of_the_real_video(bottles: list[Rgb]) -> None:
    found = openvino(batch=8, threads=2).detect(bottles)
    sure = [box for boxes in found for box in boxes if box.score >= 0.4]
    assert len(bottles) == 40 and 87 <= len(sure) <= 107
    assert {(box.label, box.prompt) for box in sure} == {("flask", "bottle")}
    assert all(0 <= box.xyxy[0] < box.xyxy[2] <= 640 and 0 <= box.xyxy[1] < box.xyxy[3] <= 360 for box in sure)


def test_boxes_do_not_depend_on_the_batch(doors: list[Rgb], bottles: list[Rgb]) -> None:
    one_by_one = tiny(batch=1).detect(doors)
    assert sum(map(len, one_by_one)) >= 10
    for batch in (3, 10):
        assert same(tiny(batch=batch).detect(doors), one_by_one)
    detector = openvino(batch=4)
    assert same(detector.detect(bottles[:6]), [detector.detect([picture])[0] for picture in bottles[:6]])


def test_colours_reach_the_model_in_their_order(doors: list[Rgb]) -> None:
    """Ultralytics wants bgr, we hand rgb: an independent forward pass of the network says which was meant."""
    import torch

    from data_miner.models.yolo import import_ultralytics

    picture = np.ascontiguousarray(doors[0])
    network = import_ultralytics().YOLO(str(DETECTOR)).model.float().eval()
    padded = np.asarray(
        torch.nn.functional.interpolate(  # 480x360 -> 320x240, a multiple of 32 once padded
            torch.from_numpy(picture).permute(2, 0, 1)[None].float(), size=(240, 320), mode="bilinear"
        )
    )
    canvas = np.full((1, 3, 256, 320), 114.0, np.float32)
    canvas[:, :, 8:248] = padded
    with torch.inference_mode():
        scores = network(torch.from_numpy(canvas / 255))[0][0, 4]
        swapped = network(torch.from_numpy(canvas[:, ::-1].copy() / 255))[0][0, 4]
    best = max(box.score for box in tiny().detect([picture])[0])
    assert abs(best - float(scores.max())) < 0.03
    assert abs(best - float(scores.max())) < abs(best - float(swapped.max()))


def test_scores_start_at_the_floor_and_end_at_max_det(doors: list[Rgb]) -> None:
    low = tiny(floor=0.05).detect(doors)
    high = tiny(floor=0.5).detect(doors)
    assert all(box.score >= 0.05 for boxes in low for box in boxes)
    assert [[box for box in boxes if box.score >= 0.5] for boxes in low] == high
    assert max(map(len, low)) > 1
    assert max(len(boxes) for boxes in tiny(max_det=1).detect(doors)) == 1


def test_no_box_is_lost_when_the_clock_runs_away(doors: list[Rgb], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped for a while: Ultralytics' suppression would give up on the rest of the batch."""
    import itertools
    from types import SimpleNamespace

    detector = tiny(batch=10)
    expected = detector.detect(doors)
    from ultralytics.utils import nms

    clock = itertools.count(0, 3600)
    monkeypatch.setattr(nms, "time", SimpleNamespace(time=lambda: next(clock)))
    assert detector.detect(doors) == expected
    assert next(clock) > 3600 and len([boxes for boxes in expected if boxes]) > 1


def test_pictures_of_different_sizes_in_one_call_are_refused(doors: list[Rgb]) -> None:
    with pytest.raises(ValueError, match="one size"):
        tiny().detect([doors[0], doors[1][:300]])


def test_no_pictures_give_no_boxes() -> None:
    assert tiny().detect([]) == []


def test_classes_are_matched_by_name_and_never_by_position() -> None:
    assert match_classes({"flask": ["bottle"], "people": ["person"]}, NAMES, DETECTOR) == {
        2: "flask",
        0: "people",
    }
    assert match_classes({"drink": ["Bottle", "wine-glass"]}, NAMES, DETECTOR) == {2: "drink", 1: "drink"}
    assert match_classes({"person": []}, NAMES, DETECTOR) == {0: "person"}


def test_words_for_other_detectors_do_not_matter_when_the_class_is_known_by_name() -> None:
    classes = {"wine_glass": ["goblet", "stemware"]}
    assert match_classes(classes, NAMES, DETECTOR) == {1: "wine_glass"}


def test_a_word_that_the_model_does_not_know_is_answered_with_the_nearest() -> None:
    with pytest.raises(ModelError, match=r'classes\.flask: .* no class "botle"; nearest: bottle'):
        match_classes({"flask": ["botle"]}, NAMES, DETECTOR)
    with pytest.raises(ModelError, match="it knows: person, wine_glass, Bottle"):
        match_classes({"zebra": ["zebra"]}, NAMES, DETECTOR)
    with pytest.raises(ModelError, match="cannot be both"):
        match_classes({"a": ["person"], "b": ["person"]}, NAMES, DETECTOR)


class Evil:
    """Unpickling it runs a command that leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def evil_files(folder: Path, mark: Path) -> Iterator[Path]:
    import torch

    torch.save({"model": Evil(mark)}, folder / "zipped.pt")
    yield folder / "zipped.pt"
    (folder / "plain.pt").write_bytes(pickle.dumps(Evil(mark)))
    yield folder / "plain.pt"
    torch.save({"model": Evil(mark)}, folder / "old.pt", _use_new_zipfile_serialization=False)
    yield folder / "old.pt"


def test_a_pickle_that_runs_code_is_refused_and_its_code_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "was_here"
    for path in evil_files(tmp_path, mark):
        with pytest.raises(ModelError, match=path.name) as caught:
            tiny(path)
        assert "\n" not in str(caught.value)
        assert not mark.exists(), path.name


def test_the_pickle_of_this_test_does_run_code_where_it_is_not_refused(tmp_path: Path) -> None:
    mark = tmp_path / "was_here"
    pickle.loads(pickle.dumps(Evil(mark)))
    assert mark.exists()


def test_cut_or_foreign_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "cut.pt").write_bytes(DETECTOR.read_bytes()[:-2000])
    (tmp_path / "page.pt").write_text("<html>not found</html>")
    with zipfile.ZipFile(tmp_path / "archive.pt", "w") as archive:
        archive.writestr("readme", "no weights")
    for name in ("cut.pt", "page.pt", "archive.pt"):
        with pytest.raises(ModelError, match=f"{name}: cannot be loaded") as caught:
            tiny(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_cut_openvino_model_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "cut_openvino_model"
    shutil.copytree(shared("models/yolo11n_int8_openvino_model"), folder)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    xml = folder / "yolo11n.xml"
    xml.write_text(xml.read_text()[:5000])
    with pytest.raises(ModelError, match="cut_openvino_model"):
        registry.open_detector(registry.check(str(folder), "detect"), classes={"bottle": []}, imgsz=640)


def test_ultralytics_is_imported_safe_silent_and_offline(tmp_path: Path) -> None:
    code = """
from data_miner.models.yolo import import_ultralytics
import_ultralytics()
from ultralytics.nn import tasks
from ultralytics.utils import AUTOINSTALL, ONLINE, SETTINGS
from ultralytics.utils.events import events
assert tasks.SAFE_LOAD and not ONLINE and not AUTOINSTALL
assert SETTINGS["sync"] is False and not events.enabled
"""
    settings = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
