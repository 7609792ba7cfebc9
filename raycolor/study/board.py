"""The leaderboard in the terminal, as wide as that is."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table

from raycolor.plan import Plan
from raycolor.study.leaderboard import Row
from raycolor.study.naming import SHORT, short_path

ROWS = 15
"""Rows that are shown."""
WORDS = ("rank", "trial", "status")
"""Columns that are not set to the right, as numbers are."""
STYLES = {"reference": "yellow", "failed": "red", "pruned": "dim"}


def board(console: Console, listed: Sequence[Row], plan: Plan) -> Table:
    """Make the widest table that the terminal holds; all of it stands in leaderboard.csv."""
    confirmed = any(row.confirmed_mean is not None for row in listed)
    # The names tell the backbone and lambda. After confirmation what decided is worth more than
    # what it took; and who was confirmed had trained to its end.
    left_out: list[tuple[str, ...]] = [(), tuple(plan.space.search)]
    if confirmed:
        left_out.append((*left_out[-1], "images", "inherited"))
        left_out.append((*left_out[-1], "status"))
    unbounded = console.options.update(max_width=10_000)
    for names in left_out:
        table = _table(listed, plan, names)
        if console.measure(table, options=unbounded).maximum <= console.width:
            return table
    return _table(listed, plan, left_out[-1])


def _table(listed: Sequence[Row], plan: Plan, left_out: Sequence[str]) -> Table:
    """Lay rows out, without the columns, or the searched paths, that are left out."""
    shown = {name: cell for name, cell in _columns(listed, plan).items() if name not in left_out}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in shown:
        title = short_path(name) if name in plan.space.search else name
        table.add_column(title, justify="left" if name in WORDS else "right", no_wrap=True)
    for row in listed[:ROWS]:
        style = "bold green" if row.rank == 1 else STYLES.get(row.status, "")
        table.add_row(*(cell(row) for cell in shown.values()), style=style)
    return table


def _columns(listed: Sequence[Row], plan: Plan) -> dict[str, Callable[[Row], str]]:
    """Name the columns, by the path where it is a searched one, with what makes their cells."""
    columns: dict[str, Callable[[Row], str]] = {
        "rank": lambda row: "" if row.rank is None else str(row.rank),
        "trial": lambda row: row.trial,
        "status": lambda row: row.status,
        "objective": lambda row: f"{row.objective:.2f}" if math.isfinite(row.objective) else "",
    }
    if any(row.confirmed_mean is not None for row in listed):
        columns["other seeds"] = _seeds
    columns |= {path: partial(_chosen, path) for path in plan.space.search}
    columns["images"] = lambda row: f"{row.images_seen:,}"
    if any(row.images_inherited for row in listed):
        columns["inherited"] = lambda row: f"{row.images_inherited:,}"
    return columns


def _seeds(row: Row) -> str:
    """Write mean and standard deviation of the other seeds of a row's configuration."""
    mean, spread = row.confirmed_mean, row.confirmed_spread
    if mean is None:
        return ""
    if not math.isfinite(mean):
        return "one failed"
    places = 1 if abs(mean) >= 10 else 2
    return f"{mean:.{places}f}" + ("" if spread is None else f" ± {spread:.{places}f}")


def _chosen(path: str, row: Row) -> str:
    value = row.chosen.get(path)
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}"
    return SHORT.get(str(value), str(value))
