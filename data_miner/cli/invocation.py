"""Words that may stand before or after the command: --data, --project, -v, -q."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from data_miner.config.settings import Settings
from data_miner.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Invocation:
    """What was said around the command; `ctx.obj` of every click context."""

    data: str | None = None  # --data as typed
    project: str | None = None
    verbosity: int = 0  # -q = -1, -v = 1, -vv = 2

    @property
    def settings(self) -> Settings:
        """Where things are: --data, then the environment. UsageError."""
        return Settings.from_env(self.data)

    def project_or_default(self) -> str | None:
        """The project meant by -p, else by DATA_MINER_PROJECT, else None."""
        return self.project or os.environ.get("DATA_MINER_PROJECT") or None

    def wanted_project(self) -> str:
        """The project meant; UsageError when nobody named one."""
        name = self.project_or_default()
        if name is None:
            raise UsageError("which project? add -p NAME or set DATA_MINER_PROJECT; `data-miner projects` lists them")
        return name


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def around(command: F) -> F:
    """Add --data, -v and -q; used by the group and by every command, so that both places will do."""
    for option in (_QUIET, _VERBOSE, _DATA):
        command = option(command)
    return command


def with_project(command: F) -> F:
    """Add -p, whose default is DATA_MINER_PROJECT."""
    return _PROJECT(command)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None:
            setattr(context.ensure_object(Invocation), name, value)

    return keep


def _louder(step: int) -> Callable[[click.Context, click.Parameter, int], None]:
    def count(context: click.Context, _: click.Parameter, value: int) -> None:
        context.ensure_object(Invocation).verbosity += step * value

    return count


_DATA = click.option(
    "--data",
    metavar="DIR",
    expose_value=False,
    callback=_keep("data"),
    help="Data folder; default DATA_MINER_DATA, then ./data.",
)
_PROJECT = click.option(
    "-p",
    "--project",
    metavar="NAME",
    expose_value=False,
    callback=_keep("project"),
    help="Project name or YAML file; default DATA_MINER_PROJECT.",
)
_VERBOSE = click.option(
    "-v",
    "--verbose",
    count=True,
    expose_value=False,
    callback=_louder(1),
    help="Say more; twice for everything.",
)
_QUIET = click.option(
    "-q", "--quiet", count=True, expose_value=False, callback=_louder(-1), help="Say only what goes wrong."
)
