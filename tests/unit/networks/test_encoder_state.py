"""Files of weights as encoders take them: real networks with random weights, written and read."""

import io
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from raycolor.backbones import ENCODERS
from raycolor.color import rgb_to_unit
from raycolor.data import PHOTOS, open_prepared
from raycolor.errors import WeightsError
from raycolor.networks.encoder_state import _layout, encoder_state, one_channel
from raycolor.networks.pretrained import PretrainedUNet

FILE = "mine.pth"
EVERY = [
    pytest.param(name, marks=[] if number % 4 == 0 else pytest.mark.slow)
    for number, name in enumerate(ENCODERS)
]


def as_pth(tree: object) -> bytes:
    file = io.BytesIO()
    torch.save(tree, file)
    return file.getvalue()


@cache
def classifier(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: nn.Module = timm.create_model(name)
    return network.eval()


def read(backbone: str, content: bytes | np.ndarray, file: str = FILE) -> dict[str, Tensor]:
    return encoder_state(backbone, file, {file: content})


def refusal(backbone: str, content: bytes) -> str:
    with pytest.raises(WeightsError) as caught:
        read(backbone, content)
    assert "\n" not in str(caught.value)
    place = f"generator.weights: {FILE} for generator.backbone: {backbone}: "
    assert str(caught.value).startswith(place)
    return str(caught.value)


@pytest.mark.parametrize("name", EVERY)
def test_an_encoder_is_a_classifier_without_its_head(name: str) -> None:
    encoder = ENCODERS[name]
    expected, known = _layout(encoder.architecture)
    heads = ("fc.", "head.", "classifier.", "conv_head.", "bn2.")
    assert {left for left in known - expected.keys() if not left.startswith(heads)} == set()
    assert expected.keys() <= known
    with torch.device("meta"):
        network = timm.create_model(encoder.architecture, features_only=True, in_chans=1)
    assert network.feature_info.reduction() == [2, 4, 8, 16, 32]
    # The first layers are where they are looked for.
    state = {left: torch.zeros(shape) for left, shape in expected.items() if len(shape) < 4}
    kernels = {left: shape for left, shape in expected.items() if len(shape) == 4}
    first = next(iter(kernels))
    state[first] = torch.ones(kernels[first][0], 3, *kernels[first][2:])
    adapted = one_channel(state, encoder)
    assert adapted[first].shape == kernels[first]
    changed = [left for left in adapted if adapted[left] is not state[left]]
    assert len(changed) == 2
    assert changed[0].endswith(".running_mean") or changed[1].endswith(".running_mean")


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_b0", "gernet_s", "resnest14d"])
def test_every_weight_but_the_first_layers_is_the_classifiers(backbone: str) -> None:
    state = classifier(backbone).state_dict()
    fitted = read(backbone, as_pth(state))
    network = PretrainedUNet(backbone=backbone, decoder_width=8, encoder_state=fitted)
    same = [
        torch.equal(tensor, state[name.replace("stages_", "stages.")])
        for name, tensor in network.unet.encoder.model.state_dict().items()
        if tensor.shape == state[name.replace("stages_", "stages.")].shape
    ]
    # One kernel has another shape, and one running mean other values.
    assert len(same) == len(fitted) - 1
    assert same.count(False) == 1


def test_it_answers_a_grey_picture_as_the_classifier_does() -> None:
    backbone = "resnet18"
    encoder = ENCODERS[backbone]
    photos = torch.from_numpy(open_prepared(PHOTOS).pictures("validation").pixels[:6].copy())
    gray_u8 = photos.float().mean(dim=-1, keepdim=True).round().to(torch.uint8)
    gray_u8 = gray_u8.permute(0, 3, 1, 2).expand(-1, 3, -1, -1).contiguous()
    l_unit, _ = rgb_to_unit(gray_u8)
    means = torch.tensor(encoder.mean).view(1, 3, 1, 1)
    deviations = torch.tensor(encoder.deviation).view(1, 3, 1, 1)
    given = (gray_u8 / 255 - means) / deviations

    original = timm.create_model(backbone, features_only=True)
    state = classifier(backbone).state_dict()
    original.load_state_dict({name: state[name] for name in original.state_dict()})
    # Random weights need statistics of their own features, or all of them die out.
    for module in original.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        original.train()(given)
        stages = original.eval()(given)
    state = {**state, **original.state_dict()}
    network = PretrainedUNet(
        backbone=backbone, decoder_width=8, encoder_state=read(backbone, as_pth(state))
    ).eval()

    def likeness(x: Tensor) -> list[float]:
        with torch.no_grad():
            answers = network.unet.encoder(x)[1:]
        return [
            float(cosine_similarity(one.flatten(1), other.flatten(1)).mean())
            for one, other in zip(answers, stages, strict=True)
        ]

    mean, deviation = encoder.gray_range
    value = gray_u8[:, :1] / 255
    # The exact grey value differs at the pictures' edges alone, lightness a little everywhere.
    assert min(likeness((value - mean) / deviation)) > 0.985
    scaled = likeness(network.encoder_input(l_unit))
    assert min(scaled) > 0.97
    # Unscaled, as some do, it is far off.
    assert all(one > other for one, other in zip(scaled, likeness(l_unit), strict=True))


def test_away_from_the_edges_the_first_layers_are_exact() -> None:
    encoder = ENCODERS["resnet18"]
    network = classifier("resnet18")
    state = one_channel(network.state_dict(), encoder)
    means = torch.tensor(encoder.mean).view(1, 3, 1, 1)
    deviations = torch.tensor(encoder.deviation).view(1, 3, 1, 1)
    value = torch.rand(1, 1, 32, 32)
    mean, deviation = encoder.gray_range
    with torch.no_grad():
        first = nn.Sequential(network.get_submodule("conv1"), network.get_submodule("bn1"))
        expected = first((value - means) / deviations)
        x = (value - mean) / deviation
        answer = nn.functional.conv2d(x, state["conv1.weight"], stride=2, padding=3)
        answer = (answer - state["bn1.running_mean"].view(1, -1, 1, 1)) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(answer[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2])


def test_weights_for_one_channel_stay_as_they_are() -> None:
    gray = timm.create_model("resnet18", in_chans=1).state_dict()
    fitted = read("resnet18", as_pth(gray))
    assert all(torch.equal(tensor, gray[name]) for name, tensor in fitted.items())


@pytest.mark.parametrize("name", ["regnet_y_400mf", "regnet_x_800mf"])
def test_torchvisions_regnets_are_timms(name: str) -> None:
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)().eval()
    backbone = {"regnet_y_400mf": "regnety_004", "regnet_x_800mf": "regnetx_008"}[name]
    fitted = read(backbone, as_pth(theirs.state_dict()))
    network = timm.create_model(backbone, features_only=True, in_chans=1).eval()
    network.load_state_dict(fitted, strict=True)
    rgb = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = theirs.trunk_output(theirs.stem(rgb))
        # With their own kernel again: the rest of the network is compared.
        network.stem.conv.weight = theirs.stem[0].weight
        network.stem.bn.running_mean.copy_(theirs.stem[1].running_mean)
        answer = network(rgb)[-1]
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-5)


def test_files_of_both_kinds_and_of_trainers_are_read() -> None:
    state = classifier("mobilenetv3_small_050").state_dict()
    expected = read("mobilenetv3_small_050", as_pth(state))
    wrapped: list[Any] = [
        {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}},
        {"model": state},
    ]
    files = [safetensors.torch.save(state), *map(as_pth, wrapped)]
    arrays = [np.frombuffer(file, np.uint8) for file in files]
    contents: list[bytes | np.ndarray] = [*files, *arrays]
    for content in contents:
        fitted = read("mobilenetv3_small_050", content)
        assert fitted.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in fitted.items())


def test_other_heads_and_missing_counters_do_no_harm() -> None:
    state = {
        name: tensor
        for name, tensor in classifier("mobilenetv3_small_050").state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    state["classifier.weight"] = torch.zeros(5, 5)
    del state["classifier.bias"]
    fitted = read("mobilenetv3_small_050", as_pth(state))
    network = PretrainedUNet(
        backbone="mobilenetv3_small_050", decoder_width=8, encoder_state=fitted
    )
    kept = network.unet.encoder.model.blocks[0][0].conv_dw.weight
    assert torch.equal(kept, state["blocks.0.0.conv_dw.weight"])


class Strange:
    """Pickled code, which must not run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("code of a file was run",))


def without(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if key != name}


def test_what_does_not_fit_is_one_sentence() -> None:
    state = classifier("resnet18").state_dict()
    of_another = refusal("resnet18", as_pth(classifier("mobilenetv3_small_050").state_dict()))
    assert "of its parameters missing (" in of_another
    assert "unknown to it (" in of_another
    assert of_another.endswith("give weights of timm's network of that name, imagenet or none")
    missing = refusal("resnet18", as_pth(without(state, "layer4.1.bn2.weight")))
    assert "1 of its parameters missing (layer4.1.bn2.weight)" in missing
    strange = refusal("resnet18", as_pth({**state, "layer9.weight": torch.zeros(1)}))
    assert "1 unknown to it (layer9.weight)" in strange
    wrong = refusal("resnet18", as_pth({**state, "bn1.weight": torch.zeros(3)}))
    assert "1 of other shape (bn1.weight (3,) instead of (64,))" in wrong


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no weights at all",
        b"PK\x03\x04 broken",
        b"\x08\x00\x00\x00\x00\x00\x00\x00{broken!",
        as_pth(Strange()),
        as_pth({"a.weight": torch.zeros(2)})[:-200],
    ],
    ids=["empty", "text", "zip", "safetensors", "code", "truncated"],
)
def test_what_is_no_file_of_weights_is_one_sentence(content: bytes) -> None:
    assert "cannot be read as weights (" in refusal("resnet18", content)


@pytest.mark.parametrize("tree", [[1, 2], {"a": 1}, {1: torch.zeros(2)}, torch.zeros(2)])
def test_what_holds_no_named_tensors_is_one_sentence(tree: object) -> None:
    assert "holds no tensors by name; save a network's state_dict()" in refusal(
        "resnet18", as_pth(tree)
    )


def test_reading_draws_no_random_numbers() -> None:
    _layout.cache_clear()
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    encoder_state("efficientnet_lite0", "imagenet")
    assert torch.equal(torch.random.get_rng_state(), before)
