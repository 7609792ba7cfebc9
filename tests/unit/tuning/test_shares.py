"""What a trial gets of machines that may differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycolor.errors import ConfigError
from raycolor.spaces.space import ResourceSettings
from raycolor.tuning.shares import (
    MOST_ON_CPU,
    Machine,
    Shares,
    check_gpu_hours,
    share_out,
)

AUTO = ResourceSettings()


def machine(cpus: int, gpus: float = 0.0) -> Machine:
    return Machine(name="a", cpus=cpus, gpus=gpus)


machines = st.lists(
    st.builds(machine, st.integers(0, 64), st.sampled_from([0.0, 1.0, 2.0, 8.0])), min_size=1
)


@given(machines, st.none() | st.integers(1, 40))
def test_trials_fit_and_no_core_more_would(found: list[Machine], concurrent: int | None) -> None:
    try:
        shares = share_out(found, AUTO, concurrent=concurrent)
    except ConfigError:
        need = 1.0 if any(one.gpus >= 1 for one in found) else 0.0
        assert not any(one.places(1, need) for one in found)
        return
    held = sum(one.places(shares.cpus, shares.gpus) for one in found)
    assert held >= 1
    able = [one for one in found if one.places(1, shares.gpus)]
    most = sum(int(one.gpus) if shares.gpus else one.cpus for one in able)
    if shares.concurrent <= most and (concurrent is None or concurrent <= held):
        more = sum(one.places(shares.cpus + 1, shares.gpus) for one in found)
        assert more < min(shares.concurrent, most) or more == 0
    assert 1 <= shares.machines <= len(found)


@pytest.mark.parametrize(
    ("cores", "concurrent", "expected"),
    [
        (2, None, (2, 1)),
        (8, None, (4, 2)),
        (6, None, (4, 1)),
        (64, None, (4, 16)),
        (2, 4, (4, 1)),
        (8, 6, (6, 1)),
        (9, 2, (2, 4)),
    ],
)
def test_one_machine_without_gpus(
    cores: int, concurrent: int | None, expected: tuple[int, int]
) -> None:
    shares = share_out([machine(cores)], AUTO, concurrent=concurrent)
    assert (shares.concurrent, shares.cpus) == expected
    assert shares.concurrent <= MOST_ON_CPU or concurrent


def test_the_head_s_lack_of_cores_is_no_machine() -> None:
    found = [machine(0), machine(4, 1.0), machine(8, 2.0)]
    assert share_out(found, AUTO, concurrent=None) == Shares(
        concurrent=3, cpus=4, gpus=1.0, machines=2
    )


def test_cores_of_machines_without_gpus_do_not_count_for_trials_on_gpus() -> None:
    found = [machine(96), machine(4, 4.0)]
    shares = share_out(found, AUTO, concurrent=None)
    assert (shares.concurrent, shares.cpus, shares.gpus) == (4, 1, 1.0)


def test_a_gpu_is_shared_by_thirds() -> None:
    shares = share_out([machine(6, 1.0)], ResourceSettings(gpus=0.33), concurrent=None)
    assert (shares.concurrent, shares.cpus) == (3, 2)


def test_machines_to_come_are_asked_for_at_once() -> None:
    to_come = [machine(4, 1.0)] * 8
    shares = share_out([machine(0)], AUTO, concurrent=None, to_come=to_come)
    assert (shares.concurrent, shares.cpus, shares.gpus) == (8, 4, 1.0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (ResourceSettings(gpus=2), "gpus: a trial asks for 2 GPUs, the largest machine has 1; "),
        (ResourceSettings(cpus=9), "cpus: a trial asks for 9 cores, the largest machine has 4; "),
    ],
)
def test_too_large_a_trial_is_one_sentence(settings: ResourceSettings, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        share_out([machine(4, 1.0)], settings, concurrent=None)
    assert str(caught.value).startswith(f"study.resources.{sentence}ask for fewer")


@pytest.mark.parametrize(
    ("gpus", "places"),
    [(0.33, 3), (0.34, 3), (1 / 3, 3), (0.255, 4), (0.5, 2), (0.12, 8), (0.13, 8), (1 / 8, 8)],
)
def test_as_many_as_a_share_says_fit_on_a_gpu(gpus: float, places: int) -> None:
    found = [machine(places, 1.0)]
    shares = share_out(found, ResourceSettings(gpus=gpus), concurrent=None)
    assert shares.concurrent == places
    assert places * shares.gpus <= 1 < (places + 1) * shares.gpus


@pytest.mark.parametrize(
    ("cluster", "where", "wait"),
    [
        (False, "this machine has none", ""),
        (
            True,
            "no machine of the cluster has a GPU for them",
            "wait for one with --set study.resources.gpus=1, or ",
        ),
    ],
)
def test_gpu_hours_without_a_gpu_are_refused(cluster: bool, where: str, wait: str) -> None:
    without = share_out([machine(4)], AUTO, concurrent=None)
    with pytest.raises(ConfigError) as caught:
        check_gpu_hours(3.5, without, cluster=cluster)
    assert str(caught.value) == (
        f"--gpu-hours 3.5: the trials use no GPU ({where}), so this limit would never come; "
        f"{wait}leave it out, or limit the search with --time-budget SECONDS, or with --max-cost "
        "and study.resources.price_per_hour"
    )
    check_gpu_hours(None, without, cluster=cluster)
    for gpus in (1, 0.5):
        shares = share_out([machine(4, 1.0)], ResourceSettings(gpus=gpus), concurrent=None)
        check_gpu_hours(3.5, shares, cluster=cluster)
