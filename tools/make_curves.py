"""Draw the learning curves of studies that differ in their seed alone; needs Chromium.

    python tools/make_curves.py OUT STUDY [STUDY ...]

One colour a configuration, one line a seed: the distance at each report, over training images.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright

from raycolor.study.journal import read_journal
from raycolor.study.naming import short_path, value_text
from raycolor.study.state import fold

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of Okabe and Ito: told apart by people who see colours differently."""
WIDTH, HEIGHT = 1100, 520


def main() -> None:
    """Write the picture."""
    out, *studies = map(Path, sys.argv[1:])
    figure = go.Figure()
    colors: dict[str, str] = {}
    for study in studies:
        state = fold(read_journal(study / "journal"))
        key = state.sessions[-1].plan["objective"].removesuffix("_best")
        for trial in state.trials:
            name = ", ".join(f"{short_path(p)} {value_text(v)}" for p, v in trial.chosen.items())
            first = name not in colors
            color = colors.setdefault(name, COLORS[len(colors) % len(COLORS)])
            figure.add_scatter(
                x=[report.images_seen for report in trial.reports],
                y=[report.metrics[key] for report in trial.reports],
                mode="lines+markers",
                line={"color": color, "width": 1.5},
                name=name,
                legendgroup=name,
                showlegend=first,
            )
        gray = state.references["gray"][key]
    figure.add_hline(y=gray, line_dash="dot", annotation_text="grey pictures")
    figure.update_layout(
        template="plotly_white",
        xaxis_title="training images",
        yaxis_title=key,
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        width=WIDTH,
        height=HEIGHT,
    )
    photograph(figure.to_html(config={"staticPlot": True}), out)


def photograph(html: str, out: Path) -> None:
    """Write a picture of a page with one figure."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "curves.html"
        page_file.write_text(html, encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox"],
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(page_file.as_uri())
        page.wait_for_selector(".main-svg")
        page.screenshot(path=str(out))
        browser.close()


if __name__ == "__main__":
    main()
