"""Data Miner: turn web video into a labelled image dataset of a rare object."""

__version__ = "0.1.0"
