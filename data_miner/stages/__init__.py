"""The five stages (and expand, which lists a source): pixels and numbers in, rows and artifacts out. No Ray."""
