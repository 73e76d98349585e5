"""The engine: workers that pull, pools that follow the backlog, one supervisor a database. The only importer of ray."""
