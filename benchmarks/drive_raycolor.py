"""One session of raycolor's driver on replayed curves; `cluster.py` and others start it."""

import json
import time
from functools import partial
from pathlib import Path

import ray
from replayed import OBJECTIVE, RaycolorReplay, append_line, read_settings, resident_bytes
from rich.console import Console

from raycolor.plan import make_plan
from raycolor.study.engine import Engine, Event
from raycolor.study.journal import Journal
from raycolor.study.live import LiveView
from raycolor.study.records import Fault, Reported
from raycolor.study.views import Views
from raycolor.tuning import run, trainable

SPACE = """
study:
  trials: {trials}
  searcher: {{kind: {searcher}, startup_trials: 10}}
  scheduler: {{kind: asha, first_rung: {first_rung}, reduction: {reduction}}}
  resources: {{cpus: 1, gpus: 0}}
fixed: {{budget.images: {budget}, budget.report_every: {every}, budget.batch_size: 1}}
search:
  losses.l1_lambda: {{kind: uniform, low: 0, high: 1}}
"""


def main() -> None:
    """Run or resume the study that the settings name."""
    settings = read_settings()
    folder = Path(settings.folder)
    space = folder / "replayed.yaml"
    text = SPACE.format(
        trials=settings.trials,
        first_rung=settings.first_rung,
        reduction=settings.reduction,
        searcher=settings.searcher,
        budget=settings.budget,
        every=settings.every,
    )
    space.write_text(text, encoding="utf-8")
    plan = make_plan(
        space=str(space),
        study=None,
        out=folder,
        data="photos",
        trials=None,
        concurrent=settings.concurrent,
        overrides={},
        address=settings.address,
        time_budget_s=None,
        seed=0,
    )

    def note(event: Event) -> None:
        if isinstance(record := event.record, Reported):
            append_line(
                folder / "received.jsonl",
                trial=str(record.number),
                images=record.images_seen,
                time=time.time(),
                memory=resident_bytes(),
            )
        if isinstance(event.record, Fault):
            append_line(folder / "faults.jsonl", time=time.time())

    if settings.workers is not None:
        ray.init = partial(ray.init, num_cpus=settings.workers)
    # The driver is the real one; only what it starts on workers replays instead of training.
    trainable.StudyTrainable = RaycolorReplay  # type: ignore[misc]
    with (
        Journal(plan.folder / "journal") as journal,
        (folder / "shown.txt").open("w", encoding="utf-8") as shown,
    ):
        engine = Engine(plan, journal)
        views, live = Views(plan), LiveView(plan, Console(file=shown))
        engine.observers += [views.take, live.take, note]
        engine.begin({}, "replayed")
        views.rebuild(engine.state)
        live.start(engine.state)
        engine.end(run.run_study(plan, engine))
        views.close(engine.state)
        trials = [
            {
                "trial": str(trial.number),
                "position": trial.chosen["losses.l1_lambda"],
                "images": trial.images_seen,
                "ended": trial.status != "open",
                "best": trial.best(OBJECTIVE),
            }
            for trial in engine.state.trials
        ]
    (folder / "result.json").write_text(json.dumps(trials), encoding="utf-8")


if __name__ == "__main__":
    main()
