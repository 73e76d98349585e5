"""A folder of transformers weights: held against its own headers, then loaded whole or refused in one line."""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_miner.errors import ModelError


def load(path: Path, model: str, *parts: str, dtype: Any, device: str) -> list[Any]:
    """The model on its device in eval mode, then its parts (image processor, tokenizer), by local files alone.

    model, parts: names of transformers' Auto classes. Only safetensors are read. Raises ModelError that names
    the folder or file when something lacks, is damaged or is of another kind.
    """
    check_weights(path)
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with naming(path, "cannot be loaded"):
        loaded, report = getattr(transformers, model).from_pretrained(
            path, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        others = [getattr(transformers, part).from_pretrained(path, local_files_only=True) for part in parts]
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelError(f"{path}: its weights lack {len(missing)} tensors, the first is {missing[0]}; fetch it again")
    with naming(path, f"cannot be put on {device}"):
        loaded = loaded.to(device).eval()
    return [loaded, *others]


def check_weights(path: Path) -> None:
    """Hold every safetensors file against its own header: a cut download is named before it is loaded.

    Layout: 8 bytes little-endian header length, JSON header, data (huggingface.co/docs/safetensors).
    """
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{path}: no .safetensors file in this folder; convert or fetch the weights again")
    for file in files:
        size = file.stat().st_size
        try:
            with file.open("rb") as stream:
                (length,) = struct.unpack("<Q", stream.read(8))
                header = json.loads(stream.read(length if length < size else 0))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            whole = 8 + length + max(ends) == size
        except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ModelError(f"{file}: not a safetensors file; fetch it again") from error
        if not whole:
            raise ModelError(f"{file}: cut short or damaged ({size} bytes do not fit its header); fetch it again")


@contextmanager
def naming(path: Path, what: str) -> Iterator[None]:
    """transformers and torch raise anything; one line must do."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise ModelError(f"{path}: {what}: {text[:200] or type(error).__name__}") from error
