"""Grounding DINO and MM Grounding DINO through transformers: boxes for the words of a caption."""

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from data_miner.errors import ModelError
from data_miner.models.asking import Answer, AskedDetector, corners
from data_miner.models.base import Rgb

# The model keeps what stands between two of "." and "?" apart (arXiv:2303.05499, sub-sentence level).
SEPARATORS = re.compile(r"[.?_]")


class _Caption(NamedTuple):
    """One pass: "glass door. door handle." as tokens."""

    tokens: Any  # (1, T)
    places: Any  # (P,) where in it tokens of words stand
    words: Any  # (P,) index of the word that each of them belongs to


class GroundingDetector(AskedDetector):
    """Asks for all words in one caption, or in several when they exceed the model's text length (256 tokens).

    A word's score for a box is the best sigmoid(logit) among its tokens, which is what get_phrases_from_posmap
    of IDEA-Research/GroundingDINO and of transformers hold against the text threshold. Tokens map back to the
    word they were made from, so a label is always one of the words asked; a box whose tokens lie in two words
    goes to the one with the best token. `imgsz` is the shorter side that pictures are scaled to (800 in
    training); the limit of the longer side stays in the proportion of the model's own (1333 : 800).
    """

    def _phrase(self, word: str) -> str:
        return " ".join(SEPARATORS.sub(" ", word.lower()).split())

    def _prepare(self, imgsz: int) -> None:
        self._check_size(imgsz)
        own = self._pictures.size
        self._size = {"shortest_edge": imgsz, "longest_edge": imgsz}
        if own.get("shortest_edge") and own.get("longest_edge"):
            self._size["longest_edge"] = round(imgsz * own["longest_edge"] / own["shortest_edge"])
        self._captions = self._write_captions()

    def _answers(self, rgb: list[Rgb]) -> Iterator[Answer]:
        import torch

        height, width = rgb[0].shape[:2]
        inputs = self._inputs(rgb, size=self._size)
        scale = torch.tensor([width, height, width, height], device=self._device)
        for caption in self._captions:
            tokens = caption.tokens.expand(len(rgb), -1)
            output = self._model(**inputs, input_ids=tokens, attention_mask=torch.ones_like(tokens))
            logits, best = output.logits.float()[..., caption.places].max(dim=-1)
            yield Answer(logits.sigmoid(), caption.words[best], corners(output.pred_boxes.float()) * scale)

    def _check_size(self, imgsz: int) -> None:
        """The decoder starts from the best `num_queries` places of the encoder; torch fails when there are fewer."""
        config = self._model.config
        wanted, levels = config.num_queries, config.num_feature_levels
        if not config.two_stage or _places(imgsz, levels) >= wanted:
            return
        enough = next(size for size in range(32, 4097, 32) if _places(size, levels) >= wanted)
        raise ModelError(f"{self._path}: imgsz {imgsz} is too small for this model; give {enough} or more")

    def _write_captions(self) -> list[_Caption]:
        """Fill captions up to the model's length with whole words, in the order of the classes."""
        phrases = [word.phrase for word in self._words]
        tokens: list[list[int]] = self._reader(phrases, add_special_tokens=False)["input_ids"]
        room = int(self._model.config.max_text_len) - 2  # [CLS] and [SEP]
        captions: list[list[int]] = []
        used = room
        for index, own in enumerate(tokens):
            self._check_readable(self._words[index].word, own, room - 1)
            if used + len(own) + 1 > room:
                captions.append([])
                used = 0
            captions[-1].append(index)
            used += len(own) + 1
        return [self._caption(words, tokens) for words in captions]

    def _check_readable(self, word: str, tokens: list[int], most: int) -> None:
        if set(tokens) <= {self._reader.unk_token_id}:
            raise ModelError(f'{self._path}: this model has no letters for "{word[:40]}"; say it in English')
        if len(tokens) > most:
            raise ModelError(f'{self._path}: "{word[:40]}…" is {len(tokens)} tokens, and this model reads {most}')

    def _caption(self, words: list[int], tokens: list[list[int]]) -> _Caption:
        import torch

        stop = self._reader.convert_tokens_to_ids(".")
        line, owners = [self._reader.cls_token_id], [-1]
        for index in words:
            line += [*tokens[index], stop]
            owners += [index] * len(tokens[index]) + [-1]
        line.append(self._reader.sep_token_id)
        owner = torch.tensor([*owners, -1], device=self._device)
        places = (owner >= 0).nonzero()[:, 0]
        return _Caption(torch.tensor([line], device=self._device), places, owner[places])


def _places(side_px: int, levels: int) -> int:
    """Places that the encoder has in a square picture: strides of 8, 16, 32 (Swin's last stages), 64, …"""
    return sum(math.ceil(side_px / (8 << level)) ** 2 for level in range(levels))
