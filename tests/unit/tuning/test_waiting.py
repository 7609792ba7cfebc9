"""Waiting for machines, and the words about it."""

from pathlib import Path

import pytest

from raycolor.errors import ConfigError
from raycolor.spaces.space import ResourceSettings
from raycolor.tuning import waiting
from raycolor.tuning.shares import Machine, Shares
from raycolor.tuning.waiting import Growth, StallWatch, growth_of, news_in, wait_for_shares

HEAD = Machine(name="10.0.0.1", cpus=0)
WORKER = Machine(name="10.0.0.2", cpus=4, gpus=1.0)
ROOT = Path(__file__).parents[3]


class Cluster:
    """What a cluster looks like, second by second; the last look stays."""

    def __init__(self, *looks: list[Machine]) -> None:
        self.looks = list(looks)
        self.now = 0.0
        self.asked: list[int] = []
        self.said: list[str] = []

    def machines(self) -> list[Machine]:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, settings: ResourceSettings | None = None, trials: int = 100) -> Shares:
        return wait_for_shares(
            settings or ResourceSettings(),
            concurrent=None,
            trials=trials,
            tell=self.said.append,
            clock=lambda: self.now,
            sleep=self.sleep,
        )


@pytest.fixture
def growth() -> list[Growth]:
    """What the autoscaler may do, to be changed by a test."""
    return [Growth()]


@pytest.fixture
def _growth(growth: list[Growth], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "growth_of", lambda path: growth[0])
    monkeypatch.setattr(waiting, "autoscaler_news", lambda: " It is starting 1 gpu_spot.")


def play(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "machines_now", cluster.machines)
    monkeypatch.setattr(waiting, "_ask", lambda bundles: cluster.asked.append(len(bundles)))


@pytest.mark.usefixtures("_growth")
def test_a_cluster_that_is_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster([HEAD, WORKER])
    play(cluster, monkeypatch)
    assert cluster.wait() == Shares(concurrent=1, cpus=4, gpus=1.0, machines=1)
    assert (cluster.now, cluster.said, cluster.asked) == (0.0, [], [])


@pytest.mark.usefixtures("_growth")
def test_the_whole_demand_is_told_once_and_taken_back(
    growth: list[Growth], monkeypatch: pytest.MonkeyPatch
) -> None:
    growth[0] = Growth(to_come=(WORKER,) * 8)
    cluster = Cluster(*[[HEAD]] * 40, [HEAD, WORKER])
    play(cluster, monkeypatch)
    shares = cluster.wait(trials=5)
    # The machine that came is one of the eight.
    assert shares == Shares(concurrent=8, cpus=4, gpus=1.0, machines=1)
    assert cluster.asked == [5, 0]
    sentence = (
        "Waiting for a machine that holds a trial (1 core, 1 GPU). Machines: 10.0.0.1: 0 cores. "
        "It is starting 1 gpu_spot. Ctrl-C ends it."
    )
    assert cluster.said == [sentence, sentence]


@pytest.mark.usefixtures("_growth")
def test_a_machine_that_never_comes_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster([HEAD])
    play(cluster, monkeypatch)
    with pytest.raises(ConfigError, match=r"None came within the 90 s of study\.resources\.wait"):
        cluster.wait(ResourceSettings(wait_seconds=90))
    assert cluster.now == 90.0


@pytest.mark.usefixtures("_growth")
def test_a_trial_that_no_machine_to_come_holds_is_refused_at_once(
    growth: list[Growth], monkeypatch: pytest.MonkeyPatch
) -> None:
    growth[0] = Growth(to_come=(WORKER,) * 8)
    cluster = Cluster([HEAD])
    play(cluster, monkeypatch)
    with pytest.raises(ConfigError, match="asks for 2 GPUs, the largest machine has 1"):
        cluster.wait(ResourceSettings(gpus=2))
    assert cluster.now == 0.0


@pytest.mark.usefixtures("_growth")
@pytest.mark.parametrize(("comes", "waited"), [(5, 5.0), (10**6, waiting.SETTLE_S)])
def test_machines_of_one_s_own_are_waited_for_but_not_for_long(
    growth: list[Growth], monkeypatch: pytest.MonkeyPatch, comes: int, waited: float
) -> None:
    growth[0] = Growth(always=2)
    other = Machine(name="10.0.0.3", cpus=2)
    cpu = Machine(name="10.0.0.2", cpus=2)
    cluster = Cluster(*[[HEAD, cpu]] * min(comes, 100), [HEAD, cpu, other])
    play(cluster, monkeypatch)
    shares = cluster.wait()
    assert shares.machines == (2 if comes == 5 else 1)
    assert cluster.now == waited
    assert cluster.said[0].startswith("Waiting for 1 more of 2 machines.")


def test_what_may_come_stands_in_the_cluster_files(tmp_path: Path) -> None:
    growth = growth_of(ROOT / "cluster.yaml")
    assert {(one.name, one.cpus, one.gpus) for one in growth.to_come} == {("gpu_spot", 4, 1.0)}
    assert (len(growth.to_come), growth.always) == (8, 0)
    assert growth_of(ROOT / "clusters" / "on_prem.yaml") == Growth()
    prepared = tmp_path / "prepared.yaml"
    prepared.write_text(
        "max_workers: 3\nhead_node_type: one\navailable_node_types:\n"
        "  one: {min_workers: 3, max_workers: 3, resources: {}, node_config: {}}\n"
    )
    assert growth_of(prepared) == Growth(always=3)
    assert growth_of(tmp_path / "none.yaml") == Growth()
    prepared.write_text("[")
    assert growth_of(prepared) == Growth()


STATUS = """======== Autoscaler status: 2026-11-25 22:16:58.820285 ========
Node status
---------------------------------------------------------------
Active:
 (no active nodes)
Pending:
 91d5498a-2d58: gpu_spot,{pending}
Recent failures:
 {failures}

Resources
---------------------------------------------------------------
"""


def test_news_are_what_is_pending_and_what_failed() -> None:
    text = STATUS.format(
        pending="\n 7a: gpu_spot, setting-up",
        failures="gpu_spot: InsufficientInstanceCapacity (latest_attempt: 12:00:01)",
    )
    assert news_in(text) == (
        " It is starting 91d5498a-2d58: gpu_spot; 7a: gpu_spot, setting-up. It failed with "
        "gpu_spot: InsufficientInstanceCapacity (latest_attempt: 12:00:01)."
    )
    calm = STATUS.replace(" 91d5498a-2d58: gpu_spot,", " (no pending nodes)")
    assert news_in(calm.format(pending="", failures="(no failures)")) == ""
    assert news_in("") == ""


def test_a_stall_is_told_after_a_while_and_again() -> None:
    said: list[str] = []
    watch = StallWatch(said.append, news=lambda: " It failed with nothing.")
    for second in range(100):
        watch.look(float(second), running=1, pending=3)
        watch.look(1000.0 + second, running=0, pending=0)
    assert said == []
    for second in range(65):
        watch.look(float(second), running=0, pending=2)
    assert said == [
        f"2 trials wait for a machine since {second} s, and none runs. It failed with nothing. "
        "Ctrl-C ends it; the same command goes on."
        for second in (30, 60)
    ]
