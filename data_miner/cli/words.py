"""Numbers, durations and tables as people read them: plain aligned text, on a terminal and in a file."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

_MOST_LETTERS = 60  # of a prompt in a table
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def number(value: float) -> str:
    """`47,310`; one decimal below ten when there is one."""
    return f"{value:,.1f}" if isinstance(value, float) and value < 10 and value % 1 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """`0.8 s`, `27 s`, `6 m 10 s`, `8 h 02 m`, `35 days`."""
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m" if whole >= 600 else f"{whole // 60} m {whole % 60:02d} s"
    if whole < 72 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{round(whole / 86400)} days"


def size(size_bytes: float) -> str:
    """`9 GB`, `1.3 MB`: powers of 1000, as disks are sold."""
    power = 0
    while size_bytes >= 999.5 and power < len(_UNITS) - 1:
        size_bytes /= 1000
        power += 1
    digits = 1 if power and size_bytes < 9.95 else 0
    return f"{size_bytes:.{digits}f}".removesuffix(".0") + f" {_UNITS[power]}"


def clock(moment: datetime | str | None) -> str:
    """Local time of day, with the date when it is another day; `–` for none."""
    if moment is None:
        return "–"
    local = (datetime.fromisoformat(moment) if isinstance(moment, str) else moment).astimezone()
    today = datetime.now().astimezone().date()
    return local.strftime("%H:%M") if local.date() == today else local.strftime("%Y-%m-%d %H:%M")


def shown(path: str | Path) -> str:
    """A path as a person would type it from here."""
    found = Path(path)
    return str(found.relative_to(Path.cwd())) if found.is_relative_to(Path.cwd()) else str(found)


def brief(text: str | None) -> str:
    """One line of at most 60 letters: a prompt may be pages long."""
    line = " ".join((text or "").split())
    return line if len(line) <= _MOST_LETTERS else f"{line[: _MOST_LETTERS - 1]}…"


def reasons(counted: Mapping[str, int], apart: str = " · ") -> str:
    """`private 5 · gone 4`, most first; of equals the name decides."""
    ordered = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
    return apart.join(f"{reason} {number(n)}" for reason, n in ordered)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Columns two spaces apart; a column that holds only numbers is set to the right."""
    rows = [list(row) for row in rows]
    is_right = [
        any(_is_number(row[i]) for row in rows) and all(_is_number(row[i]) or row[i] is None for row in rows)
        for i in range(len(head))
    ]
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(_width(line[i]) for line in cells) for i in range(len(head))]
    return ["  ".join(map(_padded, line, widths, is_right)).rstrip() for line in cells]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return number(value) if _is_number(value) else " ".join(str(value).split())


def _padded(text: str, width: int, is_right: bool) -> str:
    gap = " " * (width - _width(text))
    return gap + text if is_right else text + gap


def _width(text: str) -> int:
    """Columns on a terminal: a Chinese title is twice as wide as it is long."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)
