"""All five stages, from a search to boxes."""

from data_miner.stages.pipeline import Pipeline

PIPELINE = Pipeline("mine", ("expand", "download", "extract", "filter", "embed", "dedup", "detect"))
