"""The networks of one run and the steps that train them.

Axis letters: b batch, c channels, h height, w width, p and r rows and columns of an answer, q bins.
"""

import math
import os
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.optim import Adam

from raycolor import color, losses
from raycolor.config import OptimizerConfig, Schedule, TrialConfig, classifies, has_game
from raycolor.content import Content, content_of, content_weight
from raycolor.networks.answers import read_answer
from raycolor.networks.build import build_discriminator, build_generator, fast_dtype
from raycolor.networks.ema import MovingAverage
from raycolor.networks.encoder_state import Contents
from raycolor.networks.pretrained import PretrainedUNet

INITIAL = 0
STEP = 1
"""Purposes of a seed: initial weights, and the random draws of one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opponent:
    """What plays against the generator."""

    discriminator: nn.Module
    adam: Adam


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Everything of a run that is trained, and what it takes to do so."""

    generator: nn.Module
    average: MovingAverage | None
    opponent: Opponent | None
    """None for a run without an adversarial stage."""
    pretraining_adam: Adam
    generator_adam: Adam
    dtype: torch.dtype
    """Precision of the forward passes."""
    class_weights: Tensor | None = None
    """How much each bin of colours weighs, on the training device; None where there are none."""

    @property
    def discriminator(self) -> nn.Module:
        """The discriminator of a run that has one."""
        assert self.opponent is not None
        return self.opponent.discriminator

    @property
    def discriminator_adam(self) -> Adam:
        """Its optimiser."""
        assert self.opponent is not None
        return self.opponent.adam

    @property
    def judged(self) -> nn.Module:
        """The generator that is evaluated and kept: the moving average if there is one."""
        return self.average.network if self.average else self.generator


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLosses:
    """Scalars of one step, on the training device; None where the stage has none."""

    generator_loss: Tensor
    generator_l1_loss: Tensor
    content_loss: Tensor | None = None
    """What a generator that learns alone minimises: `generator_loss` without its weight."""
    generator_lightness_loss: Tensor | None = None
    generator_classification_loss: Tensor | None = None
    generator_adversarial_loss: Tensor | None = None
    discriminator_loss: Tensor | None = None
    discriminator_accuracy_real: Tensor | None = None
    discriminator_accuracy_fake: Tensor | None = None


def seed_draws(seed: int, purpose: int, images_seen: int) -> None:
    """Seed torch's global generator, from which dropout and initialisers draw.

    The only place that does so: each step draws from (seed, images seen), and nothing else.
    """
    state = np.random.SeedSequence([seed, purpose, images_seen]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))


def set_determinism(config: TrialConfig) -> None:
    """Let torch take the same or the fastest kernels in this process, as a run wants it."""
    exact = config.determinism == "exact"
    if exact:
        # cuBLAS reads it when CUDA starts; without it deterministic matrix products are refused.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(exact)
    # torch would write NaN into all new memory, so that what is read too soon gives the same bits.
    # Nothing here does (a test of the steps looks), and it costs time in every layer.
    # A module's property, which its stub does not know.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not exact
    # Said outright, lest the host's code or another torch choose: TF32, whose products have 10 bits
    # after the point, in convolutions, which are nearly all of a step and give the same bits again,
    # and not in matrix products, which are few here, a loss among them. A CPU knows none of it.
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = False


def build_networks(
    config: TrialConfig,
    device: torch.device,
    contents: Contents | None = None,
    class_weights: Float[Tensor, " q"] | None = None,
) -> Networks:
    """Build networks and optimisers, with initial weights from the configuration's seeds.

    The generator's come from the seed of pretraining, so that trials of one study can share a
    pretraining; the discriminator's from the trial's own.

    Args:
        config: of the run.
        device: where to train.
        contents: files of weights that the driver has found; what is missing is looked for.
        class_weights: of the bins of colours, for a run that classifies.

    Raises:
        WeightsError: pretrained weights are missing, damaged, or of another network.
    """
    seed_draws(config.pretraining.seed, INITIAL, 0)
    generator = build_generator(config, contents=contents)
    generator = generator.to(device).to(memory_format=torch.channels_last)
    opponent = _build_opponent(config, device) if has_game(config) else None
    assert (class_weights is not None) == classifies(config)
    optimizers = config.optimizers
    decay = config.generator.ema_decay
    pretraining = optimizers.generator.model_copy(
        update={"learning_rate": config.pretraining.learning_rate}
    )
    return Networks(
        generator=generator,
        average=None if decay is None else MovingAverage(generator, decay),
        opponent=opponent,
        pretraining_adam=_adam(generator, pretraining),
        generator_adam=_adam(generator, optimizers.generator),
        dtype=fast_dtype(config, device),
        class_weights=None if class_weights is None else class_weights.to(device),
    )


def _build_opponent(config: TrialConfig, device: torch.device) -> Opponent:
    seed_draws(config.seed, INITIAL, 0)
    discriminator = build_discriminator(config).to(device).to(memory_format=torch.channels_last)
    adam = _adam(discriminator, config.optimizers.discriminator)
    return Opponent(discriminator=discriminator, adam=adam)


def _adam(network: nn.Module, config: OptimizerConfig) -> Adam:
    return Adam(
        network.parameters(),
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=True,
    )


def prepare_generator(networks: Networks, config: TrialConfig, images_seen: int) -> None:
    """Put the generator into the mode of its next step.

    Args:
        networks: of the run.
        config: of the run.
        images_seen: before the step. Whether the encoder is frozen follows from it alone, so a run
            that is taken up again goes on alike.
    """
    networks.generator.train()
    if isinstance(networks.generator, PretrainedUNet):
        pretraining = config.pretraining
        frozen = images_seen < min(pretraining.frozen_images, pretraining.images)
        networks.generator.freeze_encoder(frozen)


def set_learning_rates(networks: Networks, config: TrialConfig, images_seen: int) -> None:
    """Set the rates of the next step after pretraining.

    They are functions of the images seen, so that a run that is taken up again repeats them.

    Args:
        networks: of the run.
        config: of the run.
        images_seen: before the step, pretraining included.
    """
    begin, end = config.pretraining.images, config.budget.images
    done = (images_seen - begin) / (end - begin)
    rates = [(networks.generator_adam, config.optimizers.generator)]
    if networks.opponent is not None:
        rates.append((networks.opponent.adam, config.optimizers.discriminator))
    for adam, chosen in rates:
        adam.param_groups[0]["lr"] = chosen.learning_rate * schedule_factor(chosen.schedule, done)


def schedule_factor(schedule: Schedule, done: float) -> float:
    """Return what the learning rate is multiplied by.

    `linear`: 1 - t; `cosine`: (1 + cos(pi t)) / 2, Loshchilov and Hutter 2017, equation 5 without
    restarts, down to 0.

    Args:
        schedule: its name.
        done: t, the share of the run after pretraining that is over, from 0 to 1.
    """
    match schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1.0 - done
        case "cosine":
            return (1.0 + math.cos(math.pi * done)) / 2
        case _:
            assert_never(schedule)


def pretraining_step(
    networks: Networks, config: TrialConfig, rgb_u8: UInt8[Tensor, "b 3 h w"]
) -> StepLosses:
    """Train the generator alone, with L1 or classification, by the Adam of pretraining.

    The reported loss has the weight that it has beside the adversarial one, to be compared with
    that of the adversarial stage; where this is 0, the loss that is trained with all the same.
    """
    return _step_alone(networks, config, rgb_u8, networks.pretraining_adam)


def lone_step(
    networks: Networks, config: TrialConfig, rgb_u8: UInt8[Tensor, "b 3 h w"]
) -> StepLosses:
    """Train the generator alone after pretraining, in a run without an adversarial stage."""
    return _step_alone(networks, config, rgb_u8, networks.generator_adam)


def _step_alone(
    networks: Networks, config: TrialConfig, rgb_u8: UInt8[Tensor, "b 3 h w"], adam: Adam
) -> StepLosses:
    l_unit, ab_unit = color.rgb_to_unit(rgb_u8)
    with torch.autocast(l_unit.device.type, networks.dtype, networks.dtype != torch.float32):
        answer = networks.generator(l_unit)
    content = content_of(answer, l_unit, ab_unit, config, class_weights=networks.class_weights)
    adam.zero_grad()
    content.loss.backward()
    adam.step()
    loss = content.loss.detach()
    return replace(_told(content, lone_weight(config) * loss), content_loss=loss)


def lone_weight(config: TrialConfig) -> float:
    """Return what the loss of a generator that learns alone is multiplied by when it is told."""
    return content_weight(config) or 1.0


def _told(content: Content, loss: Tensor) -> StepLosses:
    return StepLosses(
        generator_loss=loss,
        generator_l1_loss=content.l1,
        generator_lightness_loss=content.lightness,
        generator_classification_loss=content.classification,
    )


def adversarial_step(
    networks: Networks, config: TrialConfig, rgb_u8: UInt8[Tensor, "b 3 h w"]
) -> StepLosses:
    """Train the discriminator, then the generator against it, on one batch.

    The generator runs once: the discriminator learns from its detached output, and the generator
    from the same output judged again. Source: Isola et al. 2017, section 3.3. Where the
    discriminator takes several steps, its scalars are those of the first, before it knew the batch.
    """
    l_unit, ab_unit = color.rgb_to_unit(rgb_u8)
    with torch.autocast(l_unit.device.type, networks.dtype, networks.dtype != torch.float32):
        answer = networks.generator(l_unit)
    with torch.no_grad():
        fake = read_answer(answer.detach(), l_unit, config)
    generated = None if fake.l_unit is l_unit else fake.l_unit
    judged = last = discriminator_step(networks, config, l_unit, ab_unit, fake.ab_unit, generated)
    for _ in range(config.discriminator.steps - 1):
        if last.is_enough(config.discriminator.enough_accuracy):
            break
        last = discriminator_step(networks, config, l_unit, ab_unit, fake.ab_unit, generated)
    taught = generator_step(networks, config, l_unit, ab_unit, answer)
    return replace(
        taught,
        discriminator_loss=judged.loss,
        discriminator_accuracy_real=judged.accuracy_real,
        discriminator_accuracy_fake=judged.accuracy_fake,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorLosses:
    """Scalars of a discriminator step."""

    loss: Tensor
    accuracy_real: Tensor | None
    accuracy_fake: Tensor | None

    def is_enough(self, accuracy: float | None) -> bool:
        """Tell whether the accuracy was at least the given one; waits for the device."""
        if accuracy is None or self.accuracy_real is None or self.accuracy_fake is None:
            return False
        return bool((self.accuracy_real + self.accuracy_fake) / 2 >= accuracy)


def discriminator_step(
    networks: Networks,
    config: TrialConfig,
    l_unit: Float[Tensor, "b 1 h w"],
    ab_unit: Float[Tensor, "b 2 h w"],
    fake_ab_unit: Float[Tensor, "b 2 h w"],
    fake_l_unit: Float[Tensor, "b 1 h w"] | None = None,
) -> DiscriminatorLosses:
    """Train the discriminator on true and generated colours; leaves the generator alone.

    Real and fake pass separately, since batch norm would mix their statistics.

    Args:
        networks: of the run.
        config: of the run.
        l_unit: the grey pictures.
        ab_unit: their true colours.
        fake_ab_unit: generated ones, without graph.
        fake_l_unit: generated lightness, without graph; None where it is the true one.
    """
    adversarial = losses.adversarial_loss(config.losses)
    with torch.autocast(l_unit.device.type, networks.dtype, networks.dtype != torch.float32):
        fake = networks.discriminator(l_unit if fake_l_unit is None else fake_l_unit, fake_ab_unit)
        real = networks.discriminator(l_unit, ab_unit)
    loss = adversarial.discriminator(real, fake)
    if adversarial.penalty:
        loss = loss + adversarial.penalty * losses.gradient_penalty(
            networks.discriminator, l_unit, ab_unit, fake_ab_unit, fake_l_unit
        )
    networks.discriminator_adam.zero_grad()
    loss.backward()
    networks.discriminator_adam.step()
    threshold = adversarial.threshold
    return DiscriminatorLosses(
        loss=loss.detach(),
        accuracy_real=None if threshold is None else losses.share(real.detach() > threshold),
        accuracy_fake=None if threshold is None else losses.share(fake.detach() < threshold),
    )


def generator_step(
    networks: Networks,
    config: TrialConfig,
    l_unit: Float[Tensor, "b 1 h w"],
    ab_unit: Float[Tensor, "b 2 h w"],
    answer: Float[Tensor, "b c p r"],
) -> StepLosses:
    """Train the generator with adversarial + lambda x L1; leaves the discriminator's weights alone.

    With classification it is adversarial + weight x cross-entropy, and the discriminator sees the
    colours that the distributions stand for.

    Args:
        networks: of the run.
        config: of the run.
        l_unit: the grey pictures.
        ab_unit: their true colours.
        answer: the generator's, with its graph.
    """
    # Without this the backward pass would also compute the discriminator's gradients, for nothing.
    networks.discriminator.requires_grad_(False)
    seen = read_answer(answer, l_unit, config)
    with torch.autocast(l_unit.device.type, networks.dtype, networks.dtype != torch.float32):
        fake = networks.discriminator(seen.l_unit, seen.ab_unit)
    adversarial = losses.adversarial_loss(config.losses).generator(fake)
    content = content_of(
        answer, l_unit, ab_unit, config, class_weights=networks.class_weights, seen=seen
    )
    loss = adversarial + content_weight(config) * content.loss
    networks.generator_adam.zero_grad()
    loss.backward()
    networks.generator_adam.step()
    networks.discriminator.requires_grad_(True)
    return replace(_told(content, loss.detach()), generator_adversarial_loss=adversarial.detach())
