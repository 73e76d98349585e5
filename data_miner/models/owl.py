"""OWLv2 and OWL-ViT through transformers: boxes for words that are read once, when the model is opened."""

from collections.abc import Iterator

from data_miner.models.asking import Answer, AskedDetector, corners
from data_miner.models.base import Rgb

WORDS_AT_ONCE = 256  # 3,600 patches x 16 pictures x 256 words x 4 bytes are 59 MB of scores


class OwlDetector(AskedDetector):
    """Scores every patch of a picture against every word. `imgsz` is fixed by the model and ignored.

    Words are asked as they stand; authors of the model wrap them as "a photo of a …" (arXiv:2205.06230).
    They are cut at the 16 tokens that the model can read. OWLv2 pads a picture to a square at its right and
    bottom, so its boxes are shares of the longer side; OWL-ViT stretches it, and they are shares of each side.
    """

    def _phrase(self, word: str) -> str:
        return " ".join(word.lower().replace("_", " ").split())

    def _prepare(self, imgsz: int) -> None:
        """Read the words as the model's own forward does, but once and not for every picture."""
        import torch

        self._pads = self._model.config.model_type == "owlv2"
        length = self._model.config.text_config.max_position_embeddings
        parts = []
        for start in range(0, len(self._words), WORDS_AT_ONCE):
            phrases = [word.phrase for word in self._words[start : start + WORDS_AT_ONCE]]
            inputs = self._reader(
                phrases, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
            ).to(self._device)
            base = self._model.owlv2 if self._pads else self._model.owlvit
            features = base.get_text_features(inputs["input_ids"], attention_mask=inputs["attention_mask"])
            # transformers 5 returns an output object where 4 returned the tensor
            parts.append(torch.nn.functional.normalize(getattr(features, "pooler_output", features), dim=-1))
        self._queries = torch.cat(parts)

    def _answers(self, rgb: list[Rgb]) -> Iterator[Answer]:
        import torch

        height, width = rgb[0].shape[:2]
        sides = [max(height, width)] * 4 if self._pads else [width, height, width, height]
        grid = self._model.image_embedder(**self._inputs(rgb))[0]
        patches = grid.flatten(1, 2)
        boxes = corners(self._model.box_predictor(patches, grid).float()) * torch.tensor(sides, device=self._device)
        best = torch.full(boxes.shape[:2], -torch.inf, device=self._device)
        words = torch.zeros(boxes.shape[:2], dtype=torch.long, device=self._device)
        for start in range(0, len(self._words), WORDS_AT_ONCE):
            queries = self._queries[start : start + WORDS_AT_ONCE].expand(len(rgb), -1, -1)
            logits, which = self._model.class_predictor(patches, queries)[0].float().max(dim=-1)
            better = logits > best
            best, words = torch.where(better, logits, best), torch.where(better, which + start, words)
        yield Answer(best.sigmoid(), words, boxes)
