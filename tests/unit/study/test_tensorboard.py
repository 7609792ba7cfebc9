"""TensorBoard shows every trial: asked over its own HTTP interface."""

import io
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

from raycolor.plan import Plan
from raycolor.study.records import Reported
from raycolor.study.tensorboard import PICTURES
from tests.unit.study.fakes import FD, OBJECTIVE, make, metrics
from tests.unit.study.tensorboard_runs import (
    COMPLETED,
    FAILED,
    PRUNED,
    RUNNING,
    four_trials,
    write_live,
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return make(tmp_path_factory.mktemp("study"))


def picture(plan: Plan, name: str, images: int) -> None:
    """Write the pictures that a trial leaves at a rung."""
    path = plan.folder / "checkpoints" / name / f"samples_{images}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = np.full((4, 6, 3), images % 256, np.uint8)
    Image.fromarray(shade).save(path, format="PNG")


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
