"""Kept generators scored on a split: what a study does once, with its winner, on the test split."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from raycolor.checkpoint import load_tensors
from raycolor.config import TrialConfig
from raycolor.data import PreparedData, SplitName
from raycolor.errors import CheckpointError
from raycolor.evaluation import Evaluator
from raycolor.networks.answers import Painter
from raycolor.networks.build import build_generator


def score_generators(
    files: Mapping[str, Path],
    prepared: PreparedData,
    *,
    split: SplitName,
    device: torch.device | None = None,
    cache: Path | None = None,
) -> dict[str, dict[str, float]]:
    """Score generators as their trials were scored, on another split.

    Args:
        files: `best_<images>.safetensors` of trials by a name for each; their evaluation settings
            are equal.
        prepared: the data set.
        split: whose crops are coloured.
        device: where to compute; the first GPU if there is one, else the CPU.
        cache: folder for what is known of the truth; None keeps nothing.

    Returns:
        Scores by name, and those of `gray` and `truth`.

    Raises:
        CheckpointError: a file is missing or damaged.
        DataError: the split gives a single crop.
        WeightsError: the extractor's weights are missing or damaged.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    scores: dict[str, dict[str, float]] = {}
    for name, path in files.items():
        tensors, about = load_tensors(path)
        config = TrialConfig.model_validate(about["config"])
        generator = build_generator(config, pretrained=False)
        try:
            generator.load_state_dict(tensors)
        except RuntimeError as error:
            raise CheckpointError(f"{path}: does not fit its own configuration") from error
        generator = generator.to(device).to(memory_format=torch.channels_last)
        painter = Painter(generator, config).eval()

        @torch.no_grad()
        def colorize(l_unit: Tensor, painter: Painter = painter) -> Tensor:
            ab_unit: Tensor = painter(l_unit)
            return ab_unit

        evaluator = Evaluator(config, prepared, split=split, device=device, cache=cache)
        scores[name] = evaluator.evaluate(colorize).scores
        scores |= {key: dict(value) for key, value in evaluator.references.items()}
    return scores
