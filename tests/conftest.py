import sys
from collections.abc import Iterator

import jaxtyping
import pytest
import torch

from raycolor.cache import VARIABLE
from raycolor.data import PreparedData, write_prepared
from tests import toy
from tests.toy import TinyConfig


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests fetch and compute out of the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    # A trial switches it on for its process.
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def _no_ray(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to start Ray in a test that is not marked for it."""
    # Importing Ray takes seconds; a test whose module has not imported it has no use for it.
    if request.node.get_closest_marker("ray") is None and "ray" in sys.modules:

        def refuse(*args: object, **kwargs: object) -> None:
            pytest.fail("ray.init in a test without the marker `ray`")

        monkeypatch.setattr(sys.modules["ray"], "init", refuse)


@pytest.fixture
def _no_shape_checks() -> Iterator[None]:
    """Run raycolor as a user does: without the checks of types and shapes."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """A data set of smooth coloured pictures, stored with 32 pixels."""
    return write_prepared(
        tmp_path_factory.mktemp("toy"), toy.toy_splits(32), name="toy", source="drawn"
    )


@pytest.fixture(scope="session")
def prepared_large(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """The same stored with 80 pixels, so that training crops differ in size and place."""
    return write_prepared(
        tmp_path_factory.mktemp("toy_large"), toy.toy_splits(80), name="toy", source="drawn"
    )


@pytest.fixture(scope="session")
def tiny_config() -> TinyConfig:
    """Builds the smallest trial; takes other values by their dotted paths."""
    return toy.tiny_config
