"""The systems that are compared: each its space file's, alike where they have to be."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import systems


def test_every_system_sees_the_same_and_is_measured_alike() -> None:
    configs = [systems.configuration(name, 1024, 3) for name in systems.SYSTEMS]
    for config in configs:
        assert (config.data.size, config.data.smallest_crop) == (64, 0.5)
        assert (config.budget.images, config.budget.batch_size) == (1024, 16)
        assert config.budget.report_every == 256
        assert config.evaluation == configs[0].evaluation
        assert (config.seed, config.pretraining.seed) == (3, 3)
    assert len({repr(config) for config in configs}) == len(configs)


def test_a_system_is_as_its_space_file_has_it() -> None:
    resnet = systems.configuration("ResNet18 U-Net without weights, L1 then GAN", 1024, 0)
    # Half of the budget, as in the file.
    assert resnet.pretraining.images == 512
    assert (resnet.generator.backbone, resnet.generator.weights) == ("resnet18", "none")
    old = systems.configuration("GAN_Colorizer, 32 pixels", 1024, 0)
    assert (old.generator.kind, old.discriminator.kind) == ("gan_32", "gan_32")
    assert (old.losses.l1_lambda, old.discriminator.steps) == (0, 3)
    with_l1 = systems.configuration("GAN_Colorizer, 32 pixels, with L1", 1024, 0)
    assert with_l1.losses.l1_lambda == 100


def test_the_table_has_the_best_first_and_every_seed() -> None:
    def row(system: str, seed: int, lowest: float) -> dict[str, Any]:
        return {
            "system": system,
            "seed": seed,
            "generator_parameters": 1000,
            "discriminator_parameters": 0,
            "lowest": lowest,
            "images_per_second": 2.0,
        }

    rows = [row("slow", 0, 90.0), row("slow", 0, 80.0), row("slow", 1, 84.0), row("fast", 0, 70.0)]
    lines = systems.table(rows).splitlines()
    assert lines[2] == "| fast | 1,000, 0 | 70.0 | 70.0 | 0.0 | 2.0 |"
    assert lines[3] == "| slow | 1,000, 0 | 80.0, 84.0 | 82.0 | 2.8 | 2.0 |"
