"""Which network a .pt file holds, told without loading it."""

import pickle
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

from data_miner.models import registry
from data_miner.models.pt_file import checkpoint_kind
from data_miner.sample.weights import DETECTOR
from tests.support import tiny_yolo


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("yolov8-worldv2", "yolo-world"),
        ("yoloe-v8", "yoloe"),
        ("yoloe-v8-seg", "yoloe"),
        ("yolov8-seg", "yolo"),
    ],
)
def test_open_and_closed_networks_are_told_apart(name: str, kind: str, tmp_path: Path) -> None:
    path = tiny_yolo.write(name, tmp_path)
    ref = registry.check(str(path), "detect")
    assert (ref.kind, registry.needs_text(ref)) == (kind, kind != "yolo")
    assert checkpoint_kind(DETECTOR) == "yolo"


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("first", ["DetectionModel", "YOLOEModel"])
def test_the_first_network_counts_in_every_protocol(first: str, protocol: int, tmp_path: Path) -> None:
    """The first is the checkpoint's own; names further in may be of a teacher, or plain words."""
    module = types.ModuleType("ultralytics.nn.tasks")
    classes = [type(name, (), {"__module__": module.__name__}) for name in (first, "WorldModel")]
    vars(module).update({one.__name__: one for one in classes})
    before, sys.modules[module.__name__] = sys.modules.get(module.__name__), module
    try:
        data = pickle.dumps({"WorldModel": "YOLOEModel", "model": [one() for one in classes]}, protocol)
    finally:
        del sys.modules[module.__name__]
        if before is not None:
            sys.modules[module.__name__] = before
    with zipfile.ZipFile(tmp_path / "best.pt", "w") as archive:
        archive.writestr("best/data.pkl", data)
    assert checkpoint_kind(tmp_path / "best.pt") == {"DetectionModel": "yolo", "YOLOEModel": "yoloe"}[first]


class Evil:
    """Unpickling it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_nothing_in_the_file_is_run(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps(Evil(tmp_path / "was here")))
    assert checkpoint_kind(tmp_path / "evil.pt") == "yolo"
    assert not (tmp_path / "was here").exists()


def test_what_is_no_checkpoint_is_left_to_the_loader(tmp_path: Path) -> None:
    whole = tiny_yolo.write("yoloe-v8", tmp_path).read_bytes()
    for name, data in {"cut.pt": whole[:-2000], "page.pt": b"<html>", "old.pt": pickle.dumps({"model": 1})}.items():
        (tmp_path / name).write_bytes(data)
        assert checkpoint_kind(tmp_path / name) == "yolo"
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("other/data.pkl", b"\x80\x02cultralytics.nn")  # ends within a name
        archive.writestr("readme", "no weights")
    assert checkpoint_kind(tmp_path / "other.pt") == "yolo"


def test_telling_imports_no_model_library(tmp_path: Path) -> None:
    path = tiny_yolo.write("yolov8-worldv2", tmp_path)
    code = f"""
import sys
from data_miner.models import registry
assert registry.check({str(path)!r}, "detect").kind == "yolo-world"
import data_miner.models.words, data_miner.models.yolo_words, data_miner.models.voting
heavy = {{"torch", "ultralytics", "transformers", "cv2", "torchvision"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
