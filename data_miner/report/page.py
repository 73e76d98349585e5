"""Writes pages: templates, their style and script in one file that asks nobody for anything."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from data_miner.errors import UsageError
from data_miner.report.album import Album

LIMIT_BYTES = 30_000_000
_TEXT_BYTES = 4_000_000  # kept free for what is no picture; 1 to 2 MB are usual
PICTURE_BYTES = LIMIT_BYTES - _TEXT_BYTES


def write_page(path: Path, template: str, album: Album, values: Mapping[str, Any]) -> int:
    """Render a template to `path`, whole or not at all; returns its size in bytes. UsageError."""
    data = _rendered(template, album, values)
    if len(data) > LIMIT_BYTES:  # long addresses and titles of thousands of frames
        data = _rendered(template, album.shortened(len(data) - LIMIT_BYTES), values)
    unfinished = path.with_name(f".{path.name}.writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:
        _discard(unfinished)
        raise UsageError(f"{path}: cannot be written: {(error.strerror or str(error)).lower()}") from error
    return len(data)


def _discard(path: Path) -> None:
    """Take away what a full disk left; a folder that cannot be written has nothing to take away."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _rendered(template: str, album: Album, values: Mapping[str, Any]) -> bytes:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("data_miner.report"),
        autoescape=True,  # titles come from the web
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    script = _text("page.js")
    text = environment.get_template(template).render(
        style=Markup(_text("style.css")),
        script=Markup(script),
        # The only script that may run is this one, whatever a title manages to say; and nothing is fetched.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        pictures=Markup(_json(album.jpegs)),
        album=album,
        **values,
    )
    return text.encode("utf-8", "replace")  # a title may hold half a surrogate pair


def _text(name: str) -> str:
    return (files("data_miner.report") / "templates" / name).read_text(encoding="utf-8").strip()


def _json(jpegs: Sequence[str]) -> str:
    return json.dumps(jpegs, separators=(",", ":"))  # base64 alone: nothing in it ends a script


def _number(value: float) -> str:
    return f"{value:,.0f}"
