"""Types of the fixtures that load projects."""

from collections.abc import Callable

from data_miner.config.project import LoadedProject

Load = Callable[..., LoadedProject]
