"""The console script: commands found by name and imported when used, errors as one line and an exit code.

`data-miner --help` imports click and nothing heavier; a test holds that.
"""

import difflib
import errno
import keyword
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from types import FrameType

import click

import data_miner
from data_miner.cli.invocation import Invocation, around, with_project
from data_miner.errors import DataMinerError

INTERRUPTED = 130
COMMANDS: dict[str, dict[str, str]] = {  # section -> command (a file in commands/) -> one line
    "What happens": {
        "run": "Mine a project, or go on where it stopped.",
        "plan": "Show what a run would do, without doing it.",
        "status": "Show how far projects are and what was dropped.",
        "report": "Write the report of a project: what was kept, dropped and why.",
    },
    "What is in it": {
        "init": "Write a commented project file.",
        "try": "Score and detect on pictures or a video, without a trace.",
        "frames": "List frames by stage, reason, class or score; or write them out.",
        "show": "Tell all about an image, frame, video or URL.",
        "reject": "Take images, videos or uploaders out for good.",
        "labels": "Import labels that a person corrected.",
        "forget": "Obey a takedown: remove a video or uploader from everything.",
        "export": "Write the dataset of what is done.",
    },
    "Around it": {
        "projects": "List or delete projects.",
        "sites": "Show each site's pace and whether it lets us in.",
        "models": "List models, or fetch a project's weights.",
        "config": "Show a project's settings and where each comes from.",
        "doctor": "Check this machine; changes nothing.",
    },
    "Operations": {
        "jobs": "List jobs, show one, count failures.",
        "scale": "Set how many actors a stage may have.",
        "pause": "Let a project rest.",
        "resume": "Let it go on.",
        "retry": "Let dead jobs be tried again.",
        "engine": "Supervise all projects as a service.",
        "init-db": "Bring the database to this version's schema.",
    },
}
_NAMES = [name for section in COMMANDS.values() for name in section]


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for, and lists them without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help."""
        return list(_NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in _NAMES:
            return None
        own = cmd_name.replace("-", "_") + ("_" if keyword.iskeyword(cmd_name) else "")
        command: click.Command = getattr(import_module(f"data_miner.cli.commands.{own}"), own)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; say which one was meant when there is none."""
        if args and args[0] not in _NAMES and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], _NAMES, 1)
            hint = f"did you mean {near[0]}?" if near else "see data-miner --help"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section."""
        for section, commands in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@around
@with_project
@click.version_option(data_miner.__version__, prog_name="data-miner")
def cli() -> None:
    """Turn web video into a labelled image dataset of a rare object."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    # A closed terminal or a `timeout` ends a command like Ctrl-C does: the embedded server is let go.
    for name in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(name) is signal.SIG_DFL:  # not under nohup
            signal.signal(name, _interrupted)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code. What goes wrong is one line on stderr."""
    invocation = Invocation()
    try:
        result = cli.main(list(arguments), prog_name="data-miner", standalone_mode=False, obj=invocation)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        _say(f"data-miner: {_one_line(error.format_message())}")
        return error.exit_code
    except DataMinerError as error:
        if invocation.verbosity > 0:
            traceback.print_exc()
        _say(f"data-miner: {error}")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("data-miner: interrupted; what is committed stays")
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes once more at its end and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except SystemExit as left:  # click, when a reader left
        return left.code if isinstance(left.code, int) else 1
    except Exception as error:
        return _unexpected(error, invocation)


def _interrupted(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _unexpected(error: Exception, invocation: Invocation) -> int:
    from data_miner.cli.crash import keep

    if invocation.verbosity > 0:
        traceback.print_exc()
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        _say(f"data-miner: {error.filename or 'output'} cannot be written: {(error.strerror or '').lower()}")
        return 1
    what = _one_line(f"{type(error).__name__}: {error}")
    _say(f"data-miner: {what}; details in {keep(error, invocation)}")
    return 1


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _say(line: str) -> None:
    click.echo(line, err=True)
