import math
import pickle

import pytest

from raycolor import errors
from raycolor.errors import Diverged, RaycolorError


def test_diverged_says_when_and_what() -> None:
    error = Diverged(96, {"generator_loss": math.nan, "discriminator_loss": 0.5})
    assert str(error) == "diverged after 96 images: generator_loss nan, discriminator_loss 0.5"


def test_diverged_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(Diverged(96, {"generator_loss": 2.5})))
    assert (error.images_seen, error.losses) == (96, {"generator_loss": 2.5})
    assert str(error) == "diverged after 96 images: generator_loss 2.5"


@pytest.mark.parametrize(
    "name", ["ConfigError", "DataError", "ColorRangeError", "CheckpointError", "WeightsError"]
)
def test_every_error_of_a_user_has_one_base(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, RaycolorError)
    assert str(pickle.loads(pickle.dumps(kind("where: what")))) == "where: what"
