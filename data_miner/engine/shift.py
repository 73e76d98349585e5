"""What `run` and `engine` share while they work: ticks, signals, and a database that goes away for a while."""

import logging
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from data_miner.engine.listening import Listening
from data_miner.engine.supervisor import Supervisor
from data_miner.engine.workplace import Workplace
from data_miner.errors import UnreachableError

log = logging.getLogger(__name__)

TICK_S = 1.0  # between two ticks when nothing is heard of; the bell brings the next one forward
_LEAST_GAP_S = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHARE = 10  # ticks and looks get at most a tenth of the time, however large the ledger is


class Shift(ABC):
    """Rounds until one says it was the last. `revive` brings an embedded database back; None: not ours to bring."""

    def __init__(self, place: Workplace, supervisor: Supervisor, revive: Callable[[], object] | None) -> None:
        self._place, self._supervisor, self._revive = place, supervisor, revive
        self.signals: list[int] = []  # that came, in their order
        self._wake, self._was_asked = threading.Event(), threading.Event()
        self._is_cut_off = False

    @abstractmethod
    def _round(self) -> bool:
        """Tick and look; was it the last? May raise UnreachableError: the next round comes."""

    def _left(self) -> None:  # noqa: B027 - an engine has nothing to say
        """Say in the ledger that this process works no more."""

    def _work(self) -> bool:
        """Rounds until the last (True), or until a signal comes (False); then drain and leave."""
        with self._signals_taken():
            listening = Listening(self._place.ledger, self._wake)
            self._supervisor.on_up(self._wake.set)
            try:
                return self._rounds()
            finally:
                listening.close()
                self._leave()

    def _rounds(self) -> bool:
        while True:
            started = time.monotonic()
            if self.signals:
                return False
            if self._is_over():
                return True
            spent_s = time.monotonic() - started
            self._was_asked.wait(min(TICK_S, max(_LEAST_GAP_S, SHARE * spent_s)))
            self._wake.wait(TICK_S)
            self._wake.clear()

    def _is_over(self) -> bool:
        try:
            self._take_signals()  # should Ray have put its own in place
            is_over = self._round()
        except UnreachableError as error:
            log.log(logging.INFO if self._is_cut_off else logging.WARNING, "waiting for the database: %s", error)
            self._is_cut_off = True
            if self._revive is not None:
                self._revive()
            return False
        self._is_cut_off = False
        if self._supervisor.error is not None:
            raise self._supervisor.error
        return is_over

    def _leave(self) -> None:
        try:
            if self._revive is not None:
                with suppress(UnreachableError):
                    self._revive()  # 2 ms; without a database nothing in process can be committed
            self._supervisor.close(self._is_urgent)
        except KeyboardInterrupt:  # the second Ctrl-C, while we waited for something
            self._supervisor.close(lambda: True)
        with suppress(UnreachableError):
            self._left()

    def _is_urgent(self) -> bool:
        return len(self.signals) > 1

    @contextmanager
    def _signals_taken(self) -> Iterator[None]:
        """Drain at the first SIGINT or SIGTERM; afterwards they mean again what they meant before."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        self._take_signals()
        try:
            yield
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _take_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._interrupted)

    def _interrupted(self, signum: int, frame: FrameType | None) -> None:
        self.signals.append(signum)
        self._was_asked.set()
        self._wake.set()
        if len(self.signals) == 1:
            log.warning("draining: jobs in process are finished, the rest waits; once more stops at once")
        elif len(self.signals) == 2:
            raise KeyboardInterrupt  # whatever we wait for; a third changes nothing
