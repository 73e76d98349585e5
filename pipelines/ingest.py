"""Download and extract only: for a machine with a network and no GPU."""

from data_miner.stages.pipeline import Pipeline

PIPELINE = Pipeline("ingest", ("expand", "download", "extract"))
