import pytest
import timm
import torch

from raycolor.color import AB_SCALE, rgb_to_unit
from raycolor.data import PHOTOS, open_prepared
from raycolor.networks.pretrained import PretrainedUNet, decoder_channels
from raycolor.weights import efficientnet_lite0_state


@pytest.fixture(scope="module")
def network() -> PretrainedUNet:
    torch.manual_seed(0)
    return PretrainedUNet(decoder_width=32).eval()


def test_encoder_answers_gray_pictures_as_the_pretrained_one_does(network: PretrainedUNet) -> None:
    original = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    state = efficientnet_lite0_state()
    original.load_state_dict({name: state[name] for name in original.state_dict()}, strict=True)
    l_unit = torch.rand(2, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        stages = network.unet.encoder(l_unit)
        expected = original(l_unit.expand(-1, 3, -1, -1))
    # The first of the encoder's is the picture itself.
    for stage, wanted in zip(stages[1:], expected, strict=True):
        torch.testing.assert_close(stage, wanted, rtol=1e-4, atol=1e-4)


def test_every_weight_of_the_encoder_is_the_pretrained_one(network: PretrainedUNet) -> None:
    state = efficientnet_lite0_state()
    for name, tensor in network.unet.encoder.model.state_dict().items():
        if name != "conv_stem.weight":
            assert torch.equal(tensor, state[name]), name


def test_first_answer_is_nearly_gray() -> None:
    torch.manual_seed(0)
    photos = torch.from_numpy(open_prepared(PHOTOS).pictures("validation").pixels[:8].copy())
    l_unit, truth = rgb_to_unit(photos.permute(0, 3, 1, 2))
    with torch.no_grad():
        answer = PretrainedUNet(decoder_width=32).train()(l_unit)
    assert 0 < answer.abs().mean() * AB_SCALE < 1
    assert answer.abs().mean() < truth.abs().mean() / 10


def test_answer_lies_within_the_range() -> None:
    torch.manual_seed(0)
    loud = PretrainedUNet(decoder_width=32, pretrained=False)
    torch.nn.init.normal_(loud.unet.segmentation_head[0].weight, 0.0, 0.1)
    for side in (64, 96):
        answer = loud(torch.rand(2, 1, side, 64) * 2 - 1)
        assert answer.shape == (2, 2, side, 64)
        assert 0.05 < answer.abs().max() < 1


def test_every_weight_is_trained() -> None:
    network = PretrainedUNet(decoder_width=32)
    answer = network(torch.rand(8, 1, 64, 64) * 2 - 1)
    (answer - 0.1).abs().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_decoder_halves_down_to_an_eighth() -> None:
    assert decoder_channels(256) == (256, 128, 64, 32, 32)
    assert decoder_channels(8) == (8, 4, 2, 1, 1)
