import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from raycolor.cache import VARIABLE, cache_folder
from raycolor.config import EvaluationConfig
from raycolor.errors import ConfigError, WeightsError
from raycolor.metrics import weights
from raycolor.metrics.extractor import build_extractor
from raycolor.metrics.weights import (
    extractor_content,
    fetch,
    fingerprint,
    origin_of,
    path_of,
    take_extractor,
)
from raycolor.weights import efficientnet_lite0_path
from tests.unit.metrics.inceptions import random_state

INCEPTION = EvaluationConfig(extractor="inception_v3")
CONTENT = b"weights" * 1000
SMALL = "test_resnet.r160_in1k"
"""A network that timm has for tests."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


class Served(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and counts."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, list[str]]]:
    """A server on this machine in the place of the web: its folder, and what it was asked for."""
    folder, asked = tmp_path / "web", list[str]()
    folder.mkdir()
    handler = functools.partial(type("Asked", (Served,), {"asked": asked}), directory=str(folder))
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/weights.pth"
        monkeypatch.setattr(weights, "INCEPTION_URL", url)
        monkeypatch.setattr(weights, "INCEPTION_SHA256", hashlib.sha256(CONTENT).hexdigest())
        yield folder, asked
        server.shutdown()
        thread.join()


def test_lite0_has_the_weights_that_come_with_raycolor() -> None:
    assert path_of(EvaluationConfig()) == efficientnet_lite0_path()
    content = efficientnet_lite0_path().read_bytes()
    assert fingerprint(EvaluationConfig()) == hashlib.sha256(content).hexdigest()


def test_are_fetched_once(served: tuple[Path, list[str]], cache: Path) -> None:
    folder, asked = served
    (folder / "weights.pth").write_bytes(CONTENT)
    told: list[str] = []
    path = fetch(INCEPTION, told.append)
    assert path == cache / "weights" / "weights.pth"
    assert path.read_bytes() == CONTENT
    assert "weights.pth" in told[0]
    assert fetch(INCEPTION) == path == path_of(INCEPTION)
    assert asked == ["/weights.pth"]


@pytest.mark.parametrize("content", [CONTENT[:-1], b"<html>log in</html>", None])
def test_what_cannot_be_had_is_one_error(
    served: tuple[Path, list[str]], cache: Path, content: bytes | None
) -> None:
    folder, _ = served
    if content is not None:
        (folder / "weights.pth").write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        fetch(INCEPTION)
    said = str(caught.value)
    assert said.startswith(str(cache / "weights" / "weights.pth"))
    assert "cannot be had" in said
    assert "http://127.0.0.1" in said
    assert "evaluation.extractor_weights: PATH" in said
    assert f"${VARIABLE}" in said


def test_trials_look_for_them_and_never_download(
    served: tuple[Path, list[str]], cache: Path
) -> None:
    folder, asked = served
    (folder / "weights.pth").write_bytes(CONTENT)
    with pytest.raises(WeightsError, match=r"weights\.pth: the weights of .* are not there"):
        path_of(INCEPTION)
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "weights.pth").write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match="are not the expected file"):
        path_of(INCEPTION)
    assert not asked


def test_fid_is_measured_with_its_own_weights_alone(tmp_path: Path) -> None:
    # Whatever file is named, the name `fid` must stay true.
    path = tmp_path / "other.pth"
    path.write_bytes(CONTENT)
    config = EvaluationConfig(extractor="inception_v3", extractor_weights=str(path))
    with pytest.raises(WeightsError, match=r"not the weights of 2015-12-05.* 6726825d"):
        fetch(config)


@pytest.mark.parametrize("extractor", ["inception_v3", "resnet18"])
def test_a_file_that_is_named_must_be_there(tmp_path: Path, extractor: str) -> None:
    for path, said in ((tmp_path / "none.pth", "no such file"), (tmp_path, "is a folder")):
        config = EvaluationConfig(extractor=extractor, extractor_weights=str(path))
        with pytest.raises(WeightsError, match=said):
            fetch(config)


def test_a_file_is_hashed_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "some.pth"
    config = EvaluationConfig(extractor="resnet18", extractor_weights=str(path))
    path.write_bytes(b"one")
    first = fingerprint(config)
    path.write_bytes(b"other")
    assert fingerprint(config) == hashlib.sha256(b"other").hexdigest() != first


def test_of_timm_come_from_where_it_says() -> None:
    origin = origin_of("resnet18")
    assert origin is not None
    assert origin.url.startswith("https://")
    assert origin.url.endswith(f"-{origin.sha256}.pth")
    assert origin.place.parent == cache_folder() / "weights"


def test_of_timm_without_a_hash_are_not_fetched() -> None:
    assert origin_of("vgg16") is None
    with pytest.raises(WeightsError, match=r"vgg16.*no address with a hash.*name the file"):
        fetch(EvaluationConfig(extractor="vgg16"))


def test_unknown_tags_are_told_with_those_that_there_are() -> None:
    with pytest.raises(WeightsError, match=r"no weights resnet18\.nothing, it has a1_in1k, a2_in"):
        fetch(EvaluationConfig(extractor="resnet18.nothing"))


def test_what_the_driver_hands_over_is_what_a_machine_without_the_file_takes(
    tmp_path: Path, cache: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(CONTENT)
    config = EvaluationConfig(extractor="resnet18", extractor_weights=str(path))
    handed = {
        name: np.frombuffer(content, np.uint8)
        for name, content in extractor_content(config).items()
    }
    path.unlink()
    with pytest.raises(WeightsError, match="no such file"):
        path_of(config)
    try:
        take_extractor(handed | {"resnet50": np.zeros(3, np.uint8)})
        kept = path_of(config)
        assert kept.is_relative_to(cache)
        # Its ending says how it is read.
        assert (kept.suffix, kept.read_bytes()) == (".safetensors", CONTENT)
        # What a kill left behind is not taken.
        kept.write_bytes(CONTENT[:-1])
        take_extractor(handed)
        assert path_of(config).read_bytes() == CONTENT
        written = kept.stat().st_mtime_ns
        take_extractor(handed)
        assert kept.stat().st_mtime_ns == written
    finally:
        take_extractor(None)
    with pytest.raises(WeightsError, match="no such file"):
        path_of(config)


def test_what_comes_with_raycolor_is_not_handed_over() -> None:
    assert extractor_content(EvaluationConfig()) == {}


class TestExtractors:
    @pytest.fixture
    def small(self, tmp_path: Path) -> EvaluationConfig:
        torch.manual_seed(0)  # timm draws weights from the global generator
        path = tmp_path / "small.pth"
        torch.save(timm.create_model(SMALL).state_dict(), path)
        return EvaluationConfig(extractor=SMALL, extractor_weights=str(path))

    def test_of_timm_see_pictures_as_they_were_trained(self, small: EvaluationConfig) -> None:
        assert small.extractor_weights is not None
        extractor = build_extractor(small)
        network = timm.create_model(SMALL, num_classes=0).eval()
        state = torch.load(small.extractor_weights, weights_only=True)
        network.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")})
        described = network.pretrained_cfg
        side = described["input_size"][-1]
        assert extractor.size == side
        generator = torch.Generator().manual_seed(0)
        rgb_u8 = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8, generator=generator)
        mean, std = (torch.tensor(described[x]).view(3, 1, 1) for x in ("mean", "std"))
        with torch.no_grad():
            expected = network((rgb_u8 / 255 - mean) / std)
        torch.testing.assert_close(extractor(rgb_u8), expected, atol=1e-4, rtol=1e-4)

    def test_of_another_size(self, small: EvaluationConfig) -> None:
        config = small.model_copy(update={"extractor_size": 64})
        assert build_extractor(config).size == 64

    def test_that_take_one_size_only_refuse_others(self, tmp_path: Path) -> None:
        path = tmp_path / "vit.pth"
        torch.save(timm.create_model("test_vit3").state_dict(), path)
        config = EvaluationConfig(
            extractor="test_vit3", extractor_weights=str(path), extractor_size=64
        )
        with pytest.raises(ConfigError, match=r"extractor_size: .*64.* take 160, or null"):
            build_extractor(config)

    @pytest.mark.parametrize("content", [b"", b"no weights", "another network"])
    def test_files_that_hold_no_weights_of_theirs(
        self, tmp_path: Path, content: bytes | str
    ) -> None:
        path = tmp_path / "wrong.pth"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(timm.create_model("test_vit").state_dict(), path)
        config = EvaluationConfig(extractor=SMALL, extractor_weights=str(path))
        with pytest.raises(WeightsError, match=r"wrong\.pth: holds no weights of test_resnet"):
            build_extractor(config)

    def test_inception_from_its_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "inception.pth"
        torch.save(random_state(), path)
        config = EvaluationConfig(extractor="inception_v3", extractor_weights=str(path))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(weights, "INCEPTION_SHA256", sha256)
        assert fetch(config) == path
        assert build_extractor(config).size == 299
