"""How many pictures a model is given at a time: fewer when the device gives up. Measuring is in vram.py."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from data_miner.errors import SmallerError

Item = TypeVar("Item")
Result = TypeVar("Result")


def halving(
    items: Sequence[Item], batch: int, run: Callable[[Sequence[Item]], Sequence[Result]]
) -> Iterator[tuple[Sequence[Item], Sequence[Result]]]:
    """Run items in order, `batch` at a time, and give each part with its results; no item is run twice or left out.

    On SmallerError (out_of_memory, model) the same items are tried again by half the batch, which then holds for
    the rest: what did not fit once seldom fits later. Raises the SmallerError of a batch of one.
    """
    done, batch = 0, max(1, batch)
    while done < len(items):
        part = items[done : done + batch]
        try:
            results = run(part)
        except SmallerError:
            if len(part) == 1:
                raise
            batch = len(part) // 2
            continue  # outside of `except`: its traceback would hold the failed batch's tensors
        yield part, results
        done += len(part)
