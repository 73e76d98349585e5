"""What a folder of transformers weights says about itself: the record of a pull, and whether weights are whole.

Nothing is fetched here, and nothing is loaded.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

RECORD = ".revision"  # written last, so a folder that has it was whole once
WORDS = ("tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json")
PICTURES = ("preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True, slots=True)
class Record:
    """Which commit of which repository a folder holds, and how large each of its files is."""

    repository: str
    revision: str
    size_bytes: Mapping[str, int]

    @property
    def digest(self) -> str:
        """ "repo@commit", the same wherever the folder lies."""
        return f"{self.repository}@{self.revision}"


def read(folder: Path) -> Record | None:
    """The record of a pulled folder; None where a person put the files."""
    try:
        return Record(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write(folder: Path, record: Record) -> None:
    """Write the record so that a power cut leaves all of it or none."""
    draft = folder / f"{RECORD}.new"
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(asdict(record), stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(folder / RECORD)


def fault(folder: Path, record: Record) -> str | None:
    """What is wrong with the first file that is not as it was pulled; None: all are."""
    for name, size_bytes in record.size_bytes.items():
        try:
            found = (folder / name).stat().st_size
        except OSError:
            return f"{name} is missing"
        if found != size_bytes:
            return f"{name} has {found} bytes, not {size_bytes}"
    return None


def is_whole(folder: Path, reads_words: bool) -> bool:
    """Is all that transformers opens here, as far as names can tell? A link to nothing is not here."""
    named = ("config.json",), PICTURES, *((WORDS,) if reads_words else ())
    if not all(any((folder / name).is_file() for name in names) for names in named):
        return False
    return (folder / "model.safetensors").is_file() or _has_all_shards(folder)


def shards(index_json: str) -> set[str]:
    """File names in a model.safetensors.index.json. Raises ValueError for what is none."""
    try:
        return {str(name) for name in json.loads(index_json)["weight_map"].values()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("no weight_map") from error


def _has_all_shards(folder: Path) -> bool:
    try:
        names = shards((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(names) and all((folder / name).is_file() for name in names)
