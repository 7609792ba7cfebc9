"""Flags and files that cannot work: all that is wrong is told at once."""

import itertools
from pathlib import Path

import pytest

from raycolor.errors import ConfigError
from tests.unit.plans import command, make, write


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
