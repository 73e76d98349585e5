"""Alembic's entry: runs the migrations on the connection that `ledger/migrate.py` hands over."""

from alembic import context

from data_miner.ledger.connection import SCHEMA

context.configure(connection=context.config.attributes["connection"], version_table_schema=SCHEMA)
context.run_migrations()
