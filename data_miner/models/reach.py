"""Whether a server answers: in time, and in a person's words when it does not."""

import re
import threading
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from data_miner.errors import ModelError

T = TypeVar("T")

ANSWER_S = 10.0  # for a first answer, the host's name and all its addresses included


def within(act: Callable[[], T]) -> T:
    """The result of `act` within ANSWER_S, else TimeoutError.

    A client's own timeout counts for each address of a host anew, and not at all for its name.
    """
    result: list[T] = []
    error: list[Exception] = []

    def run() -> None:
        try:
            result.append(act())
        except Exception as caught:
            error.append(caught)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    if error:
        raise error[0]
    if not result:
        raise TimeoutError("timed out")
    return result[0]


def unreachable(name: str, url: str, error: Exception) -> ModelError:
    """One line for a server that does not answer."""
    host = urlsplit(url).hostname or "the server"
    return ModelError(
        f"{name}: not here, and {host} {why_not(error)}; check the network, then give the same command again"
    )


def is_network(error: Exception) -> bool:
    """Is this the world's fault? huggingface_hub's HTTP library changes with its version, so it goes by name."""
    return isinstance(error, (OSError, ValueError)) or type(error).__module__.startswith("httpx")


def why_not(error: Exception) -> str:
    """What happened, told by the words of the libraries: their own messages may quote signed addresses."""
    text = f"{type(error).__name__} {error}".lower()
    status = re.fullmatch(r"connectionerror status (\d+)", text)
    if status:
        return f"is in trouble (status {status[1]})"
    words = {
        "gave no answer in time": ("timed out", "timeout"),
        "is not a name that is known here": ("resolution", "resolve", "name or service", "getaddrinfo"),
        "has a certificate that is not trusted": ("certificate", "ssl"),
        "cut it off": ("cut off", "broken", "reset", "aborted"),
    }
    return next((why for why, hints in words.items() if any(hint in text for hint in hints)), "does not answer")
