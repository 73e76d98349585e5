"""python -m data_miner.sample.train: trains both tiny models again, offline, and writes the model card."""

import argparse
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from data_miner.models import registry
from data_miner.sample import lessons, measure, train_detector, train_scorer
from data_miner.sample.pictures import HELD_OUT_SEED, TRAIN_SEED
from data_miner.sample.render import DEFAULT_SEED, DOOR
from data_miner.sample.weights import CARD, DETECTOR, FOLDER, SCORER

CARD_TEXT = """\
# Tiny models of the offline sample

Two models that know rendered building interiors and nothing else. They exist so that the whole pipeline can
be run and tested without network and GPU, by the same code that loads the real models. Do not use them on
photographs.

- `{detector}` finds boxes of the class `glass_door`. A YOLO11 of depth .33 and width .125 at {imgsz} px,
  loaded by Ultralytics.
- `{scorer}/` says how well a prompt fits a picture. A SigLIP of 3 vision and 2 text layers at {side} px,
  loaded by transformers.

| | detector | scorer |
|---|---|---|
| bytes | {detector_bytes:,} | {scorer_bytes:,} |
| trained on pictures | {detector_pictures} | {scorer_pictures} |
| epochs | {detector_epochs} | {scorer_epochs} |
| held-out pictures | {detector_held_out}, with {doors:.0f} glass doors | {shown} |
| precision there | {detector_precision:.3f} | {scorer_precision:.3f} |
| recall there | {detector_recall:.3f} | {scorer_recall:.3f} |

Detector: boxes from score .3 up, matched at IoU .5; a box on a door of which less than 35 % is in view
counts as wrong. Scorer: the filter's rule with its default thresholds (.3 / .3 / .1, junk .3 / .1) and

- positive: {positive}
- negative: {negative}
- junk: {junk}

Pictures that it decides wrongly, by what they show: {wrong}.
Pictures where people would differ on the caption (a glass door hardly in view, a window beside a wooden
door) are left out.

Made by `python -m data_miner.sample.train` from random weights on a CPU, the detector on one thread and
the scorer on two ({versions}).
The pictures are drawn by `data_miner/sample/pictures.py`: training takes seeds from {train_seed}, the scores
above come from seeds from {held_out_seed}, the sample's films from seed {sample_seed}; none is used twice.
The scorer's tokenizer knows the words of `data_miner/sample/prompts.py`; every other word is one unknown
word to it.

Licence: the detector is an Ultralytics architecture (AGPL-3.0); the scorer is Apache-2.0 like the project.
"""


def main() -> None:
    """Train, measure on held-out seeds, write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("detector", "scorer", "card"), help="train one of them, or none")
    only = parser.parse_args().only
    import torch

    torch.set_num_threads(2)
    FOLDER.mkdir(exist_ok=True)
    start = time.monotonic()
    if only in (None, "detector"):
        train_detector.train_detector(DETECTOR)
    if only in (None, "scorer"):
        train_scorer.train_scorer(SCORER)
    print(f"trained in {time.monotonic() - start:.0f} s")
    CARD.write_text(card(measured()))
    print(CARD.read_text())


def measured() -> dict[str, Any]:
    """Both models on held-out seeds, opened as a project would open them."""
    detector = registry.open_detector(
        registry.check(str(DETECTOR), "detect"), classes={DOOR: [DOOR]}, imgsz=train_detector.IMGSZ, threads=2
    )
    boxes = measure.measure_detector(detector)
    scorer = registry.open_scorer(registry.check(str(SCORER), "filter"), threads=2)
    return {"detector": boxes, "scorer": measure.measure_scorer(scorer)}


def card(scores: Mapping[str, Any]) -> str:
    """The model card's text; every number in it is read from the files, the settings or `scores`."""
    boxes, words = scores["detector"], scores["scorer"]
    packages = ("torch", "ultralytics", "transformers")
    return CARD_TEXT.format(
        detector=DETECTOR.name,
        scorer=SCORER.name,
        imgsz=train_detector.IMGSZ,
        side=lessons.SIDE_PX,
        detector_bytes=DETECTOR.stat().st_size,
        scorer_bytes=sum(file.stat().st_size for file in SCORER.iterdir()),
        detector_pictures=train_detector.TRAIN_PICTURES,
        detector_epochs=train_detector.EPOCHS,
        scorer_pictures=train_scorer.TRAIN_PICTURES,
        scorer_epochs=train_scorer.EPOCHS,
        detector_held_out=measure.HELD_OUT_PICTURES,
        doors=boxes["doors"],
        shown=words["pictures"],
        detector_precision=boxes["precision"],
        detector_recall=boxes["recall"],
        scorer_precision=words["precision"],
        scorer_recall=words["recall"],
        positive=", ".join(measure.POSITIVE),
        negative=", ".join(measure.NEGATIVE),
        junk=", ".join(measure.JUNK),
        wrong=", ".join(f"{kind} {count}" for kind, count in words["wrong"].items()) or "none",
        versions=", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]),
        train_seed=TRAIN_SEED,
        held_out_seed=HELD_OUT_SEED,
        sample_seed=DEFAULT_SEED,
    )


if __name__ == "__main__":
    main()
