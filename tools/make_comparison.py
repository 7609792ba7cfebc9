"""Lay the pictures of several trials out beside each other: one picture for docs and results.

    python tools/make_comparison.py OUT STUDY:TRIAL=TITLE ...

Every photograph is a row: grey, one column for each trial's best generator, and the truth. The
trials must have been evaluated on the same crops.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from raycolor.pictures import save_png
from raycolor.sheet import GAP, columns_of
from raycolor.study.journal import read_journal
from raycolor.study.naming import trial_name
from raycolor.study.state import fold

BANNER = 16
"""Height of the line of titles, in pixels."""
TIMES = 2


def main() -> None:
    """Write the picture."""
    out, *named = sys.argv[1:]
    shown: list[tuple[str, np.ndarray]] = []
    for word in named:
        place, _, title = word.partition("=")
        study, _, number = place.rpartition(":")
        grey, predicted, truth = _columns(Path(study), int(number))
        shown = shown or [("grey", grey), ("truth", truth)]
        assert np.array_equal(truth, shown[-1][1]), f"{title}: coloured other crops"
        shown.insert(-1, (title, predicted))
    save_png(Path(out), _laid_out(shown))


def _columns(study: Path, number: int) -> list[np.ndarray]:
    """Read grey, predicted and truth of a trial's best generator."""
    state = fold(read_journal(study / "journal"))
    trial = state.trials[number]
    images = trial.best_images(state.sessions[-1].plan["objective"])
    folder = study / "checkpoints" / trial_name(number, trial.chosen)
    with Image.open(folder / f"best_{images}.png") as sheet:
        return columns_of(np.asarray(sheet.convert("RGB")), 3)


def _laid_out(shown: list[tuple[str, np.ndarray]]) -> np.ndarray:
    rows, side, _, _ = shown[0][1].shape
    width, height = len(shown) * (side + GAP) - GAP, rows * (side + GAP) - GAP
    sheet = Image.new("RGB", (TIMES * width, TIMES * height + BANNER), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (title, pictures) in enumerate(shown):
        left = TIMES * column * (side + GAP)
        draw.text((left + 2, 2), title, fill="black", font=ImageFont.load_default(11))
        for row, picture in enumerate(pictures):
            enlarged = Image.fromarray(picture).resize((TIMES * side, TIMES * side), 0)
            sheet.paste(enlarged, (left, BANNER + TIMES * row * (side + GAP)))
    return np.asarray(sheet)


if __name__ == "__main__":
    main()
