"""TensorBoard as a person compares trials with it."""

import math
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from raycolor.plan import Plan
from raycolor.study.hparams import METRICS
from raycolor.study.naming import trial_name
from raycolor.study.state import StudyState
from raycolor.study.tensorboard import TensorBoardView
from tests.unit.study.fakes import OBJECTIVE
from tests.unit.study.page.studies import sick_study, write_sheet

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyState, Plan]:
    state, plan = sick_study(tmp_path_factory.mktemp("study"))
    for trial in state.trials:
        folder = plan.folder / "checkpoints" / trial_name(trial.number, trial.chosen)
        write_sheet(folder / "samples_16.png", 10 * trial.number)
    view = TensorBoardView(plan)
    view.rebuild(state)
    view.close()
    return state, plan


@pytest.fixture(scope="module")
def url(study: tuple[StudyState, Plan]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "tensorboard.main", "--logdir"]
    words += [str(study[1].folder / "tensorboard"), "--host", "127.0.0.1", "--port", str(port)]
    words += ["--load_fast", "false", "--reload_interval", "1"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_it_answers(f"{address}/data/environment")
            yield address
        finally:
            process.kill()


def _wait_until_it_answers(address: str) -> None:
    # No proxy stands between this machine and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 60
    while True:
        try:
            with opener.open(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_scalars_of_several_trials_lie_over_each_other(
    study: tuple[StudyState, Plan], url: str, open_any: Open
) -> None:
    page = open_any(f"{url}/#timeseries&tagFilter={OBJECTIVE}", 1500)
    card = page.locator("scalar-card").first
    expect(card).to_be_visible(timeout=30_000)
    expect(card.locator("svg path, canvas").first).to_be_attached(timeout=30_000)
    for trial in study[0].trials[:3]:
        name = trial_name(trial.number, trial.chosen)
        expect(page.get_by_text(name).first).to_be_visible()


def test_the_hparams_table_has_every_trial_its_settings_and_the_objective(
    study: tuple[StudyState, Plan], url: str, open_any: Open
) -> None:
    page = open_any(f"{url}/#hparams", 1700)
    for trial in study[0].trials:
        name = trial_name(trial.number, trial.chosen)
        expect(page.get_by_text(re.compile(f"^{name}")).first).to_be_attached(timeout=30_000)
    for column in ("lambda", "backbone", OBJECTIVE):
        expect(page.get_by_text(column, exact=True).first).to_be_visible()
    value = study[0].trials[0].best(OBJECTIVE)
    expect(page.get_by_text(f"{value:.5g}").first).to_be_visible()


def test_the_parallel_coordinates_have_an_axis_a_setting(
    study: tuple[StudyState, Plan], url: str, open_any: Open
) -> None:
    page = open_any(f"{url}/#hparams", 1700)
    page.get_by_text("PARALLEL COORDINATES VIEW").click(timeout=30_000)
    view = page.locator("tf-hparams-parallel-coords-view")
    expect(view.locator("svg").first).to_be_visible()
    # Five settings, the first that TensorBoard shows, then the objective and the other metrics.
    expect(view.locator("svg g.axis")).to_have_count(5 + 1 + len(METRICS))
    scored = [t for t in study[0].trials if math.isfinite(t.last_metrics.get(OBJECTIVE, math.nan))]
    expect(view.locator("svg .foreground path")).to_have_count(len(scored))


def test_pictures_are_shown(url: str, open_any: Open) -> None:
    page = open_any(f"{url}/#images", 1500)
    image = page.locator("img").first
    expect(image).to_be_visible(timeout=30_000)
    assert image.evaluate("image => image.naturalWidth") > 0
