"""Artifacts: files too large for the ledger, in a folder or behind an fsspec URL."""
