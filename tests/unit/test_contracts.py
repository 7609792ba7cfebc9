"""One suite for all networks and losses: what every kind, in every combination, has to keep to."""

from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from raycolor import color, config, run_folder, steps
from raycolor.bins import NUM_BINS
from raycolor.checkpoint import save_tensors
from raycolor.coloring.colorizer import load_colorizer
from raycolor.config import TrialConfig
from raycolor.crops import training_batch
from raycolor.data import PreparedData
from raycolor.network_state import tensors_of
from raycolor.networks.answers import Painter, read_answer
from raycolor.networks.build import build_discriminator, build_generator
from raycolor.run_folder import Progress
from raycolor.steps import (
    STEP,
    Networks,
    StepLosses,
    adversarial_step,
    build_networks,
    discriminator_step,
    generator_step,
    lone_step,
    seed_draws,
    set_learning_rates,
)
from raycolor.trial import Run
from tests.toy import tiny_config

CPU = torch.device("cpu")
BATCH = 4
Settings = dict[str, Any]
SMALL: Settings = {"budget.batch_size": BATCH, "generator.depth": 3}


def names(literal: object) -> tuple[str, ...]:
    return get_args(literal)


GENERATORS: list[Settings] = [
    *(
        {"generator.norm": norm, "generator.decoder": decoder}
        for norm, decoder in product(names(config.GeneratorNorm), names(config.Decoder))
    ),
    # Other encoders differ in their layers alone, and have tests of their own.
    {"generator.backbone": "efficientnet_lite0"},
    *({"generator.kind": name} for name in names(config.GeneratorKind) if name != "unet"),
]
"""Every kind of generator, with each norm and decoder where it has them."""
DENSE: list[Settings] = [{"discriminator.kind": kind} for kind in config.DENSE_STRIDES]
DISCRIMINATORS: list[Settings] = [
    *(
        {"discriminator.kind": kind, "discriminator.norm": norm, "discriminator.sees": sees}
        for kind, norm, sees in product(
            names(config.DiscriminatorKind), names(config.DiscriminatorNorm), names(config.Sight)
        )
        if kind not in config.DENSE_STRIDES
    ),
    *DENSE,
]
"""Every kind of discriminator, with each norm and sight where it has them."""
ADVERSARIAL: list[Settings] = [
    {"losses.adversarial": name, "discriminator.norm": norm}
    for name, norm in product(names(config.AdversarialName), names(config.DiscriminatorNorm))
    if (name, norm) != ("wgan_gp", "batch")
] + [
    {"losses.adversarial": name, "losses.label_smoothing": 0.1, "losses.l1_lambda": 0.0}
    for name in config.LABELLED
]
"""Every adversarial loss, with each norm of the discriminator that it stands with."""
GENERATOR_KINDS: list[Settings] = [
    {},
    {"generator.backbone": "efficientnet_lite0"},
    *({"generator.kind": name} for name in names(config.GeneratorKind) if name != "unet"),
]
ANSWERS: list[Settings] = [
    *({"generator.predicts": "rgb"} | kind for kind in GENERATOR_KINDS),
    *({"losses.kind": "classification_gan"} | kind for kind in GENERATOR_KINDS),
    {"losses.kind": "classification_gan", "generator.bins_at": "half"},
    {"losses.kind": "classification_gan", "generator.bins_at": "full"},
    {
        "losses.kind": "classification_gan",
        "generator.kind": "gan_32",
        "generator.bins_at": "half",
        "losses.classification_weight": 0.0,
    },
    {
        "generator.predicts": "rgb",
        "losses.adversarial": "wgan_gp",
        "discriminator.norm": "none",
        "discriminator.sees": "ab",
    },
]
"""Every kind of generator with every kind of answer other than a and b."""
LONE: list[Settings] = [
    {"losses.kind": "l1"},
    {"losses.kind": "l1", "generator.predicts": "rgb"},
    *({"losses.kind": "classification"} | kind for kind in GENERATOR_KINDS),
]
"""Every kind of losses without an adversarial stage."""
SYSTEMS = [*GENERATORS, *DISCRIMINATORS, *ADVERSARIAL, *ANSWERS]


def told(settings: Settings) -> str:
    return "-".join(str(value) for value in settings.values())


def make(settings: Settings, more: Settings | None = None) -> TrialConfig:
    return tiny_config(SMALL | settings | (more or {}))


@pytest.fixture(autouse=True)
def _draws_as_they_were() -> Iterator[None]:
    with torch.random.fork_rng():
        yield


@pytest.fixture
def rgb_u8(prepared: PreparedData) -> Tensor:
    return batch(prepared, 0)


def build(chosen: TrialConfig) -> Networks:
    # Weights of the bins that differ, as those of a data set do.
    rarity = torch.linspace(0.5, 1.5, NUM_BINS) if config.classifies(chosen) else None
    return build_networks(chosen, CPU, None, rarity)


def batch(prepared: PreparedData, images_seen: int) -> Tensor:
    data = tiny_config().data
    pictures = prepared.pictures("train")
    return training_batch(pictures, data, seed=0, images_seen=images_seen, batch_size=BATCH)


def train(
    networks: Networks, chosen: TrialConfig, prepared: PreparedData, begin: int, end: int
) -> list[StepLosses]:
    """Take the steps after pretraining as a trial does."""
    step = adversarial_step if config.has_game(chosen) else lone_step
    told = []
    for seen in range(begin, end, BATCH):
        pictures = batch(prepared, seen)
        seed_draws(chosen.seed, STEP, seen)
        set_learning_rates(networks, chosen, seen)
        told.append(step(networks, chosen, pictures))
        assert networks.average is not None
        networks.average.update(networks.generator, seen // BATCH)
    return told


def state(networks: Networks) -> dict[str, Tensor]:
    """Everything of a run that a checkpoint holds."""
    return {name: value.clone() for name, value in tensors_of(networks).items()}


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("settings", [*GENERATORS, *ANSWERS], ids=told)
def test_a_generator_colours_every_size_that_it_says_it_takes(settings: Settings) -> None:
    chosen = make(settings)
    stride = config.generator_stride(chosen)
    assert chosen.data.size % stride == 0
    network = Painter(build_generator(chosen, pretrained=False), chosen)
    for sides in ((32, 32), (32, 32 + stride)):
        answer = network(torch.rand(2, 1, *sides) * 2 - 1)
        assert answer.shape == (2, 2, *sides)
        assert answer.abs().max() < 1
    # What was trained together is told apart alone.
    both = torch.rand(2, 1, 32, 32) * 2 - 1
    network.eval()
    torch.testing.assert_close(network(both)[:1], network(both[:1]), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("settings", DISCRIMINATORS, ids=told)
def test_a_discriminator_sees_what_it_says(settings: Settings) -> None:
    chosen = make(settings)
    network = build_discriminator(chosen).eval()
    l_unit, ab_unit = torch.rand(2, 1, 32, 32), torch.rand(2, 2, 32, 32)
    outputs = network(l_unit, ab_unit)
    side = {"patch": 14, "pixel": 32}.get(chosen.discriminator.kind, 1)
    assert outputs.shape == (2, 1, side, side)
    sees_l = chosen.discriminator.sees == "lab" and settings not in DENSE
    assert torch.equal(network(-l_unit, ab_unit), outputs) != sees_l
    for channel in (0, 1):
        other = ab_unit.clone()
        other[:, channel] *= -1
        assert not torch.equal(network(l_unit, other), outputs)


@pytest.mark.parametrize("settings", SYSTEMS, ids=told)
def test_each_step_trains_its_own_network_wholly_and_leaves_the_other_alone(
    settings: Settings, rgb_u8: Tensor
) -> None:
    chosen = make(settings)
    networks = build(chosen)
    generator, discriminator = networks.generator.train(), networks.discriminator
    l_unit, ab_unit = color.rgb_to_unit(rgb_u8)
    answer = generator(l_unit)
    seen = read_answer(answer.detach(), l_unit, chosen)
    g_state = {name: value.clone() for name, value in generator.state_dict().items()}
    d_weights = weights(discriminator)

    fake_l_unit = seen.l_unit if chosen.generator.predicts == "rgb" else None
    discriminator_step(networks, chosen, l_unit, ab_unit, seen.ab_unit, fake_l_unit)
    assert same(dict(generator.state_dict()), g_state)
    assert all(value.grad is None for value in generator.parameters())
    for name, value in weights(discriminator).items():
        # Instance norm takes the mean out again, so the bias before it has nothing to learn; so
        # does a mean of differences with the last bias.
        if not name.endswith("bias"):
            assert not torch.equal(value, d_weights[name]), name

    d_weights, g_weights = weights(discriminator), weights(generator)
    d_grads = {name: value.grad for name, value in discriminator.named_parameters()}
    before = {name: None if grad is None else grad.clone() for name, grad in d_grads.items()}
    generator_step(networks, chosen, l_unit, ab_unit, answer)
    assert same(weights(discriminator), d_weights)
    for name, value in discriminator.named_parameters():
        assert value.requires_grad
        kept = before[name]
        assert value.grad is not None
        assert kept is not None
        assert torch.equal(value.grad, kept)
    for name, value in weights(generator).items():
        if not name.endswith("bias"):
            assert not torch.equal(value, g_weights[name]), name


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("settings", SYSTEMS, ids=told)
def test_losses_are_finite_and_in_float32(
    settings: Settings, precision: str, prepared: PreparedData
) -> None:
    chosen = make(settings, {"precision": precision})
    networks = build(chosen)
    for losses in train(networks, chosen, prepared, 0, 3 * BATCH):
        for value in (
            losses.generator_loss,
            losses.generator_l1_loss,
            losses.generator_adversarial_loss,
            losses.discriminator_loss,
        ):
            assert value is not None
            assert value.dtype == torch.float32
            assert value.isfinite()
        entropy, lightness = losses.generator_classification_loss, losses.generator_lightness_loss
        assert (entropy is not None) == config.classifies(chosen)
        assert (lightness is not None) == (chosen.generator.predicts == "rgb")
        for part in (entropy, lightness):
            assert part is None or (part.dtype == torch.float32 and part.isfinite() and part > 0)
        has_accuracy = chosen.losses.adversarial != "wgan_gp"
        for share in (losses.discriminator_accuracy_real, losses.discriminator_accuracy_fake):
            assert (share is not None) == has_accuracy
            assert share is None or 0 <= share <= 1
    for name, value in state(networks).items():
        assert value.isfinite().all(), name


@pytest.mark.parametrize(
    "settings",
    [
        *SYSTEMS,
        *LONE,
        {"optimizers.generator.schedule": "cosine", "optimizers.discriminator.schedule": "linear"},
        {"generator.kind": "gan_256", "discriminator.kind": "gan_256", "losses.l1_lambda": 0.0},
        {"discriminator.steps": 3, "discriminator.enough_accuracy": 0.6},
        {"discriminator.steps": 2, "losses.adversarial": "wgan_gp", "discriminator.norm": "none"},
    ],
    ids=told,
)
def test_a_run_that_goes_on_equals_one_that_never_stopped(
    settings: Settings, prepared: PreparedData, tmp_path: Path
) -> None:
    torch.use_deterministic_algorithms(True)
    chosen = make(settings)
    owner = run_folder.identity(chosen, "abc")
    whole = build(chosen)
    train(whole, chosen, prepared, 0, 4 * BATCH)

    first = build(chosen)
    train(first, chosen, prepared, 0, 2 * BATCH)
    run_folder.save(tmp_path, first, Progress(images_seen=2 * BATCH), owner)
    second = build(chosen)
    progress = run_folder.resume(tmp_path, second, owner)
    assert progress is not None
    # The same weights by the same seed, and by the file.
    assert same(state(second), state(first))
    train(second, chosen, prepared, progress.images_seen, 4 * BATCH)
    assert same(state(second), state(whole))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("settings", LONE, ids=told)
def test_without_a_game_there_is_nothing_of_a_discriminator(
    settings: Settings, precision: str, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        pytest.fail("a discriminator was built")

    monkeypatch.setattr(steps, "build_discriminator", refuse)
    chosen = make(settings, {"precision": precision})
    networks = build(chosen)
    before = weights(networks.generator)
    for losses in train(networks, chosen, prepared, 0, 3 * BATCH):
        assert losses.generator_loss.dtype == torch.float32
        assert losses.generator_loss.isfinite()
        assert losses.generator_loss > 0
        assert losses.discriminator_loss is losses.generator_adversarial_loss is None
        assert losses.discriminator_accuracy_real is losses.discriminator_accuracy_fake is None
    for name, value in weights(networks.generator).items():
        if not name.endswith("bias"):
            assert not torch.equal(value, before[name]), name
    kept = state(networks)
    assert not [name for name in kept if "discriminator" in name]
    assert all(value.isfinite().all() for value in kept.values())


@pytest.mark.parametrize("settings", [*ANSWERS, *LONE], ids=told)
def test_what_a_trial_kept_is_scored_and_used_through_the_same_colours(
    settings: Settings, prepared: PreparedData, tmp_path: Path
) -> None:
    chosen = make(settings, {"evaluation.images": 2})
    networks = build(chosen)
    train(networks, chosen, prepared, 0, BATCH)
    l_unit, _ = color.rgb_to_unit(batch(prepared, 0))
    run = Run(chosen, networks, Progress(), prepared.pictures("train"), CPU)
    told = run.colorize(l_unit)
    assert told.shape == (BATCH, 2, 32, 32)

    kept = tmp_path / "best_4.safetensors"
    about = {"images_seen": 4, "config": chosen.model_dump(mode="json")}
    save_tensors(kept, networks.judged.state_dict(), about)
    with torch.no_grad():
        again = load_colorizer(kept, device="cpu")._generator(l_unit)
    assert torch.equal(again, told)


def count(network: nn.Module, *, statistics: bool = False) -> int:
    """Count parameters, and as Keras does the running statistics of batch norm too."""
    numbers = [value.numel() for value in network.parameters()]
    if statistics:
        numbers += [v.numel() for k, v in network.named_buffers() if "running_" in k]
    return sum(numbers)


def test_published_systems_have_their_parameters() -> None:
    full = {"data.size": 256, "generator.width": 64, "generator.depth": None}
    full |= {"discriminator.width": 64, "discriminator.downs": 3}
    old = full | {"generator.kind": "gan_256", "discriminator.kind": "gan_256"}
    with torch.device("meta"):
        assert count(build_generator(tiny_config(full))) == 54_409_858
        assert count(build_discriminator(tiny_config(full))) == 2_765_633
        assert count(build_generator(tiny_config(old)), statistics=True) == 4_729_922
        assert count(build_discriminator(tiny_config(old)), statistics=True) == 455_457
        dcgan = {"data.size": 64, "discriminator.kind": "image", "discriminator.width": 128}
        # Four convolutions with batch norm in three, on three channels, and the last one.
        widths = [3, 128, 256, 512, 1024, 1]
        convolutions = sum(16 * a * b for a, b in pairwise(widths))
        biases_and_norms = 128 + 2 * (256 + 512 + 1024) + 1
        found = count(build_discriminator(tiny_config(dcgan)))
        assert found == convolutions + biases_and_norms
