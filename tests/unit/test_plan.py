"""Plans: what a study costs and what makes it the same study; the command line that makes them."""

import dataclasses
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tyro
from hypothesis import given, settings
from hypothesis import strategies as st

from raycolor import search
from raycolor.errors import ConfigError
from raycolor.plan import Plan, differences, make_plan
from raycolor.spaces.domains import combinations
from raycolor.spaces.file import AT_TOP_LEVEL
from raycolor.study.forecast import expected_images
from raycolor.study.records import Session, from_line, to_line


def make(space: str = "quickstart", **flags: Any) -> Plan:
    """Make a plan; flags are those of `make_plan`."""
    defaults: dict[str, Any] = {
        "study": None,
        "out": Path("results"),
        "data": "photos",
        "trials": None,
        "concurrent": None,
        "overrides": {},
        "address": None,
        "time_budget_s": None,
        "seed": 0,
    }
    return make_plan(space=space, **(defaults | flags))


def write(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def halving(
    folder: Path, *, trials: int, images: int, reduction: int = 3, every: int = 1, first: int = 1
) -> Plan:
    """Make a plan whose cost is known."""
    return make(
        write(
            folder,
            f"study: {{trials: {trials}, scheduler: "
            f"{{first_rung: {first}, reduction: {reduction}}}}}\n"
            f"fixed: {{budget.images: {images}, budget.report_every: {every}, "
            "budget.batch_size: 1}\n",
        )
    )


# --- what a plan says


def test_the_flags_come_before_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "study: {trials: 7, concurrent: 2}\n")
    plan = make(path)
    assert (plan.trials, plan.concurrent, plan.study) == (7, 2, "mine")
    plan = make(path, trials=5, concurrent=3, study="other", out=tmp_path)
    assert (plan.trials, plan.concurrent, plan.folder) == (5, 3, tmp_path / "other")


def test_the_objective_is_the_best_distance_so_far() -> None:
    assert make().objective == "fd_efficientnet_lite0_best"


def test_the_largest_cost_is_that_of_trials_that_are_never_stopped(tmp_path: Path) -> None:
    assert halving(tmp_path, trials=9, images=9).largest_cost() == 81


def test_the_smallest_cost_is_that_of_exact_halving(tmp_path: Path) -> None:
    # 9 trials to 1 image, 3 of them to 3, 1 of them to 9.
    plan = halving(tmp_path, trials=9, images=9)
    assert plan.rungs == (1, 3, 9)
    assert plan.smallest_cost() == 9 * 1 + 3 * 2 + 1 * 6


@settings(max_examples=50, deadline=None)
@given(
    trials=st.integers(1, 100),
    images=st.integers(1, 300),
    reduction=st.integers(2, 6),
    first=st.integers(1, 20),
)
def test_costs_are_ordered(
    tmp_path_factory: pytest.TempPathFactory, trials: int, images: int, reduction: int, first: int
) -> None:
    folder = tmp_path_factory.mktemp("cost")
    plan = halving(
        folder, trials=trials, images=images, reduction=reduction, first=min(first, images)
    )
    assert trials * plan.rungs[0] <= plan.smallest_cost() <= plan.largest_cost()
    assert trials * expected_images(plan) <= plan.smallest_cost() + 1e-6


def test_without_halving_both_costs_are_the_same(tmp_path: Path) -> None:
    plan = make(overrides={"study.scheduler.kind": "none"})
    assert plan.rungs == ()
    assert plan.smallest_cost() == plan.largest_cost()
    assert "Rungs      none: every trial trains to its end" in plan.describe()


def test_a_grid_without_a_number_runs_all_its_combinations(tmp_path: Path) -> None:
    text = """
study: {searcher: {kind: grid}}
search:
  generator.backbone: {kind: choice, values: [scratch, efficientnet_lite0]}
  generator.width: {kind: int, low: 16, high: 128, step: 16}
"""
    plan = make(write(tmp_path, text))
    assert plan.trials == len(list(combinations(plan.space.search))) == 16
    assert make(write(tmp_path, text.replace("grid", "random"))).trials == 10
    assert make(write(tmp_path, text.replace("{s", "{trials: 3, s"))).trials == 3


def test_a_grid_that_nobody_can_run_is_refused_unless_a_number_is_given(tmp_path: Path) -> None:
    values = ", ".join(str(number) for number in range(1, 401))
    text = f"""
study: {{searcher: {{kind: grid}}}}
search:
  losses.l1_lambda: {{kind: choice, values: [{values}]}}
  evaluation.batch_size: {{kind: choice, values: [{values}]}}
"""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"more than 100,000 combinations; .* --trials N$"):
        make(path)
    assert make(path, trials=7).trials == 7


def test_a_grid_has_no_more_trials_than_combinations(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "study: {trials: 100, searcher: {kind: grid}}\n"
        "search:\n"
        "  generator.backbone: {kind: choice, values: [scratch, efficientnet_lite0]}\n"
        "  generator.width: {kind: int, low: 16, high: 48, step: 16}\n",
    )
    plan = make(path)
    assert plan.trials == len(list(combinations(plan.space.search))) == 6
    assert make(path, trials=4).trials == 4


@pytest.mark.parametrize("path", sorted(AT_TOP_LEVEL.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_description_names_trials_rungs_costs_and_every_domain(path: Path) -> None:
    plan = make(path.stem, trials=5, concurrent=3, time_budget_s=90.0, seed=5)
    text = plan.describe()
    assert f"Study      {path.stem} in results/{path.stem}" in text
    assert "Trials     5, 3 at once" in text
    assert "seed 5" in text
    assert "Time       at most about 90 s" in text
    assert f"at most {plan.largest_cost():,} training images" in text
    assert all(f"{rung:,}" in text for rung in plan.rungs)
    for setting, domain in plan.space.search.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"  {setting} "))
        assert f" {domain.kind}: " in line
        assert all(other in line for other in domain.when)


# --- which study it is


def test_what_does_not_make_another_study() -> None:
    plan, changed = (
        make(),
        make(
            trials=99,
            concurrent=7,
            address="auto",
            time_budget_s=1.0,
            study="other",
            out=Path("elsewhere"),
            overrides={"study.resources.cpus": 3, "study.trials": 4},
        ),
    )
    assert differences(plan.identity(), changed.identity()) == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"seed": 1}, ["seed: was 0, is now 1"]),
        ({"data": "mine"}, [f"data: was 'photos', is now {str(Path('mine').resolve())!r}"]),
        (
            {"overrides": {"study.searcher.kind": "random"}},
            ["study.searcher.kind: was 'tpe', is now 'random'"],
        ),
        (
            {"overrides": {"study.scheduler.reduction": 3}},
            ["study.scheduler.reduction: was 4, is now 3"],
        ),
        ({"overrides": {"generator.width": 64}}, ["fixed.generator.width: was 32, is now 64"]),
    ],
)
def test_what_makes_another_study(flags: Mapping[str, Any], expected: list[str]) -> None:
    assert differences(make().identity(), make(**flags).identity()) == expected


def test_a_domain_that_changes_makes_another_study(tmp_path: Path) -> None:
    text = "search: {losses.l1_lambda: {kind: uniform, low: 20, high: 200}}\n"
    before = make(write(tmp_path, text)).identity()
    after = make(write(tmp_path, text.replace("200", "300"))).identity()
    assert differences(before, after) == ["search.losses.l1_lambda.high: was 200.0, is now 300.0"]


def test_a_value_that_is_fixed_beside_a_condition_belongs_to_the_study(tmp_path: Path) -> None:
    text = """
fixed: {losses.l1_lambda: 50}
search:
  data.flip: {kind: choice, values: [true, false]}
  losses.l1_lambda: {kind: uniform, low: 20, high: 200, when: {data.flip: [true]}}
"""
    before = make(write(tmp_path, text))
    assert before.space.config({"data.flip": False}).losses.l1_lambda == 50
    after = make(write(tmp_path, text.replace("50", "60")))
    assert differences(before.identity(), after.identity()) == [
        "fixed.losses.l1_lambda: was 50.0, is now 60.0"
    ]


def test_the_same_number_in_another_spelling_is_the_same_study() -> None:
    whole, real = (make(overrides={"losses.l1_lambda": value}).identity() for value in (100, 100.0))
    assert differences(whole, real) == []


@pytest.mark.parametrize("path", sorted(AT_TOP_LEVEL.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_identity_survives_the_journal(path: Path) -> None:
    plan = make(path.stem)
    session = Session(
        format=1, time=0.0, identity=plan.identity(), plan=plan.as_tree(), environment={}
    )
    read = from_line(to_line(session))
    assert isinstance(read, Session)
    assert differences(read.identity, plan.identity()) == []
    assert differences(plan.as_tree(), read.plan) == []


def test_a_study_of_before_a_setting_existed_had_its_default() -> None:
    before = json.loads(json.dumps(make().identity()))
    del before["fixed"]["generator.weights"], before["fixed"]["pretraining.frozen_images"]
    assert differences(before, make().identity()) == []
    changed = make(overrides={"generator.weights": "none"}).identity()
    assert differences(before, changed) == [
        "fixed.generator.weights: was 'imagenet', is now 'none'"
    ]


# --- flags that cannot work


def test_all_problems_of_flags_and_file_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "fixed: {losses.l1_lamda: 1}\n")
    with pytest.raises(ConfigError) as caught:
        make(path, trials=0, concurrent=0, time_budget_s=0.0, seed=-1, study="a/b")
    assert str(caught.value).splitlines() == [
        "--trials 0: a study has from 1 to 100000 trials",
        "--concurrent 0: give a number from 1 to 10000",
        ("--time-budget 0: give a number of seconds above 0, or leave the flag out for no limit"),
        "--seed -1: give a number from 0 to 4294967295",
        (
            "--study 'a/b': becomes a folder's name; use at most 100 letters, digits, '.', '_' "
            "and '-', the first a letter or digit"
        ),
        (
            f"{path}:1: fixed.losses.l1_lamda: there is no such setting; did you mean "
            "losses.l1_lambda? (python -m raycolor.search --keys lists all)"
        ),
    ]


def test_a_file_whose_name_is_no_folder_needs_a_study(tmp_path: Path) -> None:
    path = tmp_path / "my space.yaml"
    path.write_text("study: {trials: 3}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"'my space' cannot; name the study: --study NAME$"):
        make(str(path))
    assert make(str(path), study="mine").study == "mine"


@pytest.mark.parametrize("study", ["", ".", "..", ".hidden", "a b", "ä", "-x", "a\n", "a" * 101])
def test_a_name_that_is_no_folder(study: str) -> None:
    with pytest.raises(ConfigError, match="becomes a folder's name"):
        make(study=study)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_budget_that_is_none(seconds: float) -> None:
    with pytest.raises(
        ConfigError, match=r"^--time-budget .*: give a number of seconds above 0, or"
    ):
        make(time_budget_s=seconds)


def test_gpu_hours_of_trials_without_a_gpu_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        make(gpu_hours=8.0, overrides={"study.resources.gpus": 0})
    assert str(caught.value) == (
        "--gpu-hours 8: trials use no GPU (study.resources.gpus: 0), so this limit would never "
        "come; leave it out, or limit the search with --time-budget SECONDS, or with --max-cost "
        "and study.resources.price_per_hour"
    )
    for gpus in (1, 0.5, "auto"):
        assert make(gpu_hours=8.0, overrides={"study.resources.gpus": gpus}).gpu_hours == 8.0


# --- the command line

FLAGS = {
    "--space",
    "--study",
    "--out",
    "--data",
    "--trials",
    "--concurrent",
    "--set",
    "--address",
    "--time-budget",
    "--gpu-hours",
    "--max-cost",
    "--fresh",
    "--revive",
    "--seed",
    "--dry-run",
    "--keys",
}


def test_the_flags_are_frozen() -> None:
    """Users' scripts and notes hold these names; one may come, none may go or change."""
    names = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(search.Flags)}
    assert names == FLAGS


def test_the_flags_without_arguments_are_the_quickstart() -> None:
    flags = tyro.cli(search.Flags, args=[])
    assert (flags.space, flags.data, str(flags.out), flags.seed) == (
        "quickstart",
        "photos",
        "results",
        0,
    )
    assert not flags.dry_run


def command(*flags: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "raycolor.search", *flags],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_names_every_flag(tmp_path: Path) -> None:
    done = command("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(flag in done.stdout for flag in FLAGS)
    # Words of the library, which say nothing to a reader.
    assert not re.search(r"\{None\}|default: None|default: False|--no-", done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_dry_run_prints_the_plan_and_leaves_nothing(tmp_path: Path) -> None:
    done = command("--dry-run", "--trials", "6", "--seed", "3", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    plan = make(trials=6, seed=3)
    assert done.stdout.strip() == plan.describe()
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_takes_values_as_a_space_file_does(tmp_path: Path) -> None:
    done = command(
        "--dry-run",
        *("--set", "optimizers.generator.learning_rate=1e-3"),
        *("--set", "study.scheduler.kind=none"),
        *("--set", "generator.ema_decay=null"),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "optimizers.generator.learning_rate  " not in done.stdout
    assert "every trial trains to its end" in done.stdout


def test_a_dry_run_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import json, sys\n"
        "from raycolor.search import main\n"
        "sys.argv = ['search', '--dry-run']\n"
        "main()\n"
        "heavy = {'torch', 'ray', 'optuna', 'kornia', 'scipy', 'plotly', 'tensorboard'}\n"
        "print(json.dumps(sorted(heavy & set(sys.modules))), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stderr) == []


BAD_FLAGS = {
    "no such space": (
        ["--space", "none"],
        ["--space none: no such file, and no space of that name; shipped are: "],
    ),
    "several": (
        [
            "--trials",
            "0",
            "--seed",
            "-1",
            "--set",
            "losses.l1_lambda",
            "--set",
            "losses.l1_lamda=1",
        ],
        [
            "--set losses.l1_lambda: give PATH=VALUE, as in --set losses.l1_lambda=100",
            "--trials 0: a study has from 1 to 100000 trials",
            "--seed -1: give a number from 0 to 4294967295",
            "--set losses.l1_lamda=1: there is no such setting; did you mean losses.l1_lambda?",
        ],
    ),
    "a domain as a value": (
        ["--set", "losses.l1_lambda={kind: uniform, low: 1, high: 2}"],
        [
            (
                "--set losses.l1_lambda={kind: uniform, low: 1, high: 2}: give one value; "
                "domains stand in a space file"
            )
        ],
    ),
    "an impossible value": (
        ["--set", "losses.l1_lambda=-5", "--study", "a/b"],
        [
            "--study 'a/b': becomes a folder's name; use at most 100 letters, digits,",
            "--set losses.l1_lambda=-5: -5 is too small; take a number from 0 to 10000",
        ],
    ),
    "an impossible combination": (
        ["--set", "budget.batch_size=40", "--set", "data.size=72"],
        [
            (
                "--set data.size=72: 72 is no multiple of 32, which generator.backbone: "
                "efficientnet_lite0 needs; take 64 or 96"
            ),
            (
                ": fixed.budget.report_every: 768 is no multiple of budget.batch_size: 40; "
                "take 640 or 960"
            ),
        ],
    ),
    "a setting twice": (
        ["--set", "data.size=32", "--set", "data.size=64"],
        ["--set data.size=64: data.size is set twice; keep one of the two"],
    ),
    "a value for a mapping of the study": (
        ["--set", "study.searcher=random"],
        ["--set study.searcher=random: has keys of its own; write searcher: {kind: random}"],
    ),
    "a setting of the study without its prefix": (
        ["--set", "trials=3"],
        ["--set trials=3: there is no such setting of a trial; did you mean study.trials"],
    ),
    "a mistyped space": (
        ["--space", "quikstart"],
        ["--space quikstart: no such file, and no space of that name; did you mean quickstart?"],
    ),
    "no number": (["--trials", "many"], ["--trials"]),
    "no such flag": (["--trails", "3"], ["--trails"]),
}


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(("flags", "lines"), BAD_FLAGS.values(), ids=BAD_FLAGS.keys())
def test_bad_flags_exit_with_2_and_say_all_that_is_wrong(
    tmp_path: Path, flags: list[str], lines: list[str], dry_run: bool
) -> None:
    done = command(*flags, *(["--dry-run"] if dry_run else []), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for line in lines:
        assert line in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_pair_of_bad_flags_is_told(tmp_path: Path) -> None:
    wrong = {"trials": 0, "concurrent": 0, "seed": -1, "study": "", "space": "none"}
    for names in itertools.combinations(wrong, 2):
        with pytest.raises(ConfigError) as caught:
            make(**{name: wrong[name] for name in names})  # type: ignore[arg-type]  # of many types
        said = str(caught.value).splitlines()
        assert [line.split()[0].removeprefix("--") for line in said] == [
            name for name in wrong if name in names
        ]


@pytest.mark.parametrize("address", ["s3://bucket/studies", "gs://bucket", "file:///tmp/studies"])
def test_studies_may_lie_at_an_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", "/cache")
    plan = make(out=address, study="a")
    assert plan.where == plan.address_of_study == f"{address}/a"
    scheme, _, rest = address.partition("://")
    assert plan.folder == Path("/cache/studies") / scheme / rest.lstrip("/") / "a"


def test_an_address_that_is_none_is_one_problem_among_others() -> None:
    with pytest.raises(ConfigError) as caught:
        make(out="hdfs://host/a", trials=0)
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["--trials", "--out"]
