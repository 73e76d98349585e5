"""Any image backbone of transformers (DINOv2, DINOv3, ViT, ConvNeXt, the eyes of CLIP) as a maker of vectors."""

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from data_miner.errors import ModelError, SmallerError
from data_miner.models.base import Rgb, Vectors, inference
from data_miner.models.transformers_folder import check_weights, naming

_MOST_CLASS_TOKENS = 2  # DeiT has a second one, for distillation
_GREY: Rgb = np.full((64, 64, 3), 128, np.uint8)


class TransformersEmbedder:
    """A backbone with its image processor; see models.base.Embedder. A picture of which it sees nothing is zeros.

    pooling: "pooled" is the backbone's own output (DINOv2's is the class token after the last norm), or its class
    token where it has none. "mean" is the mean of the patch tokens, without class and register tokens
    (arXiv:2309.16588, §2: registers hold no place of the picture); of a CNN the mean over its last map.
    """

    def __init__(
        self,
        path: Path,
        digest: str,
        *,
        pooling: str = "pooled",
        device: str = "cpu",
        threads: int = 1,
        batch: int = 16,
    ) -> None:
        import torch

        if pooling not in ("pooled", "mean"):
            raise ModelError(f"dedup.pooling: {pooling!r} is neither pooled nor mean")
        self.digest = digest
        self._path, self._device, self._batch = path, device, max(1, batch)
        self._pool = self._pooled if pooling == "pooled" else self._mean
        self._dtype = torch.float16 if device.startswith("cuda") else torch.float32
        torch.set_num_threads(max(1, threads))
        self._model, self._pictures = _load(path, self._dtype, device)
        with naming(path, "cannot embed a picture"), torch.inference_mode():
            self.width = int(self._features([_GREY]).shape[1])

    def embed_images(self, rgb: Sequence[Rgb]) -> Vectors:
        """See Embedder.embed_images."""
        import torch

        vectors = np.empty((len(rgb), self.width), np.float32)
        with inference(self._path.name), torch.inference_mode():
            for start in range(0, len(rgb), self._batch):
                features = self._features(rgb[start : start + self._batch]).float().cpu().numpy()
                vectors[start : start + len(features)] = _unit(features, self._path.name)
        return vectors

    def close(self) -> None:
        """See Embedder.close."""
        self._model = None

    def _features(self, rgb: Sequence[Rgb]) -> Any:
        """(N, D) as the model gives them, of any length."""
        whole = [np.ascontiguousarray(picture) for picture in rgb]  # torch takes no reversed views
        inputs = self._pictures(images=whole, return_tensors="pt", input_data_format="channels_last")
        moved = {
            key: value.to(self._device, self._dtype) if value.is_floating_point() else value.to(self._device)
            for key, value in inputs.items()
        }
        return self._pool(self._model(**moved), moved)

    def _pooled(self, output: Any, inputs: Mapping[str, Any]) -> Any:
        if getattr(output, "pooler_output", None) is not None:
            return output.pooler_output.flatten(1)  # a CNN's is N × D × 1 × 1
        hidden = output.last_hidden_state
        if hidden.ndim != 3 or not self._class_tokens(hidden, inputs):
            raise ModelError(f"{self._path}: has neither a pooled output nor a class token; set dedup.pooling: mean")
        return hidden[:, 0]

    def _mean(self, output: Any, inputs: Mapping[str, Any]) -> Any:
        hidden = output.last_hidden_state.float()
        if hidden.ndim == 4:
            return hidden.mean((2, 3))
        mask = inputs.get("pixel_attention_mask")
        if mask is not None and mask.shape == hidden.shape[:2]:  # SigLIP 2 pads pictures to one number of patches
            return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        first = self._class_tokens(hidden, inputs) + self._registers
        return hidden[:, first:].mean(1)

    @property
    def _registers(self) -> int:
        return int(getattr(self._model.config, "num_register_tokens", None) or 0)

    def _class_tokens(self, hidden: Any, inputs: Mapping[str, Any]) -> int:
        """How many tokens stand before registers and patches, by counting the patches of the picture."""
        size = getattr(self._model.config, "patch_size", None)
        pixels = inputs["pixel_values"]
        if not isinstance(size, int) or pixels.ndim != 4:
            raise ModelError(f"{self._path}: cannot tell which of its tokens are patches; set dedup.pooling: pooled")
        patches = (pixels.shape[2] // size) * (pixels.shape[3] // size)
        extra = int(hidden.shape[1] - patches) - self._registers
        if extra < 0:
            return 0  # Swin joins patches from layer to layer and has nothing else
        if extra > _MOST_CLASS_TOKENS:
            raise ModelError(f"{self._path}: has {extra} tokens that are no patches; set dedup.pooling: pooled")
        return extra


def _unit(features: Any, name: str) -> Vectors:
    """Rows of length 1 to the last bit of float32; rows of zeros stay. SmallerError (model) for what is no number."""
    wide = features.astype(np.float64)
    lengths = np.sqrt((wide**2).sum(axis=1, keepdims=True))
    if not np.isfinite(lengths).all():
        raise SmallerError("model", f"{name}: gave numbers beyond half precision or none at all")
    return np.asarray(wide / np.where(lengths == 0, 1, lengths), dtype=np.float32)


def _load(path: Path, dtype: Any, device: str) -> tuple[Any, Any]:
    """The part of a model that looks at pictures, and its image processor; ModelError that names the folder."""
    check_weights(path)
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with naming(path, "cannot be loaded"):
        model, report = transformers.AutoModel.from_pretrained(
            path, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    missing = sorted(report["missing_keys"])
    if missing and _may_lack(model, missing):
        model.pooler, missing = None, []
    if missing:
        raise ModelError(f"{path}: its weights lack {len(missing)} tensors, the first is {missing[0]}; fetch it again")
    eyes = getattr(model, "vision_model", model)  # of CLIP and SigLIP; their words are not needed here
    if eyes.main_input_name != "pixel_values":
        raise ModelError(f"{path}: {type(model).__name__} does not look at pictures; give a backbone such as DINOv2")
    if hasattr(eyes.config, "mask_ratio"):
        eyes.config.mask_ratio = 0.0  # ViT-MAE hides three quarters of the patches by chance
    with naming(path, "cannot be loaded"):
        pictures = transformers.AutoImageProcessor.from_pretrained(path, local_files_only=True)
    with naming(path, f"cannot be put on {device}"):
        return eyes.to(device).eval(), pictures


def _may_lack(model: Any, missing: Sequence[str]) -> bool:
    """A classifier's ViT comes without the pooler that only pretraining had: its class token will do."""
    return "add_pooling_layer" in signature(type(model)).parameters and all(k.startswith("pooler.") for k in missing)
