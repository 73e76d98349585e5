"""Finding and reading a project file: name or path in, checked configuration with origins out.

What may stand in it is in `schema`; comparing and naming configurations is in `identity`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data_miner.config.files import find, folders, read_mapping, shown
from data_miner.config.origins import (
    LEAVES,
    Layer,
    Origin,
    default_values,
    dotted,
    env_layer,
    flag_layer,
    flatten,
    nearest,
    unflatten,
)
from data_miner.config.schema import ProjectConfig
from data_miner.config.settings import Settings
from data_miner.errors import ConfigError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PATHS = ("sources.batch_file", "sources.folder", "dedup.against")  # always files or folders
_MODELS = (
    "filter.model",
    "dedup.model",
    "detect.model",
    "detect.models",
    "detect.text_model",
)  # names, or files and folders


@dataclass(frozen=True, slots=True)
class LoadedProject:
    """A project as it stands after all layers."""

    name: str
    path: Path
    config: ProjectConfig
    origins: Mapping[str, Origin]  # dotted key -> where its value comes from


def load_project(
    name_or_path: str,
    settings: Settings,
    overrides: Iterable[str] = (),
    env: Mapping[str, str] = os.environ,
) -> LoadedProject:
    """Read a project by name or path, under environment and `overrides` (`section.key=value`). ConfigError.

    Relative paths in the file are relative to the file, those of flags and environment to the working
    directory. Touches nothing; that the named files exist is checked.
    """
    path = find_project(name_or_path, settings) or _no_project(name_or_path, settings)
    name = path.stem
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{shown(path)}: a project is called by its file: a-z 0-9 _ - only, 63 at most; rename it")
    base = _base_of(path, settings)
    layers = [Layer("base", "defaults", default_values())]
    folder_of: dict[str, Path] = {"flag": Path.cwd(), "env": Path.cwd(), "file": path.parent}
    if base is not None:
        layers.append(Layer("base", shown(base), flatten(read_mapping(base), shown(base))))
        folder_of["base"] = base.parent
    layers += [
        Layer("file", shown(path), flatten(read_mapping(path), shown(path))),
        env_layer(env),
        flag_layer(overrides),
    ]
    winners = {key: layer for layer in layers for key in layer.values}
    values = {key: _located(key, layer, folder_of) for key, layer in winners.items()}
    config = _validated(values, {key: layer.label for key, layer in winners.items()}, shown(path))
    return LoadedProject(name, path, config, {key: winners[key].origin for key in LEAVES})


def find_project(name_or_path: str, settings: Settings) -> Path | None:
    """The project file meant; None when there is none of this name (the ledger may still know it)."""
    if name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path or os.sep in name_or_path:
        return Path(name_or_path).expanduser().resolve()
    if not _NAME.fullmatch(name_or_path):
        return None
    places = (folder / f"{name_or_path}{end}" for folder in _project_folders(settings) for end in (".yaml", ".yml"))
    return next((place.resolve() for place in places if place.is_file()), None)


def list_projects(settings: Settings) -> dict[str, Path]:
    """Every project file that can be run by name."""
    found: dict[str, Path] = {}
    for folder in _project_folders(settings):
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            if _NAME.fullmatch(path.stem) and path.stem not in ("base", "sites"):
                found.setdefault(path.stem, path.resolve())
    return dict(sorted(found.items()))


def show(loaded: LoadedProject) -> list[tuple[str, Any, Origin]]:
    """Rows of `config show`: dotted key, value as YAML would have it, origin."""
    values = flatten(loaded.config.model_dump(mode="json"), loaded.name)
    return [(key, values[key], loaded.origins[key]) for key in LEAVES]


def stored(config: ProjectConfig) -> dict[str, Any]:
    """The configuration as JSON-able values, for the ledger; safe in a jsonb column."""
    return config.model_dump(mode="json")


def restore(values: Mapping[str, Any], name: str) -> ProjectConfig:
    """Read back what `stored` gave. Paths are not looked at: this may be another machine. ConfigError."""
    flat = default_values() | flatten(values, f"stored config of {name}")
    return _validated(flat, {}, f"stored config of {name}")


def _project_folders(settings: Settings) -> Iterator[Path]:
    for folder in folders(settings.configs):
        yield folder / "projects"
        if folder == settings.configs:
            yield folder


def _base_of(path: Path, settings: Settings) -> Path | None:
    """base.yaml of the configs/ folder the project lies in, else of the first folder that has one."""
    if path.parent.name == "projects" and (path.parents[1] / "base.yaml").is_file():
        return path.parents[1] / "base.yaml"
    return find("base.yaml", settings.configs)


def _no_project(name: str, settings: Settings) -> Path:
    known = list_projects(settings)
    looked = ", ".join(shown(folder) for folder in list(_project_folders(settings))[:-1])
    hint = nearest(name, known) if known else "there is none yet"
    raise ConfigError(f"project {name!r}: no such file in {looked}; {hint} `data-miner init NAME` writes one")


def _located(key: str, layer: Layer, folder_of: Mapping[str, Path]) -> Any:
    """Make paths absolute; ConfigError when one that must exist does not."""
    value = layer.values[key]
    if layer.origin not in folder_of or key not in _PATHS + _MODELS:
        return value
    if isinstance(value, (list, tuple)):
        return [_path(key, item, layer, folder_of[layer.origin]) for item in value]
    return _path(key, value, layer, folder_of[layer.origin])


def _path(key: str, value: Any, layer: Layer, folder: Path) -> Any:
    if not isinstance(value, str) or not value.strip():
        return value  # validation says what is wrong with it
    path = (folder / Path(value.strip()).expanduser()).resolve()
    if path.exists():
        return str(path)
    if key in _MODELS:
        here = Path(value.strip()).resolve()
        if here.exists():
            return str(here)
        if not value.strip().startswith(("./", "../", "/", "~")):
            return value  # a name: the registry knows where models of that name lie
    raise ConfigError(f"{layer.label}: {key}: no such file or folder: {shown(path)}")


def _validated(values: Mapping[str, Any], labels: Mapping[str, str], label: str) -> ProjectConfig:
    try:
        return ProjectConfig.model_validate(unflatten(values))
    except ValidationError as error:
        first, *rest = error.errors(include_url=False)
        key = dotted(part for part in first["loc"] if not isinstance(part, str) or part in _WORDS)
        leaf = next((leaf for leaf in LEAVES if key == leaf or key.startswith(f"{leaf}[")), "")
        more = f" (and {len(rest)} more)" if rest else ""
        message = _message(first["msg"], first["input"], with_value=bool(leaf) and first["type"] != "value_error")
        where = f"{key}: " if key else ""
        raise ConfigError(f"{labels.get(leaf, label)}: {where}{message}{more}") from None


_WORDS = frozenset(word for leaf in LEAVES for word in leaf.split("."))


def _message(text: str, value: Any, with_value: bool) -> str:
    text = text.removeprefix("Value error, ").replace("Input should", "should")
    text = text.replace("a valid string", "text").replace("a valid tuple", "a list")
    got = f", got {value!r:.60}" if with_value else ""
    hint = "; put it in quotes" if "text" in text and isinstance(value, (bool, int, float)) else ""
    return " ".join(f"{text}{got}{hint}".split())
