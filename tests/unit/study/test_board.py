"""The leaderboard in a terminal of any width, with what decided after confirmation."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from raycolor.plan import Plan
from raycolor.study.board import board
from raycolor.study.leaderboard import Row, rows
from raycolor.study.state import fold
from tests.unit.study.fakes import SPACE, Workers, make, run


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


def row(number: int, mean: float | None, spread: float | None, *, name: str = "") -> Row:
    return Row(
        rank=number + 1,
        number=number,
        trial=name or f"{number:03d}_lite0_lambda100",
        status="completed",
        reason="",
        objective=68.25 + number,
        chosen={"losses.l1_lambda": 100.0, "generator.backbone": "efficientnet_lite0"},
        images_seen=3840,
        train_seconds=60.0,
        images_inherited=768,
        confirmed_mean=mean,
        confirmed_spread=spread,
        confirmed_seeds=0 if mean is None else 3,
    )


def shown(plan: Plan, listed: list[Row], width: int = 200) -> list[list[str]]:
    """Cells of each line, of which none is cut."""
    console = Console(file=io.StringIO(), record=True, width=width)
    console.print(board(console, listed, plan))
    lines = console.export_text().splitlines()
    assert all(len(line.rstrip()) <= width for line in lines)
    assert "…" not in "".join(lines)
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


CONFIRMED = [row(0, 69.34, 0.66), row(1, 70.1, None), row(2, float("inf"), 1.0), row(3, 0.5, 0.02)]


def test_means_and_spreads_of_other_seeds_have_a_column(plan: Plan) -> None:
    header, *lines = shown(plan, [*CONFIRMED, row(4, None, None)])
    place = header.index("other seeds")
    assert header[:place] == ["rank", "trial", "status", "objective"]
    seeds = [line[place] for line in lines[:4]]
    assert seeds == ["69.3 ± 0.7", "70.1", "one failed", "0.50 ± 0.02"]
    assert lines[0][3] == "68.25", "the search's own score stays"
    assert lines[4][:5] == ["5", "004_lite0_lambda100", "completed", "72.25", "100"]


def test_without_confirmation_there_is_no_such_column(plan: Plan) -> None:
    for width in (200, 80):
        (header, *_) = shown(plan, [row(0, None, None)], width)
        assert "other seeds" not in header
        assert header[-1] == "inherited"


@pytest.mark.parametrize(
    ("width", "last"),
    [
        (200, ["images", "inherited"]),
        (90, ["images", "inherited"]),
        (70, ["status", "objective", "other seeds"]),
        (60, ["objective", "other seeds"]),
    ],
)
def test_a_narrow_terminal_keeps_what_decided(plan: Plan, width: int, last: list[str]) -> None:
    listed = [row(0, 69.34, 0.66, name="000_scratch_lambda77.3"), *CONFIRMED[1:]]
    header, first, *_ = shown(plan, listed, width)
    assert header[-len(last) :] == last
    assert "69.3 ± 0.7" in first
    assert "000_scratch_lambda77.3" in first


def test_a_real_confirmation_stands_there(tmp_path: Path) -> None:
    text = SPACE.replace("  scheduler:", "  confirm: {top: 2, seeds: 2}\n  scheduler:")
    plan = make(tmp_path, text, overrides={"study.searcher.kind": "random"}, trials=12)
    listed = rows(fold(run(plan, Workers())), plan)
    header, *lines = shown(plan, listed, width=60)
    place = header.index("other seeds")
    confirmed = [line[place] for line in lines if len(line) > place]
    assert len(confirmed) >= 1
    assert confirmed[0] == f"{listed[0].confirmed_mean:.1f} ± {listed[0].confirmed_spread:.1f}"
