from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import (  # type: ignore[import-untyped]  # no types
    FeatureExtractorInceptionV3,
)
from torch_fidelity.interpolate_compat_tensorflow import (  # type: ignore[import-untyped]  # no types
    interpolate_bilinear_2d_like_tensorflow1x,
)
from torchmetrics.image.fid import FrechetInceptionDistance

from raycolor.metrics.extractor import InceptionExtractor
from raycolor.metrics.frechet import feature_statistics, frechet_distance
from raycolor.metrics.inception import resize_as_tensorflow
from tests.unit.metrics.inceptions import random_state


@pytest.fixture(scope="module")
def extractor() -> InceptionExtractor:
    return InceptionExtractor(random_state())


def draw(number: int, side: int, *, seed: int, high: int = 256) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, high, (number, 3, side, side), dtype=torch.uint8, generator=generator)


def test_features_equal_torch_fidelity(extractor: InceptionExtractor, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(random_state(), path)
    theirs = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
    )
    rgb_u8 = draw(2, 64, seed=0)
    features = extractor(rgb_u8)
    assert features.shape == (2, 2048)
    assert features.mean() > 0.1  # or equality would say nothing
    torch.testing.assert_close(features, theirs(rgb_u8)[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("side", [1, 32, 64, 298, 299, 300, 350])
def test_resizing_equals_torch_fidelity(side: int) -> None:
    x = draw(1, side, seed=side).float()
    theirs = interpolate_bilinear_2d_like_tensorflow1x(x, size=(299, 299), align_corners=False)
    torch.testing.assert_close(resize_as_tensorflow(x, size=299), theirs, atol=1e-3, rtol=0)


def test_resizing_takes_pixels_from_where_tensorflow_does() -> None:
    # Of 2 pixels, output i of 4 lies at i / 2: 0, 0.5, 1, and 1.5 beyond the last pixel.
    x = torch.tensor([0.0, 10.0]).view(1, 1, 1, 2).expand(1, 1, 2, 2)
    assert resize_as_tensorflow(x, size=4)[0, 0, 0].tolist() == [0.0, 5.0, 10.0, 10.0]


class FirstFeatures(nn.Module):
    """Some of the features, since torchmetrics takes ten seconds and more for all 2048."""

    num_features = 24

    def __init__(self, extractor: InceptionExtractor) -> None:
        super().__init__()
        # In a tuple torch does not find it: torchmetrics would turn its weights to float64.
        self.extractor = (extractor,)

    def forward(self, rgb_u8: Tensor) -> Tensor:
        features: Tensor = self.extractor[0](rgb_u8)[:, : self.num_features].double()
        return features


def test_distance_equals_torchmetrics(extractor: InceptionExtractor) -> None:
    network = FirstFeatures(extractor)
    real, fake = draw(4, 48, seed=0), draw(4, 48, seed=1, high=128)
    theirs = FrechetInceptionDistance(feature=network)
    theirs.set_dtype(torch.float64)
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    ours = frechet_distance(feature_statistics(network(fake)), feature_statistics(network(real)))
    assert ours > 0.1
    assert ours == pytest.approx(float(theirs.compute()), rel=1e-4)


def test_weights_of_another_network_are_refused() -> None:
    state = dict(random_state())
    state["Mixed_7c.branch1x1.conv.weight"] = torch.zeros(1, 1, 1, 1)
    with pytest.raises(RuntimeError, match=r"Mixed_7c\.branch1x1"):
        InceptionExtractor(state)
