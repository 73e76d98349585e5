"""A server on the loopback that speaks the Hugging Face Hub's protocol as huggingface_hub 2 uses it, and its faults.

Large files are a redirect to another host name ("cdn"), as on the hub. It serves Ultralytics' release assets too.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

LARGE = (".safetensors", ".bin", ".h5", ".onnx", ".pt")


@dataclass
class Repository:
    """One commit of a model."""

    files: dict[str, bytes]
    is_gated: bool = False  # the listing is public, the files need the token
    is_private: bool = False
    sizes: dict[str, int] = field(default_factory=dict)  # announced in place of the real ones

    @property
    def commit(self) -> str:
        """Follows the content."""
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()

    def entry(self, name: str) -> dict[str, Any]:
        """Size and hashes of a file, as the hub lists them."""
        data = self.files[name]
        size = self.sizes.get(name, len(data))
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if not name.endswith(LARGE):
            return {"size": size, "blob": blob}
        return {"size": size, "blob": blob, "sha256": hashlib.sha256(data).hexdigest()}


@dataclass
class Asked:
    """One request that came."""

    method: str
    path: str
    host: str
    range: str | None
    authorization: str | None


@dataclass
class Hub:
    """What the server holds, how it misbehaves, and what it was asked."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    assets: dict[str, bytes] = field(default_factory=dict)
    token: str = ""  # who may read gated and private ones
    cut_after: int | None = None  # bytes of each answer with a large file
    cuts: int = 10**9  # so many times
    is_dead_after_cuts: bool = False
    hang_s: float = 0.0  # before each cut
    stall_s: float = 0.0  # before each answer
    pace_s: float = 0.0  # between two pieces of a large file
    is_garbled: bool = False  # right sizes, wrong bytes
    status: int = 0  # of every answer
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def bytes_asked(self) -> list[Asked]:
        """Requests for content."""
        return [one for one in self.asked if one.method == "GET" and not one.path.startswith("/api/")]

    def large_asked(self) -> list[Asked]:
        """Requests for large content, at the other host."""
        return [one for one in self.bytes_asked() if one.path.startswith("/cdn/")]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve until the test ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def only_hub(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve a hub as the only one: this machine's own cache, token and offline word are not seen.

    The cache is `folder`/cache. What huggingface_hub read at its import is set as an import now would read it.
    """
    from huggingface_hub import constants

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no-token"))
    with serving(hub) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("DATA_MINER_ASSETS", f"{running.url}/assets")
        yield running


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        header = self.headers.get
        host = str(header("Host")).partition(":")[0]
        self.hub.asked.append(Asked(self.command, path, host, header("Range"), header("Authorization")))
        if self.hub.stall_s:
            time.sleep(self.hub.stall_s)
        parts = path.strip("/").split("/")
        if self.hub.status:
            self._json(self.hub.status, {"error": "trouble"})
        elif parts[:2] == ["api", "models"]:
            self._api("/".join(parts[2:4]), parts[4:])
        elif parts[2:3] == ["resolve"]:
            self._resolve("/".join(parts[:2]), "/".join(parts[4:]))
        elif parts[0] == "cdn" and self.hub.is_dead_after_cuts and self.hub.cuts <= 0:
            self._json(503, {"error": "trouble"})
        elif parts[0] == "cdn" and self._large(parts[1]) is not None:
            self._content(self._large(parts[1]) or b"", {"ETag": f'"{parts[1]}"'})
        elif parts[-1] in self.hub.assets:
            self._redirect(self.hub.assets[parts[-1]], {})
        else:
            self._json(404, {"error": "Not Found"})

    def _api(self, name: str, rest: list[str]) -> None:
        repository = self._readable(name, is_file=False)
        if repository is None:
            return
        entries = {path: repository.entry(path) for path in repository.files}
        if rest[:1] == ["tree"]:
            self._json(200, [_tree_entry(path, entry) for path, entry in entries.items()])
        elif rest[:1] == ["revision"] and rest[1] not in ("main", repository.commit):
            self._json(404, {"error": "Invalid rev"}, {"X-Error-Code": "RevisionNotFound"})
        else:
            siblings = [_sibling(path, entry) for path, entry in entries.items()]
            self._json(200, {"id": name, "modelId": name, "sha": repository.commit, "siblings": siblings})

    def _resolve(self, name: str, path: str) -> None:
        repository = self._readable(name, is_file=True)
        if repository is None:
            return
        commit, data = {"X-Repo-Commit": repository.commit}, repository.files.get(path)
        entry = repository.entry(path) if data is not None else {}
        if data is None:
            self._json(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound", **commit})
        elif "sha256" in entry:
            linked = {"X-Linked-Etag": f'"{entry["sha256"]}"', "X-Linked-Size": str(entry["size"])}
            self._redirect(data, {**linked, **commit})
        else:
            self._content(data, {"ETag": f'"{entry["blob"]}"', **commit})

    def _readable(self, name: str, is_file: bool) -> Repository | None:
        """The repository, or the hub's refusal."""
        repository = self.hub.repositories.get(name)
        may = bool(self.hub.token) and self.headers.get("Authorization") == f"Bearer {self.hub.token}"
        if repository is None or (repository.is_private and not may):
            self._json(401, {"error": "Invalid username or password."}, {"X-Error-Code": "RepoNotFound"})
            return None
        if repository.is_gated and is_file and not may:
            status = 403 if self.headers.get("Authorization") else 401
            self._json(status, {"error": "Access is restricted"}, {"X-Error-Code": "GatedRepo"})
            return None
        return repository

    def _redirect(self, data: bytes, headers: Mapping[str, str]) -> None:
        port = urlsplit(self.hub.url).port
        location = f"http://localhost:{port}/cdn/{hashlib.sha256(data).hexdigest()}?Signature=s3cr3t"
        self._send(302, b"", {**headers, "Location": location})

    def _large(self, sha256: str) -> bytes | None:
        stored = [data for one in self.hub.repositories.values() for data in one.files.values()]
        every = [*stored, *self.hub.assets.values()]
        return next((data for data in every if hashlib.sha256(data).hexdigest() == sha256), None)

    def _content(self, data: bytes, headers: Mapping[str, str]) -> None:
        start, wanted = 0, self.headers.get("Range")
        extra = dict(headers)
        if wanted:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            extra["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if self.hub.is_garbled:
            data = bytes(byte ^ 1 for byte in data)
        if start >= len(data) > 0:
            self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        else:
            self._send(206 if wanted else 200, data[start:], extra)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.path.startswith("/cdn/") and self.hub.cut_after is not None and self.hub.cuts > 0:
            self.hub.cuts -= 1
            body = body[: self.hub.cut_after]
            self.close_connection = True
        try:
            for at in range(0, len(body), 65536):
                self.wfile.write(body[at : at + 65536])
                if self.hub.pace_s and self.path.startswith("/cdn/"):
                    time.sleep(self.hub.pace_s)
            if self.close_connection:
                time.sleep(self.hub.hang_s)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _json(self, status: int, answer: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(answer).encode(), {"Content-Type": "application/json", **(headers or {})})


def _sibling(path: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    found = {"rfilename": path, "size": entry["size"], "blobId": entry["blob"]}
    if "sha256" in entry:
        found["lfs"] = {"sha256": entry["sha256"], "size": entry["size"], "pointerSize": 134}
    return found


def _tree_entry(path: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    found = {"type": "file", "path": path, "size": entry["size"], "oid": entry["blob"]}
    if "sha256" in entry:
        found["lfs"] = {"oid": entry["sha256"], "size": entry["size"], "pointerSize": 134}
    return found
