import io
import re

import pytest
from rich.console import Console

from raycolor.preparation import progress
from raycolor.preparation.progress import shown_progress

COLOR = re.compile(r"\x1b\[[0-9;]*[34][0-9][0-9;]*m")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    file = io.StringIO()
    with shown_progress(Console(file=file, width=140)) as watch:
        for done in (0, 1, 1200, 5000):
            watch(done, 5000)
    lines = file.getvalue().splitlines()
    assert lines[0] == "Reading 5,000 files."
    assert lines[3] == "Writing the data set."
    assert re.fullmatch(r"1,200 of 5,000 files, \d+ a second, about 0 s left", lines[2])


def test_few_lines_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    with shown_progress(Console(file=file, width=140)) as watch:
        for done in range(1001):
            watch(done, 1000)
    assert file.getvalue() == "Reading 1,000 files.\nWriting the data set.\n"


@pytest.mark.parametrize("width", [50, 60, 200])
@pytest.mark.parametrize("color", [False, True])
def test_bar_fits_the_terminal(width: int, color: bool) -> None:
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=True, width=width, no_color=not color, color_system="truecolor"
    )
    with shown_progress(console) as watch:
        watch(0, 123_456)
        watch(61_728, 123_456)
    shown = CONTROL.sub("", file.getvalue())
    assert "61728/123456" in shown.replace(" ", "")
    assert max(len(line) for line in re.split(r"[\r\n]", shown)) <= width
    assert bool(COLOR.search(file.getvalue())) == color


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7260, "2 h 1 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert progress._duration(float(seconds)) == text
