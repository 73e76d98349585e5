"""Log lines: JSON in `<data>/logs/<role>-<pid>.jsonl`, words for people on stderr, Loki when it is named.

Code logs through `logging.getLogger(__name__)` with `extra={...}`; what a line belongs to comes from `bound`.
"""

import fcntl
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

KEPT_BYTES = 500_000_000  # of all processes together
_FILE_BYTES = 20_000_000
_FILES_PER_PROCESS = 25
_OWN = "data_miner"
_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET = re.compile(r"(://)[^/@\s]+@")  # user and password of a URL, whoever logs it
_context: ContextVar[dict[str, str] | None] = ContextVar("data_miner_log_context", default=None)


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Put fields (run, project, stage, video) on every line logged inside, in this thread or task."""
    token = _context.set({**(_context.get() or {}), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what is written of a record, flat: ts (UTC), level, logger, context, event, extras."""
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    fields = {"ts": moment, "level": record.levelname.lower(), "logger": record.name}
    fields |= _context.get() or {}
    fields["event"] = record.getMessage()
    fields |= _extras(record)
    if record.exc_info:
        fields["error"] = logging.Formatter().formatException(record.exc_info)
    return fields


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the fields; what JSON does not know is written as its text."""
        return _SECRET.sub(r"\1***@", json.dumps(fields_of(record), default=str, ensure_ascii=False))


class HumanFormatter(logging.Formatter):
    """`23:58:01 warning  extract youtube:abc  message  key=value`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one line, and the traceback below it."""
        context = _context.get() or {}
        where = " ".join(context[name] for name in ("project", "stage", "video") if name in context)
        extras = " ".join(f"{name}={value}" for name, value in _extras(record).items())
        moment = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        parts = [moment, record.levelname.lower(), where, record.getMessage(), extras]
        text = "  ".join(part for part in parts if part)
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return _SECRET.sub(r"\1***@", text)


class JsonFile(RotatingFileHandler):
    """A process's own log file; all files of the folder together are kept below a limit."""

    def __init__(self, path: Path, kept_bytes: int = KEPT_BYTES, file_bytes: int = _FILE_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._complained = False
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, maxBytes=file_bytes, backupCount=_FILES_PER_PROCESS, encoding="utf-8")
        self.setFormatter(JsonFormatter())
        self.namer = _numbered
        prune(path.parent, kept_bytes)

    def doRollover(self) -> None:  # noqa: N802  logging's name
        """Begin a new file and drop the oldest of the folder."""
        super().doRollover()
        prune(Path(self.baseFilename).parent, self._kept_bytes)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Say once that the file cannot be written (a full disk); a traceback for each line helps nobody."""
        if not self._complained:
            self._complained = True
            print(f"log file {self.baseFilename}: {sys.exc_info()[1]}", file=sys.stderr)

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        fcntl.flock(stream, fcntl.LOCK_SH)  # prune() of other processes lets it be
        return stream


def setup(role: str, folder: Path | None, *, verbosity: int | None = 0, loki_url: str | None = None) -> logging.Logger:
    """Send this process's lines to a file (None: no file), stderr (None: not) and Loki; return our logger.

    `verbosity` is -q = -1, 0, -v = 1, -vv = 2. The file has our lines from INFO on, others' from WARNING on.
    Called again it replaces what it set up before.
    """
    close()
    root, own = logging.getLogger(), logging.getLogger(_OWN)
    level = _LEVELS[max(-1, min(2, verbosity))] if verbosity is not None else logging.CRITICAL
    own.setLevel(min(logging.INFO, level))
    if folder is not None:
        root.addHandler(JsonFile(folder / f"{role}-{os.getpid()}.jsonl"))
    if verbosity is not None:
        people = logging.StreamHandler(sys.stderr)
        people.setLevel(level)
        people.setFormatter(HumanFormatter())
        root.addHandler(people)
    if loki_url:
        from data_miner.observe.loki import LokiHandler

        root.addHandler(LokiHandler(loki_url, role))
    return own


def close() -> None:
    """Flush and take away what setup() added."""
    from data_miner.observe import loki

    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, JsonFile | loki.LokiHandler) or isinstance(handler.formatter, HumanFormatter):
            root.removeHandler(handler)
            handler.close()


def prune(folder: Path, kept_bytes: int) -> None:
    """Delete the log files that were written to longest ago, except living processes', down to the limit."""
    entries = [(path.stat(), path) for path in folder.glob("*.jsonl") if path.is_file()]
    total_bytes = sum(status.st_size for status, _ in entries)
    for status, path in sorted(entries, key=lambda entry: entry[0].st_mtime):
        if total_bytes <= kept_bytes:
            return
        if _deleted(path):
            total_bytes -= status.st_size


def _deleted(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _numbered(name: str) -> str:
    """`extract-7.jsonl.3` is `extract-7.3.jsonl`, so that `*.jsonl` finds every file."""
    stem, _, number = name.rpartition(".jsonl.")
    return f"{stem}.{number}.jsonl"


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    # Ray's record factory adds private attributes of its own to every line.
    return {name: value for name, value in vars(record).items() if name not in _STANDARD and name[0] != "_"}
