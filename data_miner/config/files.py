"""Configuration files: where they are looked for, and YAML read strictly (no duplicate keys, no tags).

What the values mean is in `schema` and `sites`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from data_miner.errors import ConfigError

_MAX_BYTES = 4 * 1024**2  # a project file of 100,000 URLs belongs in a batch file


class _StrictLoader(yaml.SafeLoader):
    """Safe loader that refuses a key given twice and reads 1e-3 as the number it is (YAML 1.2)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; ConstructorError at the second of two equal keys."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    problem = f"{key_node.value} is there twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping. ConfigError: one line with file and line number."""
    tree = parse_yaml(read_text(path), shown(path))
    if tree is None:
        raise ConfigError(f"{shown(path)}: empty file")
    if not isinstance(tree, dict):
        raise ConfigError(f"{shown(path)}: should be `key: value` lines, got {type(tree).__name__}")
    return tree


def read_text(path: Path) -> str:
    """Read a text file in UTF-8 with or without a byte order mark. ConfigError."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{shown(path)}: larger than {_MAX_BYTES // 1024**2} MiB; put long lists in a batch file")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{shown(path)}: not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{shown(path)}: {(error.strerror or str(error)).lower()}") from None


def parse_yaml(text: str, label: str) -> Any:
    """Read one YAML value; `label` stands for the file in messages. ConfigError."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{label}{line}: {_plain(error)}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"{label}: not YAML: {' '.join(str(error).split())[:200]}") from None


def _plain(error: yaml.MarkedYAMLError) -> str:
    problem = " ".join((error.problem or str(error)).split())
    if "there twice" in problem:
        return problem
    if "'\\t'" in problem:
        return "not YAML: a tab; indent with spaces"
    context = f" {error.context}" if error.context else ""
    return f"not YAML: {problem}{context}"


def packaged() -> Path:
    """The configuration that comes with the code: in a wheel below this package, in a checkout configs/."""
    installed = Path(__file__).parent / "files"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "configs"


def folders(configs: Path | None) -> Iterator[Path]:
    """Configuration folders in the order of search: ./configs, DATA_MINER_CONFIGS, the packaged one."""
    yield Path.cwd() / "configs"
    if configs:
        yield configs
    yield packaged()


def find(name: str, configs: Path | None) -> Path | None:
    """First file of this name in the configuration folders."""
    return next((folder / name for folder in folders(configs) if (folder / name).is_file()), None)


def shown(path: Path) -> str:
    """The path as a person would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
