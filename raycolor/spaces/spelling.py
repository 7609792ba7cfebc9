"""The known names that are nearest to one that is not known."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

NEAR = 0.72
"""Likeness, from 0 to 1, from which on a name may have been meant."""
MOST = 3
"""Names that are offered."""
MEANT = {
    "categorical": "choice",
    "epochs": "images",
    "float": "uniform",
    "integer": "int",
    "lambda": "l1lambda",
    "lr": "learningrate",
    "randint": "int",
}
"""What other libraries and papers call the same thing."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that may have been meant, most like first; none if all are far."""
    word = _plain(name)
    names = list(known)
    if alike := [other for other in names if _plain(other) == word]:
        return alike[:MOST]
    tail = f".{name.rpartition('.')[2]}"
    ratings = {other: _likeness(word, _plain(other)) for other in names}
    for other in names:
        # `l1_lambda` for `losses.l1_lambda`, or a right last part under a wrong section.
        if f".{other}".endswith(tail) and len(tail) > 2:
            ratings[other] = max(ratings[other], 0.9 if "." not in name else 0.8)
        elif "." not in name and "." in other:
            ratings[other] = max(ratings[other], _likeness(word, _plain(other.rpartition(".")[2])))
    best = max(ratings.values(), default=0.0)
    near = [other for other in names if ratings[other] >= max(NEAR, best - 0.05)]
    if not near:
        # `ema` for `generator.ema_decay`: a word in common, if it is in few names.
        shared = {other: len(set(_words(name)) & set(_words(other))) for other in names}
        most = max(shared.values(), default=0)
        sharing = [other for other in names if shared[other] == most > 0]
        return sharing if len(sharing) <= MOST else []
    return sorted(near, key=lambda other: -ratings[other])[:MOST]


def _words(name: str) -> list[str]:
    """Split a name into words: the parts that hold more than a letter."""
    return [MEANT.get(word, word) for word in re.split(r"[^a-z0-9]+", name.lower()) if word[1:]]


def _plain(name: str) -> str:
    """Take away what a slip changes first: case, and the characters between words."""
    return "".join(MEANT.get(word, word) for word in re.split(r"[^a-z0-9]+", name.lower()))


def _likeness(one: str, other: str) -> float:
    if not one or not other or len(one) > 200:
        return 0.0
    begins = min(len(one), len(other)) >= 4 and (other.startswith(one) or one.startswith(other))
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    ratio = matcher.ratio() if matcher.real_quick_ratio() >= NEAR else 0.0
    return max(ratio, 0.85 if begins else 0.0)
