import pytest
import segmentation_models_pytorch as smp
import timm
import torch

from raycolor.color import AB_SCALE, rgb_to_unit
from raycolor.data import PHOTOS, open_prepared
from raycolor.networks.encoder_state import encoder_state
from raycolor.networks.pretrained import PretrainedUNet, decoder_channels
from raycolor.weights import efficientnet_lite0_state

LITE0 = "efficientnet_lite0"
SMALL = [
    *("resnet18", "resnext50_32x4d", "seresnet50", "efficientnet_b0", "tf_efficientnet_b0"),
    *("tf_efficientnet_lite1", "tf_efficientnetv2_b0", "mobilenetv2_050", "mobilenetv3_small_050"),
    *("tf_mobilenetv3_small_minimal_100", "tf_mobilenetv3_large_075", "regnetx_002"),
    *("regnety_002", "resnest14d", "res2net50_48w_2s", "res2next50", "gernet_s", "skresnet18"),
]
"""One encoder of each family, small."""


def build(backbone: str = LITE0, width: int = 32) -> PretrainedUNet:
    state = encoder_state(LITE0, "imagenet") if backbone == LITE0 else None
    return PretrainedUNet(backbone=backbone, decoder_width=width, encoder_state=state)


@pytest.fixture(scope="module")
def network() -> PretrainedUNet:
    torch.manual_seed(0)
    return build().eval()


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
        answer = build().train()(l_unit)
    assert 0 < answer.abs().mean() * AB_SCALE < 1
    assert answer.abs().mean() < truth.abs().mean() / 10


def test_answer_lies_within_the_range() -> None:
    torch.manual_seed(0)
    loud = PretrainedUNet(backbone=LITE0, decoder_width=32)
    torch.nn.init.normal_(loud.unet.segmentation_head[0].weight, 0.0, 0.1)
    for side in (64, 96):
        answer = loud(torch.rand(2, 1, side, 64) * 2 - 1)
        assert answer.shape == (2, 2, side, 64)
        assert 0.05 < answer.abs().max() < 1


def test_every_weight_is_trained() -> None:
    network = build()
    answer = network(torch.rand(8, 1, 64, 64) * 2 - 1)
    (answer - 0.1).abs().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_decoder_halves_down_to_an_eighth() -> None:
    assert decoder_channels(256) == (256, 128, 64, 32, 32)
    assert decoder_channels(8) == (8, 4, 2, 1, 1)


@pytest.mark.parametrize("backbone", SMALL)
def test_every_family_colours_and_learns(backbone: str) -> None:
    torch.manual_seed(0)
    network = build(backbone, width=8).train()
    answer = network(torch.rand(2, 1, 32, 32) * 2 - 1)
    assert answer.shape == (2, 2, 32, 32)
    (answer - 0.1).abs().mean().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    # A checkpoint finds its way back.
    build(backbone, width=8).load_state_dict(network.state_dict(), strict=True)


def test_names_in_checkpoints_are_stable() -> None:
    names = list(build("resnet18", width=8).state_dict())
    assert names[0] == "unet.encoder.model.conv1.weight"
    assert "unet.encoder.model.layer4.1.bn2.running_var" in names
    assert "unet.decoder.blocks.0.conv1.0.weight" in names
    assert names[-1] == "unet.segmentation_head.0.bias"


def test_resnet18_has_as_many_parameters_as_the_librarys_own() -> None:
    network = PretrainedUNet(backbone="resnet18", decoder_width=256)
    number = sum(parameter.numel() for parameter in network.parameters())
    own = smp.Unet(
        "resnet18",
        encoder_weights=None,
        in_channels=1,
        classes=2,
        decoder_channels=decoder_channels(256),
    )
    assert number == sum(parameter.numel() for parameter in own.parameters())
    # With the library's default decoder, which ends in 16 channels instead of an eighth of 256.
    default = smp.Unet("tu-resnet18", encoder_weights=None, in_channels=1, classes=2)
    assert sum(parameter.numel() for parameter in default.parameters()) / 1e6 == pytest.approx(
        14.3, abs=0.05
    )
    assert number / 1e6 == pytest.approx(14.3, abs=0.1)


@pytest.mark.parametrize("backbone", [LITE0, "resnet18"])
def test_a_frozen_encoder_stays_as_it_is(backbone: str) -> None:
    torch.manual_seed(0)
    network = build(backbone, width=8).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.freeze_encoder(True)
    adam = torch.optim.Adam(network.parameters())
    for _ in range(2):
        adam.zero_grad()
        (network(torch.rand(2, 1, 32, 32)) - 0.1).abs().mean().backward()
        adam.step()
    moved = {name for name, value in network.state_dict().items() if not value.equal(before[name])}
    assert not any(name.startswith("unet.encoder") for name in moved)
    learnt = {name for name, _ in network.named_parameters() if ".encoder." not in name}
    assert learnt <= moved
    network.train()
    network.freeze_encoder(False)
    (network(torch.rand(2, 1, 32, 32)) - 0.1).abs().mean().backward()
    adam.step()
    # A drawn network begins with residual blocks that add nothing, so not all of it moves at once.
    encoder = network.unet.encoder
    assert all(value.grad is not None for value in encoder.parameters())
    inside = [(name, value) for name, value in network.named_parameters() if ".encoder." in name]
    assert any(not value.equal(before[name]) for name, value in inside)
