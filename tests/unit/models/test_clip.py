"""The CLIP family through the same scorer: the score is the cosine itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from data_miner.models import registry


def test_a_clip_scores_by_its_cosine(tiny: Callable[[str], Path]) -> None:
    clip_folder = tiny("clip")
    import torch
    from transformers import AutoModel, AutoProcessor, AutoTokenizer

    scorer = registry.open_scorer(registry.check(str(clip_folder), "filter"))
    rgb = [np.random.default_rng(k).integers(0, 255, (80, 100, 3), dtype=np.uint8) for k in range(4)]
    texts = ["a glass door", "a wooden door in a building"]
    scores = scorer.scores(scorer.embed_images(rgb), scorer.embed_texts(texts))

    model = AutoModel.from_pretrained(clip_folder).eval()
    pixels = AutoProcessor.from_pretrained(clip_folder).image_processor(images=rgb, return_tensors="pt")
    words = AutoTokenizer.from_pretrained(clip_folder)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        output = model(**words, **pixels)
        cosines = (output.logits_per_image / model.logit_scale.exp()).numpy()
    assert np.ptp(cosines) > 0.01
    np.testing.assert_allclose(scores, np.maximum(cosines, 0), atol=1e-5)
