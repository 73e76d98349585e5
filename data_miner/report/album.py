"""Small pictures of frames, each once, until a page is full. Where they stand on the page is not known here."""

import base64
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from data_miner.errors import NeverError
from data_miner.ledger.report import Key
from data_miner.store.artifacts import Store

SIDE_PX, QUALITY = 240, 70
_CHUNK = 64  # pictures in flight: what is read in vain when the page is full
_READERS = 4  # of a remote store each read is a round trip; decoding lets go of the interpreter


@dataclass(frozen=True, slots=True)
class Album:
    """Pictures as base64 JPEGs, and where each frame's is among them."""

    jpegs: Sequence[str]
    places: Mapping[Key, int]
    absent: int  # wanted frames whose pixels are not here any more
    left_out: int  # wanted frames for which there was no room
    shape: str  # of most pictures: "16 / 9"

    def shortened(self, excess_bytes: int) -> "Album":
        """The same without the last pictures that take `excess_bytes` or more."""
        left = len(self.jpegs)
        while left and excess_bytes > 0:
            left -= 1
            excess_bytes -= len(self.jpegs[left])
        return replace(self, jpegs=self.jpegs[:left], left_out=self.left_out + len(self.jpegs) - left)


def fill(store: Store, rows: Mapping[Key, Any], lists: Sequence[Sequence[Key]], budget_bytes: int) -> Album:
    """Read pictures until their base64 takes `budget_bytes`; every list of keys gets its first ones first.

    A picture that is not in the store any more, or none, is left out; a store that does not answer raises.
    """
    turns = (key for turn in itertools.zip_longest(*lists) for key in turn if key in rows)
    wanted = list(dict.fromkeys(turns))
    jpegs, places, absent, used, seen = list[str](), dict[Key, int](), 0, 0, 0
    with ThreadPoolExecutor(_READERS) as readers:
        for chunk in _batched(wanted):  # itertools.batched came with Python 3.12
            for key, jpeg in zip(chunk, readers.map(lambda key: _small(store, rows[key]), chunk), strict=True):
                if jpeg is None:
                    absent += 1
                elif used + len(jpeg) <= budget_bytes:
                    places[key] = len(jpegs)
                    jpegs.append(jpeg)
                    used += len(jpeg)
                seen += 1
            if len(jpegs) + absent < seen:  # one did not fit: the page is full
                break
    shape = Counter((rows[key].width, rows[key].height) for key in wanted).most_common(1)
    width, height = shape[0][0] if shape else (16, 10)
    return Album(jpegs, places, absent, len(wanted) - len(jpegs) - absent, f"{width} / {height}")


def _batched(keys: Iterable[Key]) -> Iterable[tuple[Key, ...]]:
    rest = iter(keys)
    return iter(lambda: tuple(itertools.islice(rest, _CHUNK)), ())


def _small(store: Store, row: Any) -> str | None:
    from data_miner.media import jpeg

    if row.shard is None:
        return None
    try:
        whole = store.read(row.shard, row.shard_offset, row.size_bytes)
        return base64.b64encode(jpeg.encode(jpeg.decode_scaled(whole, SIDE_PX), QUALITY)).decode()
    except (FileNotFoundError, NeverError):
        return None
