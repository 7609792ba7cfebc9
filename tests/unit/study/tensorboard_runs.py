"""Runs of four trials for TensorBoard, and the events in their files."""

from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event as EventProto

from raycolor.plan import Plan
from raycolor.study.tensorboard import TensorBoardView
from tests.unit.study.told import Told

RUNNING, PRUNED, FAILED, COMPLETED = (
    "000_lite0_lambda50",
    "001_scratch_lambda84",
    "002_lite0_lambda70",
    "003_lite0_lambda84",
)


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


def write_live(plan: Plan, told: Told) -> TensorBoardView:
    """Write events as a study does that reports one after another."""
    view = TensorBoardView(plan)
    so_far = Told()
    view.rebuild(so_far.state)
    for record in told.records:
        so_far.records.append(record)
        view.take(record, so_far.state)
    return view


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
