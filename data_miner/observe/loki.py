"""Lines to Loki through python-logging-loki, wrapped so that a slow or missing Loki never slows a worker.

The library posts one record at a time, without a timeout, and stamps the time of sending (0.3.1); here a
bounded queue feeds a daemon thread that sends batches with the records' own times.
"""

import logging
import queue
import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_QUEUE_LINES = 10_000
_BATCH_LINES = 500
_BATCH_WAIT_S = 1.0
_TIMEOUT_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_CLOSE_S = 3.0
_PUSH_PATH = "/loki/api/v1/push"
# Its own clients: a line about sending a line would be sent.
_IGNORED = ("urllib3", "requests", "logging_loki", "data_miner.observe.loki")
_Line = tuple[str, int, str]  # level, time in ns, text


class LokiHandler(logging.Handler):
    """Queues formatted lines and never blocks; `dropped` counts the lines that did not fit or were refused.

    Labels are app, role and severity only: every different value is a stream of its own in Loki, so run,
    project, stage and video are fields of the JSON line.
    """

    def __init__(self, url: str, role: str, *, queue_lines: int = _QUEUE_LINES) -> None:
        from data_miner.observe.logs import JsonFormatter

        super().__init__(logging.INFO)
        self.setFormatter(JsonFormatter())
        self.dropped = 0
        self._emitter = _emitter(_push_url(url), role)
        self._lines: queue.Queue[_Line] = queue.Queue(queue_lines)
        self._closing = threading.Event()
        self._count = threading.Lock()
        self._thread = threading.Thread(target=self._send_all, name="loki", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one record, or count it as dropped."""
        if record.name.split(".")[0] in _IGNORED or record.name in _IGNORED:
            return
        try:
            line = (record.levelname.lower(), round(record.created * 1e6) * 1000, self.format(record))
            self._lines.put_nowait(line)
        except queue.Full:
            self._drop(1)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Send what is queued, for three seconds at most."""
        if not self._closing.is_set():
            self._closing.set()
            self._thread.join(_CLOSE_S)
            self._drop(self._abandoned())
            self._emitter.close()
        super().close()

    def _abandoned(self) -> int:
        lines = 0
        with suppress(queue.Empty):
            while True:
                self._lines.get_nowait()
                lines += 1
        return lines

    def _drop(self, lines: int) -> None:
        with self._count:
            self.dropped += lines

    def _send_all(self) -> None:
        while batch := self._next_batch():
            self._send(batch)

    def _next_batch(self) -> list[_Line]:
        """Wait for a line, then a second for more; an empty list means: closed and all sent."""
        batch: list[_Line] = []
        deadline = None
        while len(batch) < _BATCH_LINES:
            try:
                batch.append(self._lines.get(timeout=0.05))
                deadline = deadline or time.monotonic() + _BATCH_WAIT_S
            except queue.Empty:
                if self._closing.is_set():
                    break
            if deadline is not None and time.monotonic() > deadline:
                break
        return batch

    def _send(self, batch: list[_Line]) -> None:
        """Post until Loki takes or refuses the batch; meanwhile the queue fills and then drops."""
        pause_s = _FIRST_PAUSE_S
        while True:
            status = self._post(batch)
            if status is not None and status < 500 and status != 429:
                if status >= 300:  # too old, too long: it will not be taken later either
                    self._drop(len(batch))
                return
            if self._closing.wait(pause_s):
                self._drop(len(batch))
                return
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _post(self, batch: list[_Line]) -> int | None:
        """Return the HTTP status, None when nobody answered."""
        import requests

        streams: dict[str, list[list[str]]] = {}
        for level, time_ns, text in batch:
            streams.setdefault(level, []).append([str(time_ns), text])
        labels = self._emitter.tags
        payload = {
            "streams": [
                {"stream": {**labels, self._emitter.level_tag: level}, "values": values}
                for level, values in streams.items()
            ]
        }
        try:
            answer = self._emitter.session.post(self._emitter.url, json=payload, timeout=_TIMEOUT_S)
        except requests.RequestException:
            return None
        return int(answer.status_code)


def _emitter(url: str, role: str) -> Any:
    from logging_loki.emitter import LokiEmitterV1

    return LokiEmitterV1(url, {"app": "data-miner", "role": role})


def _push_url(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts if parts.path.strip("/") else parts._replace(path=_PUSH_PATH))
