import io
import re
import shlex
import sys
from pathlib import Path

import pytest
from rich.console import Console

from raycolor import search
from raycolor.data import PreparedData, write_prepared
from raycolor.preparation.closing import next_command, print_closing
from raycolor.preparation.run import Result
from raycolor.preparation.skips import Skip
from tests.toy import toy_splits


def result(size: int = 64, common_side: int = 64, **changes: object) -> Result:
    data = PreparedData(
        path=Path("out"),
        name="out",
        size=size,
        counts={"train": 8123, "validation": 1002, "test": 998},
        fingerprint="0123456789abcdef" * 4,
    )
    values: dict[str, object] = {
        "data": data,
        "num_bytes": 124_500_000,
        "skipped": {},
        "num_passed_over": 0,
        "folders": {},
        "notes": (),
        "common_side": common_side,
    }
    return Result(**(values | changes))  # type: ignore[arg-type]  # of mixed types


def told(
    told_of: Result, out: str | Path = Path("out"), width: int = 140, encoding: str = "utf-8"
) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    print_closing(Console(file=file, width=width), told_of, out)
    return raw.getvalue().decode(encoding)


def test_what_was_written_is_told() -> None:
    assert told(result()).splitlines() == [
        "out: 10,123 pictures of 64 pixels, 124.5 MB",
        "  train 8,123, validation 1,002, test 998",
        "  fingerprint 0123456789ab",
        "Next: python -m raycolor.search --data out --study out",
    ]


def test_what_was_left_out_is_told_by_reason() -> None:
    skipped = {f"{i}.jpg": Skip("too small", "") for i in range(1204)}
    skipped |= {"b.jpg": Skip("damaged", ""), "a.jpg": Skip("damaged", "")}
    text = told(result(skipped=skipped, num_passed_over=3, folders={"val": "validation"}))
    assert "  by folders: val is validation\n" in text
    assert (
        "Left out, as dataset.json lists: 1,206\n"
        "  1,204 too small: 0.jpg, 1.jpg, 10.jpg and 1,201 more\n"
        "  2 damaged: a.jpg, b.jpg\n"
        "Passed over, hidden or no pictures by their names: 3\n"
    ) in text


def test_names_cannot_steer_the_terminal() -> None:
    text = told(result(skipped={"\x1b[2J[red]\n\x07.jpg": Skip("damaged", "")}))
    assert "  1 damaged: \ufffd[2J[red]\ufffd\ufffd.jpg\n" in text
    assert "\x1b" not in text


def test_letters_that_a_terminal_does_not_have_are_written_out() -> None:
    text = told(result(skipped={"\u00e9\u4e2d.jpg": Skip("damaged", "")}), encoding="latin-1")
    assert "  1 damaged: \u00e9\\u4e2d.jpg" in text


def test_narrow_terminal_breaks_lines_but_not_the_command() -> None:
    skipped = {"x" * 200 + f"{i}.jpg": Skip("damaged", "") for i in range(9)}
    out = "a rather long name of a folder/and one below it/data"
    lines = told(result(skipped=skipped), out, width=60).splitlines()
    assert lines[-1] == f"Next: python -m raycolor.search --data '{out}' --study data"
    assert max(len(line) for line in lines[:-1]) <= 60


def test_notes_on_the_size() -> None:
    assert "Note" not in told(result(64, 127))
    assert "large enough for --size 128" in told(result(64, 128))
    assert "large enough for --size 992" in told(result(96, 1023))
    assert "the largest that 100 pixels allow is data.size=96" in told(result(100, 100))
    assert "20 leave only the backbone scratch" in told(result(20, 20))


@pytest.mark.parametrize("size", [16, 19, 28, 31, 32, 50, 63, 64, 96, 100, 1024])
def test_next_command_is_a_plan(
    size: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = shlex.split(next_command(size, Path("my data")))
    assert words[:3] == ["python", "-m", "raycolor.search"]
    splits = toy_splits(size, counts={"train": 32, "validation": 2, "test": 1})
    (tmp_path / "my data").mkdir()
    write_prepared(tmp_path / "my data", splits, name="mine", source="drawn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["search", *words[3:], "--dry-run"])
    search.main()
    shown = capsys.readouterr().out
    assert "my data" in shown
    assert re.search(r"Trials +\d+", shown)
    crop = re.search(r"data\.size=(\d+)", " ".join(words))
    assert int(crop[1] if crop else 64) <= size


def test_an_address_is_written_as_it_was_given() -> None:
    address = "s3://bucket/sets/my data/?scheme=http&endpoint_override=host:1"
    lines = told(result(notes=("Note: something.",)), address).splitlines()
    assert lines[0].startswith(f"{address}: 10,123 pictures of 64 pixels")
    assert "Note: something." in lines
    words = shlex.split(lines[-1].removeprefix("Next: "))
    assert words[words.index("--data") + 1] == address
    assert words[words.index("--study") + 1] == "my-data"
