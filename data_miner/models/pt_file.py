"""What a .pt file says it holds: its pickle is read as text, nothing is unpickled and torch is not needed."""

import itertools
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

NETWORKS = {"WorldModel": "yolo-world", "YOLOEModel": "yoloe", "YOLOESegModel": "yoloe"}
_TASKS = "ultralytics.nn.tasks"  # the module of every network class of Ultralytics
_MOST_OPCODES = 200_000  # the network's class comes within the first hundred of what Ultralytics writes


def checkpoint_kind(path: Path) -> str:
    """ "yolo-world", "yoloe", or "yolo" for all else; what is no checkpoint at all is left to the loader's words.

    torch.save writes a zip with the object's pickle in <name>/data.pkl. Files of its older format are "yolo".
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl") or name == "data.pkl"]
            if not names:
                return "yolo"
            with archive.open(names[0]) as stream:
                network = next((name for module, name in _classes(stream) if module == _TASKS), "")
    except Exception:  # a cut or foreign file: zlib, struct and pickletools raise anything
        return "yolo"
    return NETWORKS.get(network, "yolo")


def _classes(stream: IO[bytes]) -> Iterator[tuple[str, str]]:
    """Module and name of the classes that the pickle would import, in its order."""
    strings: list[str] = []
    memo: dict[Any, str] = {}
    for opcode, argument, _ in itertools.islice(pickletools.genops(stream), _MOST_OPCODES):
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            yield module, name
        elif opcode.name == "STACK_GLOBAL" and len(strings) > 1:
            yield strings[-2], strings[-1]
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = strings[-1] if strings else ""
        elif opcode.name in ("BINGET", "LONG_BINGET", "GET") and argument in memo:
            strings.append(memo[argument])
        elif isinstance(argument, str):
            strings.append(argument)
