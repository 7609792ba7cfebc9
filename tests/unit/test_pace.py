import json

import pytest
import torch

from raycolor.data import PHOTOS
from raycolor.pace import READY, paces
from tests.toy import TinyConfig


def test_says_how_many_images_its_steps_took(tiny_config: TinyConfig) -> None:
    config = tiny_config()
    first = {"config": config.model_dump(mode="json"), "data": str(PHOTOS)}
    asked = [{"threads": 1, "seconds": 0}, {"threads": 2, "seconds": 0.05}]
    answers = paces(json.dumps(line) for line in (first, *asked))
    assert next(answers) == READY
    short = json.loads(next(answers))
    assert short["images"] == config.budget.batch_size  # a step at least
    assert torch.get_num_threads() == 1
    longer = json.loads(next(answers))
    assert torch.get_num_threads() == 2
    assert longer["seconds"] >= 0.05
    assert longer["images"] % config.budget.batch_size == 0
    assert longer["gpu_share"] == 0.0 or torch.cuda.is_available()
    with pytest.raises(StopIteration):
        next(answers)
