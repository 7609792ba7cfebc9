"""A study's page as a person uses it: with a mouse, by keyboard, on a phone, on paper, offline."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from raycolor.study.findings import findings
from raycolor.study.page.write import write_page
from raycolor.study.state import StudyState
from tests.unit.study.page.studies import sick_study

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyState, str]:
    folder = tmp_path_factory.mktemp("study")
    state, plan = sick_study(folder)
    path = folder / "report.html"
    write_page(path, findings(state, plan), state, plan)
    return state, path.as_uri()


@pytest.mark.parametrize("width", [390, 1280])
def test_charts_are_drawn_and_nothing_sticks_out(
    study: tuple[StudyState, str], open_page: Open, width: int
) -> None:
    page = open_page(study[1], width)
    charts = page.locator(".chart")
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    assert charts.count() == page.locator(".chart.js-plotly-plot").count() > 6
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # Lines and marks, not empty axes.
    for chart in charts.all():
        assert chart.locator("path.js-line, path.point, .bars path").count() > 0


def test_nothing_is_asked_of_the_network(study: tuple[StudyState, str], open_page: Open) -> None:
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(study[1])
    page.wait_for_selector("#losses .main-svg")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_choosing_a_trial_by_keyboard_shows_its_story_and_its_losses(
    study: tuple[StudyState, str], open_page: Open
) -> None:
    page = open_page(study[1])
    story = page.locator(".story:visible")
    expect(story).to_have_count(1)
    names = page.locator("#which option").all_inner_texts()
    page.locator("#which").focus()
    for name in names[1:]:
        page.keyboard.press("ArrowDown")
        expect(story).to_have_count(1)
        expect(story).to_contain_text(name)
        reports = len(study[0].trials[int(name[:3])].reports)
        # A point a report for the loss, and one for the accuracy.
        expect(page.locator("#losses path.point:visible")).to_have_count(2 * reports)


def test_a_trial_that_never_reported_has_a_story_and_no_chart(
    study: tuple[StudyState, str], open_page: Open
) -> None:
    page = open_page(study[1])
    silent = [trial.number for trial in study[0].trials if not trial.reports]
    for number in silent:
        page.locator("#which").select_option(str(number))
        expect(page.locator("#losses")).to_be_hidden()
    page.locator("#which").select_option("0")
    expect(page.locator("#losses")).to_be_visible()


def test_the_leaderboard_sorts_both_ways_with_empty_cells_last(
    study: tuple[StudyState, str], open_page: Open
) -> None:
    page = open_page(study[1])

    def column() -> list[str]:
        cells = page.locator("#leaderboard tbody tr td:nth-child(3)")
        return [text.strip() for text in cells.all_inner_texts()]

    button = page.locator("#leaderboard th").nth(2).get_by_role("button")
    button.click()
    rising = [float(text) for text in column() if text]
    assert rising == sorted(rising)
    assert column()[: len(rising)] == [f"{value:.2f}" for value in rising]
    button.click()
    falling = [float(text) for text in column() if text]
    assert falling == sorted(rising, reverse=True)
    assert "" not in column()[: len(falling)]
    assert button.locator("..").get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="backbone", exact=True).press("Enter")
    assert button.locator("..").get_attribute("aria-sort") is None


def test_more_pictures_on_demand(study: tuple[StudyState, str], open_page: Open) -> None:
    page = open_page(study[1])
    strips = page.locator(".gallery figure:visible")
    few = strips.count()
    assert strips.last.locator("img").get_attribute("alt") == "truth"
    button = page.locator("#more-pictures")
    button.click()
    assert strips.count() > few
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    assert strips.count() == few
    for image in page.locator(".gallery img").all():
        assert image.evaluate("image => image.naturalWidth") > 0


def test_the_first_key_leads_to_the_answer(study: tuple[StudyState, str], open_page: Open) -> None:
    page = open_page(study[1])
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the answer")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "answer"


def test_plan_and_machine_open(study: tuple[StudyState, str], open_page: Open) -> None:
    page = open_page(study[1])
    page.get_by_text("The plan", exact=True).click()
    expect(page.locator("details[open] pre")).to_contain_text("losses.l1_lambda")


def test_without_scripts_everything_but_charts_is_there(
    study: tuple[StudyState, str], open_page: Open
) -> None:
    page = open_page(study[1], scripts=False)
    rows = page.locator("#leaderboard tbody tr")
    assert rows.count() == len(study[0].trials) + 1
    expect(page.locator(".gallery figure").nth(6)).to_be_visible()
    expect(page.locator(".story").first).to_be_visible()


def test_on_paper(study: tuple[StudyState, str], open_page: Open, tmp_path: Path) -> None:
    page = open_page(study[1])
    page.wait_for_selector("#losses .main-svg")
    page.emulate_media(media="print")
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator("#which")).to_be_hidden()
    page.set_viewport_size({"width": 760, "height": 1000})
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_timeout(300)
    for chart in page.locator(".chart .main-svg").all():
        box = chart.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 762
    content = page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert content.startswith(b"%PDF")
