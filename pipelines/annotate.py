"""Filter, dedup and detect what `ingest` brought: for a machine with a GPU and no network."""

from data_miner.stages.pipeline import Pipeline

PIPELINE = Pipeline("annotate", ("filter", "embed", "dedup", "detect"))
