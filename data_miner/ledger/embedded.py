"""The embedded server's life: several processes share it, any of them revives it, the last one out stops it.

All that is known about who lives is held in flocks, which the kernel frees at a kill -9; no pid is counted.
`lock` is held while somebody starts or stops, `users/*` by each process that needs the server, `server.lock`
by the server itself: postmaster and backends inherit it, so a free one proves that none of them is left.
"""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from psycopg import pq

from data_miner.errors import UnreachableError
from data_miner.ledger.cluster import Cluster
from data_miner.ledger.place import locate, make_home

_POLL_S = 0.02
_START_ATTEMPTS = 3
_TIMEOUT_S = 120.0  # crash recovery of 512 MB of WAL on a slow disk is well below
_FAST_STOP_S = 30.0


class EmbeddedPostgres:
    """A PostgreSQL server below one data folder, e.g. `EmbeddedPostgres(data / "postgres")`."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))
        self._process: subprocess.Popen[bytes] | None = None
        self._user: tuple[Path, int] | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a server's data; commands that only read ask this before they call ensure()."""
        return (self.folder / "cluster").exists() or (self.folder / "place").exists()

    def ensure(self, timeout_s: float = _TIMEOUT_S) -> str:
        """Make, start or adopt the server, count this process among its users, and return its address.

        Costs 2 ms when all is well, so a supervisor calls it whenever the database is silent. Raises
        UnreachableError, with the server's last words, when it does not come up.
        """
        with self._lifecycle(timeout_s):
            cluster = Cluster(locate(self.folder))
            newcomer = self._user is None
            if newcomer:
                self._register()
            try:
                if not cluster.place.cluster.exists():
                    cluster.init()
                self._bring_up(cluster, time.monotonic() + timeout_s)
            except BaseException:
                if newcomer:
                    self._unregister()
                raise
        return cluster.dsn

    def alive(self) -> bool:
        """Say whether the server takes connections now; starts nothing."""
        if not self.exists:
            return False
        if self._process is not None:
            self._process.poll()
        return Cluster(locate(self.folder)).ping() == pq.Ping.OK

    def release(self) -> None:
        """Take this process off the users; when it was the last living one, stop the server."""
        if self._user is None:
            return
        with self._lifecycle(_TIMEOUT_S):
            self._unregister()
            if not self._others():
                self._stop()

    def stop(self) -> None:
        """Stop the server whoever uses it; every transaction that was not committed is rolled back."""
        if not self.exists:
            return
        with self._lifecycle(_TIMEOUT_S):
            self._stop()

    def remove(self) -> None:
        """Stop the server and delete it with all its data, wherever that lies."""
        if self.exists:
            with self._lifecycle(_TIMEOUT_S):
                self._unregister()
                self._stop(fast_s=0)  # no checkpoint of what is thrown away
            place = locate(self.folder)
            for folder in (place.socket, place.base, place.home):
                shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> str:
        return self.ensure()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _bring_up(self, cluster: Cluster, deadline: float) -> None:
        attempts = 0
        while cluster.ping() != pq.Ping.OK:
            if self._process is not None and self._process.poll() is not None:
                self._process = None
            # Somebody holds it: the server is on its way up, or the backends of a killed one still die.
            lock_fd = _try_lock(self.folder / "server.lock")
            if lock_fd is not None:
                try:
                    if attempts == _START_ATTEMPTS:
                        raise UnreachableError(f"embedded PostgreSQL does not start: {cluster.last_words()}")
                    self._process = cluster.start(lock_fd)
                    attempts += 1
                finally:
                    os.close(lock_fd)
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"embedded PostgreSQL does not answer; see {cluster.place.log}: {cluster.last_words()}"
                )
            time.sleep(_POLL_S)

    def _stop(self, fast_s: float = _FAST_STOP_S) -> None:
        cluster = Cluster(locate(self.folder))
        started = time.monotonic()
        asked: set[signal.Signals] = set()
        while (lock_fd := _try_lock(self.folder / "server.lock")) is None:
            spent_s = time.monotonic() - started
            how = signal.SIGINT if spent_s < fast_s else signal.SIGQUIT  # fast, then immediate
            if how not in asked:
                cluster.signal(how)
                asked.add(how)
            if spent_s > fast_s + _FAST_STOP_S:
                raise UnreachableError(f"embedded PostgreSQL of {self.folder} does not stop; see {cluster.place.log}")
            time.sleep(_POLL_S)
        os.close(lock_fd)
        if self._process is not None:
            self._process.wait()
            self._process = None

    @contextmanager
    def _lifecycle(self, timeout_s: float) -> Iterator[None]:
        """Hold the lock under which servers start and stop and users come and go."""
        try:
            make_home(self.folder)
            lock_fd = self._wait_for_lock(timeout_s)
            try:
                yield
            finally:
                os.close(lock_fd)
        except OSError as error:  # another user's folder, a read-only or full disk
            raise UnreachableError(
                f"embedded PostgreSQL in {self.folder}: {error.strerror}; choose another --data"
            ) from error

    def _wait_for_lock(self, timeout_s: float) -> int:
        deadline = time.monotonic() + timeout_s
        while (lock_fd := _try_lock(self.folder / "lock")) is None:
            if time.monotonic() > deadline:
                raise UnreachableError(f"another data-miner has held {self.folder}/lock for {timeout_s:.0f} s")
            time.sleep(_POLL_S)
        return lock_fd

    def _register(self) -> None:
        users = self.folder / "users"
        users.mkdir(mode=0o700, exist_ok=True)
        path = users / f"{os.getpid()}-{secrets.token_hex(4)}"
        lock_fd = _try_lock(path)
        assert lock_fd is not None, "a fresh name cannot be locked"
        self._user = (path, lock_fd)

    def _unregister(self) -> None:
        if self._user is not None:
            path, lock_fd = self._user
            path.unlink(missing_ok=True)
            os.close(lock_fd)
            self._user = None

    def _others(self) -> bool:
        """Say whether a living process uses the server; forget the dead ones."""
        living = False
        for path in (self.folder / "users").iterdir():
            lock_fd = _try_lock(path)
            if lock_fd is None:
                living = True
            else:
                path.unlink(missing_ok=True)
                os.close(lock_fd)
        return living


def _try_lock(path: Path) -> int | None:
    """Open and flock a file; None when somebody holds it. What we start does not inherit the descriptor."""
    lock_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:  # root's visit must not lock the folder's owner out
        owner = path.parent.stat()
        os.fchown(lock_fd, owner.st_uid, owner.st_gid)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock_fd)
        return None
    return lock_fd
