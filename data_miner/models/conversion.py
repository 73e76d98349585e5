"""Turns a pytorch_model.bin into safetensors, in a process of its own: torch is heavy, and a pickle is foreign.

Repositories of before 2023 have nothing else, openai/clip-vit-base-patch32 among them.
"""

import subprocess
import sys
from pathlib import Path

from data_miner.errors import ModelError

TIMEOUT_S = 600


def convert(pickle: Path, target: Path) -> None:
    """Write the tensors of `pickle` to `target`, all or nothing. Raises ModelError."""
    draft = target.with_name(f"{target.name}.part")
    command = [sys.executable, "-m", __name__, str(pickle), str(draft)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode != 0 or not draft.is_file():
        draft.unlink(missing_ok=True)
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(f"{pickle.name}: not turned into safetensors: {why[:200]}; name a model that has them")
    draft.replace(target)


def _write(pickle: Path, target: Path) -> None:
    import torch
    from safetensors.torch import save_file

    loaded = torch.load(pickle, map_location="cpu", weights_only=True)
    tensors = {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise ValueError("it holds no tensors")
    # Each its own memory: the format knows no shared tensors.
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, target, {"format": "pt"})


if __name__ == "__main__":
    _write(Path(sys.argv[1]), Path(sys.argv[2]))
