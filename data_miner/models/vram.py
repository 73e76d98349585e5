"""What a model costs on a kind of GPU, measured once, and the batch that fits. Knows no model and no ledger."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from data_miner.models.base import Rgb

HEADROOM = 0.1  # of the free memory: allocators lose some to fragments, neighbours on the card grow
_ROUNDS = 2  # the first of each size pays for kernels being chosen and loaded; the least of both counts


class Closable(Protocol):
    """A detector, an embedder or a scorer."""

    def close(self) -> None:
        """Give memory back."""
        ...


Model = TypeVar("Model", bound=Closable)


@dataclass(frozen=True, slots=True)
class Probe:
    """A model on a kind of GPU. A batch of n pictures needs load_bytes + n · bytes_per_image.

    The CUDA context is not in it: some 0.3 to 0.5 GB for each process, taken before anything is measured.
    """

    load_bytes: int
    bytes_per_image: int
    images_per_second: float


class Meter(Protocol):
    """Reads a device's memory. Bytes of this process, but for `free_bytes`."""

    @property
    def device(self) -> str:
        """The card's name, as the ledger keeps probes by."""
        ...

    def free_bytes(self) -> int:
        """What this process could still take."""
        ...

    def used_bytes(self) -> int:
        """What is allocated now."""
        ...

    def peak_bytes(self) -> int:
        """The most that was allocated since reset_peak()."""
        ...

    def reset_peak(self) -> None:
        """Forget the peak."""
        ...


class CudaMeter:
    """A CUDA card through torch's allocator. `share`: the part of the card that this process was given."""

    def __init__(self, device: str = "cuda:0", share: float = 1.0) -> None:
        import torch

        self._cuda, self._place, self._share = torch.cuda, torch.device(device), share

    @property
    def device(self) -> str:
        """See Meter.device."""
        return str(self._cuda.get_device_name(self._place))

    def free_bytes(self) -> int:
        """See Meter.free_bytes. What the allocator holds without using it is free too, to this process."""
        free, total = self._cuda.mem_get_info(self._place)  # of the whole card, all processes counted
        used = self.used_bytes()
        idle = int(self._cuda.memory_reserved(self._place)) - used
        return max(0, min(int(free) + idle, int(total * self._share) - used))

    def used_bytes(self) -> int:
        """See Meter.used_bytes."""
        return int(self._cuda.memory_allocated(self._place))

    def peak_bytes(self) -> int:
        """See Meter.peak_bytes."""
        return int(self._cuda.max_memory_allocated(self._place))

    def reset_peak(self) -> None:
        """See Meter.reset_peak."""
        self._cuda.reset_peak_memory_stats(self._place)


def measure(
    open_model: Callable[[], Model],
    run: Callable[[Model, Sequence[Rgb]], object],
    rgb: Sequence[Rgb],
    meter: Meter,
) -> Probe:
    """Open a model, run one picture and then all of them, and close it.

    run: gives the model pictures and waits for the results, as `detect` and `embed_images` do. The model must take
    all of `rgb` (two at least) in one forward pass: open it with that batch. Raises what the model raises.
    """
    if len(rgb) < 2:
        raise ValueError(f"{len(rgb)} pictures give no slope; measure with two at least")
    before = meter.used_bytes()
    model = open_model()
    try:
        one, _ = _cost(lambda: run(model, rgb[:1]), meter)
        many, seconds = _cost(lambda: run(model, rgb), meter)
        loaded = meter.used_bytes()
    finally:
        model.close()
    per_image = max(1, -(-(many - one) // (len(rgb) - 1)))
    load = max(loaded, one - per_image, many - len(rgb) * per_image) - before
    return Probe(max(0, load), per_image, len(rgb) / max(seconds, 1e-9))


def batch_for(probe: Probe, free_bytes: int, wanted: int, headroom: float = HEADROOM) -> int:
    """How many pictures fit at a time, 1 to `wanted`; 1 also where not even the model fits.

    free_bytes: before the model is loaded. headroom: the share of it that stays free.
    """
    room = int(free_bytes * (1 - headroom)) - probe.load_bytes
    return max(1, min(wanted, room // max(1, probe.bytes_per_image)))


def _cost(work: Callable[[], object], meter: Meter) -> tuple[int, float]:
    """Peak bytes and seconds of the cheapest of some rounds."""
    peaks, seconds = [], []
    for _ in range(_ROUNDS):
        meter.reset_peak()
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
        peaks.append(meter.peak_bytes())
    return min(peaks), min(seconds)
