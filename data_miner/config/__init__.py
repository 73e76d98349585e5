"""Where things are (settings, from the environment), what to mine (project, YAML), how fast to ask (sites, YAML).

Nothing is imported here, so that `import data_miner.config` costs nothing; pydantic comes with `schema`.
"""
