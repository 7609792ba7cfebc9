"""What a user reads when a study stops: the answer, and what to type next."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from raycolor.errors import CheckpointError
from raycolor.plan import Plan
from raycolor.study.answer import saved_sentence
from raycolor.study.board import ROWS, board
from raycolor.study.confirmation import confirmed, verdict, winner
from raycolor.study.engine import is_finished
from raycolor.study.evidence import cost
from raycolor.study.final_score import final_score_sentence
from raycolor.study.leaderboard import GRAY, gray_score, rows
from raycolor.study.live import against_gray
from raycolor.study.naming import trial_name
from raycolor.study.opening import holder_of
from raycolor.study.records import End
from raycolor.study.saturation import saturation_sentence
from raycolor.study.saving import saving, saving_sentence
from raycolor.study.state import StudyState

FEW_CROPS = 30
"""Crops below which a distance is called noisy."""
PAGE = "report.html"
"""Name of a study's page in its folder."""


def print_closing(console: Console, state: StudyState, plan: Plan, *, finished: bool) -> None:
    """Print the leaderboard, the answer, and the next commands.

    Args:
        console: where to.
        state: of the study.
        plan: of the study.
        finished: whether every trial has ended; otherwise how to go on comes first.
    """
    print_leaderboard(console, state, plan)
    for told in (saved_sentence(cost(state, plan)), saving_sentence(saving(state), plan)):
        if told:
            console.print(told, highlight=False)
    print_commands(console, state, plan, page=plan.folder / PAGE, finished=finished)


def print_leaderboard(console: Console, state: StudyState, plan: Plan) -> None:
    """Print the leaderboard and the answer."""
    listed = rows(state, plan)
    console.print(board(console, listed, plan))
    if len(listed) > ROWS:
        console.print(f"and {len(listed) - ROWS} more in {plan.folder}/leaderboard.csv")
    if warning := saturation_sentence(listed[:ROWS], state):
        console.print(f"\n{warning}", markup=False, highlight=False)
    console.print()
    text = Text(answer(state, plan))
    if (best := winner(state, plan)) is not None:
        text.highlight_words([trial_name(best.number, best.chosen)], "bold green")
    console.print(text)


def print_commands(
    console: Console, state: StudyState, plan: Plan, *, page: Path, finished: bool
) -> None:
    """Print what to type next.

    Args:
        console: where to.
        state: of the study.
        plan: of the study.
        page: where its page lies.
        finished: whether every trial has ended.
    """
    again = state.sessions[-1].environment.get("command") if state.sessions else None
    if not finished:
        console.print("The study is not finished; the same command goes on with it.")
    events = plan.folder / "tensorboard"
    commands = {
        "Look at the page": str(page),
        # They are on the machine that searches, if the study lies on shared storage.
        **(
            {"Compare the trials": f"tensorboard --logdir {events}"}
            if plan.remote is None or events.exists()
            else {}
        ),
        "Ask why": f"python -m raycolor.show {shlex.quote(plan.where)} --explain TRIAL",
        "Colour a photo": f"python -m raycolor.colorize PHOTO --from {shlex.quote(plan.where)}",
    }
    if not finished and again:
        commands["Go on"] = again
    elif finished:
        more = 2 * max(plan.trials, len(state.searched))
        commands["Search further"] = (
            f"{re.sub(r' --trials[ =][^ ]+', '', again)} --trials {more}"
            if again
            else f"the same command with --trials {more}"
        )
    for what, command in commands.items():
        # One line each, however narrow the terminal: they are to be copied.
        console.print(f"[dim]{what:<18}[/]  {escape(command)}", highlight=False, soft_wrap=True)


def progress(state: StudyState, plan: Plan) -> str:
    """Say how far a study has come."""
    ended = sum(trial.status != "open" for trial in state.searched)
    pruned = sum(trial.status == "pruned" for trial in state.searched)
    text = f"{ended} of {plan.trials} trials have ended, {pruned} of them pruned"
    if confirming := [trial for trial in state.trials if trial.phase == "confirm"]:
        done = sum(trial.status != "open" for trial in confirming)
        text += f"; {done} of {len(confirming)} confirming ones"
    if is_finished(state, plan):
        return f"finished; {text}"
    match state.ending:
        case None:
            at = datetime.fromtimestamp(state.last_time, tz=UTC)
            return f"{_runs(plan)}: last heard of at {at:%Y-%m-%d %H:%M:%S} UTC; {text}"
        case End(reason=reason):
            why = {
                "interrupted": "interrupted",
                "time_budget": "stopped by its time budget",
                "gpu_hours": "stopped by its GPU hours",
                "max_cost": "stopped by its largest cost",
            }
            return f"{why.get(reason, 'to be extended')}; {text}"


def _runs(plan: Plan) -> str:
    """Say whether a study without an end runs, as far as can be told from here."""
    try:
        found = holder_of(plan)
    except (OSError, CheckpointError):
        found = None
    match None if found is None else found.lives():
        case True:
            return "runs"
        case False:
            return "was killed"
        case None:
            return "runs, or was killed" + (f" ({found})" if found else "")


def answer(state: StudyState, plan: Plan) -> str:
    """Say which trial is best, and how far under the grey pictures it is."""
    best, gray = winner(state, plan), gray_score(state, plan)
    if best is None or gray is None:
        if any(trial.reports for trial in state.trials):
            return f"No trial has a score; the reasons stand in {plan.folder}/leaderboard.csv."
        return "No trial has reported yet."
    value = best.best(plan.objective)
    crops = state.references[GRAY].get("crops")
    over = "" if crops is None else f", over {crops:.0f} validation crops"
    text = (
        f"Best: {trial_name(best.number, best.chosen)}, {plan.objective} {value:.2f}, "
        f"{against_gray(value, gray)} gray ({gray:.2f}){over}."
    )
    if crops is not None and crops < FEW_CROPS:
        text += (
            "\nSo few crops make the distance noisy: prepare more validation photographs, "
            f"{FEW_CROPS} or more."
        )
    if found := confirmed(state, plan):
        text += f"\n{verdict(found)}"
    if tested := final_score_sentence(state, plan):
        text += f"\n{tested}"
    if value >= gray:
        text += (
            "\nBy this distance it is no colorizer yet: grey pictures score better. Let trials "
            "train longer (--set budget.images=N), or give the study more (--trials)."
        )
    return text
