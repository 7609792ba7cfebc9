"""Write the reports of studies that differ in their seed alone as one CSV file.

    python tools/make_table.py OUT STUDY [STUDY ...]

A row a report: the study's seed, the trial's settings, images seen, stage, scores and losses.
"""

import csv
import sys
from pathlib import Path

from raycolor.study.journal import read_journal
from raycolor.study.state import fold

LEFT_OUT = ("seconds", "_per_second", "inherited", "peak_gpu")
"""Parts of the names of metrics that tell of the machine, not of the trial."""


def main() -> None:
    """Write the table."""
    out, *studies = map(Path, sys.argv[1:])
    rows = []
    for study in studies:
        state = fold(read_journal(study / "journal"))
        for trial in state.trials:
            for report in trial.reports:
                row = {"seed": state.sessions[-1].plan["seed"], **trial.chosen}
                row |= {"images_seen": report.images_seen, "stage": report.stage}
                rows.append(row | dict(sorted(report.metrics.items())))
    names = dict.fromkeys(name for row in rows for name in row)
    kept = [name for name in names if not any(part in name for part in LEFT_OUT)]
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, kept, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
