"""`data-miner init`: a project file with every key, its default and what it means, to be edited."""

import re
from pathlib import Path

import click

from data_miner.cli import words
from data_miner.cli.invocation import Invocation, around, pass_invocation
from data_miner.config.files import find
from data_miner.errors import UsageError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_HEADER = """\
# configs/projects/{name}.yaml      data-miner run --project {name}
# Only what differs from configs/base.yaml needs to stand here. To begin: classes, sources, detect.model.
"""
_CLASSES = "# class: the words the detector is asked for"


@click.command()
@around
@click.argument("name")
@pass_invocation
def init(invocation: Invocation, name: str) -> None:
    """Write a commented project file."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"project {name!r}: a-z 0-9 _ - only, 63 at most, as in glass_door")
    base = find("base.yaml", invocation.settings.configs)
    if base is None:
        raise UsageError("no base.yaml to begin with; reinstall data-miner")
    text = template(base.read_text(encoding="utf-8"), name)
    path = Path.cwd() / "configs" / "projects" / f"{name}.yaml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{words.shown(path)} is there already; choose another name or edit it") from None
    except OSError as error:
        raise UsageError(f"{words.shown(path)} cannot be written: {(error.strerror or '').lower()}") from error
    lines = text.count("\n")
    click.echo(f"{words.shown(path)} written: {lines} lines, commented. Then: data-miner plan -p {name}")


def template(base: str, name: str) -> str:
    """The base file under another header, with the project's name as its first class."""
    body = base.split("\n\n", 1)
    head, rest = body if base.startswith("#") and len(body) == 2 else ("", base)
    description = [line for line in head.splitlines() if not line.startswith("#")]
    classes = f"classes:                       {_CLASSES}\n  {name}: [{re.sub('[_-]+', ' ', name)}]"
    rest = re.sub(r"(?m)^classes: \{\}.*$", classes, rest)
    return _HEADER.format(name=name) + "\n".join([*description, "", rest])
