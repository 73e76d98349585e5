"""RAY_ADDRESS: what is refused, and that a silent port is not waited for."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data_miner.cli.main import run
from data_miner.engine.address import require_answer
from data_miner.errors import UnreachableError


@pytest.mark.parametrize(
    ("hello", "why"),
    [(None, "timed out"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no gcs is there"), (b"", "it hangs up")],
)
def test_a_port_where_no_gcs_speaks_is_said_in_one_line_soon(hello: bytes | None, why: str) -> None:
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        answered = pool.submit(_answer, server, hello) if hello is not None else None
        with pytest.raises(UnreachableError) as caught:
            require_answer(address, timeout_s=0.5)
        assert answered is None or answered.result()
    assert time.monotonic() - started < 3
    assert why in str(caught.value) and address in str(caught.value)


def _answer(server: socket.socket, hello: bytes) -> bool:
    client, _ = server.accept()
    with client:
        heard = client.recv(64)
        client.sendall(hello)
    return heard.startswith(b"PRI")


@pytest.mark.parametrize(("address", "code"), [("ray://head:10001", 2), ("head", 2)])
def test_an_address_that_cannot_work_is_refused_before_anything_is_made(
    address: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("DATA_MINER_DATA", f"{tmp_path}/data")
    assert run(["engine"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert address in line
