"""Pages that show a project: what was kept, what was dropped, and by how much. One self-contained file each.

Queries are `ledger.report`'s; nothing here decides anything.
"""
