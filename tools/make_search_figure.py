"""Draw what `benchmarks/search.py --out FILE` found: the best score over compute; needs Chromium.

    python tools/make_search_figure.py search.json OUT

Medians over the seeds as lines, quartiles as bands.
"""

import json
import math
import sys
from pathlib import Path

import plotly.graph_objects as go
from make_curves import COLORS, HEIGHT, WIDTH, photograph


def main() -> None:
    """Write the picture."""
    found, out = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2])
    figure = go.Figure()
    runs = found["runs"]
    for (name, rows), color in zip(found["courses"].items(), COLORS, strict=False):
        low, middle, high = ([row[i] for row in rows] for i in range(3))
        there = [place for place, value in enumerate(high) if value is not None]
        figure.add_scatter(
            x=[*(runs[i] for i in there), *(runs[i] for i in reversed(there))],
            y=[*(low[i] for i in there), *(high[i] for i in reversed(there))],
            fill="toself",
            fillcolor=color,
            opacity=0.12,
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=runs, y=middle, mode="lines", line={"color": color, "width": 2.5}, name=name
        )
    figure.add_hline(y=found["target"], line_dash="dot", annotation_text="where random search ends")
    figure.update_layout(
        template="plotly_white",
        xaxis={"type": "log", "title": "training images, in whole runs of a trial", "dtick": "D2"},
        yaxis_title="best distance so far",
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        width=WIDTH,
        height=HEIGHT,
    )
    figure.update_xaxes(range=[math.log10(runs[0]), math.log10(runs[-1])])
    photograph(figure.to_html(config={"staticPlot": True}), out)


if __name__ == "__main__":
    main()
