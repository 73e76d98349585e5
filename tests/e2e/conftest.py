"""A data folder for the tests of one file: each mines in a place of its own."""

import shutil
from collections.abc import Iterator

import pytest

from tests.support.mining import Home
from tests.support.postgres import reachable_folder


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """An empty working directory with a data folder to be."""
    root = reachable_folder()
    found = Home(root / "data", root)
    yield found
    found.close()
    shutil.rmtree(root)
