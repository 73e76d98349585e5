"""Tiny real models, each written once per test session."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from tests.support import tiny_models


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a kind that tests.support.tiny_models can write. Copy it before changing it."""
    return lru_cache(maxsize=None)(lambda kind: tiny_models.write(kind, tmp_path_factory.mktemp("tiny") / kind))
