"""The guard at connect time, on real sockets."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from data_miner.sources.guard import ConnectionGuard


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def test_a_private_address_is_refused_at_connect(listener: socket.socket) -> None:
    with ConnectionGuard(frozenset(), 10) as guard, pytest.raises(PermissionError):
        socket.create_connection(("127.0.0.1", port_of(listener)), 2)
    assert guard.refused and "127.0.0.1" in guard.refused


def test_a_name_that_resolves_to_loopback_is_refused_at_connect(listener: socket.socket) -> None:
    with ConnectionGuard(frozenset(), 10), pytest.raises(PermissionError):
        socket.create_connection(("localhost", port_of(listener)), 2)


def test_connect_ex_is_watched_too(listener: socket.socket) -> None:
    with ConnectionGuard(frozenset(), 10), socket.socket() as sock, pytest.raises(PermissionError):
        sock.connect_ex(("127.0.0.1", port_of(listener)))


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_an_allowed_name_covers_its_address(listener: socket.socket, name: str) -> None:
    with ConnectionGuard(frozenset({f"{name}:{port_of(listener)}"}), 10) as guard:
        socket.create_connection(("127.0.0.1", port_of(listener)), 2).close()
    assert guard.refused is None


def test_another_port_of_an_allowed_host_is_refused(listener: socket.socket) -> None:
    allow = frozenset({f"127.0.0.1:{port_of(listener) ^ 1}"})
    with ConnectionGuard(allow, 10), pytest.raises(PermissionError):
        socket.create_connection(("127.0.0.1", port_of(listener)), 2)


def test_other_threads_and_later_code_connect_as_they_like(listener: socket.socket) -> None:
    failures: list[BaseException] = []

    def connect() -> None:
        try:
            socket.create_connection(("127.0.0.1", port_of(listener)), 2).close()
        except OSError as error:
            failures.append(error)

    with ConnectionGuard(frozenset(), 10):
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
    connect()
    assert not failures


def test_the_deadline_cuts_a_read_that_would_wait_for_ever(listener: socket.socket) -> None:
    allow = frozenset({f"127.0.0.1:{port_of(listener)}"})
    begun = time.monotonic()
    with ConnectionGuard(allow, 0.2) as guard:
        with socket.create_connection(("127.0.0.1", port_of(listener)), 30) as sock:
            assert sock.recv(1) == b""
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", port_of(listener)), 30)
    assert guard.expired and time.monotonic() - begun < 5
