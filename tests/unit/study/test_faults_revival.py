"""A trial that diverged costs what it cost, and may be taken up again once."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from raycolor.study.engine import Engine
from raycolor.study.journal import Journal, read_journal
from raycolor.study.records import Fault, Record
from raycolor.study.state import fold
from tests.unit.study.fakes import EVERY, SPACE, clock, make, metrics
from tests.unit.study.sick_studies import SickWorkers, assert_lawful, drive

pytestmark = pytest.mark.usefixtures("quick_disk")


def numbered(records: Sequence[Record], number: int) -> Iterator[Record]:
    """Records of one trial."""
    return (record for record in records if getattr(record, "number", None) == number)


def test_a_trial_that_diverges_again_after_its_revival_ends_for_good(tmp_path: Path) -> None:
    plan = make(tmp_path)
    workers = SickWorkers(kinds=["nan"])
    drive(plan, workers)
    assert fold(read_journal(plan.folder / "journal")).trials[1].status == "pruned"
    # Training again is exact: it comes to the same end, at the same report.
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc", revived=[1])
        workers.run(engine)
        assert engine.finished
    records = read_journal(plan.folder / "journal")
    assert_lawful(plan, records)
    last = list(numbered(records, 1))[-1]
    assert isinstance(last, Fault)
    assert (last.final, last.text) == (
        True,
        "the objective is again not a finite number at 16 images",
    )


def test_a_trial_that_is_well_after_its_revival_goes_on(tmp_path: Path) -> None:
    plan = make(tmp_path, SPACE.replace("kind: asha, first_rung: 16, reduction: 3", "kind: none"))
    drive(plan, SickWorkers(kinds=["nan"]))
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc", revived=[1])
        SickWorkers(kinds=["guard", "dies"], checkpoints={1: EVERY}).run(engine)
    records = read_journal(plan.folder / "journal")
    assert_lawful(plan, records)
    assert fold(records).trials[1].images_seen > EVERY


def test_a_trial_that_diverged_has_cost_what_it_cost(tmp_path: Path) -> None:
    """Its last report holds nothing but losses."""
    plan = make(tmp_path)
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc")
        engine.ask()
        engine.report(0, EVERY, "adversarial", metrics(50.0, EVERY))
        engine.report(0, 2 * EVERY, "diverged", {"generator_loss": math.nan})
        assert engine.state.trials[0].status == "pruned"
        assert engine.state.trials[0].seconds == EVERY / 20
