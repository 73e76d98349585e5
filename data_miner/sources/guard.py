"""Watches every connection one thread opens: private addresses are refused, a deadline cuts them all.

The check sits at `connect` itself (an audit hook of the interpreter), so redirects, media URLs an extractor
found, and names that resolve to something else the second time cannot pass it, whatever library connects.
"""

import ipaddress
import socket
import sys
import threading
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies

from data_miner.sources.safety import is_public, refusal

_current = threading.local()
_install_lock = threading.Lock()
_installed = False
_WATCHED_SOCKETS = 64  # a site without keep-alive opens one per fragment; only the latest can still be read


class ConnectionGuard:
    """Refuses private addresses and cuts connections after `seconds`, for the thread that entered it.

    `allow` holds "host" or "host:port". A proxy of the environment is allowed too: the user set it.
    After the block `refused` says what was refused (or None) and `expired` whether the deadline came.
    """

    def __init__(self, allow: frozenset[str], seconds: float) -> None:
        self.refused: str | None = None
        self.expired = False
        self._open = _resolved(allow | _proxies())
        self.seconds = seconds
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        _install()
        self._outer = getattr(_current, "guard", None)
        _current.guard = self
        self._timer = threading.Timer(self.seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.guard = self._outer
        self._timer.cancel()
        for duplicate in self._sockets:
            duplicate.close()
        self._sockets.clear()

    def check(self, sock: socket.socket, address: Any) -> None:
        """Raise OSError when `sock` may not connect to `address`, an (ip, port, …) of the socket module."""
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        if self.expired:
            raise TimeoutError(f"cut after {self.seconds:.0f} s")
        host, port = str(address[0]), int(address[1])
        if not self._may(host, port):
            self.refused = refusal(f"{host}:{port}", host)
            raise PermissionError(self.refused)
        # A duplicate of the descriptor lets the deadline cut the stream even after TLS took the socket over.
        self._sockets.append(sock.dup())
        if len(self._sockets) > _WATCHED_SOCKETS:
            self._sockets.pop(0).close()

    def _may(self, host: str, port: int) -> bool:
        if not self._open.isdisjoint(((host, None), (host, port))):
            return True
        try:
            return is_public(ipaddress.ip_address(host))
        except ValueError:  # a name that nobody resolved yet: its address cannot be judged
            return False

    def _cut(self) -> None:
        self.expired = True
        for duplicate in self._sockets:
            try:
                duplicate.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed by its peer already
                continue


def _install() -> None:
    global _installed
    with _install_lock:
        if not _installed:
            sys.addaudithook(_on_event)
            _installed = True


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    guard: ConnectionGuard | None = getattr(_current, "guard", None)
    if guard is not None:
        guard.check(arguments[0], arguments[1])


def _resolved(names: frozenset[str]) -> frozenset[tuple[str, int | None]]:
    found: set[tuple[str, int | None]] = set()
    for name in names:
        parts = urlsplit(f"//{name}" if name.count(":") <= 1 or name.startswith("[") else f"//[{name}]")
        try:
            entries = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            continue
        found.update((str(entry[4][0]), parts.port) for entry in entries)
    return frozenset(found)


def _proxies() -> frozenset[str]:
    return frozenset(urlsplit(url).netloc.rpartition("@")[2] for url in getproxies().values() if "://" in url)
