"""Killed at random moments and started again, a mining run gives what an undisturbed one gives (DESIGN §1)."""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_miner.ledger.connection import Ledger
from data_miner.ledger.place import locate
from tests.support.mining import Home, child_named, kill, postmaster_pid, snapshot, worker_pids
from tests.support.postgres import reachable_folder
from tests.support.shared import shared

KILLS = 20
VICTIMS = ("worker", "raylet", "driver", "postgres", "all")
PROJECT = """
description: bottles and people, cut small so that there is much to lose
classes: [bottle, person]
extract: {{fps: 4, segment_s: 7}}
filter: {{min_side: 100, min_sharpness: 5, min_contrast: 3}}
dedup: {{hash_distance: 2}}
detect: {{model: {model}, imgsz: 640, conf: 0.4}}
"""


@pytest.fixture
def homes() -> Iterator[list[Home]]:
    """Two data folders with the same project file."""
    made, root = [], reachable_folder()
    for name in ("calm", "killed"):
        cwd = root / name
        cwd.mkdir()
        model = shared("models/yolo11n_int8_openvino_model")
        (cwd / "two.yaml").write_text(PROJECT.format(model=model))
        made.append(Home(cwd / "data", cwd))
    yield made
    for home in made:
        home.close()
    shutil.rmtree(root)


@pytest.mark.timeout(900)
def test_twenty_kills_change_nothing(homes: list[Home]) -> None:
    calm, killed = homes
    seed = int(os.environ.get("DATA_MINER_KILL_SEED") or random.randrange(10**6))
    print(f"seed {seed}")
    done = calm.type("run", "two.yaml", "--source", str(shared("videos")))
    assert done.returncode == 0, done.stderr

    hits = _kill_until_done(killed, random.Random(seed))

    print("killed", ", ".join(hits))
    assert len(hits) == KILLS, f"seed {seed}: the run was over after {len(hits)} kills"
    expected, found = snapshot(calm, "two"), snapshot(killed, "two")
    for name in expected:
        assert found[name] == expected[name], f"seed {seed}: {name} differs after {hits}"
    assert len(expected["files"]) > 100 and len(expected["detection"]) > 100


def _kill_until_done(home: Home, rng: random.Random) -> list[str]:
    """Kill every kind of victim at random moments; start the command again when its driver died."""
    hits: list[str] = []
    victims = list(VICTIMS) * (KILLS // len(VICTIMS))
    rng.shuffle(victims)
    driver, deadline = _start(home), time.monotonic() + 600
    kill_at = time.monotonic() + rng.uniform(0, 6)
    while time.monotonic() < deadline:
        if driver.poll() is not None:
            if driver.returncode == 0:
                return hits
            # Ray ends its driver when the raylet dies in the instant in which the driver registers with it.
            assert driver.returncode == -9 or hits[-1] == "raylet", f"exit {driver.returncode}: {home.talk()}"
            driver = _start(home)
        # Nobody of that kind may live at the moment: then the first that does.
        if victims and time.monotonic() >= kill_at and _kill(home, driver, victims[0], rng):
            hits.append(victims.pop(0))
            kill_at = time.monotonic() + rng.uniform(0, 6)
        time.sleep(0.02)
    raise AssertionError(f"not done in time after {hits}: {home.talk()}")


def _start(home: Home) -> "subprocess.Popen[str]":
    return home.start("run", "two.yaml", "--source", str(shared("videos")))


def _kill(home: Home, driver: "subprocess.Popen[str]", victim: str, rng: random.Random) -> bool:
    """Kill what is meant; False when it does not live just now."""
    match victim:
        case "driver":
            return kill(driver.pid)
        case "postgres":
            return kill(postmaster_pid(home)) if home.server().exists else False
        case "raylet":
            return kill(child_named(driver.pid, "raylet"))
        case "worker":
            pids = _workers(home)
            return bool(pids) and kill(rng.choice(pids))
        case _:
            pids = _workers(home)
            victims = [*pids, child_named(driver.pid, "raylet"), driver.pid, postmaster_pid(home)]
            return len(pids) > 0 and [kill(pid) for pid in victims].count(True) > 1


def _workers(home: Home) -> list[int]:
    if not home.server().exists:
        return []
    folder: Path = locate((home.data / "postgres").resolve()).cluster
    if not (folder / "postmaster.pid").exists():
        return []
    try:
        from data_miner.ledger.cluster import Cluster

        return worker_pids(Ledger(Cluster(locate((home.data / "postgres").resolve())).dsn))
    except Exception:  # the server is just being killed or made: nobody to be found
        return []
