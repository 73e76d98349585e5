"""SigLIP and CLIP through transformers: pictures and words as vectors, and how well a pair fits."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_miner.errors import ModelError
from data_miner.models.base import Rgb, Vectors, inference
from data_miner.models.transformers_folder import load

SIGLIP_TEXT_TOKENS = 64  # SigLIP was trained on padded texts, without a mask: other lengths change scores


class TransformersScorer:
    """An image-text model with its image processor and tokenizer; see models.base.ImageTextScorer.

    SigLIP's score is sigmoid(cosine * exp(logit_scale) + logit_bias), arXiv:2303.15343. CLIP has no absolute
    score; what people filter by is the cosine itself (LAION-400M kept pairs from .3 up, arXiv:2111.02114),
    here cut at 0.
    """

    def __init__(self, path: Path, digest: str, *, device: str = "cpu", threads: int = 1, batch: int = 16) -> None:
        import torch

        self.digest = digest
        self._path, self._device, self._batch = path, device, max(1, batch)
        self._dtype = torch.float16 if device.startswith("cuda") else torch.float32
        torch.set_num_threads(max(1, threads))
        self._model, self._pictures, self._words = _load(path, self._dtype, device)
        self._is_siglip = hasattr(self._model, "logit_bias")
        self.logit_scale = float(self._model.logit_scale.detach().float().cpu())
        self.logit_bias = float(self._model.logit_bias.detach().float().cpu()) if self._is_siglip else 0.0

    def embed_images(self, rgb: Sequence[Rgb]) -> Vectors:
        """See ImageTextScorer.embed_images."""
        return self._embed(self._look, rgb)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """See ImageTextScorer.embed_texts. Words are lower-cased, as SigLIP's training did."""
        return self._embed(self._read, [text.lower() for text in texts])

    def scores(self, images: Vectors, texts: Vectors) -> Vectors:
        """See ImageTextScorer.scores."""
        cosines = images.astype(np.float32) @ texts.astype(np.float32).T
        if not self._is_siglip:
            return np.asarray(np.maximum(cosines, 0.0), dtype=np.float32)
        logits = cosines * np.exp(self.logit_scale) + self.logit_bias
        return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=np.float32)

    def close(self) -> None:
        """See ImageTextScorer.close."""
        self._model = None

    def _look(self, rgb: list[Rgb]) -> Any:
        whole = [np.ascontiguousarray(picture) for picture in rgb]  # torch takes no reversed views
        inputs = self._pictures(images=whole, return_tensors="pt", input_data_format="channels_last")
        moved = {
            key: value.to(self._device, self._dtype) if value.is_floating_point() else value.to(self._device)
            for key, value in inputs.items()
        }
        return self._model.get_image_features(**moved)

    def _read(self, texts: list[str]) -> Any:
        if not self._is_siglip:
            inputs = self._words(texts, padding=True, truncation=True, return_tensors="pt")
            return self._model.get_text_features(**inputs.to(self._device))
        inputs = self._words(
            texts, padding="max_length", max_length=SIGLIP_TEXT_TOKENS, truncation=True, return_tensors="pt"
        )
        return self._model.get_text_features(input_ids=inputs["input_ids"].to(self._device))

    def _embed(self, encode: Callable[[list[Any]], Any], items: Sequence[Any]) -> Vectors:
        import torch

        vectors = []
        with inference(self._path.name), torch.inference_mode():
            for start in range(0, len(items), self._batch):
                features = encode(list(items[start : start + self._batch]))
                # transformers 5 returns an output object where 4 returned the tensor
                features = getattr(features, "pooler_output", features).float()
                vectors.append(torch.nn.functional.normalize(features, dim=-1).cpu().numpy())
        if not vectors:
            return np.zeros((0, 0), np.float32)
        return np.asarray(np.concatenate(vectors), dtype=np.float32)


def _load(path: Path, dtype: Any, device: str) -> list[Any]:
    """Model, image processor, tokenizer from a folder; ModelError that names the file at fault."""
    loaded = load(path, "AutoModel", "AutoImageProcessor", "AutoTokenizer", dtype=dtype, device=device)
    model = loaded[0]
    if not (hasattr(model, "get_image_features") and hasattr(model, "logit_scale")):
        raise ModelError(f"{path}: {type(model).__name__} does not score pictures against words; give a SigLIP or CLIP")
    return loaded
