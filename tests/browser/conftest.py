"""A real Chromium, without a window; tests that need it are skipped where there is none."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright

FLAGS = (
    # As root in a container there is no sandbox to be had; nothing from outside is opened.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium; install the package chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def open_any(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open somebody else's page at some width."""
    pages: list[Page] = []

    def open_at(url: str, width: int = 1280, height: int = 900, *, scripts: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, java_script_enabled=scripts
        )
        pages.append(context.new_page())
        pages[-1].goto(url)
        return pages[-1]

    yield open_at
    for page in pages:
        page.context.close()


@pytest.fixture
def open_page(open_any: Callable[..., Page]) -> Iterator[Callable[..., Page]]:
    """Open a page of ours at some width; a complaint in its console fails the test in the end."""
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def thrown(error: Error) -> None:
        complaints.append(str(error))

    def open_at(url: str, width: int = 1280, height: int = 900, *, scripts: bool = True) -> Page:
        page = open_any("about:blank", width, height, scripts=scripts)
        page.on("console", heard)
        page.on("pageerror", thrown)
        page.goto(url)
        return page

    yield open_at
    assert complaints == []
