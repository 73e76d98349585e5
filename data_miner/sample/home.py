"""The sample of one data folder: its films and the port of its site, which stays the same from run to run.

A video's id contains its address, so another port would be another video.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from data_miner.errors import UsageError
from data_miner.sample.render import render_sample
from data_miner.sample.site import SampleSite

FAVOURITE_PORT = 40913


class SampleHome:
    """Knows where the sample's site is before it serves anything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def address(self) -> str:
        """host:port of the site, drawn once."""
        return f"127.0.0.1:{self._port()}"

    @property
    def feed_url(self) -> str:
        """The feed that lists the films."""
        return f"http://{self.address}/feed.xml"

    @contextmanager
    def serving(self, videos: int) -> Iterator[str]:
        """Render what is missing and serve it; joins the site of another run. Raises UsageError."""
        rendered = render_sample(self._folder, videos)
        try:
            site = SampleSite(self._folder, rendered, port=self._port())
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            if not self._is_ours():
                raise UsageError(
                    f"port {self._port()} of the sample is taken by another program; "
                    f"end that program, or delete {self._note} and the project and start over"
                ) from error
            yield f"http://{self.address}"
            return
        with site:
            yield site.url

    @property
    def _note(self) -> Path:
        return self._folder / "port"

    def _port(self) -> int:
        if not self._note.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._note.write_text(f"{_free_port()}\n")
        return int(self._note.read_text())

    def _is_ours(self) -> bool:
        try:
            with urlopen(self.feed_url, timeout=5) as answer:
                return b"<rss" in answer.read(1000)
        except OSError:
            return False


def _free_port() -> int:
    for port in (FAVOURITE_PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise UsageError("no free port on 127.0.0.1 for the sample's site")
