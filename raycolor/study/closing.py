"""What a user reads when a study stops: the answer, and what to type next."""

import math

from rich.console import Console
from rich.table import Table

from raycolor.plan import Plan
from raycolor.study.leaderboard import gray_score, rows
from raycolor.study.live import against_gray
from raycolor.study.naming import SHORT, short_path, trial_name
from raycolor.study.state import StudyState

ROWS = 15
"""Rows of the closing table."""


def print_closing(console: Console, state: StudyState, plan: Plan, *, finished: bool) -> None:
    """Print the leaderboard, the answer, and the next commands.

    Args:
        console: where to.
        state: of the study.
        plan: of the study.
        finished: whether every trial has ended; otherwise how to go on comes first.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("rank", "trial", "status"):
        table.add_column(name, no_wrap=True)
    table.add_column("objective", justify="right", no_wrap=True)
    for path in plan.space.search:
        table.add_column(short_path(path), justify="right", overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    listed = rows(state, plan)
    for row in listed[:ROWS]:
        style = {"reference": "yellow", "failed": "red", "pruned": "dim"}.get(row.status, "")
        table.add_row(
            "" if row.rank is None else str(row.rank),
            row.trial,
            row.status,
            f"{row.objective:.2f}" if math.isfinite(row.objective) else "",
            *(_cell(row.chosen.get(path)) for path in plan.space.search),
            f"{row.images_seen:,}",
            style="bold green" if row.rank == 1 else style,
        )
    console.print(table)
    if len(listed) > ROWS:
        console.print(f"and {len(listed) - ROWS} more in {plan.folder}/leaderboard.csv")
    console.print()
    _print_answer(console, state, plan)
    if not finished:
        console.print("The study is not finished; the same command goes on with it.")
    console.print(
        f"[dim]Compare the trials[/]  tensorboard --logdir {plan.out}\n"
        f"[dim]Look at pictures  [/]  {plan.folder}/best/samples.png\n"
        f"[dim]Colour a photo    [/]  python -m raycolor.colorize PHOTO --from {plan.folder}\n"
        f"[dim]Search further    [/]  the same command with --trials {2 * plan.trials}",
        highlight=False,
        soft_wrap=True,
    )


def _print_answer(console: Console, state: StudyState, plan: Plan) -> None:
    best, gray = state.best_trial(plan.objective), gray_score(state, plan)
    if best is None or gray is None:
        reported = any(trial.reports for trial in state.trials)
        console.print(
            f"No trial has a score; the reasons stand in {plan.folder}/leaderboard.csv."
            if reported
            else "No trial has reported yet.",
            highlight=False,
            soft_wrap=True,
        )
        return
    value = best.best(plan.objective)
    name = trial_name(best.number, best.chosen)
    console.print(
        f"Best: [bold green]{name}[/], {plan.objective} {value:.2f}, "
        f"{against_gray(value, gray)} gray ({gray:.2f}).",
        highlight=False,
    )
    if value >= gray:
        console.print(
            "It is no colorizer: grey pictures score better. Give the study more images or trials."
        )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}"
    return SHORT.get(str(value), str(value))
