"""Exact radius search over what pictures were measured to be. Numbers in, numbers out; no pixels, no SQL."""
