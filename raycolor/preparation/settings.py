"""What a preparation is asked to do."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from raycolor.data import SplitName
from raycolor.errors import ConfigError
from raycolor.preparation.squares import Recipe

SIZES = range(16, 1025)
"""Sides of stored pictures, in pixels: those of the crops that networks may see."""
PATIENCE_S = 120.0
"""Seconds after which a decoder is taken to hang; the largest pictures take some ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One preparation."""

    source: Path
    """Folder or archive of photographs."""
    title: str | None = None
    """What messages and the data set call it; its path if None."""
    out: Path
    """Folder of the data set."""
    recipe: Recipe
    validation: float
    """Share of the pictures that is held out for validation, where no folder is."""
    test: float
    """Share of the pictures that is held out for testing, where no folder is."""
    draw: Mapping[SplitName, int] | None = None
    """How many pictures each split gets, as `raycolor.preparation.draws` has it; None cuts them by
    the shares above."""
    workers: int
    """Number of processes."""
    overwrite: bool = False
    """Whether an older data set is replaced."""
    patience_s: float = PATIENCE_S

    @property
    def source_title(self) -> str:
        """The source, for messages and for the data set's description."""
        return self.title or str(self.source)


def available_cores() -> int:
    """Count the cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_settings(settings: Settings) -> None:
    """Refuse what cannot work.

    Raises:
        ConfigError: all problems, one a line.
    """
    problems = list(_problems(settings))
    if problems:
        raise ConfigError("\n".join(problems))


def _problems(settings: Settings) -> Iterator[str]:
    recipe = settings.recipe
    if recipe.size not in SIZES:
        yield f"--size: {recipe.size} pixels; give {SIZES.start} to {SIZES.stop - 1}"
    if not recipe.least_color >= 0:
        yield f"--least-color: {recipe.least_color}; give 0 or more"
    shares = {"--validation": settings.validation, "--test": settings.test}
    wrong = {flag: share for flag, share in shares.items() if not 0 < share < 1}
    for flag, share in wrong.items():
        yield f"{flag}: {share:g} is no share; give a number between 0 and 1, as 0.1"
    if not wrong and sum(shares.values()) > 0.9:
        yield (
            f"--validation and --test: {settings.validation:g} and {settings.test:g} leave too "
            "little for training; hold out at most 0.9 together"
        )
    if settings.workers < 1:
        yield f"--workers: {settings.workers}; give 1 or more"
