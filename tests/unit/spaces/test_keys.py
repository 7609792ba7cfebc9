"""The keys of a space file as they are checked, and as `--keys` prints them."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from raycolor.config import TrialConfig, flattened, nested
from raycolor.spaces.keys import KINDS, NO_LIMIT, Key, domain_keys, groups, study_keys, trial_keys
from raycolor.spaces.manual import manual, table
from raycolor.spaces.space import StudySettings

ROOT = Path(__file__).parents[3]
SINGLE = [
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        2,
        3,
        4,
        5,
        7,
        8,
        10,
        11,
        15,
        16,
        64,
        100,
        256,
        1024,
        1025,
        4096,
    ),
    *(
        10_000,
        10_001,
        2**31,
        2**62,
        2**63,
        2**64,
        0.0,
        1e-9,
        0.5,
        1.0,
        1.5,
        0.999,
        64.0,
        1e6,
        1e300,
    ),
    *(math.inf, -math.inf, math.nan, "auto", "scratch", "vanilla", "tpe", "none", "exact", "x", ""),
]
"""Values, each of which some setting takes and some does not."""


def test_all_settings_are_keys_and_have_a_meaning() -> None:
    assert list(trial_keys()) == list(flattened(TrialConfig().model_dump()))
    study = flattened(StudySettings().model_dump(), "study.")
    assert list(study_keys()) == list(study)
    for key in [*trial_keys().values(), *study_keys().values()]:
        assert len(key.meaning) > 20, f"{key.path} needs a docstring"
        assert key.problem(key.default) is None, "the default is allowed"


@pytest.mark.parametrize("path", trial_keys())
def test_a_key_refuses_the_values_that_the_model_refuses(path: str) -> None:
    """Pydantic takes true for 1, 1 for true and "64" for 64, which the keys refuse besides."""
    key = trial_keys()[path]
    for value in SINGLE:
        refused = None
        try:
            TrialConfig.model_validate(nested({path: value}))
        except ValidationError as error:
            # What has no place is a clash with other settings, and no fault of the value.
            refused = [problem for problem in error.errors() if problem["loc"]]
        if key.problem(value) is None:
            assert not refused, value
        elif not isinstance(value, bool) and not (key.boolean and value in (0, 1)):
            assert refused, value


@pytest.mark.parametrize("path", study_keys())
def test_a_key_of_the_study_refuses_the_values_that_the_model_refuses(path: str) -> None:
    key = study_keys()[path]
    for value in SINGLE:
        tree = nested({path.removeprefix("study."): value})
        if key.problem(value) is None:
            if path != "study.resources.gpus" or value in ("auto", 0, 1):
                StudySettings.model_validate(tree)
        elif not isinstance(value, bool):
            with pytest.raises(ValidationError):
                StudySettings.model_validate(tree)


def test_whole_numbers_come_out_whole() -> None:
    key = trial_keys()["budget.images"]
    assert key.problem(1e3) is None
    assert isinstance(key.settled(1e3), int)
    assert trial_keys()["losses.l1_lambda"].settled(1e3) == 1000.0


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("data.size", "a whole number from 16 to 1024"),
        ("generator.depth", "a whole number from 2 to 10, or null"),
        ("generator.dropout", "a number of at least 0 and below 1"),
        ("generator.ema_decay", "a number above 0 and below 1, or null"),
        ("budget.images", "a whole number of at least 1"),
        ("data.flip", "true or false"),
        ("precision", "auto, float32 or bfloat16"),
        (
            "evaluation.extractor",
            "efficientnet_lite0, inception_v3 or the name of a network of timm",
        ),
        ("evaluation.extractor_weights", "the path of a file, or null"),
        ("study.concurrent", "a whole number from 1 to 10000 or auto"),
    ],
)
def test_what_is_allowed_is_said_in_words(path: str, allowed: str) -> None:
    assert {**trial_keys(), **study_keys()}[path].allowed() == allowed


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("evaluation.extractor", "inception_v3", None),
        ("evaluation.extractor", "convnext_tiny.in12k_ft_in1k", None),
        ("evaluation.extractor", "inceptionv3", "did you mean inception_v3?"),
        ("evaluation.extractor", "resnet5o", "did you mean resnet50?"),
        ("evaluation.extractor", "qqqqqqqq", "is not possible; take efficientnet_lite0, incep"),
        ("evaluation.extractor", "", "is not possible; take efficientnet_lite0, incep"),
        ("evaluation.extractor", None, "has no value"),
        ("evaluation.extractor", 3, "3 is not possible"),
        ("evaluation.extractor_weights", "some file.pth", None),
        ("evaluation.extractor_weights", None, None),
        ("evaluation.extractor_weights", " ", "take the path of a file, or null"),
        ("evaluation.extractor_weights", 3, "3 is not possible; take the path of a file"),
    ],
)
def test_text_of_ones_own(path: str, value: object, said: str | None) -> None:
    found = trial_keys()[path].problem(value)
    assert found == said if said is None else said in str(found)


def test_a_model_that_no_rule_describes_is_noticed() -> None:
    class Strange(BaseModel):
        path: complex = 1j

    from raycolor.spaces.keys import _keys

    with pytest.raises(TypeError, match=r"strange\.path: no rule says how <class 'complex'>"):
        list(_keys(Strange, "strange."))


def test_groups_are_the_beginnings_of_settings() -> None:
    assert "optimizers.generator" in groups()
    assert "optimizers" in groups()
    assert not set(groups()) & set(trial_keys())


def test_every_kind_of_domain_has_its_keys() -> None:
    for kind, model in KINDS.items():
        described = {"kind", "when", *domain_keys(kind)} | ({"values"} & set(model.model_fields))
        assert described == set(model.model_fields)


# --- what is printed


def test_a_pipe_gets_one_line_a_key() -> None:
    lines = manual(None).splitlines()
    for path, key in {**trial_keys(), **study_keys()}.items():
        (line,) = [line for line in lines if line.startswith(f"{path}: ")]
        assert key.meaning in line
        assert key.allowed().split(",")[0][1:] in line
    for kind in KINDS:
        assert sum(line.startswith(f"{{kind: {kind}, ") for line in lines) == 1
    assert not any(line.startswith(" ") for line in lines)


@pytest.mark.parametrize("columns", [1, 40, 60, 80, 100, 500])
def test_a_terminal_gets_lines_that_fit(columns: int) -> None:
    text = manual(columns)
    keys = [line for line in text.splitlines() if not line.startswith((" ", "#")) and line]
    assert len(keys) == len(trial_keys()) + len(study_keys()) + len(KINDS) + 1
    for line in text.splitlines():
        assert len(line) <= max(60, columns)
    assert " ".join(text.split()).count("Weight of the mean absolute error") == 1


def test_what_is_printed_as_a_line_can_be_pasted_into_a_space_file(tmp_path: Path) -> None:
    from raycolor.spaces.file import load_space

    lines = manual(None).splitlines()
    trial = lines[lines.index(next(line for line in lines if line.startswith("data.size"))) :]
    fixed = [f"  {line}" for line in trial if "--seed" not in line]
    path = tmp_path / "all.yaml"
    path.write_text("fixed:\n" + "\n".join(fixed) + "\n", encoding="utf-8")
    space = load_space(path)
    assert space.config({}) == TrialConfig()
    assert len(space.fixed) == len(trial_keys()) - 2


def test_the_command_prints_them_without_other_flags_and_without_heavy_imports(
    tmp_path: Path,
) -> None:
    program = (
        "import json, sys\n"
        "from raycolor.search import main\n"
        "sys.argv = ['search', '--keys']\n"
        "main()\n"
        "heavy = {'torch', 'ray', 'optuna', 'kornia', 'pyarrow', 'numpy', 'tensorboard'}\n"
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
    assert done.stdout == manual(None) + "\n"
    assert "\x1b" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m raycolor.search --keys | head -n 1",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("# The study")
    assert done.stderr == ""


def test_the_script_prints_the_readme_s_table() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "keys.py"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == table() + "\n"
    rows = re.findall(r"^\| `([\w.]+)` \| (.*) \| (\S+) \| (.*) \|$", table(), flags=re.MULTILINE)
    assert [row[0] for row in rows] == list(trial_keys())


def test_limits_that_only_guard_integers_are_not_printed() -> None:
    assert f"{NO_LIMIT:g}" not in manual(None) + table()
    assert "9223372036854775808" not in manual(None) + table()
    key: Key = trial_keys()["seed"]
    assert key.problem(2**63) == (
        "9223372036854775808 is too large for 64 bits; take a whole number of at least 0"
    )


def test_many_words_are_named_in_full_only_where_keys_are_listed() -> None:
    key = trial_keys()["generator.backbone"]
    short = key.allowed()
    assert short.startswith("scratch, efficientnet_lite0, resnet18, ")
    assert short.endswith("others (python -m raycolor.search --keys lists all)")
    assert len(short) < 160
    assert all(word in key.allowed(in_full=True) for word in key.words)
    assert all(word in manual(None) for word in key.words)
    assert len(next(line for line in table().splitlines() if "generator.backbone" in line)) < 500


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("resnet_50", "did you mean resnet50?"),
        ("efficientnet-b0", "did you mean efficientnet_b0"),
        ("resnet", "did you mean resnet18, resnet34 or resnet50?"),
        ("xyz", "take scratch, efficientnet_lite0, "),
    ],
)
def test_near_backbones_are_offered(value: str, said: str) -> None:
    problem = trial_keys()["generator.backbone"].problem(value)
    assert problem is not None
    assert said in problem
    assert len(problem) < 300


def test_a_path_is_told_by_its_ending() -> None:
    key = trial_keys()["generator.weights"]
    assert key.problem("some/folder/mine.safetensors") is None
    take = "imagenet, none or the path of a file that ends in .pth, .pt or .safetensors"
    assert key.problem("mine.zip") == f"'mine.zip' is not possible; take {take}"
    assert key.problem("imagnet") == (
        f"'imagnet' is not possible; did you mean imagenet? It takes {take}"
    )
    assert key.problem(None) == f"has no value; take {take}"
