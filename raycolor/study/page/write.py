"""Put the page together and write it."""

import io
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from plotly.offline import get_plotlyjs
from ruamel.yaml import YAML

from raycolor.errors import CheckpointError
from raycolor.files import write_text
from raycolor.plan import Plan
from raycolor.study.answer import cost_sentence, describe_domain
from raycolor.study.closing import answer, progress
from raycolor.study.confirmation import verdict
from raycolor.study.engine import is_finished
from raycolor.study.explain import explain
from raycolor.study.final_score import final_score_sentence
from raycolor.study.findings import Findings
from raycolor.study.leaderboard import Row
from raycolor.study.live import against_gray
from raycolor.study.naming import short_path, trial_name, value_text
from raycolor.study.page import figures
from raycolor.study.page.pictures import Strips, strips
from raycolor.study.saturation import saturation_sentence
from raycolor.study.standings import comparison_points, values_at
from raycolor.study.state import StudyState, TrialState

MOST_PICTURED = 12
"""Trials whose pictures stand in the page: the best ones, and the last, for comparison."""
MOST_TOLD = 60
"""Trials whose losses and story stand in the page, the best ones; `--explain` tells any."""
MOST_ROWS = 200
"""Rows of the leaderboard in the page; the file `leaderboard.csv` has all."""


def write_page(path: Path, found: Findings, state: StudyState, plan: Plan) -> None:
    """Write the page of a study, complete or not at all.

    Args:
        path: where to; an older page is replaced.
        found: what the study found.
        state: of the study.
        plan: of the study.

    Raises:
        CheckpointError: the storage refuses.
    """
    text = render(found, state, plan)
    try:
        write_text(path, text)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror}); give another file with --page"
        ) from error


def render(found: Findings, state: StudyState, plan: Plan) -> str:
    """Make the page of a study: HTML with its styles, scripts, data and pictures inside.

    Args:
        found: what the study found.
        state: of the study.
        plan: of the study.
    """
    ranked = [state.trials[row.number] for row in found.board if row.number is not None]
    pictures = _pictures(ranked, plan)
    points = comparison_points(state, plan, least=2)
    charts = _charts(found, state, plan, points)
    environment = Environment(
        loader=PackageLoader("raycolor.study.page", "."),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("template.html").render(
        study=plan.study,
        answer=answer(state, plan),
        progress=progress(state, plan),
        finished=is_finished(state, plan),
        written=datetime.fromtimestamp(state.last_time, tz=UTC).strftime("%Y-%m-%d %H:%M UTC"),
        facts=_facts(found, plan),
        gallery=_gallery(ranked, pictures, plan),
        board=[_board_row(row, found, pictures) for row in found.board[:MOST_ROWS]],
        saturated=saturation_sentence(found.board[:MOST_ROWS], state),
        left_out=max(0, len(found.board) - MOST_ROWS),
        paths=[(path, short_path(path)) for path in plan.space.search],
        domains={path: describe_domain(domain) for path, domain in plan.space.search.items()},
        points=points,
        stories=_stories(ranked[:MOST_TOLD], state, plan),
        found=found,
        verdict=verdict(found.confirmed),
        tested=final_score_sentence(state, plan),
        names={trial.number: trial_name(trial.number, trial.chosen) for trial in state.trials},
        cost=cost_sentence(found, plan),
        plan_text=_yaml(plan.as_tree()),
        environment_text=json.dumps(state.sessions[-1].environment, indent=2),
        folder=plan.where,
        more=2 * plan.trials,
        charts=_embedded({name: figure.to_plotly_json() for name, figure in charts.items()}),
        slices=[name for name in charts if name.startswith("slice_")],
        importance_points=list(found.importances),
        plotly=get_plotlyjs(),
        style=(files("raycolor.study.page") / "style.css").read_text(encoding="utf-8"),
        script=(files("raycolor.study.page") / "script.js").read_text(encoding="utf-8"),
    )


def _facts(found: Findings, plan: Plan) -> list[tuple[str, str]]:
    facts = []
    if found.best is not None and found.gray is not None:
        best = found.best.best(plan.objective)
        facts.append(("best distance", f"{best:.1f}"))
        facts.append(("grey pictures", f"{found.gray:.1f}"))
        facts.append(("against grey", against_gray(best, found.gray)))
    pruned = sum(row.status == "pruned" for row in found.board)
    trials = sum(row.number is not None for row in found.board)
    facts.append(("trials", f"{trials}, {pruned} pruned"))
    facts.append(("training", f"{found.cost.share_of_full:.0%} of no pruning"))
    return facts


def _pictures(ranked: Sequence[TrialState], plan: Plan) -> dict[int, Strips]:
    """Read the pictures of the best trials and of the worst."""
    wanted = [*ranked[: MOST_PICTURED - 1], *ranked[MOST_PICTURED - 1 :][-1:]]
    read = {trial.number: strips(trial, plan) for trial in wanted}
    return {number: found for number, found in read.items() if found is not None}


def _gallery(
    ranked: Sequence[TrialState], pictures: dict[int, Strips], plan: Plan
) -> list[dict[str, Any]]:
    """Lay the strips out: grey, the trials from best to worst, truth."""
    pictured = [trial for trial in ranked if trial.number in pictures]
    if not pictured:
        return []
    first = pictures[pictured[0].number]
    rows = [{"label": "grey, as the network sees it", "uri": first.grey, "kind": "grey"}]
    for place, trial in enumerate(pictured):
        strip = pictures[trial.number]
        rows.append(
            {
                "label": f"{'best: ' if place == 0 else ''}"
                f"{trial_name(trial.number, trial.chosen)}, {trial.best(plan.objective):.1f}, "
                f"after {strip.images_seen:,} images, {trial.status}",
                "uri": strip.predicted,
                "kind": "best" if place == 0 else "other",
            }
        )
    return [*rows, {"label": "truth", "uri": first.truth, "kind": "truth"}]


def _board_row(row: Row, found: Findings, pictures: dict[int, Strips]) -> dict[str, Any]:
    strip = None if row.number is None else pictures.get(row.number)
    finite = math.isfinite(row.objective)
    under = ""
    if finite and found.gray is not None and row.number is not None:
        under = against_gray(row.objective, found.gray)
    return {
        "rank": row.rank,
        "trial": row.trial,
        "number": row.number,
        "status": row.status,
        "reason": row.reason.strip().splitlines()[-1] if row.reason.strip() else "",
        "objective": f"{row.objective:.2f}" if finite else "",
        "under": under,
        "images": row.images_seen,
        "inherited": row.images_inherited,
        "seconds": row.train_seconds,
        "chosen": {path: value_text(value) for path, value in row.chosen.items()},
        "uri": None if strip is None else strip.predicted,
    }


def _stories(trials: Sequence[TrialState], state: StudyState, plan: Plan) -> list[dict[str, Any]]:
    """Tell the trials' stories; the chart of losses is drawn when one is chosen."""
    return [
        {
            "number": trial.number,
            "name": trial_name(trial.number, trial.chosen),
            "sentences": explain(trial, state, plan),
            "chart": _embedded(figures.losses(trial, plan).to_plotly_json())
            if trial.reports
            else "",
        }
        for trial in trials
    ]


def _charts(
    found: Findings, state: StudyState, plan: Plan, points: Sequence[int]
) -> dict[str, go.Figure]:
    charts = {}
    if any(trial.reports for trial in state.trials):
        charts["race"] = figures.race(state, plan, found.gray)
    for images, items in found.importances.items():
        charts[f"importance_{images}"] = figures.importance(items)
    if points:
        values = values_at(state, plan, points[0])
        for place, (path, domain) in enumerate(plan.space.search.items()):
            charts[f"slice_{place}"] = figures.slice_of(path, domain, state.trials, values)
        if plan.space.search:
            charts["parallel"] = figures.parallel(
                plan.space.search, state.trials, values, found.best
            )
    return charts


def _embedded(tree: Any) -> str:
    """Write JSON that can stand inside a script element, whatever its texts hold."""
    text = json.dumps(tree, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _yaml(tree: dict[str, Any]) -> str:
    buffer = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.dump(tree, buffer)
    return buffer.getvalue()
