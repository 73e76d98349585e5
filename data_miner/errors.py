"""Every error this package raises on purpose, with the exit code or the retry rule it stands for.

DataMinerError                       exit 1
├── UsageError                       exit 2   the user's words: a flag, a name, a path
│   └── ConfigError                           a project or sites file; says where and what was meant
├── UnreachableError                 exit 4   database, store or cluster
├── SchemaMismatchError              exit 5   ledger schema newer or older than this code
├── ModelError                       exit 1   weights missing, corrupt, of the wrong kind or unsafe
├── NotNowError                      a job before its turn: given back unharmed, counts nothing
├── LeaseLostError                   a worker's job was given to another; nothing it does counts any more
└── JobError                         one job went wrong; carries a reason word
    ├── NeverError                   retrying cannot help            unreadable, too_large, ...
    ├── LaterError                   try again after a while         network, disk_full, ...
    ├── SmallerError                 try again now, half the batch   out_of_memory, model
    ├── SiteError                    the site is to blame, no video spends an attempt
    │                                rate_limited, bot_check, extractor_broken, network
    └── SuspectError                 the site or the video, only its neighbours can tell
                                     403 on media, no formats, "try again later"
"""


class DataMinerError(Exception):
    """Root of the tree. The message is one line that says what to do."""

    exit_code = 1


class UsageError(DataMinerError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file does not hold; the message starts with file and key."""


class UnreachableError(DataMinerError):
    """Database, store or cluster does not answer."""

    exit_code = 4


class SchemaMismatchError(DataMinerError):
    """The ledger's schema is not the one this code was written for."""

    exit_code = 5


class ModelError(DataMinerError):
    """A model cannot be loaded; the message names the file."""


class LeaseLostError(DataMinerError):
    """The job belongs to another attempt now."""


class JobError(DataMinerError):
    """One job failed. `reason` is a database value, a metric label and a filter in every view."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class NeverError(JobError):
    """The same input will fail again."""


class LaterError(JobError):
    """The world around the job may be better in a while."""


class SmallerError(JobError):
    """The job may fit with half the batch."""


class SiteError(JobError):
    """The site refuses everybody; its circuit opens at once."""


class SuspectError(JobError):
    """A refusal that five in a row turn into the site's; alone it is the video's."""


class NotNowError(DataMinerError):
    """Nothing is wrong with the job, it is only early: given back unharmed."""
