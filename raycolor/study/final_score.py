"""What the winner scored on the test split, and how often that was looked at.

It is looked at once, after confirmation. A study that grows after that, and has another winner, has
to look again, and its number is no longer of pictures that nothing was chosen by: the first look
may have been a reason to go on searching. The journal keeps every look.
"""

import numpy as np

from raycolor.plan import Plan
from raycolor.study.confirmation import winner
from raycolor.study.leaderboard import GRAY
from raycolor.study.records import FinalScores
from raycolor.study.state import StudyState


def final_score_sentence(state: StudyState, plan: Plan) -> str:
    """Say how the winner did on the test split; empty before it was looked at."""
    best, key = winner(state, plan), plan.base.fid_key
    if best is None or str(best.number) not in state.tested:
        return ""
    seeds = [
        scores[key]
        for name, scores in state.tested.items()
        if name.isdecimal() and state.trials[int(name)].confirms == best.confirms
    ]
    gray = state.tested.get(GRAY, {}).get(key)
    looks = len(state.tests)
    often = {1: "once", 2: "twice"}.get(looks, f"{looks} times")
    text = f"On the test split, looked at {often}: {key} {float(np.mean(seeds)):.2f}"
    if len(seeds) > 1:
        text += (
            f" (mean of {len(seeds)} seeds, standard deviation {float(np.std(seeds, ddof=1)):.2f})"
        )
    text += f"; grey pictures {gray:.2f}." if gray is not None else "."
    if looks == 1:
        return text
    shown = max(n for n, test in enumerate(state.tests) if str(best.number) in test.scores)
    others = [_told(test, state, key) for n, test in enumerate(state.tests) if n != shown]
    return (
        f"{text} The study went on after the first look, so this is slightly less independent of "
        f"the choice than a first one. The other{'' if looks == 2 else 's'}: {'; '.join(others)}."
    )


def _told(test: FinalScores, state: StudyState, key: str) -> str:
    """Tell one look: its mean, and of whose configuration."""
    seeds = {int(name): scores[key] for name, scores in test.scores.items() if name.isdecimal()}
    mean = float(np.mean(list(seeds.values())))
    return f"{mean:.2f}, the configuration of trial {state.trials[min(seeds)].confirms}"
