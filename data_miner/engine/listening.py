"""Listening: a thread on the only connection that may idle, so that work is seen when it comes."""

import logging
import threading

from data_miner.errors import UnreachableError
from data_miner.ledger.bell import CHANNEL
from data_miner.ledger.connection import Ledger

log = logging.getLogger(__name__)

_AGAIN_S = 1.0  # a connection that is cut is made again; the rings between are made up by the next tick


class Listening:
    """Sets an event whenever the ledger's bell rings."""

    def __init__(self, ledger: Ledger, heard: threading.Event) -> None:
        self._ledger, self._heard = ledger, heard
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="listening", daemon=True).start()

    def close(self) -> None:
        """Stop; the thread follows within a second."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._ledger.listen(CHANNEL) as listener:
                    while not self._stop.is_set():
                        if listener.wait(_AGAIN_S):
                            self._heard.set()
            except UnreachableError as error:
                log.debug("not listening: %s", error)
                self._stop.wait(_AGAIN_S)
