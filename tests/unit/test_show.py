"""The command line that tells a study's answer."""

import shutil
import sys
from pathlib import Path

import pytest

from raycolor import show
from raycolor.kept_plan import restored_plan
from raycolor.plan import Plan
from raycolor.study.look import Builder
from raycolor.study.state import StudyState
from tests.unit.study.page.studies import sick_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyState, Plan]:
    return sick_study(tmp_path_factory.mktemp("study"))


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["raycolor-show", *map(str, words)])
    code = 0
    try:
        show.main()
    except SystemExit as ending:
        code = int(str(ending.code or 0))
    out, err = capsys.readouterr()
    return code, out, err


def refusal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object
) -> str:
    """Show in vain; return the one sentence that was said."""
    code, out, err = run(capsys, monkeypatch, *words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    return err


def test_the_answer_and_the_page(
    study: tuple[StudyState, Plan],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, plan = study
    code, out, err = run(capsys, monkeypatch, plan.folder)
    assert (code, err) == (0, "")
    for heading in ("What was searched", "What mattered", "How sure is it", "Cost"):
        assert f"\n{heading}\n" in out
    assert "finished; 14 of 14 trials have ended" in out
    assert f"python -m raycolor.colorize PHOTO --from {plan.folder}" in out
    assert (plan.folder / "report.html").is_file()


@pytest.mark.parametrize("columns", ["40", "60", "80", "200"])
def test_any_width_of_terminal(
    study: tuple[StudyState, Plan],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: str,
) -> None:
    _, plan = study
    monkeypatch.setenv("COLUMNS", columns)
    code, out, _ = run(capsys, monkeypatch, plan.folder)
    assert code == 0
    board = out[: out.index("Best:")].splitlines()
    assert any("completed" in line for line in board) or columns == "40"


def test_a_study_that_was_moved_is_shown_where_it_lies(
    study: tuple[StudyState, Plan],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, plan = study
    moved = shutil.copytree(plan.folder, tmp_path / "elsewhere" / "mine")
    monkeypatch.chdir(moved.parent)
    page = tmp_path / "page.html"
    code, out, _ = run(capsys, monkeypatch, "mine", "--page", page)
    assert code == 0
    assert "mine: finished" in out
    assert "best: 0" in page.read_text(encoding="utf-8")
    assert not (moved / "report.html").exists() or (plan.folder / "report.html").exists()


def test_explaining_a_trial_writes_nothing(
    study: tuple[StudyState, Plan],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, plan = study
    copy = shutil.copytree(plan.folder, tmp_path / "copy")
    before = sorted(copy.rglob("*"))
    code, out, _ = run(capsys, monkeypatch, copy, "--explain", "3")
    assert code == 0
    assert out.startswith("003_")
    assert sorted(copy.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: no study there; name the folder of a study"),
        ([".", "--explain", "99"], "trial 99: there is no such trial; the study has 0 to 13"),
        ([".."], "no study there; it holds studies: ../toy"),
        (["report.html"], "cannot be read"),
    ],
)
def test_what_cannot_be_shown(
    study: tuple[StudyState, Plan],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    _, plan = study
    (plan.folder / "report.html").touch()
    monkeypatch.chdir(plan.folder)
    assert message in refusal(capsys, monkeypatch, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--every", "5"], "--every 5: goes with --follow; add that, or leave it out"),
        (["--follow", "--every", "0.5"], "--every 0.5: give a number of seconds from 1 to 3600"),
        (["--follow", "--explain", "1"], "--follow: does not go with --explain; give one of them"),
        (["--into", "a", "--optuna", "a.db"], "--into a: --optuna builds nothing there; leave"),
        (["--into", ".."], "toy: is a study's own folder, which is left as it is; name another"),
    ],
)
def test_flags_that_do_not_go_together(
    study: tuple[StudyState, Plan],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    _, plan = study
    monkeypatch.chdir(plan.folder)
    assert message in refusal(capsys, monkeypatch, plan.folder, *words)


def test_a_finished_study_is_built_elsewhere_and_is_as_it_was(
    study: tuple[StudyState, Plan],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, plan = study
    # The page is drawn where the builder is tested.
    monkeypatch.setattr(Builder, "_write_page", lambda self, state: None)
    before = {path: path.stat().st_mtime_ns for path in sorted(plan.folder.rglob("*"))}
    into = tmp_path / "looks"
    code, out, err = run(capsys, monkeypatch, plan.folder, "--follow", "--into", into)
    assert (code, err) == (0, "")
    events = into / "toy" / "tensorboard"
    assert f"tensorboard --logdir {events}" in out
    assert f"--from {plan.folder}\n" in out
    assert "14 of 14 trials" in out
    assert (into / "toy" / "leaderboard.csv").is_file()
    assert len(list(events.glob("*/"))) == 14
    assert {path: path.stat().st_mtime_ns for path in sorted(plan.folder.rglob("*"))} == before


def test_a_plan_comes_back_from_the_journal(study: tuple[StudyState, Plan]) -> None:
    state, plan = study
    again = restored_plan(state.sessions[-1].plan, plan.folder)
    assert again.as_tree() == plan.as_tree()
    assert again.identity() == plan.identity()
    assert (again.folder, again.objective, again.rungs) == (
        plan.folder,
        plan.objective,
        plan.rungs,
    )
