"""What can go wrong with the sample site; which paths it meets is decided in site.py."""

from dataclasses import dataclass

FAULTS = ("429", "403", "404", "500", "bot_page", "slow", "truncated", "endless", "redirect")
PRIVATE_URL = "http://169.254.169.254/latest/meta-data/"  # where clouds keep their secrets


@dataclass(slots=True)
class Fault:
    """What goes wrong for paths that match `pattern` (as a shell would), `left` more times (None: always)."""

    kind: str  # one of FAULTS
    pattern: str = "*"
    left: int | None = None
    delay_s: float = 0.2  # slow: before each 16 KB
    keep_bytes: int | None = None  # truncated: bytes sent of those announced; None = half
    target: str = PRIVATE_URL  # redirect
