"""The page: whole, self-contained, true, and correct while the study runs."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from raycolor.errors import CheckpointError
from raycolor.plan import Plan
from raycolor.study.engine import to_test
from raycolor.study.findings import findings
from raycolor.study.leaderboard import rows
from raycolor.study.naming import trial_name
from raycolor.study.page.write import MOST_PICTURED, MOST_ROWS, write_page
from raycolor.study.records import FinalScores
from raycolor.study.state import StudyState, fold
from tests.unit.study.fakes import FD, SPACE, Workers, make, run
from tests.unit.study.page.studies import page_of, sick_study
from tests.unit.study.told import Told


class Page(HTMLParser):
    """Collects elements, and checks that they are closed in their order."""

    VOID = frozenset({"meta", "link", "img", "br", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.data: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.data[str(self.elements[-1][1].get("id"))] = data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyState, Plan]:
    return sick_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def text(study: tuple[StudyState, Plan]) -> str:
    return page_of(*study)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_needs_nothing_from_outside(text: str, page: Page) -> None:
    for tag, name in (("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src")):
        for attributes in page.all(tag):
            assert (attributes.get(name) or "data:").startswith("data:")
    for attributes in page.all("a"):
        assert (attributes["href"] or "").startswith("#")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_links_lead_somewhere(page: Page) -> None:
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {(a["href"] or "")[1:] for a in page.all("a")} <= ids
    named = [a["data-chart"] for a in page.all("div") if "data-chart" in a]
    charts = json.loads(page.data["charts"])
    assert named
    assert set(named) == set(charts)


def test_every_trial_stands_on_the_board_with_its_score(
    study: tuple[StudyState, Plan], text: str
) -> None:
    board = text[text.index('id="leaderboard"') : text.index('id="race"')]
    for row in rows(*study):
        assert f">{row.trial}</th>" in board
        if row.rank is not None:
            assert f'data-value="{row.objective:.2f}"' in board


def test_pictures_are_grey_the_trials_and_the_truth(
    study: tuple[StudyState, Plan], page: Page
) -> None:
    state, plan = study
    strips = [a for a in page.all("img") if a.get("class") is None]
    alts = [str(attributes["alt"]) for attributes in strips]
    best = state.best_trial(plan.objective)
    assert best is not None
    assert alts[0].startswith("grey")
    assert alts[1].startswith(f"best: {trial_name(best.number, best.chosen)}")
    assert alts[-1] == "truth"
    assert len(alts) == 2 + min(MOST_PICTURED, sum(t.best_images(plan.objective) is not None
                                                   for t in state.trials))  # fmt: skip
    assert len({attributes["src"] for attributes in strips}) == len(strips)


def test_every_trial_can_be_looked_at(study: tuple[StudyState, Plan], page: Page) -> None:
    numbers = {str(trial.number) for trial in study[0].trials}
    assert {option["value"] for option in page.all("option")} == numbers
    assert {a["data-trial"] for a in page.all("div") if "data-trial" in a} == numbers


def test_names_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    plan = make(tmp_path)
    told = Told().session(plan).gray()
    number = told.ask()
    evil = "</script><script>alert(1)</script>"
    told.report(number, 16, 70.0, "prune", f"worse {evil}", rung=16)
    told.fault(told.ask(), f"ValueError: {evil}")
    text = page_of(told.state, plan)
    assert evil not in text
    assert text.count("<script") == Page(text).open.count("script") + len(Page(text).all("script"))
    assert "alert(1)" in text


@pytest.mark.parametrize("reports", [0, 1, 3, 9, 14])
def test_a_running_study_has_a_true_page(tmp_path: Path, reports: int) -> None:
    plan = make(tmp_path)
    records = run(plan, Workers(in_flight=3), most_reports=reports)
    # As the journal of a driver that has not stopped.
    state = fold(records[:-1])
    text = page_of(state, plan)
    page = Page(text)
    assert "Runs, or was killed: last heard of at 2001-09-09" in text
    assert len(page.all("option")) == len(state.trials)


def test_a_study_without_a_trial_has_a_page(tmp_path: Path) -> None:
    plan = make(tmp_path)
    text = page_of(Told().session(plan).state, plan)
    Page(text)
    assert "No trial has begun yet." in text
    assert "No trial has reported yet." in text


def test_a_space_without_a_search_has_a_page(tmp_path: Path) -> None:
    text = SPACE[: SPACE.index("search:")].replace("kind: tpe, startup_trials: 3", "kind: random")
    plan = make(tmp_path, text, trials=2)
    told = Told().session(plan).gray()
    for value in (70.0, 60.0):
        number = told.ask()
        told.records[-1].chosen.clear()  # type: ignore[union-attr]  # an ask
        told.report(number, 144, value, "end", rung=144)
    Page(page_of(told.state, plan))


def test_a_large_study_keeps_the_page_mailable(tmp_path: Path) -> None:
    plan = make(tmp_path, trials=1500)
    told = Told().session(plan).gray()
    for value in range(1500):
        told.report(told.ask(), 16, 50.0 + value / 10, "prune", rung=16)
    text = page_of(told.state, plan)
    assert len(text) < 9_000_000
    assert f"{1501 - MOST_ROWS} more stand in" in text


def test_writing_replaces_the_older_page_or_nothing(
    study: tuple[StudyState, Plan], tmp_path: Path
) -> None:
    state, plan = study
    path = tmp_path / "page.html"
    path.write_text("older")
    write_page(path, findings(state, plan), state, plan)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file/page\.html: cannot be written .*--page"):
        write_page(tmp_path / "file" / "page.html", findings(state, plan), state, plan)


def test_the_template_uses_all_that_it_is_given(text: str) -> None:
    assert not re.search(r"\{\{|\{%", text[: text.index('id="charts"')])


def test_a_confirmed_study_tells_means_spread_and_the_test(tmp_path: Path) -> None:
    confirm = "  confirm: {top: 2, seeds: 2}\n  scheduler:"
    plan = make(tmp_path, SPACE.replace("  scheduler:", confirm), trials=12)
    records = run(plan, Workers())
    state = fold(records)
    scores = {str(trial.number): {FD: 61.0} for trial in to_test(state, plan)}
    state.apply(FinalScores(time=state.last_time, scores={**scores, "gray": {FD: 80.0}}))
    text = page_of(state, plan)
    Page(text)
    assert "other seeds the configuration of trial" in text
    assert f"On the test split, looked at once: {FD} 61.00" in text
    assert "grey pictures 80.00" in text
