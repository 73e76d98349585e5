"""What this machine computes on. Reads the driver through NVML: no torch is imported to decide."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import psutil

from data_miner.errors import UsageError

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of this process, in a container; absent at the root


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU as its driver describes it."""

    name: str
    vram_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What Ray may hand out here."""

    cpus: int
    cards: tuple[Card, ...] = ()
    driver: str = ""

    @property
    def device(self) -> str:
        """The device workers compute on."""
        return "cuda:0" if self.cards else "cpu"


def cards() -> tuple[tuple[Card, ...], str]:
    """The GPUs and the driver's version; none and "" when there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return (), ""
    try:
        found = []
        for i in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(i)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            found.append(Card(_text(pynvml.nvmlDeviceGetName(handle)), int(memory.total)))
        return tuple(found), _text(pynvml.nvmlSystemGetDriverVersion())
    finally:
        pynvml.nvmlShutdown()


def machine(device: str | None = None, cpus: int | None = None, gpus: int | None = None) -> Machine:
    """This machine, as far as flags let it be used. A card whose driver is too old for torch stops the run."""
    if device is not None and not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UsageError(f"--device {device}: cpu or cuda")
    wanted_cpus = cpus if cpus is not None else usable_cpus()
    if wanted_cpus < 1:
        raise UsageError(f"--cpus {wanted_cpus}: at least 1 is needed")
    if gpus is not None and gpus < 0:
        raise UsageError(f"--gpus {gpus}: 0 or more")
    if device == "cpu" or gpus == 0:
        return Machine(wanted_cpus)
    found, driver = cards()
    if (device is not None or gpus is not None) and not found:
        flag = f"--device {device}" if device is not None else f"--gpus {gpus}"
        raise UsageError(f"{flag}: no GPU with a driver is here; `data-miner doctor` says more")
    if gpus is not None and gpus > len(found):
        raise UsageError(f"--gpus {gpus}: {len(found)} {'is' if len(found) == 1 else 'are'} here")
    problem = driver_problem(driver) if found else None
    if problem is not None:
        raise UsageError(f"{found[0].name} is here, but {problem}; or run with --device cpu")
    return Machine(wanted_cpus, found[: gpus if gpus is not None else len(found)], driver)


def usable_cpus() -> int:
    """CPUs this process may use: its affinity, and the limit of its container."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    return within_quota(seen, _QUOTA)


def within_quota(cpus: int, limit: Path) -> int:
    """Whole CPUs under a cgroup's `cpu.max` (docs.kernel.org, cgroup-v2: "$MAX $PERIOD" in µs)."""
    words = limit.read_text().split() if limit.is_file() else ["max"]
    return cpus if words[0] == "max" else max(1, min(cpus, int(words[0]) // int(words[1])))


def driver_problem(driver: str) -> str | None:
    """Say why torch cannot use a driver, or None. CUDA 13 builds want 580 or newer, CUDA 12 builds 525."""
    cuda = _torch_cuda()
    if cuda is None:
        return "this torch was built without CUDA; install the default torch"
    needed = {13: 580, 12: 525, 11: 450}.get(int(cuda.split(".")[0]), 580)
    if int(driver.split(".")[0] or 0) < needed:
        cure = f"sudo apt install nvidia-driver-{needed}, reboot"
        return f"its driver {driver} is older than the {needed} this torch needs: {cure}"
    return None


def _torch_cuda() -> str | None:
    """torch's CUDA version, read from its version file: importing torch costs seconds."""
    from importlib.util import find_spec

    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    lines = (Path(spec.origin).parent / "version.py").read_text().splitlines()
    found = [line.split("=")[1].strip().strip("'\"") for line in lines if line.startswith("cuda")]
    return found[0] if found and found[0] != "None" else None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
