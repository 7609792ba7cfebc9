"""The page's charts, as plotly figures.

Only scatter and bar traces, which plotly draws as SVG: they print sharply and work without WebGL.
Many trials share one trace, so that a study of thousands stays quick to draw.
"""

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from raycolor.config import TrialConfig, has_game
from raycolor.plan import Plan
from raycolor.spaces.domains import Choice, Domain, LogUniform, Scalar
from raycolor.study.confirmation import winner
from raycolor.study.importance import Importance
from raycolor.study.naming import short_path, trial_name, value_text
from raycolor.study.state import Status, StudyState, TrialState

BLUE, RED, ORANGE, GREEN, GREY = "#1f5fbf", "#c62828", "#d9730d", "#2e7d32", "#8a8f98"
COLORS: dict[Status, str] = {
    "open": BLUE,
    "completed": GREEN,
    "pruned": GREY,
    "failed": RED,
}
SYMBOLS: dict[Status, str] = {
    "open": "circle-open",
    "completed": "circle",
    "pruned": "x-thin-open",
    "failed": "diamond",
}
MOST_LINES = 60
"""Trials in the parallel coordinates, the best ones: more cannot be told apart."""


def race(state: StudyState, plan: Plan, gray: float | None) -> go.Figure:
    """Draw the objective over images seen for all trials, with rungs and where trials ended."""
    figure = _figure("images seen", "best distance so far")
    best = winner(state, plan)
    for status in ("pruned", "failed", "completed", "open"):
        trials = [t for t in state.trials if t.status == status and t is not best and t.reports]
        _add_curves(figure, trials, plan, name=status, color=COLORS[status], width=1.5)
    if best is not None:
        name = f"best: {trial_name(best.number, best.chosen)}"
        _add_curves(figure, [best], plan, name=name, color=ORANGE, width=3.5)
    for rung in plan.rungs:
        figure.add_vline(x=rung, line={"color": "#c9ccd1", "dash": "dot", "width": 1})
        figure.add_annotation(
            x=rung, y=1, yref="paper", text=f"rung {rung:,}", showarrow=False, yanchor="bottom"
        )
    if gray is not None:
        figure.add_hline(y=gray, line={"color": "#444", "dash": "dash", "width": 1.5})
        figure.add_annotation(
            x=1, xref="paper", y=gray, text="grey pictures", showarrow=False, xanchor="right",
            yanchor="bottom",
        )  # fmt: skip
    return figure


def _add_curves(
    figure: go.Figure,
    trials: Sequence[TrialState],
    plan: Plan,
    *,
    name: str,
    color: str,
    width: float,
) -> None:
    """Add the curves of some trials as one trace, and their last points as another."""
    if not trials:
        return
    x: list[float | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    for trial in trials:
        points = _finite_points(trial, plan.objective)
        label = trial_name(trial.number, trial.chosen)
        x += [*(images for images, _ in points), None]
        y += [*(value for _, value in points), None]
        texts += [f"{label}: {value:.2f}" for _, value in points] + [""]
    figure.add_scatter(
        x=x, y=y, text=texts, mode="lines+markers", name=name, legendgroup=name,
        line={"color": color, "width": width}, marker={"size": 4},
        hovertemplate="%{text} at %{x:,} images<extra></extra>",
    )  # fmt: skip
    ends = [(t, points[-1]) for t in trials if (points := _finite_points(t, plan.objective))]
    figure.add_scatter(
        x=[point[0] for _, point in ends],
        y=[point[1] for _, point in ends],
        text=[_ending(trial) for trial, _ in ends],
        mode="markers", legendgroup=name, showlegend=False,
        marker={
            "color": color,
            "size": 9,
            "symbol": [SYMBOLS[trial.status] for trial, _ in ends],
            "line": {"width": 2, "color": color},
        },
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def _finite_points(trial: TrialState, objective: str) -> list[tuple[int, float]]:
    pairs = ((r.images_seen, r.metrics.get(objective, math.nan)) for r in trial.reports)
    return [(images, value) for images, value in pairs if math.isfinite(value)]


def _ending(trial: TrialState) -> str:
    reason = trial.reason.strip().splitlines()[-1] if trial.reason.strip() else ""
    return f"{trial_name(trial.number, trial.chosen)}, {trial.status}<br>{reason}"


def losses(trial: TrialState, plan: Plan) -> go.Figure:
    """Draw the generator's loss in blue, the discriminator's accuracy in red, over images seen.

    Without an adversarial stage there is the loss alone.
    """
    figure = _figure("images seen", "generator loss")
    images = [report.images_seen for report in trial.reports]

    def values(name: str) -> list[float | None]:
        found = (report.metrics.get(name, math.nan) for report in trial.reports)
        # A gap says that there is no number; JSON has no NaN either.
        return [value if math.isfinite(value) else None for value in found]

    figure.add_scatter(
        x=images, y=values("generator_loss"), name="generator loss", mode="lines+markers",
        line={"color": BLUE, "width": 2.5}, hovertemplate="loss %{y:.3g} at %{x:,}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(yaxis={"color": BLUE, "rangemode": "tozero"})
    config = plan.space.config(trial.chosen)
    if not has_game(config):
        return _shaded(figure, config, plan)
    figure.add_scatter(
        x=images, y=values("discriminator_accuracy"), name="discriminator accuracy",
        mode="lines+markers", line={"color": RED, "width": 2.5}, yaxis="y2",
        hovertemplate="accuracy %{y:.0%} at %{x:,}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        yaxis2={
            "title": {"text": "discriminator accuracy", "standoff": 6},
            "automargin": True,
            "zeroline": False,
            "fixedrange": True,
            "overlaying": "y",
            "side": "right",
            "range": [0, 1.02],
            "tickformat": ".0%",
            "dtick": 0.2,
            "color": RED,
            "showgrid": False,
        },
    )
    return _shaded(figure, config, plan)


def _shaded(figure: go.Figure, config: TrialConfig, plan: Plan) -> go.Figure:
    """Mark the pretraining of a trial, over the whole length of a run."""
    said = "pretraining: no discriminator yet" if has_game(config) else "pretraining"
    if pretraining := config.pretraining.images:
        figure.add_vrect(
            x0=0, x1=pretraining, fillcolor="#1f5fbf", opacity=0.07, line_width=0,
            annotation_text=said, annotation_position="top left",
        )  # fmt: skip
    figure.update_xaxes(range=[0, plan.base.budget.images * 1.02])
    return figure


def importance(items: Sequence[Importance]) -> go.Figure:
    """Draw the importance of each setting with its interval; pale where it may be chance."""
    figure = _figure("share of all importance", "")
    shown = list(reversed(items))
    figure.add_bar(
        x=[item.share for item in shown],
        y=[short_path(item.path) for item in shown],
        orientation="h",
        marker={
            "color": [
                {"mattered": BLUE, "may have mattered": "#8fb2e3"}.get(item.verdict, "#d5d8dd")
                for item in shown
            ]
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, item.high - item.share) for item in shown],
            "arrayminus": [max(0.0, item.share - item.low) for item in shown],
            "color": "#555",
            "thickness": 1.2,
        },
        text=[item.verdict for item in shown],
        textposition="none",
        hovertemplate="%{y}: %{x:.0%}, %{text}<extra></extra>",
    )
    figure.update_layout(
        xaxis={"tickformat": ".0%", "range": [0, 1]},
        height=90 + 34 * len(shown),
        margin={"t": 8, "b": 40},
    )
    return figure


def slice_of(
    path: str, domain: Domain, trials: Sequence[TrialState], values: Mapping[int, float]
) -> go.Figure:
    """Draw the trials' scores over the values of one setting.

    Args:
        path: of the setting.
        domain: its domain.
        trials: of the study.
        values: the scores that are compared, by the trials' numbers.
    """
    figure = _figure(short_path(path), "distance")
    those = [trial for trial in trials if trial.number in values and path in trial.chosen]
    chosen = [trial.chosen[path] for trial in those]
    figure.add_scatter(
        x=[value_text(value) for value in chosen] if isinstance(domain, Choice) else chosen,
        y=[values[trial.number] for trial in those],
        text=[trial_name(trial.number, trial.chosen) for trial in those],
        mode="markers",
        marker={
            "size": 9,
            "opacity": 0.8,
            "color": [trial.number for trial in those],
            "colorscale": "Blues",
            "cmin": -0.6 * max(1, len(trials)),
            "line": {"width": 1, "color": BLUE},
        },
        hovertemplate="%{text}: %{y:.2f}<extra></extra>",
    )
    if isinstance(domain, Choice):
        order = [value_text(value) for value in domain.values]
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=order)
        figure.update_xaxes(range=[-0.5, len(order) - 0.5])
    elif isinstance(domain, LogUniform):
        low, high = math.log10(domain.low), math.log10(domain.high)
        ticks = _log_ticks(domain)
        figure.update_xaxes(
            type="log",
            range=[low - 0.05, high + 0.05],
            tickvals=ticks,
            ticktext=[f"{tick:.3g}" for tick in ticks],
        )
    figure.update_layout(height=260, showlegend=False, margin={"b": 40})
    return figure


def _log_ticks(domain: LogUniform) -> list[float]:
    """Return the 1, 2 and 5 of each order of magnitude in a range, the 1 alone in a long one."""
    low, high = math.log10(domain.low), math.log10(domain.high)
    leading = (1, 2, 5) if high - low < 2 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in leading]
    return [tick for tick in ticks if domain.low * 0.999 <= tick <= domain.high * 1.001]


def parallel(
    search: Mapping[str, Domain],
    trials: Sequence[TrialState],
    values: Mapping[int, float],
    winner: TrialState | None,
) -> go.Figure:
    """Draw each trial as a line through its settings to its score, the study's winner in orange.

    A setting that a trial does not have is passed below its axis.

    Args:
        search: the domains, an axis each.
        trials: of the study.
        values: the scores that are compared, by the trials' numbers.
        winner: the best trial of the study.
    """
    figure = _figure("", "")
    shown = sorted((t for t in trials if t.number in values), key=lambda t: values[t.number])
    shown = shown[:MOST_LINES]
    scores = [values[trial.number] for trial in shown]
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    span = (high - low) or 1.0
    paths = list(search)
    # The better a trial, the later, so that it lies on top; the winner last.
    for trial in sorted(shown, key=lambda trial: (trial is winner, -values[trial.number])):
        share = (values[trial.number] - low) / span
        heights = [_height(search[path], trial.chosen.get(path, _ABSENT)) for path in paths]
        best = trial is winner
        figure.add_scatter(
            x=list(range(len(paths) + 1)),
            y=[*heights, share],
            mode="lines",
            line={
                "color": ORANGE if best else _mixed(share),
                "width": 4 if best else 1.6,
                "shape": "spline",
                "smoothing": 0.5,
            },
            name=trial_name(trial.number, trial.chosen),
            hovertemplate=f"{trial_name(trial.number, trial.chosen)}: {values[trial.number]:.2f}"
            "<extra></extra>",
            showlegend=False,
        )
    for place, path in enumerate([*paths, ""]):
        figure.add_vline(x=place, line={"color": "#444", "width": 1})
        ticks = _ticks(search[path]) if path else [(0.0, f"{low:.1f}"), (1.0, f"{high:.1f}")]
        for height, text in ticks:
            figure.add_annotation(
                x=place, y=height, text=text, showarrow=False, xanchor="left", xshift=3,
                bgcolor="rgba(255,255,255,0.75)", font={"size": 11},
            )  # fmt: skip
    figure.update_layout(
        xaxis={
            "tickvals": list(range(len(paths) + 1)),
            "ticktext": [*(short_path(path) for path in paths), "distance"],
            "showgrid": False,
            "range": [-0.1, len(paths) + 0.35],
        },
        yaxis={"visible": False, "range": [-0.22, 1.08]},
        height=430,
        margin={"b": 40},
    )
    return figure


_ABSENT = object()
"""A setting that a trial does not have; None is a value."""


def _height(domain: Domain, value: Scalar | object) -> float:
    """Place a value on an axis from 0 to 1; below it where there is none."""
    if value is _ABSENT:
        return -0.15
    if isinstance(domain, Choice):
        return domain.values.index(value) / max(1, len(domain.values) - 1)  # type: ignore[arg-type]  # of the domain
    number = float(value)  # type: ignore[arg-type]  # a number of the range
    if isinstance(domain, LogUniform):
        return math.log(number / domain.low) / math.log(domain.high / domain.low)
    return (number - domain.low) / (domain.high - domain.low)


def _ticks(domain: Domain) -> list[tuple[float, str]]:
    if isinstance(domain, Choice):
        return [(_height(domain, value), value_text(value)) for value in domain.values]
    return [(0.0, value_text(domain.low)), (1.0, value_text(domain.high))]


def _mixed(share: float) -> str:
    """Mix dark blue (0, good) and pale grey (1, bad)."""
    dark, pale = (16, 62, 138), (205, 209, 216)
    mixed = (round(d + (p - d) * share) for d, p in zip(dark, pale, strict=True))
    return f"rgb({','.join(map(str, mixed))})"


def _figure(x: str, y: str) -> go.Figure:
    """Begin a chart in the page's style."""
    figure = go.Figure()
    axis = {"gridcolor": "#eceef1", "zeroline": False, "automargin": True, "fixedrange": True}
    figure.update_layout(
        template="none",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#1c2026"},
        margin={"l": 10, "r": 10, "t": 28, "b": 90},
        height=420,
        hovermode="closest",
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        xaxis={**axis, "title": {"text": x}},
        yaxis={**axis, "title": {"text": y}},
    )
    return figure
