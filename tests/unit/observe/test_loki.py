import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from data_miner.observe.loki import LokiHandler


class Loki(ThreadingHTTPServer):
    """Takes pushes on loopback; answers with the statuses it is told, 204 when there are none left."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Push)
        self.pushes: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.statuses: list[int] = []
        self.open = threading.Event()
        self.open.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def values(self) -> list[tuple[str, str, str]]:
        """Severity, time and text of every line that was taken."""
        return [
            (stream["stream"]["severity"], time_ns, text)
            for push in self.pushes
            for stream in push["streams"]
            for time_ns, text in stream["values"]
        ]


class Push(BaseHTTPRequestHandler):
    server: Loki

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.open.wait(10)
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.server.paths.append(self.path)
        if status == 204:
            self.server.pushes.append(json.loads(body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def loki() -> Iterator[Loki]:
    server = Loki()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.open.set()
    server.shutdown()
    thread.join()
    server.server_close()


def record(text: str, level: int = logging.INFO, name: str = "data_miner.x") -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, text, None, None)


def test_lines_arrive_in_one_batch_with_their_own_times_and_few_labels(loki: Loki) -> None:
    handler = LokiHandler(loki.url, "extract")
    made = record("hello", logging.WARNING)
    made.created = 1_700_000_000.25
    handler.handle(made)
    for n in range(20):
        handler.handle(record(f"line {n}"))
    handler.close()
    assert loki.paths == ["/loki/api/v1/push"]
    assert {frozenset(s["stream"]) for s in loki.pushes[0]["streams"]} == {frozenset({"app", "role", "severity"})}
    severity, time_ns, text = next(value for value in loki.values() if "hello" in value[2])
    assert (severity, time_ns, json.loads(text)["event"]) == ("warning", "1700000000250000000", "hello")
    assert len(loki.values()) == 21
    assert handler.dropped == 0


def test_a_path_of_its_own_is_kept(loki: Loki) -> None:
    handler = LokiHandler(f"{loki.url}/tenant/push", "cli")
    handler.handle(record("x"))
    handler.close()
    assert loki.paths == ["/tenant/push"]


def test_a_server_error_is_tried_again_and_loses_nothing(loki: Loki) -> None:
    loki.statuses = [503]
    handler = LokiHandler(loki.url, "cli")
    handler.handle(record("x"))
    deadline = time.monotonic() + 10
    while not loki.pushes and time.monotonic() < deadline:
        time.sleep(0.02)
    handler.close()
    assert len(loki.values()) == 1
    assert handler.dropped == 0


def test_what_loki_refuses_is_dropped_and_counted_and_the_next_line_goes_on(loki: Loki) -> None:
    loki.statuses = [400]
    handler = LokiHandler(loki.url, "cli")
    handler.handle(record("too old"))
    deadline = time.monotonic() + 10
    while handler.dropped == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    handler.handle(record("fresh"))
    handler.close()
    assert handler.dropped == 1
    assert [json.loads(text)["event"] for _, _, text in loki.values()] == ["fresh"]


def test_a_loki_that_hangs_never_blocks_and_the_rest_is_counted(loki: Loki) -> None:
    loki.open.clear()
    handler = LokiHandler(loki.url, "cli", queue_lines=100)
    started = time.monotonic()
    for n in range(5_000):
        handler.handle(record(f"line {n}"))
    assert time.monotonic() - started < 3
    assert handler.dropped >= 5_000 - 100 - 500
    loki.open.set()
    handler.close()
    assert handler.dropped + len(loki.values()) == 5_000


def test_a_loki_that_is_not_there_costs_a_bounded_goodbye() -> None:
    handler = LokiHandler("http://127.0.0.1:9", "cli")
    handler.handle(record("x"))
    started = time.monotonic()
    handler.close()
    assert time.monotonic() - started < 5
    assert handler.dropped == 1


def test_the_lines_of_its_own_clients_are_not_sent(loki: Loki) -> None:
    root = logging.getLogger()
    before = root.level
    handler = LokiHandler(loki.url, "cli")
    handler.setLevel(logging.DEBUG)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)  # urllib3 now logs every connection and request
    try:
        logging.getLogger("data_miner.x").info("one")
        deadline = time.monotonic() + 5
        while not loki.pushes and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
        handler.close()
    assert [json.loads(text)["event"] for _, _, text in loki.values()] == ["one"]
