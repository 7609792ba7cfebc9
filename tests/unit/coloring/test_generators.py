"""`--from` finds the generator of a study, of its best folder or of one of its trials."""

from pathlib import Path

import pytest

from raycolor.coloring.generators import find_generator
from raycolor.errors import CheckpointError
from raycolor.plan import Plan
from raycolor.study.journal import Journal
from tests.unit.study.fakes import make
from tests.unit.study.told import Told

FIRST, SECOND, THIRD = "000_lite0_lambda50", "001_scratch_lambda84", "002_lite0_lambda84"


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(tmp_path)
    return make(Path())


@pytest.fixture
def study(plan: Plan) -> Path:
    """Three trials: the first best at 32 images, the second at 16, the third without a report."""
    told = Told().session(plan)
    told.ask(losses__l1_lambda=50.0)
    for images, value in ((16, 70.0), (32, 60.0), (48, 65.0)):
        told.report(0, images, value)
    told.ask(generator__backbone="scratch")
    told.report(1, 16, 65.0)
    told.ask()
    with Journal(plan.folder / "journal") as journal:
        for record in told.records:
            journal.append(record)
    for name, images in ((FIRST, 16), (FIRST, 32), (SECOND, 16)):
        keep(plan.folder, name, images)
    (plan.folder / "checkpoints" / THIRD).mkdir()
    return plan.folder


def keep(study: Path, name: str, images: int) -> Path:
    path = study / "checkpoints" / name / f"best_{images}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{name} {images}")
    return path


def of(study: Path, name: str, images: int) -> Path:
    return study / "checkpoints" / name / f"best_{images}.safetensors"


def refused(named: object) -> str:
    with pytest.raises(CheckpointError) as caught:
        find_generator(str(named))
    assert str(caught.value).startswith(f"--from {named}: ")
    return str(caught.value).removeprefix(f"--from {named}: ")


class TestFinding:
    @pytest.mark.parametrize("named", ["", "best", "best/generator.safetensors"])
    def test_best(self, study: Path, named: str) -> None:
        path = study / "best" / "generator.safetensors"
        path.parent.mkdir()
        path.write_text("best")
        assert find_generator(str(study / named)) == path

    @pytest.mark.parametrize("trial", ["0", "00", "000", FIRST])
    def test_trial(self, study: Path, trial: str) -> None:
        assert find_generator(f"{study}:{trial}") == of(study, FIRST, 32)

    def test_trials_folder(self, study: Path) -> None:
        assert find_generator(str(study / "checkpoints" / FIRST)) == of(study, FIRST, 32)

    def test_report_of_the_journal_wins(self, study: Path) -> None:
        # Killed after it wrote this, and before the study heard of it.
        keep(study, FIRST, 64)
        assert find_generator(f"{study}:0") == of(study, FIRST, 32)
        of(study, FIRST, 32).unlink()
        assert find_generator(f"{study}:0") == of(study, FIRST, 64)

    def test_without_a_journal(self, study: Path) -> None:
        (study / "journal" / "journal.jsonl").unlink()
        assert find_generator(f"{study}:1") == of(study, SECOND, 16)
        assert find_generator(f"{study}:{FIRST}") == of(study, FIRST, 32)

    def test_path_with_a_colon(self, study: Path) -> None:
        odd = study.parent / "odd:1"
        study.rename(odd)
        assert find_generator(f"{odd}:0") == of(odd, FIRST, 32)
        (odd / "best").mkdir()
        (odd / "best" / "generator.safetensors").write_text("best")
        assert find_generator(str(odd)) == odd / "best" / "generator.safetensors"

    def test_path_that_looks_like_a_trial(self, study: Path) -> None:
        folder = study.parent / f"{study.name}:1"
        keep(folder, "x", 16).rename(folder / "best_16.safetensors")
        assert find_generator(f"{study}:1") == folder / "best_16.safetensors"


class TestRefusing:
    def test_no_such_trial(self, study: Path) -> None:
        expected = f"there is no such trial; the study has {FIRST}, {SECOND}, {THIRD}"
        for trial in ("3", "99", "", "x", "lite0", "-1", "1.0"):
            assert refused(f"{study}:{trial}") == expected

    def test_many_trials_are_not_all_listed(self, study: Path) -> None:
        (study / "journal" / "journal.jsonl").unlink()
        for number in range(3, 40):
            (study / "checkpoints" / f"{number:03d}").mkdir()
        assert refused(f"{study}:99").endswith(", 010, 011 and 28 more")

    def test_trial_without_a_generator(self, study: Path) -> None:
        assert refused(f"{study}:2") == (
            f"{THIRD} has no generator: it has not reported, or its checkpoints were removed; "
            f"trials that have one: {FIRST}, {SECOND}"
        )

    def test_study_whose_best_is_gone(self, study: Path) -> None:
        assert refused(study) == (
            "no best/generator.safetensors in it; give the search's command again, which writes "
            f"it, or name a trial, as {study}:{FIRST}"
        )

    def test_study_without_a_report(self, plan: Plan) -> None:
        with Journal(plan.folder / "journal") as journal:
            journal.append(Told().session(plan).records[0])
        assert refused(plan.folder) == ("the study has no generator yet; wait for its first report")
        assert refused(f"{plan.folder}:0") == f"there is no trial in {plan.folder}"

    def test_misspelt_study(self, study: Path) -> None:
        for trial in ("", ":7"):
            assert refused(f"{study}x{trial}") == (
                f"there is no such folder; studies there: {study}"
            )

    def test_folder_of_studies(self, study: Path) -> None:
        assert refused(study.parent) == (
            f"is no study, and has no generator.safetensors; studies in it: {study}"
        )

    def test_nothing_there(self, tmp_path: Path) -> None:
        assert refused(tmp_path) == (
            "is no study, and has no generator.safetensors; name one, as results/quickstart"
        )
        assert refused("/absent/study") == (
            "there is no such folder; name a study, as results/quickstart"
        )
