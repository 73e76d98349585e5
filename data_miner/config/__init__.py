"""Where things are (settings, from the environment), what to mine (project) and how fast to ask (sites).

Nothing is imported here, so that `import data_miner.config` costs nothing; pydantic comes with `schema`.
"""
