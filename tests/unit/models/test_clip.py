"""The CLIP family through the same scorer: the score is the cosine itself."""

from pathlib import Path

import numpy as np
import pytest

from data_miner.models import registry


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of random weights: what is tested is how it is called, not what it knows."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, PreTrainedTokenizerFast

    from data_miner.sample.weights import SCORER

    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {"vocab_size": 200, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = CLIPConfig(text_config={**sizes, **tokens}, vision_config={**sizes, "image_size": 64}, projection_dim=16)
    CLIPModel(config).save_pretrained(folder)
    crop = {"height": 64, "width": 64}
    CLIPImageProcessor(size={"shortest_edge": 64}, crop_size=crop).save_pretrained(folder)
    PreTrainedTokenizerFast.from_pretrained(SCORER).save_pretrained(folder)
    return folder


def test_a_clip_scores_by_its_cosine(clip_folder: Path) -> None:
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
