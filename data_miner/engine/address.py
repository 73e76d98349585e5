"""RAY_ADDRESS: which words are taken, and whether a GCS answers there. Ray's own patience is minutes."""

import socket
import time

from data_miner.errors import UnreachableError, UsageError

ANSWER_S = 8.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(
    [0, 0, 0, 4, 0, 0, 0, 0, 0]
)  # and empty SETTINGS (RFC 9113 §3.4)
_SETTINGS_TYPE = 4
_HEADER_BYTES = 9
_LOOPBACK = ("127.0.0.1", "localhost")


def checked_address(address: str | None) -> str | None:
    """Accept `host:port` or `auto`; raises UsageError for an address that cannot work."""
    if address is None or address == "":
        return None
    if address.startswith("ray://"):
        raise UsageError(
            f"RAY_ADDRESS={address}: a Ray client loses its actors with its connection; "
            "give the cluster's GCS as host:6379, or http://…:8265 to submit a job"
        )
    if address.startswith(("http://", "https://")):
        raise UsageError(f"RAY_ADDRESS={address}: this address takes submitted jobs; use `run --submit`")
    if address not in ("auto", "local") and not address.rpartition(":")[2].isdigit():
        raise UsageError(f"RAY_ADDRESS={address}: no port; give the cluster's GCS as host:6379")
    return address


def require_answer(address: str, timeout_s: float = ANSWER_S) -> None:
    """Raise UnreachableError unless something that speaks gRPC, as a GCS does, answers at `host:port`.

    `ray.init` waits for more than 40 s on a closed port, and for ever on one that is silent.
    """
    host, _, port = address.rpartition(":")
    if not host:
        return  # auto: Ray finds it, or says at once that there is none
    deadline, why = time.monotonic() + timeout_s, ""
    for name in (host, *([_own_address()] if host in _LOOPBACK else [])):  # ray.init replaces loopback by it
        try:
            _greet(name, int(port), deadline)
            return
        except OSError as error:
            why = why or (error.strerror or str(error) or type(error).__name__).lower()
    raise UnreachableError(f"ray at RAY_ADDRESS={address} does not answer: {why}; is the cluster up, its GCS there?")


def _greet(host: str, port: int, deadline: float) -> None:
    with socket.create_connection((host, port), timeout=_left(deadline)) as link:
        link.sendall(_PREFACE)
        heard = b""
        while len(heard) < _HEADER_BYTES:
            link.settimeout(_left(deadline))
            part = link.recv(_HEADER_BYTES - len(heard))
            if not part:
                raise ConnectionError("it hangs up")
            heard += part
        if heard[3] != _SETTINGS_TYPE:
            raise ConnectionError("no GCS is there")


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("timed out")
    return left_s


def _own_address() -> str:
    """This machine's address towards others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("8.8.8.8", 53))
        except OSError:
            return "127.0.0.1"
        return str(asked.getsockname()[0])
