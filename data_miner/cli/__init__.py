"""The command line: one file a command, a thin shell around the ledger, the store and the engine."""
