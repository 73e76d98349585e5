"""Fetching models from a server that speaks the hub's protocol, and from one that misbehaves."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_miner.errors import ModelError
from data_miner.models import hub, listing, pulled, reach, registry, transfer
from data_miner.sample.weights import DETECTOR, SCORER
from tests.support.hub_server import Hub, Repository, only_hub

NAME = "acme/tiny-siglip"
TOKEN = "hf_averysecrettokenindeed"
ROOT = Path(__file__).parents[3]
WEIGHTS = (SCORER / "model.safetensors").read_bytes()
OTHERS = {"README.md": b"card", ".gitattributes": b"x", "pytorch_model.bin": b"pickle", "tf_model.h5": b"tf"}
OTHERS |= {"pytorch_model.bin.index.json": b"{}", "generation_config.json": b"{}", "onnx/model.onnx": b"onnx"}


def tiny() -> dict[str, bytes]:
    """The sample's scorer as a repository's files, with what such repositories hold beside it."""
    return {path.name: path.read_bytes() for path in SCORER.iterdir()} | OTHERS


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model, and the weights of one detector."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transfer, "PAUSE_S", 0.01)
    own = Hub({NAME: Repository(tiny())}, {"yolo11n.pt": DETECTOR.read_bytes()}, token=TOKEN)
    with only_hub(own, tmp_path, monkeypatch) as running:
        yield running


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder that does not exist yet."""
    return tmp_path / "data" / "models"


def refused(name: str, models: Path) -> str:
    """The one line of a pull that fails, after which nothing is found by the name."""
    with pytest.raises(ModelError) as caught:
        hub.pull(name, models)
    assert registry.find(name, [models]) is None
    assert not (models / name).exists()
    message = str(caught.value)
    assert "\n" not in message and message.startswith(name) and TOKEN not in message and "s3cr3t" not in message
    return message


def test_a_pull_brings_what_transformers_loads_and_names_its_commit(server: Hub, models: Path) -> None:
    ref = hub.pull(NAME, models)
    commit = server.repositories[NAME].commit
    assert (ref.kind, ref.path, registry.digest(ref)) == ("siglip", models / NAME, f"{NAME}@{commit}")
    assert {path.name for path in ref.path.iterdir()} == {path.name for path in SCORER.iterdir()} | {pulled.RECORD}
    assert (ref.path / "model.safetensors").read_bytes() == WEIGHTS
    assert registry.check(NAME, "filter", [models]) == ref
    assert registry.digest(registry.check(str(models / NAME), "filter")) == registry.digest(ref)
    asked = len(server.asked)
    assert hub.pull(NAME, models) == ref and len(server.asked) == asked


def test_the_size_is_known_before_a_byte_is_fetched(server: Hub) -> None:
    found = hub.describe(NAME)
    assert found.total_bytes == sum(path.stat().st_size for path in SCORER.iterdir())
    assert found.revision == server.repositories[NAME].commit and not server.bytes_asked()
    assert hub.describe("yolo11n.pt").total_bytes == DETECTOR.stat().st_size


def test_a_model_in_the_users_own_cache_is_taken_from_there_under_the_same_digest(server: Hub, models: Path) -> None:
    fetched = registry.digest(hub.pull(NAME, models))
    shutil.rmtree(models)
    _fill_cache_with_the_real_client()
    asked = len(server.bytes_asked())
    ref = hub.pull(NAME, models)
    assert ref.path.is_relative_to(models.parents[1] / "cache") and registry.digest(ref) == fetched
    assert len(server.bytes_asked()) == asked and not (models / NAME).exists()


def test_a_cache_that_lacks_only_what_its_loader_did_not_need_is_used(server: Hub, models: Path) -> None:
    server.repositories[NAME].files = {**tiny(), "merges.txt": b"a b"}
    snapshot = _fill_cache_with_the_real_client()
    (snapshot / "merges.txt").unlink()
    assert hub.pull(NAME, models).path == snapshot


@pytest.mark.parametrize("fault", ["gone", "short"])
def test_a_cache_that_is_not_whole_is_not_used(server: Hub, models: Path, fault: str) -> None:
    snapshot = _fill_cache_with_the_real_client()
    blob = (snapshot / "model.safetensors").resolve()
    blob.unlink() if fault == "gone" else os.truncate(blob, 1000)
    ref = hub.pull(NAME, models)
    assert ref.path == models / NAME and (ref.path / "model.safetensors").read_bytes() == WEIGHTS


def test_what_a_cut_left_is_gone_on_with(server: Hub, models: Path) -> None:
    server.cut_after = 262_144
    progress = _Heard()
    hub.pull(NAME, models, progress)
    ranges = [one.range for one in server.large_asked()]
    assert ranges[:3] == [None, "bytes=262144-", "bytes=524288-"]
    assert progress.done[-1] == hub.describe(NAME).total_bytes and progress.done == sorted(progress.done)


def test_a_pull_that_is_cut_again_and_again_is_one_line_and_the_next_one_goes_on(server: Hub, models: Path) -> None:
    server.cut_after, server.cuts, server.is_dead_after_cuts = 262_144, 1, True
    assert (
        f"model.safetensors: the server is in trouble (status 503) at 262144 of {len(WEIGHTS)} bytes; they stay"
        in _line(NAME, models)
    )
    server.cut_after, server.is_dead_after_cuts = None, False
    hub.pull(NAME, models)
    assert server.large_asked()[-1].range == "bytes=262144-"


def test_a_killed_pull_never_looks_complete_and_goes_on_where_it_was(server: Hub, models: Path) -> None:
    server.pace_s = 0.1
    code = f"from pathlib import Path; from data_miner.models import hub; hub.pull({NAME!r}, Path({str(models)!r}))"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=_child_environment(models)) as child:
        part = models / ".pulling" / NAME.replace("/", "--")
        until = time.monotonic() + 30
        while not (found := [one for one in part.glob("*.part") if one.stat().st_size > 200_000]):
            assert child.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
    size = found[0].stat().st_size
    assert 200_000 < size < len(WEIGHTS) and registry.find(NAME, [models]) is None
    server.pace_s = 0
    hub.pull(NAME, models)
    assert server.large_asked()[-1].range == f"bytes={size}-"
    assert (models / NAME / "model.safetensors").read_bytes() == WEIGHTS
    assert not list(models.rglob("*.part"))


def test_two_pulls_at_once_fetch_it_once(server: Hub, models: Path) -> None:
    server.pace_s = 0.03
    code = f"""
from pathlib import Path
from data_miner.models import hub
class Aloud(hub.Silent):
    def say(self, line): print(line)
print(hub.pull({NAME!r}, Path({str(models)!r}), Aloud()).path)
"""
    command = [sys.executable, "-c", code]
    environment = _child_environment(models)
    children = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [child.communicate(timeout=60)[0].splitlines() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert {lines[-1] for lines in said} == {str(models / NAME)}
    assert len(server.large_asked()) == 1


def test_a_folder_damaged_later_is_not_loaded_and_a_pull_repairs_only_what_is_broken(server: Hub, models: Path) -> None:
    hub.pull(NAME, models)
    os.truncate(models / NAME / "tokenizer.json", 10)
    with pytest.raises(ModelError, match=r"tokenizer\.json has 10 bytes.*models pull acme/tiny-siglip"):
        registry.find(NAME, [models])
    before = len(server.asked)
    assert hub.pull(NAME, models).path == models / NAME
    fetched = {one.path for one in server.asked[before:] if one.method == "GET" and "/resolve/" in one.path}
    assert {Path(path).name for path in fetched} == {"tokenizer.json"}


def test_wrong_sizes_and_wrong_bytes_are_thrown_away(server: Hub, models: Path) -> None:
    repository = server.repositories[NAME]
    repository.sizes["model.safetensors"] = len(WEIGHTS) + 1
    assert "its listing says" in _line(NAME, models)
    repository.sizes.clear()
    server.is_garbled = True
    assert "not the one announced" in _line(NAME, models)
    assert not list(models.rglob("*.part"))
    repository.sizes["model.safetensors"] = 0
    assert "is empty on the hub" in refused(NAME, models)


def test_a_disk_too_small_is_said_before_the_first_byte(server: Hub, models: Path) -> None:
    server.repositories[NAME].sizes["model.safetensors"] = 10**16
    assert "10000000.0 GB are to be fetched, and only" in refused(NAME, models)
    assert not server.bytes_asked()


def test_a_missing_model_and_a_refused_token_are_told_apart(
    server: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no such model at http://127.0.0.1" in refused("acme/nothing", models)
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}x")
    assert "HF_TOKEN is not accepted for it, or there is no such model" in refused("acme/nothing", models)
    assert "not a name that Hugging Face can have" in refused("acme/..", models)
    with pytest.raises(ModelError, match=r"runs/best\.pt: cannot be fetched"):
        hub.pull("runs/best.pt", models)


def test_a_gated_model_says_where_its_licence_is_and_comes_with_the_token(
    server: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repositories[NAME].is_gated = True
    line = _line(NAME, models)
    assert f"gated; accept its licence on {server.url}/{NAME}, then set HF_TOKEN" in line
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}x")
    assert "the account of HF_TOKEN may not read it yet" in _line(NAME, models)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert hub.pull(NAME, models).path == models / NAME


def test_the_token_goes_to_the_hub_and_to_no_other_host(
    server: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repositories[NAME].is_private = True
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.pull(NAME, models)
    assert {one.authorization for one in server.asked if one.host == "127.0.0.1"} == {f"Bearer {TOKEN}"}
    away = [one for one in server.asked if one.host == "localhost"]
    assert away and {one.authorization for one in away} == {None}
    assert not any(TOKEN.encode() in path.read_bytes() for path in models.rglob("*") if path.is_file())


def test_a_token_that_no_header_can_carry_is_not_shown(
    server: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}ü\x01")
    with pytest.raises(ModelError) as caught:
        hub.pull(NAME, models)
    shown = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in shown and "\n" not in str(caught.value)


def test_a_server_in_trouble_or_silent_is_one_line_in_time(
    server: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = 503
    assert "answers with status 503" in refused(NAME, models)
    server.status = 0
    monkeypatch.setattr(reach, "ANSWER_S", 0.3)
    server.stall_s = 1.0
    started = time.monotonic()
    assert f"{NAME}: not here, and 127.0.0.1 gave no answer in time" in _line(NAME, models)
    assert time.monotonic() - started < 0.9
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert "127.0.0.1 does not answer" in _line(NAME, models)


def test_a_stall_in_the_middle_is_given_up_and_gone_on_with(
    server: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "STALL_S", 0.15)
    monkeypatch.setattr(transfer, "TRIES", 2)
    server.hang_s, server.cut_after = 1.0, 0
    assert f"model.safetensors: the server gave no answer in time at 0 of {len(WEIGHTS)} bytes" in _line(NAME, models)
    server.cut_after, server.cuts = 655_360, 1
    assert hub.pull(NAME, models).path == models / NAME
    assert server.large_asked()[-1].range == "bytes=655360-"


def test_offline_opens_no_socket(server: Hub, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE forbids" in refused(NAME, models)
    assert "HF_HUB_OFFLINE forbids" in refused("yolo11n.pt", models)
    assert not server.asked
    monkeypatch.delenv("HF_HUB_OFFLINE")
    _fill_cache_with_the_real_client()
    asked = len(server.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.pull(NAME, models).revision is not None and len(server.asked) == asked


def test_weights_of_ultralytics_come_from_their_release(server: Hub, models: Path) -> None:
    server.cut_after = 655_360
    ref = hub.pull("yolo11n.pt", models)
    assert ref.path == models / "yolo11n.pt" and ref.path.read_bytes() == DETECTOR.read_bytes()
    assert registry.digest(ref).startswith("sha256:")
    assert server.asked[0].path == f"/assets/{hub.RELEASE}/yolo11n.pt"
    assert [one.range for one in server.large_asked()] == [
        None,
        "bytes=655360-",
        "bytes=1310720-",
    ]


def test_weights_that_are_no_archive_or_unknown_are_refused(server: Hub, models: Path) -> None:
    server.assets["yolo11s.pt"] = b"<html>not here</html>"
    damaged = bytearray(DETECTOR.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    server.assets["yolo11m.pt"] = bytes(damaged)
    assert "what came is not whole (its end)" in refused("yolo11s.pt", models)
    assert "what came is not whole" in refused("yolo11m.pt", models)
    assert "has no such weights" in refused("yolo99x.pt", models)
    assert not [path for path in models.rglob("*.pt*") if path.suffix != ".lock"]


def test_the_release_is_the_one_that_the_installed_ultralytics_asks() -> None:
    import importlib.util

    found = importlib.util.find_spec("ultralytics")
    assert found is not None and found.origin is not None
    source = (Path(found.origin).parent / "utils" / "downloads.py").read_text()
    assert f'release: str = "{hub.RELEASE}"' in source and 'f"https://github.com/{repo}/releases/download"' in source


def test_a_repository_with_a_pickle_alone_is_turned_into_safetensors(server: Hub, models: Path) -> None:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(SCORER / "model.safetensors")
    first = next(iter(tensors))
    pickle = io.BytesIO()
    torch.save({**tensors, "tied": tensors[first]}, pickle)
    files = {name: data for name, data in tiny().items() if name != "model.safetensors"}
    server.repositories[NAME].files = {**files, "pytorch_model.bin": pickle.getvalue()}
    ref = hub.pull(NAME, models)
    made = load_file(ref.path / "model.safetensors")
    assert set(made) == {*tensors, "tied"} and all(torch.equal(made[name], tensors[name]) for name in tensors)
    assert not (ref.path / "pytorch_model.bin").exists()
    assert registry.digest(ref) == f"{NAME}@{server.repositories[NAME].commit}"


def test_a_pickle_that_runs_code_is_refused(server: Hub, models: Path, tmp_path: Path) -> None:
    import torch

    pickle = io.BytesIO()
    torch.save({"weight": _Evil(tmp_path / "touched")}, pickle)
    files = {name: data for name, data in tiny().items() if name != "model.safetensors"}
    server.repositories[NAME].files = {**files, "pytorch_model.bin": pickle.getvalue()}
    assert "not turned into safetensors" in _line(NAME, models)
    assert not (tmp_path / "touched").exists()


def test_a_repository_that_is_no_model_for_us_is_named(server: Hub, models: Path) -> None:
    for absent, words in {"config.json": "has no config.json", "model.safetensors": "has no model.safetensors"}.items():
        gone = (absent, "pytorch_model.bin")
        server.repositories[NAME].files = {name: data for name, data in tiny().items() if name not in gone}
        assert words in refused(NAME, models)


def test_shards_are_fetched_with_their_index(server: Hub, models: Path) -> None:
    files = {name: data for name, data in tiny().items() if name != "model.safetensors"}
    names = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
    index = json.dumps({"weight_map": {"a": names[0], "b": names[1]}}).encode()
    extra = {names[0]: b"one", names[1]: b"two", "model.safetensors.index.json": index}
    server.repositories[NAME].files = {**files, **extra}
    ref = hub.pull(NAME, models)
    assert {path.name for path in ref.path.iterdir()} >= set(extra) and pulled.is_whole(ref.path, reads_words=True)
    shutil.rmtree(models)
    del server.repositories[NAME].files[names[1]]
    assert "its index names weights that the hub does not have" in refused(NAME, models)


class _Heard(hub.Silent):
    def __init__(self) -> None:
        self.done: list[int] = []

    def at(self, done_bytes: int) -> None:
        self.done.append(done_bytes)


class _Evil:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self._path}",)


def _fill_cache_with_the_real_client() -> Path:
    """Have huggingface_hub itself fetch the model, as `hf download` would; returns the snapshot."""
    from huggingface_hub import constants, snapshot_download

    return Path(snapshot_download(NAME, endpoint=listing.endpoint(), cache_dir=constants.HF_HUB_CACHE))


def _line(name: str, models: Path) -> str:
    """The one line of a pull that fails."""
    with pytest.raises(ModelError) as caught:
        hub.pull(name, models)
    assert registry.find(name, [models]) is None
    message = str(caught.value)
    assert "\n" not in message and TOKEN not in message and "s3cr3t" not in message
    return message


def _child_environment(models: Path) -> dict[str, str]:
    cache = str(models.parents[1] / "cache")
    return {**os.environ, "HF_HUB_CACHE": cache, "HF_HUB_DISABLE_TELEMETRY": "1"}


def test_the_sample_weights_are_the_archive_that_the_tests_cut() -> None:
    assert zipfile.is_zipfile(DETECTOR) and len(WEIGHTS) > 1_000_000
