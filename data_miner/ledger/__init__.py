"""The ledger: every row the pipeline owns lives in PostgreSQL, and only this package speaks to it."""
