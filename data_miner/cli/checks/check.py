"""One check of `doctor`: what was looked at, how it is, and a cure that can be pasted."""

from collections.abc import Callable
from dataclasses import dataclass

from data_miner.errors import DataMinerError


@dataclass(frozen=True, slots=True)
class Check:
    """A finding. `cure` stands where something is wrong."""

    name: str
    text: str
    verdict: str = "ok"  # ok | warn | FAIL
    cure: str = ""


def failed(name: str, text: str, cure: str) -> Check:
    """Something does not work."""
    return Check(name, text, "FAIL", cure)


def warned(name: str, text: str, cure: str) -> Check:
    """Something will hurt soon; the exit code does not mind."""
    return Check(name, text, "warn", cure)


def guarded(name: str, look: Callable[[], Check]) -> Check:
    """Run one check; one that breaks is a finding, not the end of the others."""
    try:
        return look()
    except DataMinerError as error:
        return failed(name, str(error), "see the line above")
    except Exception as error:
        return failed(name, f"{type(error).__name__}: {' '.join(str(error).split())}", "please report this")
