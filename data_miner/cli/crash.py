"""Where the traceback of an unexpected error goes: a person is shown one line and this file's name."""

import os
import tempfile
import traceback
from pathlib import Path

from data_miner.cli.invocation import Invocation
from data_miner.errors import UsageError


def keep(error: BaseException, invocation: Invocation) -> Path:
    """Write the traceback to the data folder's logs when there is a data folder, else to a temporary one."""
    text = "".join(traceback.format_exception(error))
    name = f"error-{os.getpid()}.txt"
    for folder in (_logs(invocation), Path(tempfile.gettempdir())):
        try:
            if folder is not None:
                folder.mkdir(exist_ok=True)
                (folder / name).write_text(text, encoding="utf-8")
                return folder / name
        except OSError:
            continue
    return Path(os.devnull)


def _logs(invocation: Invocation) -> Path | None:
    try:
        settings = invocation.settings
    except UsageError:
        return None
    return settings.logs if settings.data.is_dir() else None
