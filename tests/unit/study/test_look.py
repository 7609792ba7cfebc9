"""Whoever looks at a study has its views, and leaves no trace in it."""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.errors import CheckpointError, ConfigError
from raycolor.plan import Plan
from raycolor.remote import bucket as bucket_module
from raycolor.remote.address import look_of, mirror_of
from raycolor.remote.mirror import study_files
from raycolor.storage import Patience, StorageError
from raycolor.study import news as news_module
from raycolor.study.engine import Engine, Event
from raycolor.study.look import Builder, BusyError, Look, look_at
from raycolor.study.naming import trial_name
from raycolor.study.opening import open_journal
from raycolor.study.publishing import publishing
from raycolor.study.records import Reported
from raycolor.study.retention import CHECKPOINT, PREVIOUS
from raycolor.study.state import StudyState, fold
from raycolor.study.views import Views
from tests.unit.remote.storages import disk
from tests.unit.study.fakes import Workers, clock, make, sick_curve
from tests.unit.study.page.studies import write_sheet
from tests.unit.study.tensorboard_runs import events

READS = {"get_file_info", "open_input_stream"}


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=["folder", "address"])
def plan(request: pytest.FixtureRequest, tmp_path: Path) -> Plan:
    """A study in a folder of this machine, or on shared storage."""
    out = tmp_path / "shared"
    return make(tmp_path / "plan", out=out if request.param == "folder" else out.as_uri())


def study_folder(tmp_path: Path) -> Path:
    return tmp_path / "shared" / "toy"


def keep(folder: Path, event: Event) -> None:
    """Leave what a trial's worker does at each report."""
    if isinstance(event.record, Reported):
        trial, images = event.state.trials[event.record.number], event.record.images_seen
        kept = folder / "checkpoints" / trial_name(trial.number, trial.chosen)
        kept.mkdir(parents=True, exist_ok=True)
        about = {"who": f"{trial.number} {images}"}
        for name in (f"best_{images}.safetensors", CHECKPOINT, PREVIOUS):
            save_tensors(kept / name, {}, about)
        for stem in ("best", "samples"):
            write_sheet(kept / f"{stem}_{images}.png", 10 * trial.number)


@contextmanager
def at_work(plan: Plan, folder: Path) -> Iterator[Engine]:
    """A driver with all its views, which come to the shared storage at its end."""
    with (
        open_journal(plan) as journal,
        publishing(plan, journal, tell=print),
    ):
        engine, views = Engine(plan, journal, clock=clock()), Views(plan)
        engine.observers += [lambda event: keep(folder, event), views.take]
        engine.begin({"python": "3"}, "abc")
        views.rebuild(engine.state)
        yield engine
        engine.end("finished" if engine.finished else "interrupted")
        views.close(engine.state)


def work(plan: Plan, folder: Path, *, most_reports: int | None = None) -> None:
    with at_work(plan, folder) as engine:
        Workers(curve=sick_curve, in_flight=2).run(engine, most_reports=most_reports)


def read(look: Look) -> tuple[StudyState, Plan]:
    news = look.reader().read()
    state = fold(news.records)
    seen = look.plan(state.sessions[-1])
    assert news.origin is not None
    seen.files.belong(news.origin)
    return state, seen


def contents(folder: Path) -> dict[str, object]:
    """What the views say."""
    return {
        "leaderboard": (folder / "leaderboard.csv").read_text(encoding="utf-8"),
        "trials": pq.read_table(folder / "trials.parquet").to_pylist(),
        "reports": repr(pq.read_table(folder / "reports.parquet").to_pylist()),
        "plan": (folder / "plan.yaml").read_text(encoding="utf-8"),
        "environment": (folder / "environment.json").read_text(encoding="utf-8"),
        "best": load_tensors(folder / "best" / "generator.safetensors")[1],
        "source": (folder / "best" / "source.json").read_text(encoding="utf-8"),
        "samples": (folder / "best" / "samples.png").read_bytes(),
        "events": {run.name: events(run) for run in sorted((folder / "tensorboard").glob("*/"))},
    }


def files_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_is_built_is_what_the_driver_built_and_the_study_is_as_it_was(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_folder(tmp_path)
    work(plan, study, most_reports=16)
    drivers = plan.folder
    own = files_in(drivers)
    # What a driver tidies is there again: a looker must not.
    (trial,) = (study / "checkpoints").glob("000_*")
    shutil.copyfile(trial / CHECKPOINT, trial / PREVIOUS)
    before = files_in(study)
    study_files.cache_clear()
    with disk(monkeypatch, lambda number, name: False) as handler:
        look = look_at(plan.where)
        with look.held():
            state, seen = read(look)
            builder = Builder(seen)
            builder.build(state, all_of_it=True)
            builder.close()
    study_files.cache_clear()
    assert set(handler.calls) <= READS
    assert files_in(study) == before
    if plan.remote is not None:
        assert files_in(drivers) == own
        assert drivers == mirror_of(plan.where)
    assert contents(look.folder) == contents(drivers)
    assert look.folder.is_relative_to(tmp_path / "cache" / "looks")
    assert (look.folder / "report.html").stat().st_size > 100_000
    assert seen.where == plan.where
    # Of generators only the best is kept, once.
    assert not list(look.folder.glob("checkpoints/*/*.safetensors"))


def test_rounds_append_and_fetch_nothing_twice(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Builder, "_write_page", lambda self, state: None)
    look, counted = look_at(plan.where), itertools.count()
    sizes: dict[Path, int] = {}

    def look_again(event: Event) -> None:
        if not isinstance(event.record, Reported) or next(counted) % 5:
            return
        state, seen = read(look)
        # Each time anew, as if it had been started again: it goes on in the same files.
        builder = Builder(seen)
        builder.build(state, all_of_it=True)
        builder.note()
        with disk(monkeypatch, lambda number, name: False) as handler:
            seen.files.bucket._opened = None  # type: ignore[union-attr]  # it has one
            builder.build(state, all_of_it=True)
            assert "open_input_stream" not in handler.calls
        seen.files.bucket._opened = None  # type: ignore[union-attr]  # it has one
        builder.close()
        now = {path: path.stat().st_size for path in look.folder.glob("tensorboard/*/events.*")}
        assert sizes.keys() <= now.keys()
        assert all(now[path] >= size for path, size in sizes.items())
        sizes.update(now)

    with at_work(plan, study_folder(tmp_path)) as engine:
        engine.observers.append(look_again)
        Workers(curve=sick_curve, in_flight=2).run(engine)
    assert len(sizes) > 3
    state, seen = read(look)
    builder = Builder(seen)
    builder.build(state, all_of_it=True)
    builder.close()
    assert contents(look.folder)["events"] == contents(plan.folder)["events"]


def test_a_storage_that_fails_anywhere_costs_a_round_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make(tmp_path / "plan", out=(tmp_path / "shared").as_uri())
    work(plan, study_folder(tmp_path), most_reports=12)
    monkeypatch.setattr(Builder, "_write_page", lambda self, state: None)
    monkeypatch.setattr(bucket_module, "Patience", lambda: Patience(()))
    study_files.cache_clear()
    look, failures = look_at(plan.where), 0
    with disk(monkeypatch, lambda number, name: number % 5 == 0):
        # The journal is read by another bucket, which is patient.
        monkeypatch.setattr(news_module, "WAITS_S", (0.0, 0.0, 0.0))
        state, seen = read(look)
        builder = Builder(seen)
        while True:
            try:
                builder.build(state, all_of_it=True)
                break
            except StorageError:
                failures += 1
                assert failures < 50
    builder.close()
    study_files.cache_clear()
    assert failures >= 2
    assert contents(look.folder)["events"] == contents(plan.folder)["events"]
    assert contents(look.folder)["best"] == contents(plan.folder)["best"]


def test_one_look_at_a_time_builds_in_a_folder(tmp_path: Path) -> None:
    look = look_at((tmp_path / "study").as_uri())
    assert look.folder == look_of((tmp_path / "study").as_uri())
    with (
        look.held(),
        pytest.raises(BusyError, match=r"another raycolor\.show builds there"),
        look.held(),
    ):
        pass
    with look.held():
        pass


def test_folders_of_others_are_refused(tmp_path: Path) -> None:
    study = tmp_path / "results" / "toy"
    (study / "journal").mkdir(parents=True)
    others = tmp_path / "others" / "toy"
    others.mkdir(parents=True)
    (others / "thesis.tex").touch()
    searchs = tmp_path / "search" / "toy"
    searchs.mkdir(parents=True)
    (searchs / "driver.lock").touch()
    for named in (str(study), study.as_uri()):
        for into in (tmp_path / "results", study, study / "a"):
            with (
                pytest.raises(ConfigError, match="a study's own folder, which is left as it is"),
                look_at(named, into).held(),
            ):
                pass
        with (
            pytest.raises(ConfigError, match=r"holds files that raycolor\.show did not build"),
            look_at(named, others.parent).held(),
        ):
            pass
        with (
            pytest.raises(ConfigError, match="a study's own folder"),
            look_at(named, searchs.parent).held(),
        ):
            pass
        with look_at(named, tmp_path / "mine").held():
            pass
    assert [path.name for path in study.iterdir()] == ["journal"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(CheckpointError, match=r"cannot be written \(.*\); name another folder"),
        look_at("results/toy", tmp_path / "file").held(),
    ):
        pass


def test_what_takes_long_is_written_seldom(plan: Plan, tmp_path: Path) -> None:
    work(plan, study_folder(tmp_path), most_reports=6)
    state, seen = read(look_at(plan.where))
    now, written = [0.0], list[str]()

    def slowly(name: str, seconds: float) -> None:
        now[0] += seconds
        written.append(name)

    builder = Builder(seen, clock=lambda: now[0])
    builder._parts["tables"]._write = lambda state: slowly("tables", 0.1)
    builder._parts["page"]._write = lambda state: slowly("page", 3.0)
    for _ in range(60):
        builder.note()
        builder.build(state)
        now[0] += 1.0
    builder.close()
    assert written.count("page") == 3
    assert written.count("tables") > 25
    builder.build(state)
    count = len(written)
    builder.build(state, all_of_it=True)
    assert written[count:] in ([], ["page"], ["tables", "page"])
    builder.build(state, all_of_it=True)
    builder.close()
    assert not any(part.behind for part in builder._parts.values())
