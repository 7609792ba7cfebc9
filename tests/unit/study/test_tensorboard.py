"""TensorBoard shows every trial: asked over its own HTTP interface, and in the event files."""

import io
import json
import math
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event as EventProto

from raycolor.plan import Plan
from raycolor.study.engine import Engine
from raycolor.study.journal import Journal
from raycolor.study.naming import trial_name
from raycolor.study.records import Ask, Fault, Reopened, Reported
from raycolor.study.tensorboard import PICTURES, TensorBoardView
from tests.unit.study.fakes import FD, OBJECTIVE, Workers, clock, make, metrics
from tests.unit.study.told import Told

RUNNING, PRUNED, FAILED, COMPLETED = (
    "000_lite0_lambda50",
    "001_scratch_lambda84",
    "002_lite0_lambda70",
    "003_lite0_lambda84",
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return make(tmp_path_factory.mktemp("study"))


def four_trials() -> Told:
    """One trial that runs, one that was pruned, one that failed and one that is complete."""
    told = Told()
    running = told.ask(losses__l1_lambda=50.0)
    told.gray().report(running, 16, 90.0, rung=16).report(running, 32, 60.5)
    pruned = told.ask(generator__backbone="scratch")
    told.report(pruned, 16, 95.0, "prune", rung=16, cutoff=90.0)
    failed = told.ask(losses__l1_lambda=70.0)
    told.report(failed, 16, 85.0, rung=16).fault(failed)
    completed = told.ask(pretraining__images=48, pretraining__learning_rate=0.002)
    for images in range(16, 145, 16):
        rung = images if images in (16, 48, 144) else None
        action = "end" if images == 144 else "go_on"
        told.report(completed, images, 80.0 - images / 8, action, rung=rung)  # type: ignore[arg-type]  # one of the actions
    return told


def picture(plan: Plan, name: str, images: int) -> None:
    """Write the pictures that a trial leaves at a rung."""
    path = plan.folder / "checkpoints" / name / f"samples_{images}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = np.full((4, 6, 3), images % 256, np.uint8)
    Image.fromarray(shade).save(path, format="PNG")


def write_live(plan: Plan, told: Told) -> TensorBoardView:
    """Write events as a study does that reports one after another."""
    view = TensorBoardView(plan)
    so_far = Told()
    view.rebuild(so_far.state)
    for record in told.records:
        so_far.records.append(record)
        view.take(record, so_far.state)
    return view


# --- over HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A TensorBoard on this machine."""

    url: str

    def get(self, path: str, **query: str) -> Any:
        return json.loads(self.raw(f"{path}?{urlencode(query)}" if query else path))

    def raw(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        request = urllib.request.Request(
            f"{self.url}data/plugin/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        # No proxy stands between this machine and itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            content: bytes = answer.read()
            return content

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return json.loads(self.raw(path, body))


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition, not for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def server(plan: Plan) -> Iterator[Server]:
    """TensorBoard beside a study at work: nothing of it is closed."""
    told = four_trials()
    for name, images in ((RUNNING, 16), (PRUNED, 16), (COMPLETED, 16), (COMPLETED, 144)):
        picture(plan, name, images)
    view = write_live(plan, told)
    log = plan.folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tensorboard.main", "--logdir", str(plan.out)),
                *("--host", "127.0.0.1", "--port", "0", "--load_fast=false"),
                *("--reload_interval", "1"),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            found: list[str] = []

            def serves() -> bool:
                assert process.poll() is None, log.read_text()
                found.extend(re.findall(r"http://127\.0\.0\.1:\d+/", log.read_text()))
                return bool(found)

            until(serves)
            server = Server(url=found[0])

            def has_read_all() -> bool:
                try:
                    tags = server.get("scalars/tags")
                    return len(tags) == 4 and len(points(server, COMPLETED, OBJECTIVE)) == 9
                except (urllib.error.URLError, KeyError):
                    return False

            until(has_read_all)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            view.close()


def run_name(name: str) -> str:
    """A trial's run under the folder of all studies."""
    return f"toy/tensorboard/{name}"


def points(server: Server, name: str, tag: str) -> list[tuple[int, float]]:
    answer = server.get("scalars/scalars", run=run_name(name), tag=tag)
    return [(step, value) for _, step, value in answer]


@pytest.mark.slow
def test_every_trial_is_a_run_under_its_name_with_the_same_tags(server: Server) -> None:
    tags = server.get("scalars/tags")
    assert set(tags) == {run_name(name) for name in (RUNNING, PRUNED, FAILED, COMPLETED)}
    for run in tags.values():
        assert set(run) == set(metrics(1.0, 1))


@pytest.mark.slow
def test_steps_are_images_seen_and_values_those_reported(server: Server) -> None:
    assert points(server, RUNNING, OBJECTIVE) == [(16, 90.0), (32, 60.5)]
    assert points(server, PRUNED, OBJECTIVE) == [(16, 95.0)]
    assert points(server, COMPLETED, FD) == [(i, 80.0 - i / 8) for i in range(16, 145, 16)]


@pytest.mark.slow
def test_wall_times_are_those_of_the_reports(server: Server) -> None:
    answer = server.get("scalars/scalars", run=run_name(RUNNING), tag=OBJECTIVE)
    records = four_trials().records
    reports = [r.time for r in records if isinstance(r, Reported) and r.number == 0]
    assert [wall_time for wall_time, _, _ in answer] == reports


@pytest.mark.slow
def test_pictures_stand_at_the_rungs(server: Server, plan: Plan) -> None:
    tags = server.get("images/tags")
    assert {run for run, found in tags.items() if PICTURES in found} == {
        run_name(name) for name in (RUNNING, PRUNED, COMPLETED)
    }
    answer = server.get("images/images", run=run_name(COMPLETED), tag=PICTURES, sample="0")
    assert [entry["step"] for entry in answer] == [16, 144]
    shown = server.raw(f"images/individualImage?{answer[-1]['query']}")
    written = plan.folder / "checkpoints" / COMPLETED / "samples_144.png"
    assert shown == written.read_bytes()
    assert Image.open(io.BytesIO(shown)).size == (6, 4)


@pytest.mark.slow
def test_the_hparams_tab_lists_every_trial_with_its_settings_and_best_value(
    server: Server,
) -> None:
    experiment = server.post("hparams/experiment", {})
    searched = {
        "losses.l1_lambda",
        "optimizers.discriminator.learning_rate",
        "generator.backbone",
        "pretraining.images",
        "pretraining.learning_rate",
    }
    assert {info["name"] for info in experiment["hparamInfos"]} == searched
    assert OBJECTIVE in {info["name"]["tag"] for info in experiment["metricInfos"]}
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    answer = server.post(
        "hparams/session_groups",
        {
            "startIndex": 0,
            "sliceSize": 100,
            "allowedStatuses": statuses,
            "colParams": [{"hparam": name, "includeInResult": True} for name in sorted(searched)],
        },
    )
    groups = {group["name"]: group for group in answer["sessionGroups"]}
    assert set(groups) == {RUNNING, PRUNED, FAILED, COMPLETED}
    status = {name: group["sessions"][0]["status"] for name, group in groups.items()}
    assert status == {
        RUNNING: "STATUS_UNKNOWN",  # TensorBoard's word for what has not ended
        PRUNED: "STATUS_SUCCESS",
        FAILED: "STATUS_FAILURE",
        COMPLETED: "STATUS_SUCCESS",
    }
    assert groups[COMPLETED]["hparams"] == {
        "losses.l1_lambda": 84.0,
        "optimizers.discriminator.learning_rate": 1e-4,
        "generator.backbone": "efficientnet_lite0",
        "pretraining.images": 48,
        "pretraining.learning_rate": 0.002,
    }
    assert groups[PRUNED]["hparams"]["generator.backbone"] == "scratch"
    assert groups[PRUNED]["hparams"].get("pretraining.learning_rate") in (None, "")
    best = {
        name: {value["name"]["tag"]: value["value"] for value in group["metricValues"]}[OBJECTIVE]
        for name, group in groups.items()
    }
    assert best == {RUNNING: 60.5, PRUNED: 95.0, FAILED: 85.0, COMPLETED: 62.0}


# --- in the event files


def events(folder: Path) -> list[tuple[str, int, object]]:
    """(tag, step, value) of all events of a run; of its one file."""
    (path,) = folder.glob("events.out.tfevents.*")
    result: list[tuple[str, int, object]] = []
    for raw in RawEventFileLoader(str(path)).Load():
        event = EventProto.FromString(raw)
        for value in event.summary.value:
            result.append(
                (value.tag, event.step, getattr(value, value.WhichOneof("value")))
                if value.WhichOneof("value") == "simple_value"
                else (value.tag, event.step, None)
            )
    return result


def run_folder(plan: Plan, name: str) -> Path:
    return plan.folder / "tensorboard" / name


START, END = "_hparams_/session_start_info", "_hparams_/session_end_info"


@pytest.fixture
def fresh(tmp_path: Path) -> Plan:
    return make(tmp_path)


def all_events(plan: Plan) -> dict[str, list[tuple[str, int, object]]]:
    folders = sorted((plan.folder / "tensorboard").glob("*/"))
    return {folder.name: events(folder) for folder in folders}


def test_a_run_begins_with_its_settings_and_ends_when_the_trial_does(fresh: Plan) -> None:
    write_live(fresh, four_trials()).close()
    runs = all_events(fresh)
    assert all(run[0][0] == START for run in runs.values())
    assert {name for name, run in runs.items() if run[-1][0] == END} == {
        PRUNED,
        FAILED,
        COMPLETED,
    }


def test_numbers_that_are_none_are_gaps(fresh: Plan) -> None:
    told = Told()
    told.report(told.ask(), 16, math.nan).report(0, 32, math.inf).report(0, 48, 60.0)
    write_live(fresh, told).close()
    (run,) = all_events(fresh).values()
    assert [(step, value) for tag, step, value in run if tag == OBJECTIVE] == [(48, 60.0)]
    assert [step for tag, step, _ in run if tag == "generator_loss"] == [16, 32, 48]


def test_numbers_of_pictures_are_no_curves(fresh: Plan) -> None:
    told = Told()
    more = {"evaluation_images": 54.0, "disjoint_images": 54.0, "ssim": 0.9, f"{FD}_disjoint": 80.0}
    told.report(told.ask(), 16, 60.0, more=more)
    write_live(fresh, told).close()
    (run,) = all_events(fresh).values()
    tags = {tag for tag, _, _ in run}
    assert {"ssim", f"{FD}_disjoint"} <= tags
    assert not {"evaluation_images", "disjoint_images"} & tags


def test_every_kind_of_setting_is_written(fresh: Plan) -> None:
    told = Told()
    told.ask(data__flip=True, generator__ema_decay=0.5, generator__width=16)
    write_live(fresh, told).close()
    assert [tag for tag, _, _ in next(iter(all_events(fresh).values()))] == [START]


def test_rebuilding_gives_the_same_events(tmp_path: Path, fresh: Plan) -> None:
    told = four_trials()
    write_live(fresh, told).close()
    other = make(tmp_path / "other")
    view = TensorBoardView(other)
    view.rebuild(told.state)
    view.close()
    assert all_events(other) == all_events(fresh)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.99, 0.9999])
def test_events_that_a_killed_driver_did_not_write_are_made_up(fresh: Plan, kept: float) -> None:
    """Events lie in memory for seconds; the journal has them at once."""
    told = four_trials()
    write_live(fresh, told).close()
    before = all_events(fresh)
    for path in (fresh.folder / "tensorboard").glob("*/events.*"):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept)])
    view = TensorBoardView(fresh)
    view.rebuild(told.state)
    view.close()
    assert all_events(fresh) == before


def files_of(plan: Plan) -> dict[str, bytes]:
    found = sorted((plan.folder / "tensorboard").glob("*/events.*"))
    return {str(path): path.read_bytes() for path in found}


def test_runs_go_on_in_their_files(fresh: Plan) -> None:
    """A TensorBoard that follows a file would show those of a second one beside them."""
    told = four_trials()
    first = Told(records=told.records[:-4])
    write_live(fresh, first).close()
    before = files_of(fresh)
    for _ in range(2):
        view = TensorBoardView(fresh)
        view.rebuild(told.state)
        view.close()
    after = files_of(fresh)
    assert after.keys() == before.keys()
    assert all(after[path].startswith(content) for path, content in before.items())
    grown = [path for path in after if after[path] != before[path]]
    assert [COMPLETED in path for path in grown] == [True]
    assert [s for t, s, _ in all_events(fresh)[COMPLETED] if t == FD] == list(range(16, 145, 16))


def test_catching_up_writes_what_is_new_and_nothing_twice(tmp_path: Path, fresh: Plan) -> None:
    told, so_far = four_trials(), Told()
    view = TensorBoardView(fresh)
    for record in told.records:
        so_far.records.append(record)
        view.catch_up(so_far.state)
        view.catch_up(so_far.state)
    view.close()
    other = make(tmp_path / "other")
    write_live(other, told).close()
    assert all_events(fresh) == all_events(other)


def test_a_trial_that_is_taken_up_again_has_one_end(fresh: Plan) -> None:
    told = four_trials()
    view = TensorBoardView(fresh)
    view.catch_up(told.state)
    told.records.append(Reopened(time=2e9, number=1, cause="revival"))
    view.catch_up(told.state)
    assert END not in [tag for tag, _, _ in all_events(fresh)[PRUNED]]
    told.report(1, 32, 70.0).report(1, 48, 60.0, "prune", rung=48)
    view.catch_up(told.state)
    view.close()
    run = all_events(fresh)[PRUNED]
    assert [step for tag, step, _ in run if tag == FD] == [16, 32, 48]
    assert [tag for tag, _, _ in run].index(END) == len(run) - 1


def test_events_of_another_journal_go(tmp_path: Path, fresh: Plan) -> None:
    other = Told()
    other.gray().gray()
    number = other.ask(losses__l1_lambda=50.0)
    other.report(number, 16, 91.0, rung=16)
    write_live(fresh, other).close()
    told = four_trials()
    view = TensorBoardView(fresh)
    view.rebuild(told.state)
    view.close()
    expected = make(tmp_path / "other")
    write_live(expected, told).close()
    assert all_events(fresh) == all_events(expected)


def test_a_session_goes_on_with_the_runs_of_the_last(fresh: Plan) -> None:
    whole = four_trials()
    cut = next(number for number, record in enumerate(whole.records) if isinstance(record, Fault))
    first = Told(records=whole.records[:cut])
    write_live(fresh, first)  # killed: never closed
    view = TensorBoardView(fresh)
    view.rebuild(first.state)
    for record in whole.records[cut:]:
        first.records.append(record)
        view.take(record, first.state)
    view.close()
    runs = all_events(fresh)
    assert set(runs) == {RUNNING, PRUNED, FAILED, COMPLETED}
    assert [s for t, s, _ in runs[COMPLETED] if t == OBJECTIVE] == list(range(16, 145, 16))
    assert [s for t, s, _ in runs[FAILED] if t == OBJECTIVE] == [16]
    assert runs[FAILED][-1][0] == END


def test_a_study_at_work_writes_one_run_a_trial(fresh: Plan) -> None:
    view = TensorBoardView(fresh)
    with Journal(fresh.folder / "journal") as journal:
        engine = Engine(fresh, journal, clock=clock())
        engine.observers.append(lambda event: view.take(event.record, event.state))
        engine.begin({}, "abc")
        Workers(in_flight=3).run(engine)
        records = list(journal.records)
    view.close()
    names = [trial_name(r.number, r.chosen) for r in records if isinstance(r, Ask)]
    runs = all_events(fresh)
    assert sorted(runs) == sorted(names)
    for number, name in enumerate(names):
        reports = [r for r in records if isinstance(r, Reported) and r.number == number]
        found = [(step, value) for tag, step, value in runs[name] if tag == OBJECTIVE]
        assert [step for step, _ in found] == [report.images_seen for report in reports]
        assert [value for _, value in found] == pytest.approx(
            [report.metrics[OBJECTIVE] for report in reports]
        )
