"""Ray's own processes: started here or joined, watched, taken down. Actors are cluster.py's matter."""

import atexit
import logging
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from data_miner.engine.address import require_answer
from data_miner.engine.devices import Machine
from data_miner.errors import UnreachableError

_OBJECT_STORE_BYTES = 80 * 2**20  # nothing of ours goes through it; Ray wants 75 MB at least
_VITAL = ("raylet", "gcs_server")
_LAST_WAIT_S = 10.0
_PATIENCE_S = 20.0  # with a cluster that answers and does not let us join: Ray's own is minutes
_KEPT_SESSIONS = 2  # of dead drivers: Ray's logs of what went wrong
_ROOM_FOR_A_SOCKET_BYTES = 40  # Ray adds 66 to its folder, and a socket's path has 107 at most


class Head:
    """One life of Ray, led by a thread of its own.

    Ray starts for 4 to 10 s: meanwhile the supervisor must renew its lease and Ctrl-C must work. The thread
    lives as long as Ray does, because Linux kills Ray's processes with the thread that made them
    (PR_SET_PDEATHSIG).
    """

    def __init__(self, machine: Machine, address: str | None, on_up: Callable[[], None]) -> None:
        self._machine, self._address, self._on_up = machine, address, on_up
        self.dashboard: str | None = None
        self._error: UnreachableError | None = None
        self._asked_at = time.monotonic()
        self._vital: list[psutil.Process] = []
        self._is_up, self._is_over, self._leave = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._live, name="ray", daemon=True)
        self._thread.start()

    def is_up(self, wait_s: float = 0) -> bool:
        """Is Ray there? Raises UnreachableError when it does not come up."""
        self._is_up.wait(wait_s)
        if self._address and not self._is_up.is_set() and time.monotonic() - self._asked_at > _PATIENCE_S:
            self._error = UnreachableError(
                f"ray {self._address} answers, but could not be joined in {_PATIENCE_S:.0f} s"
            )
            self._is_over.set()  # its thread cannot be had back: nobody waits for it
        if self._error is not None:
            raise self._error
        return self._is_up.is_set()

    def is_alive(self) -> bool:
        """Are our own raylet and GCS still there? Ray itself tells its driver only after some 14 s."""
        return all(_lives(process) for process in self._vital)

    def stop(self, wait_s: float) -> bool:
        """Leave, and take a Ray of our own down with us; is it over by now? Goes on by itself, 1 s or two."""
        self._leave.set()
        return self._is_over.wait(wait_s)

    def _live(self) -> None:
        _prepare_environment()
        import ray

        try:
            self._start()
            self._is_up.set()
            self._on_up()
            self._leave.wait()
            ray.shutdown()
        except UnreachableError as error:
            self._error = error
        except Exception as error:  # Ray raises all kinds, AssertionError among them
            where = self._address or "on this machine"
            first = (str(error).splitlines() or [type(error).__name__])[0]
            self._error = UnreachableError(f"ray {where} does not come up: {first}; see `data-miner doctor`")
        finally:
            self._is_over.set()
            if not self._is_up.is_set():
                self._is_up.set()
                self._on_up()

    def _start(self) -> None:
        import ray

        atexit.register(self.stop, _LAST_WAIT_S)  # before Ray's own, which was registered by the import
        logging.getLogger("ray").setLevel(logging.ERROR)
        # A name of its own: actors of another driver on the same cluster may have the same names.
        common: dict[str, Any] = {
            "namespace": f"data-miner-{uuid.uuid4().hex[:6]}",
            "log_to_driver": False,
            "logging_level": logging.ERROR,
        }
        if self._address is not None:
            require_answer(self._address)
            context = ray.init(address=self._address, **common)
        else:
            context = ray.init(
                address="local",  # anything else joins a stray cluster noted in Ray's temp folder
                num_cpus=self._machine.cpus,
                num_gpus=len(self._machine.cards),
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=True,
                dashboard_host="127.0.0.1",
                _temp_dir=_sessions_folder(),
                **common,
            )
            self._vital = [child for child in psutil.Process().children() if child.name() in _VITAL]
        self.dashboard = f"http://{context.dashboard_url}" if context.dashboard_url else None


def _prepare_environment() -> None:
    """Say what Ray reads once, when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")  # its SIGTERM handler aborts the driver
    # At a raylet's death Ray prints 25 lines of its state on our stdout, which is data. They stay in its logs.
    os.environ.update(RAY_DEDUP_LOGS="1", RAY_DEDUP_LOGS_SKIP_REGEX=".*")


def _sessions_folder() -> str | None:
    """Where Ray keeps its sockets and logs: a private folder, out of which old sessions are cleared."""
    if os.environ.get("RAY_TMPDIR"):
        return None  # somebody chose already
    name = f"data-miner-{os.geteuid()}"
    parent = tempfile.gettempdir()
    if len(f"{parent}/{name}".encode()) > _ROOM_FOR_A_SOCKET_BYTES:
        parent = "/tmp"
    folder = Path(parent, name)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        return tempfile.mkdtemp(prefix="data-miner-", dir=parent)  # another user was there first
    clear_sessions(folder)
    return str(folder)


def clear_sessions(folder: Path) -> None:
    """Delete sessions of dead drivers but for the newest: Ray deletes none (`session_<date>_<time>_<pid>`)."""
    dead = []
    for session in folder.glob("session_2*"):
        pid = session.name.rpartition("_")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            dead.append(session)
    for session in sorted(dead)[:-_KEPT_SESSIONS]:
        shutil.rmtree(session, ignore_errors=True)


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
