"""The command for a GPU runs small on a CPU, without Ray; its estimate follows the plan."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import gpu
import gpu_hours
import gpu_steps
import traced

from raycolor.study.forecast import expected_images

ROOT = Path(__file__).parents[2]
WITHOUT_RAY = (
    "import runpy, sys; sys.modules['ray'] = None; sys.path.insert(0, 'benchmarks'); "
    "runpy.run_path('benchmarks/gpu.py', run_name='__main__')"
)


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_RAY, *flags],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_everything_is_measured_without_ray(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    ended = run("--quick", "--out", str(out))
    assert ended.returncode == 0, ended.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert {(row["precision"], row["determinism"]) for row in found["results"]} == {
        (precision, determinism)
        for precision in gpu_steps.PRECISIONS
        for determinism in gpu_steps.DETERMINISMS
    }
    for row in found["results"]:
        assert row["failed"] is None
        assert row["pretraining_images_per_second"] > 0
        assert row["adversarial_images_per_second"] > 0
    assert found["packing"]["scratch"][0]["images_per_second"] > 0
    assert found["evaluation"]["scratch"]["seconds"] > 0
    assert len(found["traces"]["scratch"]["operations"]) == 3
    trace = json.loads((tmp_path / "gpu.scratch.trace.json").read_text(encoding="utf-8"))
    assert trace["traceEvents"]
    (estimate,) = found["estimates"]
    assert estimate["trials_per_hour"] == {"1": pytest.approx(64 / estimate["hours"])}
    assert not list(tmp_path.glob("*.part"))


def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: benchmarks/gpu.py measures a GPU")


@pytest.mark.parametrize("space", ["pix2pix_256", "resnet18_256"])
def test_expected_images_are_those_of_the_forecast(space: str) -> None:
    plan = gpu_hours.plan_of(space, trials=64, epochs=100, pictures=8000)
    pretraining = plan.pretraining_of(plan.space.baseline)
    early, late = gpu_hours.expected_stages(plan, pretraining)
    assert early + late == pytest.approx(expected_images(plan, pretraining=pretraining))
    assert early == pretraining  # nobody is compared before its end
    slow = gpu_hours.estimate(plan, gpu_hours.Speeds(pretraining=100, adversarial=50))
    fast = gpu_hours.estimate(
        plan, gpu_hours.Speeds(pretraining=200, adversarial=100, packing_gain=1.5)
    )
    assert slow["hours"] == pytest.approx(64 * (early / 100 + late / 50) / 3600)
    assert fast["hours"] == pytest.approx(slow["hours"] / 2)
    assert fast["hours_packed"] == pytest.approx(fast["hours"] / 1.5)
    assert slow["hours"] < slow["hours_without_halving"]
    again = gpu_hours.Speeds(pretraining=100, adversarial=50, evaluation_seconds=2.0)
    more = gpu_hours.estimate(plan, again)
    assert more["hours"] - slow["hours"] == pytest.approx(more["evaluations"] * 2 / 3600)


def test_costs_of_one_name_are_added_and_ranked() -> None:
    costs = [("a", 1e3), ("b", 4e3), ("a", 2e3), ("c", 0.0), ("d", 1e3), ("e", 2e3)]
    assert [(one["name"], one["share"]) for one in traced.dearest(costs)] == [
        ("b", 0.4),
        ("a", 0.3),
        ("e", 0.2),
    ]
    assert traced.dearest([("c", 0.0)]) == []


def test_a_case_that_fails_is_a_sentence_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu_steps, "set_determinism", lambda _: None)
    bench = gpu_steps.Bench(["scratch"], size=32, quick=True)
    case = gpu_steps.Case(
        backbone="scratch", precision="float32", determinism="exact", batch_size=2
    )
    one, other = gpu_steps.Found(), gpu_steps.Found()

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    with monkeypatch.context() as patch:
        patch.setitem(gpu_steps.STEPS, "adversarial", full)
        bench.measure(case, one, 0.0)
    assert one.failed == "It does not fit into the GPU's memory."
    assert gpu_steps.result(one, case, {"pretraining": 1, "adversarial": 1}, 1.0)["failed"]
    bench.measure(case, other, 0.0)
    assert other.failed is None
    told = gpu_steps.sentence(RuntimeError("no compiler\nmore"), compiled=True)
    assert told == "It cannot be compiled here: no compiler"
