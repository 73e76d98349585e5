"""Which models lie on this machine: in the models folder and in the Hugging Face cache. Nothing is loaded or asked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_miner.errors import ModelError
from data_miner.models import registry
from data_miner.models.registry import ModelRef
from data_miner.models.roles import KINDS

HASHED_UP_TO_BYTES = 1_000_000_000  # a larger folder's digest takes seconds; a run makes it when it is needed


@dataclass(frozen=True, slots=True)
class Entry:
    """One model, here or only wanted."""

    name: str
    state: str  # here | missing | damaged
    kind: str | None = None
    role: str | None = None  # detect | filter | dedup
    size_bytes: int | None = None
    digest: str | None = None  # None also where it would take long
    path: Path | None = None
    fault: str | None = None
    wanted_by: Sequence[str] = ()

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "path": str(self.path) if self.path else None, "wanted_by": list(self.wanted_by)}


def inventory(folders: Sequence[Path], wanted_by: Mapping[str, Sequence[str]]) -> list[Entry]:
    """What is here and what is only wanted, by name. folders: where names are looked for, the first is ours."""
    names = dict.fromkeys([*_in_folder(folders[0]), *_in_cache(), *wanted_by])
    entries = (_entry(name, folders, wanted_by.get(name, ())) for name in names)
    return sorted((entry for entry in entries if entry is not None), key=lambda entry: entry.name)


def _entry(name: str, folders: Sequence[Path], projects: Sequence[str]) -> Entry | None:
    try:
        ref = registry.find(name, folders)
    except ModelError as error:
        return Entry(name, "damaged", path=folders[0] / name, fault=str(error), wanted_by=projects)
    if ref is None:
        return Entry(name, "missing", wanted_by=projects) if projects else None
    role = KINDS.get(ref.kind, "dedup")
    is_ours = ref.kind in KINDS or projects or ref.path.is_relative_to(folders[0]) or _looks_at_pictures(ref)
    size_bytes = _size(ref.path)
    digest = registry.digest(ref) if ref.revision or size_bytes <= HASHED_UP_TO_BYTES else None
    return Entry(name, "here", ref.kind, role, size_bytes, digest, ref.path, None, projects) if is_ours else None


def _in_folder(folder: Path) -> Iterator[str]:
    """Names below the models folder: files, folders, and folders of an organisation."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        if path.is_file() or _is_model(path):
            yield path.name
        else:
            yield from (f"{path.name}/{below.name}" for below in sorted(path.iterdir()) if below.is_dir())


def _in_cache() -> Iterator[str]:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    for path in sorted(cache.glob("models--*--*")) if cache.is_dir() else ():
        yield path.name.removeprefix("models--").replace("--", "/", 1)


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").exists() or (folder / "metadata.yaml").exists()


def _looks_at_pictures(ref: ModelRef) -> bool:
    return (ref.path / "preprocessor_config.json").is_file()


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.glob("[!.]*") if file.is_file())
