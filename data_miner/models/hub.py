"""Brings a published model to this machine, whole or not at all, and says beforehand how large it is.

A repository's folder gets its name below the models folder only when every file of the commit is verified;
until then it lies in `.pulling`, where a later pull goes on. Where models are found is in `registry`.
"""

import fcntl
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from data_miner.errors import ModelError
from data_miner.models import pulled, registry
from data_miner.models.conversion import convert
from data_miner.models.listing import PICKLE, WEIGHTS, Listing, endpoint, is_offline, list_repository, refusal, token
from data_miner.models.registry import REPOSITORY, ModelRef
from data_miner.models.transfer import File, Source

PULLING = ".pulling"
# The release that Ultralytics' own attempt_download_asset asks (ultralytics/utils/downloads.py, 8.4.190).
ASSETS, RELEASE = "https://github.com/ultralytics/assets/releases/download", "v8.4.0"


class Progress(Protocol):
    """Who is told how far a pull is."""

    def begin(self, name: str, total_bytes: int, place: Path) -> None:
        """A pull of `total_bytes` begins (0: the server does not say)."""
        ...

    def at(self, done_bytes: int) -> None:
        """So much of it is here, what an earlier pull brought included."""
        ...

    def say(self, line: str) -> None:
        """Something else that takes its time."""
        ...

    def end(self) -> None:
        """The pull is over, whole or not."""
        ...


class Silent:
    """Tells nobody."""

    def begin(self, name: str, total_bytes: int, place: Path) -> None:
        """See Progress."""

    def at(self, done_bytes: int) -> None:
        """See Progress."""

    def say(self, line: str) -> None:
        """See Progress."""

    def end(self) -> None:
        """See Progress."""


def describe(name: str) -> Listing:
    """Revision, files and sizes of a published model, from its server. Raises ModelError."""
    _check_published(name)
    _check_online(name)
    if REPOSITORY.fullmatch(name):
        return list_repository(name)
    with Source(name, None, lambda status, _: _no_asset(name, status)) as source:
        return Listing(name, RELEASE, (File(name, source.announce(_asset_url(name))),))


def pull(name: str, folder: Path, progress: Progress | None = None) -> ModelRef:
    """Have a published model on this machine: where it is, else from the user's Hugging Face cache, else fetched.

    folder: the models folder, `<data>/models`. Two pulls of one model wait for each other; a pull that was killed
    goes on where it was. Raises ModelError: one line with the cure, and nothing half-there is ever found by a name.
    """
    progress = progress or Silent()
    _check_published(name)
    if (ref := present(name, folder)) is not None:
        return ref
    _check_online(name)
    try:
        with _alone(name, folder, progress):
            # Asked again: whoever was waited for may have brought it.
            if (ref := present(name, folder)) is None:
                fetch = _pull_repository if REPOSITORY.fullmatch(name) else _pull_asset
                fetch(name, folder, progress)
                ref = registry.find(name, [folder])
    except OSError as error:
        raise ModelError(f"{folder}: cannot be written: {(error.strerror or str(error)).lower()}") from None
    finally:
        progress.end()
    if ref is None:
        raise ModelError(f"{name}: fetched, but not found in {folder}; remove its folder there and pull it again")
    return ref


def present(name: str, folder: Path) -> ModelRef | None:
    """The model when it is whole on this machine; a cached one is held to the hub's listing where the hub answers."""
    own = folder / name
    record = pulled.read(own)
    if record is not None and pulled.fault(own, record) is not None:
        return None
    if own.is_dir() and not any(own.iterdir()):
        return None
    if own.is_file() and own.stat().st_size == 0:
        return None
    ref = registry.find(name, [folder])
    if ref is None or ref.revision is None or ref.path == own.absolute() or is_offline():
        return ref
    try:
        listing = list_repository(name, ref.path.name)
    except ModelError:
        return ref  # nobody to ask; all the names are there
    return ref if all(_is_as_listed(ref.path / file.name, file) for file in listing.files) else None


def _pull_repository(name: str, folder: Path, progress: Progress) -> None:
    listing, own = list_repository(name), folder / name
    work = folder / PULLING / name.replace("/", "--")
    if own.is_dir():  # damaged; what is whole of it need not come again
        shutil.rmtree(own) if work.exists() else own.rename(work)
    work.mkdir(parents=True, exist_ok=True)
    (work / pulled.RECORD).unlink(missing_ok=True)
    _check_room(listing, work)
    progress.begin(name, listing.total_bytes, own)
    here = dict.fromkeys((file.name for file in listing.files), 0)

    def at(file: File, size_bytes: int) -> None:
        here[file.name] = size_bytes
        progress.at(sum(here.values()))

    with Source(name, token(), partial(refusal, name)) as source:
        for file in listing.files:
            url = f"{endpoint()}/{name}/resolve/{listing.revision}/{quote(file.name)}"
            source.fetch(url, file, work, partial(at, file))
    names = [file.name for file in listing.files]
    if PICKLE in names:
        progress.say(f"{name}: turning {PICKLE} into {WEIGHTS}")
        convert(work / PICKLE, work / WEIGHTS)
        names = [WEIGHTS if file == PICKLE else file for file in names]
    if not pulled.is_whole(work, reads_words=False):
        raise ModelError(f"{name}: its index names weights that the hub does not have; name another model")
    _finish(name, listing.revision, names, work, own)


def _finish(name: str, revision: str, names: list[str], work: Path, own: Path) -> None:
    """Give the verified folder its name."""
    for path in work.iterdir():
        if path.name not in names:  # of another commit
            path.unlink()
    for file in names:
        _flush(work / file)
    pulled.write(work, pulled.Record(name, revision, {file: (work / file).stat().st_size for file in names}))
    own.parent.mkdir(parents=True, exist_ok=True)
    work.rename(own)


def _pull_asset(name: str, folder: Path, progress: Progress) -> None:
    url, work = _asset_url(name), folder / PULLING
    with Source(name, None, lambda status, _: _no_asset(name, status)) as source:
        listing = Listing(name, RELEASE, (File(name, source.announce(url)),))
        _check_room(listing, work)
        progress.begin(name, listing.total_bytes, folder / name)
        path = source.fetch(url, listing.files[0], work, progress.at)
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # torch writes the CRC of every record
    except (zipfile.BadZipFile, OSError):
        broken = "its end"
    if broken is not None:
        path.unlink()
        raise ModelError(f"{name}: what came is not whole ({broken}); thrown away, the same command fetches it again")
    _flush(path)
    path.replace(folder / name)


def _asset_url(name: str) -> str:
    return f"{(os.environ.get('DATA_MINER_ASSETS') or ASSETS).rstrip('/')}/{RELEASE}/{name}"


def _no_asset(name: str, status: int) -> ModelError:
    if status == 404:
        return ModelError(f"{name}: Ultralytics' release {RELEASE} has no such weights; check the name")
    return ModelError(f"{name}: the server of Ultralytics' weights answers with status {status}; try again later")


def _check_published(name: str) -> None:
    if not registry.is_published(name):
        raise ModelError(
            f"{name}: cannot be fetched; that needs a Hugging Face name (google/siglip2-base-patch16-224) or one of "
            "Ultralytics' (yolo11n.pt). A path is looked for on this machine only"
        )


def _check_online(name: str) -> None:
    if is_offline():
        raise ModelError(f"{name}: not on this machine, and HF_HUB_OFFLINE forbids to fetch it; unset it and try again")


def _check_room(listing: Listing, work: Path) -> None:
    here = sum(path.stat().st_size for path in work.iterdir() if path.name.startswith(_starts(listing)))
    twice = sum(file.size_bytes or 0 for file in listing.files if file.name == PICKLE)
    missing, free = listing.total_bytes + twice - here, shutil.disk_usage(work).free
    if missing > free:
        raise ModelError(
            f"{listing.name}: {_gb(missing)} are to be fetched, and only {_gb(free)} are free in {work.parent}; "
            "make room, or name another data folder with --data"
        )


def _starts(listing: Listing) -> tuple[str, ...]:
    return tuple(file.name for file in listing.files)


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.1f} MB"


def _is_as_listed(path: Path, file: File) -> bool:
    """Of a cache that transformers filled, words may be absent that it did not need; registry saw those it needs."""
    if not path.is_file():
        return not file.name.endswith(".safetensors")
    return path.stat().st_size == file.size_bytes


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


@contextmanager
def _alone(name: str, folder: Path, progress: Progress) -> Iterator[None]:
    """Hold this model's pull alone; the lock dies with its process."""
    (folder / PULLING).mkdir(parents=True, exist_ok=True)
    lock = folder / PULLING / f"{name.replace('/', '--')}.lock"
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"{name}: another process fetches it; waiting")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
