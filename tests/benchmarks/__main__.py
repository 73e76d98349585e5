"""`make bench`: start-up, memory and a whole run, printed. Nothing here is asserted; times are of this machine now."""

import shutil
import subprocess
import sys
import time

import psutil

from data_miner.errors import UnreachableError
from data_miner.ledger.cluster import Cluster
from data_miner.ledger.connection import Ledger
from data_miner.ledger.place import locate
from tests.support.mining import COMMAND, Home
from tests.support.postgres import reachable_folder
from tests.support.shared import shared

PROJECT = """
classes: [bottle, person]
filter: {{min_side: 100, min_sharpness: 5, min_contrast: 3}}
dedup: {{hash_distance: 4}}
detect: {{model: {model}, imgsz: 640, conf: 0.4}}
"""


def main() -> None:
    """Measure and print."""
    help_s = min(_seconds([*COMMAND, "--help"]) for _ in range(5))
    print(f"data-miner --help                    {help_s:.2f} s (aim 0.5)")
    root = reachable_folder()
    try:
        model = shared("models/yolo11n_int8_openvino_model")
        one_s = _seconds(
            [
                sys.executable,
                "-m",
                "tests.benchmarks.one_process",
                str(model),
                str(shared("videos")),
                str(root / "one"),
            ]
        )
        (root / "two.yaml").write_text(PROJECT.format(model=model))
        home = Home(root / "data", root)
        run_s, first_frame_s, peak_bytes = _run(home)
        home.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(f"run until the first committed frame  {first_frame_s:.1f} s (aim 8)")
    print(f"highest summed PSS of a run          {peak_bytes / 1e9:.2f} GB (aim 3.5)")
    print(f"a whole run on the two real videos   {run_s:.1f} s")
    print(f"the same work in one process         {one_s:.1f} s")
    print(f"ratio                                {run_s / one_s:.2f}")


def _seconds(command: list[str]) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - started


def _run(home: Home) -> tuple[float, float, int]:
    """Seconds in all, seconds to the first committed frame, highest summed PSS in bytes."""
    started, first_frame_s, peak_bytes = time.monotonic(), 0.0, 0
    driver = home.start("run", "two.yaml", "--source", str(shared("videos")))
    while driver.poll() is None:
        if not first_frame_s and _has_frame(home):
            first_frame_s = time.monotonic() - started
        peak_bytes = max(peak_bytes, _pss_bytes(driver.pid, home))
        time.sleep(0.1)
    return time.monotonic() - started, first_frame_s, peak_bytes


def _has_frame(home: Home) -> bool:
    place = home.data / "postgres"
    if not (place / "place").exists() and not (place / "cluster").exists():
        return False
    try:
        with Ledger(Cluster(locate(place.resolve())).dsn).transaction() as cursor:
            found = cursor.execute("SELECT to_regclass('frame') IS NOT NULL AS is_there").fetchone()
            return bool(found.is_there) and cursor.execute("SELECT FROM frame LIMIT 1").rowcount == 1
    except (UnreachableError, OSError):
        return False


def _pss_bytes(driver: int, home: Home) -> int:
    """Proportional memory of the driver, its descendants and the server of its data folder."""
    total = 0
    for process in psutil.process_iter():
        try:
            is_ours = process.pid == driver or any(parent.pid == driver for parent in process.parents())
            if is_ours or str(home.data) in " ".join(process.cmdline()):
                total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


if __name__ == "__main__":
    main()
