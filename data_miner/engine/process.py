"""Which process this is, in a way that another process on this machine can check: a pid alone comes back."""

import contextlib
import os
import socket
from functools import cache
from pathlib import Path
from typing import Any

import psutil


@cache
def host() -> str:
    """Name this machine since its last boot."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()}/{boot.read_text().strip()[:8] if boot.exists() else int(psutil.boot_time())}"


def identity() -> dict[str, Any]:
    """This process as the ledger keeps it."""
    return {"host": host(), "pid": os.getpid(), "pid_started": psutil.Process().create_time()}


def is_gone(pid: int, pid_started: float) -> bool:
    """Is a process of this machine proven dead? A zombie holds nothing and counts as dead."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - pid_started) > 0.5 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def kill(pid: int, pid_started: float) -> None:
    """End a process of this machine at once, if it is still the one that is meant."""
    with contextlib.suppress(psutil.NoSuchProcess):
        found = psutil.Process(pid)
        if abs(found.create_time() - pid_started) <= 0.5:
            found.kill()
