"""Real `data-miner` processes in folders of their own, and what they left: rows by natural key, bytes, files."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from data_miner.ledger.connection import Ledger
from data_miner.ledger.embedded import EmbeddedPostgres
from data_miner.store.artifacts import Store

COMMAND = [sys.executable, "-m", "data_miner"]
_TIMEOUT_S = 280


@dataclass(frozen=True)
class Home:
    """One data folder and the commands typed there."""

    data: Path
    cwd: Path
    variables: Mapping[str, str] = field(default_factory=dict)  # of the environment, beside the machine's

    def environment(self) -> dict[str, str]:
        """The machine's, without what would lead elsewhere."""
        hidden = ("DATABASE_URL", "RAY_ADDRESS", "LOKI_URL", "DATA_MINER_STORE", "DATA_MINER_PROJECT")
        kept = {k: v for k, v in os.environ.items() if k not in hidden and not k.startswith("PG")}
        return {**kept, "DATA_MINER_DATA": str(self.data), "DATA_MINER_MIN_FREE": "0", **self.variables}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command; its talk goes to a file beside the data."""
        talk = (self.cwd / "talk.txt").open("a")
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.cwd,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=talk,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def type(self, *arguments: str, timeout_s: float = _TIMEOUT_S) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.cwd,
            env=self.environment(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )

    def status(self, project: str) -> dict[str, Any]:
        """`status --json` of a project."""
        done = self.type("status", "-p", project, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def talk(self) -> str:
        """The end of what started commands said."""
        return (self.cwd / "talk.txt").read_text()[-2000:]

    def server(self) -> EmbeddedPostgres:
        """The embedded server of this folder."""
        return EmbeddedPostgres(self.data / "postgres")

    def close(self) -> None:
        """Stop and remove what may still be there."""
        self.server().remove()


def worker_pids(ledger: Ledger) -> list[int]:
    """Worker processes that the ledger knows and that live."""
    with ledger.transaction() as cursor:
        rows = cursor.execute("SELECT pid, pid_started FROM worker WHERE gone_at IS NULL").fetchall()
    return [row.pid for row in rows if _lives(row.pid, row.pid_started)]


def child_named(driver: int, name: str) -> int | None:
    """A descendant of the driver by its program's name."""
    try:
        children = psutil.Process(driver).children(recursive=True)
    except psutil.NoSuchProcess:
        return None
    return next((child.pid for child in children if _name(child) == name), None)


def postmaster_pid(home: Home) -> int | None:
    """The embedded server's first process."""
    from data_miner.ledger.place import locate

    note = locate((home.data / "postgres").resolve()).cluster / "postmaster.pid"
    try:
        return int(note.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def kill(pid: int | None) -> bool:
    """SIGKILL one process by its id."""
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def snapshot(home: Home, project: str) -> dict[str, Any]:
    """Everything a run left, by natural key: rows without times and worker ids, artifact bytes, dataset files."""
    server = home.server()
    ledger, store = Ledger(server.ensure()), Store(str(home.data / "store"))
    try:
        with ledger.transaction() as cursor:
            rows = {
                name: sorted(map(_plain, cursor.execute(query).fetchall()), key=repr) for name, query in _ROWS.items()
            }
            artifacts = {
                (row.kind, row.natural): hashlib.sha256(store.read(row.path)).hexdigest()
                for row in cursor.execute(_ARTIFACTS).fetchall()
            }
    finally:
        server.release()
    folder = home.data / "datasets" / project
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    return {**rows, "artifacts": artifacts, "files": files}


def _plain(row: Any) -> tuple[Any, ...]:
    return tuple(round(value, 5) if isinstance(value, float) else value for value in row)


def _lives(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 0.5 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


_SEGMENT = """(SELECT s.id, f.video_id || '/' || f.key || '/' || s.key || '/' || s.start_ms AS natural
    FROM segment s JOIN "fetch" f ON f.id = s.fetch_id)"""
_ROWS = {
    "source": "SELECT p.name, s.ordinal, s.kind, s.moved FROM source s JOIN project p ON p.id = s.project_id",
    "video": "SELECT id, title, duration_s, skipped, tags FROM video",
    "project_video": """SELECT p.name, pv.video_id, pv.ordinal, pv.rank, pv.moved, pv.reason, pv.is_cut, pv.split
        FROM project_video pv JOIN project p ON p.id = pv.project_id""",
    "fetch": """SELECT video_id, key, sha256, size_bytes, width, height, codec, first_pts_ms, duration_ms
        FROM "fetch" """,
    "segment": f"""SELECT n.natural, s.end_ms, s.max_frames, s.shard_sha256, s.dropped_max_frames, s.is_truncated
        FROM segment s JOIN {_SEGMENT} n USING (id)""",
    "frame": f"""SELECT n.natural, f.pts_ms, f.shard_offset, f.size_bytes, f.width, f.height, f.sharpness,
        f.brightness, f.contrast, f.phash FROM frame f JOIN {_SEGMENT} n ON n.id = f.segment_id""",
    "score": f"""SELECT n.natural, s.pts_ms, s.key, s.positive, s.positive_prompt, s.negative, s.junk
        FROM frame_score s JOIN {_SEGMENT} n ON n.id = s.segment_id""",
    "verdict": f"""SELECT n.natural, v.pts_ms, v.reason, v.is_kept, r.natural AS representative, v.representative_pts_ms
        FROM project_frame v JOIN {_SEGMENT} n ON n.id = v.segment_id
        LEFT JOIN {_SEGMENT} r ON r.id = v.representative_segment_id""",
    "decided": f"""SELECT n.natural, ps.filtered, ps.is_decided, ps.moved, ps.ordinal, ps.rank
        FROM project_segment ps JOIN {_SEGMENT} n ON n.id = ps.segment_id""",
    "detection_run": f"""SELECT n.natural, d.pts_ms, d.detector
        FROM detection_run d JOIN {_SEGMENT} n ON n.id = d.segment_id""",
    "detection": f"""SELECT n.natural, d.pts_ms, d.detector, d.ordinal, d.prompt, d.score, d.x1, d.y1, d.x2, d.y2
        FROM detection d JOIN {_SEGMENT} n ON n.id = d.segment_id""",
    "job": f"""SELECT j.stage, j.state, j.key, coalesce(j.reason, '') AS why,
        coalesce(j.video_id, '') AS video, n.natural
        FROM job j LEFT JOIN {_SEGMENT} n ON n.id = j.segment_id""",
}
_ARTIFACTS = f"""
    SELECT 'video' AS kind, video_id || '/' || key AS natural, path FROM "fetch" WHERE path NOT LIKE 'file:%'
    UNION ALL SELECT 'shard', n.natural, s.shard FROM segment s JOIN {_SEGMENT} n USING (id) WHERE s.shard IS NOT NULL
    UNION ALL SELECT 'embedding', n.natural || '/' || e.model || '/' || e.pts_ms[1], e.path
        FROM embedding e JOIN {_SEGMENT} n ON n.id = e.segment_id"""
