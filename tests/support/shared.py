"""Where the two real videos and the detector lie that some tests need; they are not part of the project."""

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


def shared(path: str) -> Path:
    """A file or folder of the shared material; fails the test plainly when it is absent."""
    folder = Path(os.environ.get("DATA_MINER_SHARED", _ROOT.parent / "shared"))
    found = folder / path
    if not found.exists():
        pytest.fail(f"{found} is not here: put the shared material beside the project or set DATA_MINER_SHARED")
    return found
