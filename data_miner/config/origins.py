"""Layers of configuration (base, file, environment, flags) as dotted keys that know where they came from.

The order is DESIGN §8's: flags win over environment, environment over project file, file over base.
"""

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_origin

from data_miner.config.files import parse_yaml
from data_miner.config.schema import ProjectConfig, Section
from data_miner.errors import ConfigError

Origin = Literal["flag", "env", "file", "base"]


@dataclass(frozen=True, slots=True)
class Layer:
    """Dotted keys of one origin. `label` stands before the key in messages."""

    origin: Origin
    label: str
    values: Mapping[str, Any]


def _walk(section: type[Section], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        yield prefix + name, kind
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _walk(kind, f"{prefix}{name}.")


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and issubclass(kind, Section)


_KINDS = dict(_walk(ProjectConfig))
SECTIONS = frozenset(key for key, kind in _KINDS.items() if _is_section(kind))
LEAVES = tuple(key for key in _KINDS if key not in SECTIONS)
_LISTS = frozenset(key for key in LEAVES if get_origin(_KINDS[key]) in (tuple, dict))
_ENV_NAMES = {f"DATA_MINER_{key.replace('.', '_').upper()}": key for key in LEAVES}
_ENV_SECTIONS = tuple(f"DATA_MINER_{key.upper()}_" for key in sorted(SECTIONS) if "." not in key)


def flatten(tree: Mapping[Any, Any], label: str, prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a tree. An empty section says nothing; an empty list is one. ConfigError."""
    values: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if key in SECTIONS:
            if isinstance(value, Mapping):
                values |= flatten(value, label, f"{key}.")
            elif value is not None:
                raise ConfigError(f"{label}: {key}: should be a section with keys of its own, got {value!r:.60}")
        elif key in LEAVES:
            values[key] = () if value is None and key in _LISTS else value
        else:
            raise ConfigError(f"{label}: {unknown(key)}")
    return values


def unflatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """The tree that `flatten` took apart."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return tree


def flag_layer(overrides: Iterable[str]) -> Layer:
    """`section.key=value` of --set, the value read as YAML. ConfigError."""
    values: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {override}: write section.key=value, as in --set detect.conf=0.4")
        value = parse_yaml(text, f"--set {key}")
        values |= flatten(unflatten({key.strip(): value}), "--set")
    return Layer("flag", "--set", values)


def env_layer(env: Mapping[str, str]) -> Layer:
    """DATA_MINER_DETECT_CONF and its like, for every key of a section, values read as YAML. ConfigError."""
    values: dict[str, Any] = {}
    for name in sorted(env):
        if not name.startswith(_ENV_SECTIONS):
            continue
        if name not in _ENV_NAMES:
            near = difflib.get_close_matches(name, list(_ENV_NAMES), 1)
            raise ConfigError(f"environment: {name}: unknown" + (f", did you mean {near[0]}?" if near else ""))
        value = parse_yaml(env[name], f"environment: {name}")
        values |= flatten(unflatten({_ENV_NAMES[name]: value}), "environment")
    return Layer("env", "environment", values)


def unknown(key: str, known: Iterable[str] = tuple(_KINDS)) -> str:
    """`extract.fsp: unknown key, did you mean extract.fps?`"""
    return f"{key}: unknown key, {nearest(key, known)}"


def nearest(key: str, known: Iterable[str]) -> str:
    """The key that was meant: by its last word elsewhere, by spelling in its section, else all there is."""
    known = list(known)
    section, _, name = key.rpartition(".")
    elsewhere = {other.rpartition(".")[2]: other for other in reversed(known) if other != section}
    siblings = {other.rpartition(".")[2]: other for other in known if other.rpartition(".")[0] == section}
    meant = elsewhere.get(name)
    if not meant and (near := difflib.get_close_matches(name, siblings, 1)):
        meant = siblings[near[0]]
    if not meant:  # confidence for conf
        meant = next((siblings[word] for word in siblings if name.startswith(word) or word.startswith(name)), None)
    if not meant and (near := difflib.get_close_matches(name, elsewhere, 1, 0.7)):
        meant = elsewhere[near[0]]
    return f"did you mean {meant}?" if meant else f"known here: {' '.join(siblings)}"


def dotted(location: Iterable[int | str]) -> str:
    """A place as pydantic names it, as people write it: sources.urls[2]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def default_values() -> dict[str, Any]:
    """Every key with the default of the schema."""
    tree = ProjectConfig()
    values: dict[str, Any] = {}
    for key in LEAVES:
        place: Any = tree
        for name in key.split("."):
            place = getattr(place, name)
        values[key] = place
    return values
