"""Doctor's look at the machine: versions, system libraries, disk, GPU. No torch is imported."""

import ctypes
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

import psutil

import data_miner
from data_miner.cli import words
from data_miner.cli.checks.check import Check, failed, warned
from data_miner.config.settings import Settings

_PACKAGES = ("ray", "torch", "ultralytics", "transformers", "av", "opencv-python", "openvino", "psycopg")
_SHOWN = ("ray", "torch", "ultralytics")
_LIBRARIES = {"libGL.so.1": "libgl1", "libgthread-2.0.so.0": "libglib2.0-0"}  # what opencv-python links to
_LEAST_VRAM_BYTES = 4_000_000_000
_NVIDIA, _DISPLAY = "0x10de", "0x03"  # PCI vendor and class


def versions() -> Check:
    """Python and the packages the work is done with."""
    python = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return failed("versions", f"python {python}; 3.11 to 3.13 are supported", "python3.11 -m venv .venv")
    missing = [name for name in _PACKAGES if _version(name) is None]
    if missing:
        return failed("versions", f"{', '.join(missing)} not installed", f"pip install {' '.join(missing)}")
    shown = [f"{name} {_version(name)}" for name in _SHOWN]
    return Check("versions", " · ".join([f"python {python}", f"data-miner {data_miner.__version__}", *shown]))


def libraries() -> Check:
    """System libraries that a wheel cannot bring."""
    missing = [name for name in _LIBRARIES if not _loads(name)]
    if missing:
        packages = " ".join(_LIBRARIES[name] for name in missing)
        return failed("libraries", f"{', '.join(missing)} missing", f"sudo apt-get install -y {packages}")
    return Check("libraries", "libGL, glib")


def data(settings: Settings) -> Check:
    """The data folder: there or makeable, writable."""
    folder = _existing(settings.data)
    if not os.access(folder, os.W_OK | os.X_OK) or not folder.is_dir():
        cure = f"sudo chown {os.getuid()} {folder}, or name another one with --data"
        return failed("data", f"{settings.data} cannot be written", cure)
    state = "" if settings.data.exists() else ", will be made by the first run"
    return Check("data", f"{settings.data} on {_filesystem(folder)}{state}")


def disk(settings: Settings) -> Check:
    """Free space against what must stay free."""
    usage = shutil.disk_usage(_existing(settings.data))
    least = settings.min_free.of(usage.total)
    text = f"{words.size(usage.free)} free of {words.size(usage.total)}"
    if usage.free < least:
        cure = f"free {words.size(least - usage.free)} there, or lower DATA_MINER_MIN_FREE (5GB, 2%)"
        return failed("disk", f"{text}; below {words.size(least)} download and extract pause", cure)
    return Check("disk", f"{text}, {words.size(least)} stay free")


def gpu() -> Check:
    """A card with a driver that this torch can use; none is fine too."""
    from data_miner.engine.devices import cards, driver_problem

    found, driver = cards()
    if not found:
        if not _has_nvidia_card():
            return Check("gpu", "none; the CPU does all, with the same configuration")
        cure = "sudo apt install nvidia-driver-580, reboot; in a container: nvidia-container-toolkit, --gpus all"
        return failed("gpu", "an NVIDIA card is here, but no driver answers", cure)
    names = " · ".join(f"{card.name} {words.size(card.vram_bytes)}" for card in found)
    problem = driver_problem(driver)
    if problem is not None:
        text, _, cure = problem.partition(": ")
        return failed("gpu", f"{names} is here, but {text}", cure or "run with --device cpu")
    return Check("gpu", f"{names}, driver {driver}")


def vram() -> Check:
    """Memory of the smallest card."""
    from data_miner.engine.devices import cards

    found, _ = cards()
    if not found:
        memory = psutil.virtual_memory()
        return Check("vram", f"no card; {words.size(memory.available)} of {words.size(memory.total)} RAM free")
    least = min(card.vram_bytes for card in found)
    if least < _LEAST_VRAM_BYTES:
        return warned("vram", f"{words.size(least)}: large models will not fit", "smaller models, or --device cpu")
    return Check("vram", words.size(least))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next((place for place in (path, *path.parents) if place.exists()), Path("/"))


def _filesystem(folder: Path) -> str:
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "an unknown filesystem"


def _has_nvidia_card() -> bool:
    devices = Path("/sys/bus/pci/devices")
    for device in devices.iterdir() if devices.is_dir() else ():
        try:
            kind = (device / "class").read_text()
            if (device / "vendor").read_text().strip() == _NVIDIA and kind.startswith(_DISPLAY):
                return True
        except OSError:
            continue
    return False
