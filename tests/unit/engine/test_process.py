"""Which process it was, against real processes."""

import os
import subprocess
import sys
import time

import psutil

from data_miner.engine import process

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_this_process_is_not_gone() -> None:
    own = process.identity()
    assert own["host"] == process.host()
    assert not process.is_gone(own["pid"], own["pid_started"])


def test_a_pid_that_came_back_is_another_process() -> None:
    assert process.is_gone(os.getpid(), process.identity()["pid_started"] - 10)


def test_killing_spares_whoever_has_the_pid_now() -> None:
    with subprocess.Popen(SLEEP) as child:
        process.kill(child.pid, psutil.Process(child.pid).create_time() - 10)
        assert child.poll() is None
        child.kill()


def test_a_killed_process_is_gone_even_before_its_parent_looks() -> None:
    with subprocess.Popen(SLEEP) as child:
        started = psutil.Process(child.pid).create_time()
        process.kill(child.pid, started)
        deadline = time.monotonic() + 5
        while not process.is_gone(child.pid, started):
            assert time.monotonic() < deadline
        assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
