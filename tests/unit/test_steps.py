import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raycolor import color
from raycolor import steps as module
from raycolor.config import Schedule, TrialConfig
from raycolor.crops import training_batch
from raycolor.data import PreparedData
from raycolor.steps import (
    INITIAL,
    STEP,
    DiscriminatorLosses,
    Networks,
    StepLosses,
    adversarial_step,
    build_networks,
    discriminator_step,
    generator_step,
    prepare_generator,
    pretraining_step,
    schedule_factor,
    seed_draws,
    set_learning_rates,
)
from tests.toy import TinyConfig

CPU = torch.device("cpu")
BACKBONES = ["scratch", pytest.param("efficientnet_lite0", marks=pytest.mark.slow)]
Step = Callable[[Networks, TrialConfig, Tensor], StepLosses]


@pytest.fixture
def config(tiny_config: TinyConfig) -> TrialConfig:
    return tiny_config()


@pytest.fixture
def networks(config: TrialConfig) -> Iterator[Networks]:
    with torch.random.fork_rng():
        yield build_networks(config, CPU)


@pytest.fixture
def rgb_u8(config: TrialConfig, prepared: PreparedData) -> Tensor:
    pictures = prepared.pictures("train")
    return training_batch(pictures, config.data, seed=0, images_seen=0, batch_size=8)


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def gradients(network: nn.Module) -> dict[str, Tensor | None]:
    return {
        name: None if value.grad is None else value.grad.clone()
        for name, value in network.named_parameters()
    }


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_discriminator_step_leaves_the_generator_alone(
    networks: Networks, config: TrialConfig, rgb_u8: Tensor
) -> None:
    adversarial_step(networks, config, rgb_u8)  # so that there are gradients to disturb
    l_unit, ab_unit = color.rgb_to_unit(rgb_u8)
    predicted = networks.generator(l_unit)
    generator, grads = state(networks.generator), gradients(networks.generator)
    discriminator = weights(networks.discriminator)

    discriminator_step(networks, config, l_unit, ab_unit, predicted.detach())

    assert same(state(networks.generator), generator)
    for name, gradient in gradients(networks.generator).items():
        before = grads[name]
        assert gradient is not None
        assert before is not None
        assert torch.equal(gradient, before)
    for name, value in weights(networks.discriminator).items():
        assert not torch.equal(value, discriminator[name]), name


def test_generator_step_leaves_the_discriminators_weights_alone(
    networks: Networks, config: TrialConfig, rgb_u8: Tensor
) -> None:
    adversarial_step(networks, config, rgb_u8)
    l_unit, ab_unit = color.rgb_to_unit(rgb_u8)
    predicted = networks.generator(l_unit)
    discriminator, grads = weights(networks.discriminator), gradients(networks.discriminator)
    generator = weights(networks.generator)

    generator_step(networks, config, l_unit, ab_unit, predicted)

    assert same(weights(networks.discriminator), discriminator)
    for name, gradient in gradients(networks.discriminator).items():
        before = grads[name]
        assert gradient is not None
        assert before is not None
        assert torch.equal(gradient, before)
    # It goes on learning afterwards.
    assert all(parameter.requires_grad for parameter in networks.discriminator.parameters())
    for name, value in weights(networks.generator).items():
        assert not torch.equal(value, generator[name]), name


def test_pretraining_step_knows_no_discriminator(
    networks: Networks, config: TrialConfig, rgb_u8: Tensor
) -> None:
    discriminator, generator = state(networks.discriminator), weights(networks.generator)
    losses = pretraining_step(networks, config, rgb_u8)
    assert same(state(networks.discriminator), discriminator)
    for name, value in weights(networks.generator).items():
        assert not torch.equal(value, generator[name]), name
    assert losses.discriminator_loss is None
    assert losses.generator_adversarial_loss is None


def test_adversarial_step_runs_the_generator_once(
    networks: Networks, config: TrialConfig, rgb_u8: Tensor
) -> None:
    calls = []
    networks.generator.register_forward_hook(lambda *args: calls.append(args))
    adversarial_step(networks, config, rgb_u8)
    assert len(calls) == 1


@pytest.mark.parametrize("weight", [0.0, 7.0])
def test_generator_loss_is_adversarial_and_weighted_l1(
    tiny_config: TinyConfig, networks: Networks, rgb_u8: Tensor, weight: float
) -> None:
    config = tiny_config({"losses.l1_lambda": weight})
    losses = adversarial_step(networks, config, rgb_u8)
    assert losses.generator_adversarial_loss is not None
    expected = losses.generator_adversarial_loss + weight * losses.generator_l1_loss
    torch.testing.assert_close(losses.generator_loss, expected)
    alone = pretraining_step(networks, config, rgb_u8)
    # Pretraining is with L1 even where lambda is 0, and then that is what is minimised.
    torch.testing.assert_close(alone.generator_loss, (weight or 1.0) * alone.generator_l1_loss)


@pytest.mark.parametrize("step", [pretraining_step, adversarial_step])
def test_generator_learns_a_batch(
    step: Step, tiny_config: TinyConfig, networks: Networks, rgb_u8: Tensor
) -> None:
    config = tiny_config()
    first = step(networks, config, rgb_u8)
    for _ in range(60):
        last = step(networks, config, rgb_u8)
    assert last.generator_l1_loss < 0.8 * first.generator_l1_loss


def test_discriminator_learns_to_tell_real_from_fake(
    tiny_config: TinyConfig, rgb_u8: Tensor
) -> None:
    config = tiny_config({"optimizers.discriminator.learning_rate": 0.005})
    with torch.random.fork_rng():
        networks = build_networks(config, CPU)
    l_unit, ab_unit = color.rgb_to_unit(rgb_u8)
    fake_ab_unit = ab_unit.roll(1, dims=0) * 0.2
    for _ in range(40):
        last = discriminator_step(networks, config, l_unit, ab_unit, fake_ab_unit)
    # ln 2 = 0.693 at chance; processors round differently, and 40 steps end between 0.30 and 0.36.
    assert last.loss < 0.45
    assert last.accuracy_real is not None
    assert last.accuracy_fake is not None
    assert last.accuracy_real > 0.9
    assert last.accuracy_fake > 0.9


def curves(
    config: TrialConfig, prepared: PreparedData, networks: Networks, steps: int = 12
) -> Tensor:
    """Losses of the first steps, as a run takes them: a row a step."""
    pictures, rows = prepared.pictures("train"), []
    for step in range(steps):
        batch = training_batch(pictures, config.data, seed=0, images_seen=8 * step, batch_size=8)
        seed_draws(0, STEP, 8 * step)
        prepare_generator(networks, config, 8 * step)
        losses = adversarial_step(networks, config, batch)
        assert losses.generator_adversarial_loss is not None
        assert losses.discriminator_loss is not None
        rows.append(
            [losses.generator_l1_loss, losses.generator_adversarial_loss, losses.discriminator_loss]
        )
    return torch.tensor([[float(value) for value in row] for row in rows])


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 1e-2)])
def test_fast_path_learns_as_the_plain_one(
    backbone: str,
    precision: str,
    tolerance: float,
    tiny_config: TinyConfig,
    prepared: PreparedData,
) -> None:
    # Plain: float32, every tensor contiguous, Adam in single operations. Fast: channels last, fused
    # Adam, and forward passes in low precision if it is asked for.
    found = []
    for fast in (False, True):
        config = tiny_config(
            {"generator.backbone": backbone, "precision": precision if fast else "float32"}
        )
        with torch.random.fork_rng():
            networks = build_networks(config, CPU)
            if not fast:
                for network in (networks.generator, networks.discriminator):
                    network.to(memory_format=torch.contiguous_format)
                for adam in (networks.generator_adam, networks.discriminator_adam):
                    adam.param_groups[0].update(fused=False, foreach=False)
            found.append(curves(config, prepared, networks))
    plain, fast_one = found
    assert not torch.equal(plain[0], plain[-1])
    torch.testing.assert_close(fast_one, plain, rtol=tolerance, atol=0)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_steps_read_no_memory_that_they_have_not_written(
    backbone: str, tiny_config: TinyConfig, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config({"generator.backbone": backbone, "determinism": "exact"})
    torch.use_deterministic_algorithms(True)
    found = []
    for filled in (True, False):
        monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", filled)
        with torch.random.fork_rng():
            found.append(curves(config, prepared, build_networks(config, CPU), steps=2))
    assert torch.isfinite(found[0]).all()
    assert torch.equal(*found)


def test_low_precision_ends_with_the_networks(tiny_config: TinyConfig, rgb_u8: Tensor) -> None:
    config = tiny_config({"precision": "bfloat16"})
    with torch.random.fork_rng():
        networks = build_networks(config, CPU)
    dtypes = set()
    for network in (networks.generator, networks.discriminator):
        network.register_forward_hook(lambda *args: dtypes.add(args[2].dtype))
    losses = adversarial_step(networks, config, rgb_u8)
    assert dtypes == {torch.bfloat16}
    assert losses.generator_loss.dtype == torch.float32
    assert losses.discriminator_loss is not None
    assert losses.discriminator_loss.dtype == torch.float32
    for network in (networks.generator, networks.discriminator):
        assert {value.dtype for value in network.parameters()} == {torch.float32}


def drawn(seed: int, purpose: int, images_seen: int) -> Tensor:
    with torch.random.fork_rng():
        seed_draws(seed, purpose, images_seen)
        return torch.rand(4)


def test_draws_follow_from_all_that_seeds_them() -> None:
    assert torch.equal(drawn(1, STEP, 32), drawn(1, STEP, 32))
    draws = [
        drawn(seed, purpose, seen)
        for seed in (0, 1, 2**63 - 1)
        for purpose in (INITIAL, STEP)
        for seen in (0, 8, 2**40)
    ]
    assert len(torch.stack(draws).unique(dim=0)) == len(draws)


def test_initial_weights_follow_from_their_own_seeds(tiny_config: TinyConfig) -> None:
    def initial(seed: int, pretraining_seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        config = tiny_config({"seed": seed, "pretraining.seed": pretraining_seed})
        with torch.random.fork_rng():
            networks = build_networks(config, CPU)
        return weights(networks.generator), weights(networks.discriminator)

    generator, discriminator = initial(0, 0)
    assert same(initial(0, 0)[0], generator)
    assert same(initial(0, 0)[1], discriminator)
    assert same(initial(1, 0)[0], generator)
    assert not same(initial(1, 0)[1], discriminator)
    assert not same(initial(0, 1)[0], generator)
    assert same(initial(0, 1)[1], discriminator)


def test_optimizers_are_the_configured_ones(tiny_config: TinyConfig) -> None:
    config = tiny_config(
        {
            "pretraining.learning_rate": 0.03,
            "optimizers.generator.learning_rate": 0.01,
            "optimizers.generator.beta1": 0.6,
            "optimizers.discriminator.learning_rate": 0.02,
            "optimizers.discriminator.beta2": 0.9,
        }
    )
    with torch.random.fork_rng():
        networks = build_networks(config, CPU)
    adams = (networks.pretraining_adam, networks.generator_adam, networks.discriminator_adam)
    groups = [adam.param_groups[0] for adam in adams]
    assert [group["lr"] for group in groups] == [0.03, 0.01, 0.02]
    assert [group["betas"] for group in groups] == [(0.6, 0.999), (0.6, 0.999), (0.5, 0.9)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [1.0, 0.75, 0.5, 0.25, 0.0]),
        ("cosine", [1.0, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4, 0.0]),
    ],
)
def test_schedules_fall_from_1_to_0(schedule: Schedule, expected: list[float]) -> None:
    found = [schedule_factor(schedule, done / 4) for done in range(5)]
    assert found == pytest.approx(expected)


def test_learning_rates_follow_the_images_of_the_adversarial_stage(
    tiny_config: TinyConfig,
) -> None:
    config = tiny_config(
        {
            "pretraining.images": 32,
            "budget.images": 96,
            "optimizers.generator": {"learning_rate": 0.01, "schedule": "linear"},
            "optimizers.discriminator": {"learning_rate": 0.02, "schedule": "cosine"},
        }
    )
    with torch.random.fork_rng():
        networks = build_networks(config, CPU)
    adams = (networks.pretraining_adam, networks.generator_adam, networks.discriminator_adam)
    for seen, expected in {
        32: [0.001, 0.01, 0.02],
        64: [0.001, 0.005, 0.01],
        88: [0.001, 0.01 / 8, 0.02 * (1 - math.cos(math.pi / 8)) / 2],
        # Back again: nothing is carried along.
        48: [0.001, 0.0075, 0.02 * (1 + math.cos(math.pi / 4)) / 2],
    }.items():
        set_learning_rates(networks, config, seen)
        assert [adam.param_groups[0]["lr"] for adam in adams] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("steps", "enough", "expected"),
    [(1, None, 1), (1, 0.9, 1), (3, None, 3), (3, 0.51, 1), (40, 0.95, 8)],
)
def test_discriminator_takes_further_steps_until_it_is_good_enough(
    tiny_config: TinyConfig,
    rgb_u8: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    enough: float | None,
    expected: int,
) -> None:
    config = tiny_config(
        {"discriminator.steps": min(steps, 20), "discriminator.enough_accuracy": enough}
    )
    with torch.random.fork_rng():
        networks = build_networks(config, CPU)
    taken: list[DiscriminatorLosses] = []

    def watched(*args: Any) -> DiscriminatorLosses:
        # As if each step had made it better.
        share = torch.tensor(0.6 + len(taken) / 20)
        real = discriminator_step(*args)
        taken.append(dataclasses.replace(real, accuracy_real=share, accuracy_fake=share))
        return taken[-1]

    monkeypatch.setattr(module, "discriminator_step", watched)
    losses = adversarial_step(networks, config, rgb_u8)
    assert len(taken) == expected
    assert losses.discriminator_loss is taken[0].loss
    assert losses.discriminator_accuracy_real is taken[0].accuracy_real


def test_average_is_judged_where_there_is_one(tiny_config: TinyConfig) -> None:
    with torch.random.fork_rng():
        averaged = build_networks(tiny_config(), CPU)
        plain = build_networks(tiny_config({"generator.ema_decay": None}), CPU)
    assert averaged.average is not None
    assert averaged.judged is averaged.average.network
    assert plain.judged is plain.generator
