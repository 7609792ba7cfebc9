"""The floor of a step by layer: products are those torch counts, bytes follow from the shapes."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import cases
import layers

from raycolor import color
from raycolor.steps import adversarial_step, build_networks


def test_the_products_of_all_layers_are_those_that_torch_counts() -> None:
    config = cases.configuration("scratch", size=32, batch_size=2, precision="float32", quick=True)
    networks = build_networks(config, torch.device("cpu"))
    rgb_u8 = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    calls, end = layers.observe(networks)
    with FlopCounterMode(display=False) as counter:
        adversarial_step(networks, config, rgb_u8)
    end()
    with FlopCounterMode(display=False) as colors:
        color.rgb_to_unit(rgb_u8)
    told = counter.get_total_flops() - colors.get_total_flops()
    assert sum(call.forward.flop + call.backward.flop for call in calls) == told
    # The generator runs once, the discriminator on the truth and twice on what was generated.
    rows = layers.rows_of(calls, 1e9, 1e9)
    assert {name.split(".")[0]: row["passes"] for name, row in rows.items()} == {
        "generator": 1,
        "discriminator": 3,
    }
    assert all(row["forward"] > 0 and row["backward"] > 0 for row in rows.values())
    seen = len(calls)
    adversarial_step(networks, config, rgb_u8)
    assert len(calls) == seen


def test_bytes_are_counted_once_by_who_asks_for_them() -> None:
    convolution = nn.Conv2d(3, 5, 4, stride=2, padding=1, bias=False)
    picture = torch.zeros(2, 3, 8, 8)
    before, after, weight = 4 * 2 * 3 * 64, 4 * 2 * 5 * 16, 4 * 3 * 5 * 16
    flop = 2 * (2 * 5 * 16) * 3 * 16
    forward, backward = layers.passes(convolution, picture, convolution(picture))
    assert (forward.flop, forward.moved) == (flop, before + after + weight)
    # The first layer's input asks for no gradient.
    assert (backward.flop, backward.moved) == (flop, after + before + weight)
    picture.requires_grad_()
    _, backward = layers.passes(convolution, picture, convolution(picture))
    assert (backward.flop, backward.moved) == (2 * flop, after + 2 * (before + weight))
    convolution.requires_grad_(False)
    _, backward = layers.passes(convolution, picture, convolution(picture))
    assert (backward.flop, backward.moved) == (flop, after + before + weight)
    norm = nn.BatchNorm2d(3)
    forward, backward = layers.passes(norm, picture, norm(picture))
    assert (forward.flop, forward.moved) == (0, 2 * before + 24)
    assert (backward.flop, backward.moved) == (0, 3 * before + 48)


def test_the_floor_is_the_longer_of_both_times() -> None:
    one = layers.Pass(flop=100, moved=30)
    assert one.floor(flop_per_second=10, bytes_per_second=10) == 10
    assert one.floor(flop_per_second=100, bytes_per_second=10) == 3


def test_layers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "layers.json"
    threads = str(torch.get_num_threads())
    monkeypatch.setattr(
        sys, "argv", ["layers.py", "--quick", "--out", str(out), "--threads", threads]
    )
    # Torch's settings are the process's, and other tests follow.
    monkeypatch.setattr(layers, "set_determinism", lambda _: None)
    layers.main()
    found = json.loads(out.read_text(encoding="utf-8"))
    told = capsys.readouterr().out.splitlines()
    # A head of two lines, the dearest, their sum and the rest.
    assert len(told) == 2 + min(layers.SHOWN, len(found["results"])) + 2
    whole, rest = found["summary"]
    assert whole["seconds"] == pytest.approx(sum(row["seconds"] for row in found["results"]))
    assert whole["seconds"] + rest["seconds"] == pytest.approx(found["step_seconds"])
    seconds = [row["seconds"] for row in found["results"]]
    assert seconds == sorted(seconds, reverse=True)
    assert found["environment"]["packages"]["torch"]
