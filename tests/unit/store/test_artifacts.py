import errno
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_miner.errors import DataMinerError, LaterError, UnreachableError, UsageError
from data_miner.store import folder as folders
from data_miner.store.artifacts import Store, checked
from data_miner.store.remote import RemoteBackend


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Both kinds of store must keep the same promises; memory:// is fsspec's own object store."""
    if request.param == "folder":
        made = Store(str(tmp_path / "store"))
    else:
        made = Store(f"memory://bucket-{tmp_path.name}/deep", cache=str(tmp_path / "cache"))
    made.claim_identity("one")
    yield made
    for key in list(made.list()):
        made.delete(key)


def file_with(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "local"
    path.write_bytes(data)
    return path


def test_what_is_put_is_read_back_whole_and_by_range(store: Store, tmp_path: Path) -> None:
    store.put_file("a/b.tar", file_with(tmp_path, b"0123456789"))
    store.put_bytes("a/c.json", b"{}")
    assert store.read("a/b.tar") == b"0123456789"
    assert store.read("a/b.tar", 3, 4) == b"3456"
    assert store.read("a/b.tar", 3) == b"3456789"
    assert store.read("a/b.tar", 8, 4) == b"89"
    assert store.read("a/b.tar", 3, 0) == b""
    assert store.size("a/b.tar") == 10
    assert list(store.list()) == ["a/b.tar", "a/c.json"]
    assert list(store.list("a")) == ["a/b.tar", "a/c.json"]
    assert list(store.list("missing")) == []


def test_a_moved_file_is_gone_and_a_copied_one_stays(store: Store, tmp_path: Path) -> None:
    local = file_with(tmp_path, b"x")
    store.put_file("copied", local)
    assert local.exists()
    store.put_file("moved", local, move=True)
    assert not local.exists()
    assert store.read("copied") == store.read("moved") == b"x"


def test_a_missing_key_is_a_missing_file(store: Store) -> None:
    assert not store.exists("a/b")
    for access in (store.size, store.read, lambda key: store.open_local(key).__enter__()):
        with pytest.raises(FileNotFoundError):
            access("a/b")
    store.delete("a/b")


def test_a_folder_of_keys_is_no_artifact(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.put_bytes("a/b", b"x")
    assert not store.exists("a")


def test_a_deleted_key_is_gone(store: Store) -> None:
    store.put_bytes("a/b", b"x")
    store.delete("a/b")
    assert not store.exists("a/b")
    assert list(store.list()) == []


def test_a_local_path_holds_the_bytes(store: Store) -> None:
    store.put_bytes("v/film.mp4", b"film")
    for _ in range(2):
        with store.open_local("v/film.mp4") as path:
            assert path.read_bytes() == b"film"
            assert path.suffix == ".mp4"


def test_a_store_travels_to_a_worker_by_pickle(store: Store) -> None:
    store.put_bytes("a", b"x")
    assert pickle.loads(pickle.dumps(store)).read("a") == b"x"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a/./b",
        "a/",
        ".hidden",
        "a\\b",
        "a\nb",
        "a\0b",
        "x" * 241,
        "ü" * 121,
        "/".join(["abc"] * 300),
    ],
)
def test_a_key_that_could_leave_the_store_is_refused(store: Store, key: str) -> None:
    with pytest.raises(DataMinerError, match="not a relative path of plain names"):
        store.put_bytes(key, b"x")


def test_plain_and_foreign_names_are_keys() -> None:
    for key in ("raw/youtube/-3kX9f0aQbLs.mp4", "shards/日本/🎬 1.tar", "a..b", "x" * 240):
        assert checked(key) == key


def test_the_first_identity_stays(store: Store) -> None:
    assert store.identity() == "one"
    assert store.claim_identity("two") == "one"
    store.ensure_identity("one")
    with pytest.raises(UnreachableError, match="the ledger belongs to two"):
        store.ensure_identity("two")


def test_a_store_without_an_identity_may_be_a_missing_mount(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "mount"))
    assert store.identity() is None
    with pytest.raises(UnreachableError, match="is it mounted"):
        store.ensure_identity("one")
    with pytest.raises(UnreachableError, match="is it mounted"):
        store.put_bytes("a/b", b"x")
    assert not (tmp_path / "mount").exists()


def test_only_one_of_many_claims_gives_the_store_its_identity(tmp_path: Path) -> None:
    store, found = Store(f"file://{tmp_path}/new"), []
    threads = [threading.Thread(target=lambda n=n: found.append(store.claim_identity(f"id {n}"))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert set(found) == {store.identity()}


def test_a_writer_killed_half_way_leaves_no_artifact_and_delete_clears_what_it_left(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.claim_identity("one")
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from data_miner.store.folder import FolderBackend\n"
        "def half(part):\n"
        "    part.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "root = Path(sys.argv[1])\n"
        "FolderBackend(root)._write(root / 'a' / 'b.tar', half)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "store")], cwd=Path(__file__).parents[3], check=False
    )
    assert killed.returncode == -9
    assert not store.exists("a/b.tar")
    assert list(store.list()) == ["a/b.tar"], "the sweep must see what takes space"
    store.delete("a/b.tar")
    assert list((tmp_path / "store").iterdir()) == [tmp_path / "store" / ".data-miner-store"]


def test_a_full_disk_is_later_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path / "store"))
    store.claim_identity("one")

    def full(source: Path, part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folders.shutil, "copyfile", full)
    with pytest.raises(LaterError) as caught:
        store.put_file("a/b", file_with(tmp_path, b"whole"))
    assert caught.value.reason == "disk_full"
    assert list(store.list()) == []


def test_a_file_on_another_filesystem_is_moved_by_copy(tmp_path: Path) -> None:
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second filesystem here")
    local = shared_memory / f"data-miner-test-{os.getpid()}"
    local.write_bytes(b"x")
    Store(str(tmp_path)).put_file("a/b", local, move=True)
    assert (tmp_path / "a" / "b").read_bytes() == b"x"
    assert not local.exists()


def test_writers_and_deleters_of_one_folder_do_not_trip_over_each_other(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    failed: list[BaseException] = []

    def churn(name: str) -> None:
        try:
            for _ in range(100):
                store.put_bytes(f"a/b/{name}", b"x")
                store.delete(f"a/b/{name}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=churn, args=(f"n{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert list(tmp_path.iterdir()) == []


def test_downloads_are_dropped_oldest_first_but_never_in_use(tmp_path: Path) -> None:
    url = f"memory://evict-{tmp_path.name}"
    backend = RemoteBackend(url, tmp_path, cache_limit_bytes=25)
    for key in ("a", "b", "c"):
        backend.put_bytes(key, b"0123456789")
    with backend.open_local("a") as held:
        with backend.open_local("b") as dropped:
            pass
        with backend.open_local("c"):
            assert held.exists()
            assert not dropped.exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_download_that_was_killed_is_dropped_when_space_is_needed(tmp_path: Path) -> None:
    backend = RemoteBackend(f"memory://part-{tmp_path.name}", tmp_path, cache_limit_bytes=25)
    backend.put_bytes("a", b"0123456789")
    (tmp_path / ".x.part").write_bytes(b"0" * 20)
    with backend.open_local("a") as path:
        assert list(tmp_path.iterdir()) == [path]


def test_a_store_that_does_not_answer_is_unreachable_without_its_password() -> None:
    store = Store("ftp://kim:geheim@127.0.0.1:9/x")
    with pytest.raises(UnreachableError) as caught:
        store.read("a")
    assert "geheim" not in str(caught.value) + store.place
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["store", "nonsense://bucket"])
def test_an_address_that_is_no_store_is_the_users_mistake(url: str) -> None:
    with pytest.raises(UsageError):
        Store(url).read("a")


def test_a_disk_knows_its_free_bytes_and_an_object_store_does_not(tmp_path: Path) -> None:
    free_bytes, total_bytes = Store(str(tmp_path / "new")).free_bytes(), Store(str(tmp_path)).total_bytes()
    assert free_bytes is not None and total_bytes is not None
    assert 0 < free_bytes <= total_bytes
    assert Store("memory://x").free_bytes() is None
