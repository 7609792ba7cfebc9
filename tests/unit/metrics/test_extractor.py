import numpy as np
import pytest
import timm
import torch
from skimage import data
from torch import nn

from raycolor.config import EvaluationConfig
from raycolor.metrics.extractor import FeatureExtractor, build_extractor
from raycolor.weights import efficientnet_lite0_state


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return build_extractor(EvaluationConfig(extractor_size=64))


@pytest.fixture(scope="module")
def cat() -> torch.Tensor:
    """A photograph of a cat, cut to a square around its face."""
    picture = np.ascontiguousarray(data.chelsea()[:, 75:375])
    return torch.from_numpy(picture).permute(2, 0, 1)[None]


def test_network_still_knows_a_cat(cat: torch.Tensor) -> None:
    # Wrong weights, a wrong range or swapped channels would not.
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    network.load_state_dict(efficientnet_lite0_state())
    features = build_extractor(EvaluationConfig(extractor_size=224))(cat)
    best = network.classifier(features).argmax().item()
    assert best in range(281, 286)  # ImageNet's house cats


def test_features_do_not_depend_on_the_batch(extractor: FeatureExtractor) -> None:
    generator = torch.Generator().manual_seed(0)
    rgb_u8 = torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8, generator=generator)
    together = extractor(rgb_u8)
    apart = torch.cat([extractor(batch) for batch in rgb_u8.split(4)])
    torch.testing.assert_close(apart, together, rtol=1e-4, atol=1e-4)


def test_cores_look_at_few_pictures_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Counting(nn.Flatten):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            seen.append(len(input))
            return super().forward(input)

    rgb_u8 = torch.zeros(7, 3, 4, 4, dtype=torch.uint8)
    for threads, size, expected in ((1, 224, [2, 2, 2, 1]), (3, 224, [6, 1]), (1, 640, [1] * 7)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert FeatureExtractor(Counting(), size=size)(rgb_u8).shape == (7, 3 * size**2)
        assert seen == expected
        seen.clear()


def test_features_come_from_pictures_of_one_size(
    extractor: FeatureExtractor, cat: torch.Tensor
) -> None:
    smaller = nn.functional.interpolate(cat, size=(150, 150), mode="bilinear", antialias=True)
    whole, small = extractor(cat), extractor(smaller)
    assert whole.shape == small.shape
    similarity = nn.functional.cosine_similarity(whole, small)
    assert similarity > 0.98


def test_nothing_is_trained_and_nothing_drifts(extractor: FeatureExtractor) -> None:
    before = {name: value.clone() for name, value in extractor.state_dict().items()}
    features = extractor(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    assert not features.requires_grad
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    for name, value in extractor.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_pixels_are_scaled_to_the_range_of_the_network() -> None:
    extremes = FeatureExtractor(nn.Flatten(), size=1)
    black_white = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 3, 1, 1)
    assert extremes(black_white).tolist() == [[-1.0] * 3, [1.0] * 3]
