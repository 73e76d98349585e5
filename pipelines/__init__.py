"""Which stages run together. One file a pipeline; `data-miner run --pipeline NAME` takes it."""

from importlib import import_module

from data_miner.errors import UsageError
from data_miner.stages.pipeline import Pipeline

NAMES = ("mine", "ingest", "annotate")


def load(name: str) -> Pipeline:
    """Find a pipeline by name; raises UsageError with the names there are."""
    if name not in NAMES:
        raise UsageError(f"no pipeline {name!r}; there are {', '.join(NAMES)}")
    pipeline: Pipeline = import_module(f"pipelines.{name}").PIPELINE
    return pipeline
