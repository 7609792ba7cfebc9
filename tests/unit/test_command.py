"""What all command lines share."""

import os
import signal
import subprocess
import sys

import pytest

from raycolor.command import command_line, make_console
from raycolor.errors import DataError


def test_an_error_of_the_user_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending, command_line():
        raise DataError("photo.jpg: no picture; name another")
    assert ending.value.code == 2
    assert capsys.readouterr().err == "photo.jpg: no picture; name another\n"


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), command_line():
        _ = 1 // 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_is_clean(capsys: pytest.CaptureFixture[str], number: int) -> None:
    def interrupted() -> None:
        with command_line():
            os.kill(os.getpid(), number)
            signal.pause()

    with pytest.raises(SystemExit) as ending:
        interrupted()
    assert ending.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = (
        "from raycolor.command import command_line, make_console\n"
        "with command_line():\n"
        "    console = make_console()\n"
        "    for number in range(200000): console.print(number)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "0\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(timeout=60)


def test_no_colours_where_nobody_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    console = make_console()
    with console.capture() as captured:
        console.print("[bold red]plain[/]")
    assert captured.get() == "plain\n"
    monkeypatch.setenv("COLUMNS", "60")
    assert make_console().width == 60
