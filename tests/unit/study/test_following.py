"""A study is followed to its end, through all that may happen to it meanwhile."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from raycolor.errors import CheckpointError
from raycolor.plan import Plan
from raycolor.remote import bucket as bucket_module
from raycolor.storage import HopelessError, Patience, StorageError
from raycolor.study import following as following_module
from raycolor.study import news as news_module
from raycolor.study.aside import move_aside
from raycolor.study.engine import Engine
from raycolor.study.following import Follower
from raycolor.study.live import LiveView
from raycolor.study.look import Builder, look_at
from raycolor.study.opening import open_journal
from raycolor.study.records import Reported
from tests.unit.remote.storages import disk
from tests.unit.study.fakes import Workers, clock, make, run


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No waiting between tries, a cache of the test's own, and no page, which takes a second."""
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(news_module, "WAITS_S", (0.0,))
    monkeypatch.setattr(following_module, "WAITS_S", (0.0,))
    monkeypatch.setattr(
        bucket_module, "Patience", lambda: Patience((0.0,), sleep=lambda seconds: None)
    )
    monkeypatch.setattr(Builder, "_write_page", lambda self, state: None)


@pytest.fixture(params=["folder", "address"])
def plan(request: pytest.FixtureRequest, tmp_path: Path) -> Plan:
    """A study in a folder of this machine, or on shared storage."""
    out = tmp_path / "shared"
    return make(tmp_path / "plan", out=out if request.param == "folder" else out.as_uri())


class Replaced(Follower):
    """Its study is replaced by a new one in the middle of a picture, which is of another thread."""

    @property
    def _view(self) -> LiveView | None:
        kept, self._kept = self._kept, None if self._is_drawn else self._kept
        return kept

    @_view.setter
    def _view(self, view: LiveView | None) -> None:
        self._kept = view

    _kept: LiveView | None = None
    _is_drawn = False


def test_a_picture_is_drawn_to_its_end_while_the_study_is_replaced(plan: Plan) -> None:
    run(plan, most_reports=5)
    console = Console(file=io.StringIO(), width=120, height=40)
    follower = Replaced(look_at(plan.where), console, tell=lambda text: None)
    follower.round()
    follower._is_drawn = True
    console.print(follower.render())
    assert "of 8 trials ended" in console.file.getvalue()  # type: ignore[attr-defined]


class Watched:
    """A follower, what it said, and what it showed."""

    def __init__(self, plan: Plan, *, terminal: bool = False) -> None:
        self.told: list[str] = []
        self.console = Console(
            file=io.StringIO(), record=True, width=120, height=40, force_terminal=terminal
        )
        self.follower = Follower(look_at(plan.where), self.console, tell=self.told.append)

    def lines(self) -> list[str]:
        return self.console.export_text(clear=True).splitlines()


def test_it_follows_to_the_end_and_says_a_line_when_something_has_changed(plan: Plan) -> None:
    watched, ended = None, []
    with open_journal(plan) as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({"python": "3"}, "abc")
        watched = Watched(plan)

        def look(event: object) -> None:
            if isinstance(getattr(event, "record", None), Reported):
                ended.append(watched.follower.round())

        engine.observers.append(look)
        Workers(in_flight=2).run(engine)
        assert not any(ended)
        # All trials have ended, and the driver has not said its last word.
        watched.lines()
        assert not watched.follower.round()
        engine.end("finished")
        watched.lines()
        assert watched.follower.round()
    (line,) = watched.lines()
    assert "toy  8 of 8 trials ended" in line
    assert watched.told == []
    assert repr(watched.follower.state) == repr(engine.state)


def test_a_line_says_who_works_and_how_long_it_will_take(plan: Plan) -> None:
    with open_journal(plan) as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({"python": "3"}, "abc")
        Workers(in_flight=2).run(engine, most_reports=5)
        watched = Watched(plan)
        assert not watched.follower.round()
        (line,) = watched.lines()
        assert "best so far" in line
        assert " left; " in line
        assert "at work: 000_" in line
        assert "runs (process " in line
        # Nothing has changed.
        assert not watched.follower.round()
        assert watched.lines() == []


def test_on_a_terminal_the_table_of_the_search_is_refreshed_in_place(plan: Plan) -> None:
    run(plan, most_reports=5)
    watched = Watched(plan, terminal=True)
    naps = iter(range(3))

    def sleep(seconds: float) -> None:
        if next(naps, None) is None:
            raise KeyboardInterrupt

    watched.follower._sleep = sleep
    with pytest.raises(KeyboardInterrupt):
        watched.follower.run()
    console = Console(file=io.StringIO(), record=True, width=120, height=40)
    console.print(watched.follower.render())
    shown = console.export_text()
    assert "0 of 8 trials ended" in shown
    assert "between rungs" in shown or "rung" in shown
    assert "interrupted; the same command goes on with it, and is waited for" in shown
    assert "tensorboard --logdir " in shown


@pytest.mark.parametrize("reason", ["time_budget", "gpu_hours", "max_cost"])
def test_a_study_whose_budget_is_spent_has_ended(tmp_path: Path, reason: str) -> None:
    plan = make(tmp_path / "plan", out=(tmp_path / "shared").as_uri())
    with open_journal(plan) as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({"python": "3"}, "abc")
        Workers().run(engine, most_reports=2)
        engine.end(reason)  # type: ignore[arg-type]  # one of the endings
    assert Watched(plan).follower.round()


def test_an_interrupted_study_is_waited_for_and_goes_on(plan: Plan) -> None:
    workers = Workers()
    run(plan, workers, most_reports=4)
    watched = Watched(plan)
    assert not watched.follower.round()
    assert "interrupted; the same command goes on" in watched.lines()[-1]
    run(plan, workers)
    assert watched.follower.round()


def test_a_study_that_is_moved_aside_is_told_and_the_new_one_followed(plan: Plan) -> None:
    run(plan, most_reports=6)
    watched = Watched(plan)
    watched.follower.round()
    former = len(watched.follower.state.trials)
    where = move_aside(plan)
    for _ in range(2):
        assert not watched.follower.round()
    gone = f"{plan.where}: the study that was followed has been moved aside to {where}"
    assert watched.told == [f"{gone}; waiting for a new one."]
    assert len(watched.follower.state.trials) == former
    run(replace(plan, seed=1))
    assert watched.follower.round()
    assert watched.told[1:] == [
        f"{plan.where}: a new study has begun there, which is followed from now on."
    ]
    assert watched.follower.plan is not None
    assert watched.follower.plan.seed == 1
    folder = watched.follower.plan.folder
    assert (folder / "leaderboard.csv").is_file()
    # What was built of the former one is kept beside it.
    assert (folder.with_name("toy.1") / "leaderboard.csv").is_file()


def test_one_that_is_moved_between_two_rounds_is_told_in_one_sentence(plan: Plan) -> None:
    run(plan, most_reports=6)
    watched = Watched(plan)
    watched.follower.round()
    where = move_aside(plan)
    run(replace(plan, seed=1), most_reports=2)
    watched.follower.round()
    (said,) = watched.told
    assert f"moved aside to {where}, and a new study has begun there" in said


def test_a_storage_that_is_away_is_said_once_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make(tmp_path / "plan", out=(tmp_path / "shared").as_uri())
    workers, away = Workers(), [False]
    run(plan, workers, most_reports=4)
    with disk(monkeypatch, lambda number, name: away[0]):
        watched = Watched(plan)
        watched.follower.round()
        away[0] = True
        for _ in range(3):
            assert not watched.follower.round()
        assert len(watched.told) == 1
        assert "cannot be read (" in watched.told[0]
        assert watched.told[0].endswith("; trying again every 10 s.")
        away[0] = False
        run(plan, workers)
        assert watched.follower.round()
        assert watched.told[1:] == [f"{plan.where}: it works again."]


def test_a_storage_that_is_away_from_the_beginning_or_for_good_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make(tmp_path / "plan", out=(tmp_path / "shared").as_uri())
    run(plan, most_reports=2)
    with (
        disk(monkeypatch, lambda number, name: True),
        pytest.raises(StorageError, match="cannot be read"),
    ):
        Watched(plan).follower.round()
    watched = Watched(plan)
    watched.follower.round()

    def refuse(number: int, name: str) -> bool:
        raise HopelessError("the credentials have run out; check them")

    watched.follower._bucket._opened = None
    with disk(monkeypatch, refuse), pytest.raises(StorageError, match="credentials have run out"):
        watched.follower.round()


def test_a_study_that_is_missing_is_one_sentence(plan: Plan) -> None:
    with pytest.raises(CheckpointError, match="no study there; name the folder of a study"):
        Watched(plan).follower.run()


def test_a_study_that_has_only_just_begun_is_waited_for(tmp_path: Path) -> None:
    # In a folder a journal begins with its first record.
    plan = make(tmp_path / "plan", out=(tmp_path / "shared").as_uri())
    with open_journal(plan) as journal:
        watched = Watched(plan)
        assert not watched.follower.round()
        assert "the study begins" in watched.lines()[-1]
        engine = Engine(plan, journal, clock=clock())
        engine.begin({"python": "3"}, "abc")
        assert not watched.follower.round()
        assert watched.follower.plan is not None


def test_damage_is_looked_at_twice(tmp_path: Path) -> None:
    """Files are listed and read one after the other: what looks damaged may be on its way."""
    plan = make(tmp_path / "plan", out=(tmp_path / "shared").as_uri())
    run(plan, most_reports=2)
    watched = Watched(plan)
    watched.follower.round()
    (segment,) = (tmp_path / "shared" / "toy" / "journal").glob("0*.jsonl")
    content = segment.read_bytes()
    segment.write_bytes(b"{" + content)
    assert not watched.follower.round()
    segment.write_bytes(content)
    watched.follower.round()
    segment.write_bytes(b"{{" + content)
    assert not watched.follower.round()
    with pytest.raises(CheckpointError, match="line 1: damaged"):
        watched.follower.round()
    assert watched.told == []
