"""How many pictures a stage gives its model at a time: on a GPU what fits, by a probe that is made once."""

import logging
from collections.abc import Callable, Sequence

import numpy as np

from data_miner.errors import SmallerError
from data_miner.ledger import probes
from data_miner.models.base import Rgb
from data_miner.models.vram import CudaMeter, Meter, Model, batch_for, measure
from data_miner.stages.base import Node

log = logging.getLogger(__name__)

_PROBED = 4  # pictures in the larger of the two measured batches


def fitting_batch(
    node: Node,
    name: str,
    wanted: int,
    open_model: Callable[[int], Model],
    run: Callable[[Model, Sequence[Rgb]], object],
    shape: tuple[int, int],
    meter: Meter | None = None,
) -> int:
    """Pictures in one forward pass, `wanted` at most; on a CPU just that.

    name: what a probe is kept by, the model's digest and what else moves its memory. open_model: takes the batch.
    shape: (height, width) of the pictures in px. meter: of the node's device, unless a test brings one.
    """
    if meter is None:
        if not node.device.startswith("cuda"):
            return wanted
        meter = CudaMeter(node.device)
    free_bytes = meter.free_bytes()  # before anything is loaded
    with node.ledger.transaction() as cursor:
        probe = probes.find(cursor, name, meter.device)
    if probe is None:
        picture = np.full((*shape, 3), 127, np.uint8)
        try:
            measured = measure(lambda: open_model(_PROBED), run, [picture] * _PROBED, meter)
        except SmallerError as error:
            log.warning("%s: not even %d pictures fit (%s); one at a time", name, _PROBED, error)
            return 1
        with node.ledger.transaction() as cursor:
            probe = probes.keep(cursor, name, meter.device, measured)
    batch = batch_for(probe, free_bytes, wanted)
    log.info("batch of %d", batch, extra={"model": name, "device": meter.device, "free_bytes": free_bytes})
    return batch
