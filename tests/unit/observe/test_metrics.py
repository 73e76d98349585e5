import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from data_miner.observe import metrics

def count_everything():
    metrics.count_job("extract", "dead", "unreadable")
    metrics.count_frames("filter", "too_blurry", 3)
    metrics.count_frames("filter", "", 0)
    metrics.count_bytes("download", 10)
    metrics.count_seconds("extract", "decode", 0.5)

count_everything()
assert "ray" not in sys.modules
metrics.enable()
metrics.enable()
count_everything()  # Ray raises when a label is not declared
print(sorted(metrics._counters))
"""


def test_counting_needs_ray_only_after_enable_and_every_label_is_declared() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("data_miner_bytes", "data_miner_frames", "data_miner_jobs", "data_miner_step_seconds"):
        assert name in done.stdout
