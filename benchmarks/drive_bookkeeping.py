"""A study's engine, journal and views without Ray and without workers; `scale.py` starts it."""

import json
import time
from pathlib import Path

import numpy as np
from drive_raycolor import SPACE
from replayed import OBJECTIVE, Replay, read_settings, resident_bytes
from rich.console import Console

from raycolor.plan import make_plan
from raycolor.study.configs import config_of
from raycolor.study.engine import Engine
from raycolor.study.journal import Journal
from raycolor.study.live import LiveView
from raycolor.study.spending import limit_reached
from raycolor.study.state import TrialState
from raycolor.study.views import Views


def main() -> None:
    """Run the study that the settings name, and time every call that a worker would wait for."""
    settings = read_settings()
    folder = Path(settings.folder)
    space = folder / "replayed.yaml"
    space.write_text(
        SPACE.format(
            trials=settings.trials,
            first_rung=settings.first_rung,
            reduction=settings.reduction,
            searcher=settings.searcher,
            budget=settings.budget,
            every=settings.every,
        ),
        encoding="utf-8",
    )
    plan = make_plan(
        space=str(space),
        study=None,
        out=folder,
        data="photos",
        trials=None,
        concurrent=settings.concurrent,
        overrides={},
        address=None,
        time_budget_s=None,
        seed=0,
    )
    asks, reports, core = [], [], []
    with (
        Journal(plan.folder / "journal") as journal,
        (folder / "shown.txt").open("w", encoding="utf-8") as shown,
    ):
        engine = Engine(plan, journal)
        views, live = Views(plan), LiveView(plan, Console(file=shown))
        engine.observers += [views.take, live.take]
        engine.begin({}, "replayed")
        views.rebuild(engine.state)
        live.start(engine.state)
        before = resident_bytes()
        while True:
            started = time.perf_counter()
            trial = engine.ask()
            if not isinstance(trial, TrialState):
                break
            config = config_of(trial, plan).model_dump(mode="json")
            asks.append(time.perf_counter() - started)
            replay = Replay(str(trial.number), config["losses"]["l1_lambda"], 0)
            goes_on = True
            while goes_on:
                replay.images += settings.every
                metrics = replay.metrics()
                started, used = time.perf_counter(), time.process_time()
                decision = engine.report(trial.number, replay.images, "adversarial", metrics)
                limit_reached(engine.state, plan, gpus=0)
                reports.append(time.perf_counter() - started)
                core.append(time.process_time() - used)
                goes_on = decision.action == "go_on"
        started = time.perf_counter()
        engine.end("finished")
        views.close(engine.state)
        closing = time.perf_counter() - started
    fifth = max(1, len(reports) // 5)
    (folder / "result.json").write_text(
        json.dumps(
            {
                "trials": len(asks),
                "reports": len(reports),
                "best": engine.state.trials[0].best(OBJECTIVE),
                "ask_ms": _told(asks[1:]),
                "ask_ms_last_fifth": _told(asks[-max(1, len(asks) // 5) :]),
                "report_ms": _told(reports),
                "report_ms_first_fifth": _told(reports[:fifth]),
                "report_ms_last_fifth": _told(reports[-fifth:]),
                "core_ms_a_report_first_fifth": 1e3 * float(np.mean(core[:fifth])),
                "core_ms_a_report_last_fifth": 1e3 * float(np.mean(core[-fifth:])),
                "closing_s": closing,
                "kib_a_trial": (resident_bytes() - before) / 1024 / len(asks),
            }
        ),
        encoding="utf-8",
    )


def _told(seconds: list[float]) -> dict[str, float]:
    """Give mean, median, 99th percentile and maximum in milliseconds."""
    median, late = np.quantile(seconds, (0.5, 0.99))
    return {
        "mean": 1e3 * float(np.mean(seconds)),
        "median": 1e3 * float(median),
        "p99": 1e3 * float(late),
        "most": 1e3 * max(seconds),
    }


if __name__ == "__main__":
    main()
