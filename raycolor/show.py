"""Show what a study found: `python -m raycolor.show results/quickstart`.

    python -m raycolor.show results/quickstart                 the answer, and report.html
    python -m raycolor.show results/quickstart --explain 7     why trial 7 went as it did
    python -m raycolor.show results/quickstart --page a.html   the page somewhere else
    python -m raycolor.show results/quickstart --optuna a.db   a database for Optuna's dashboard

Everything is read from the study's journal, so it works while the study runs, from another
terminal, and for a folder that was copied from another machine. Nothing of the study is changed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from raycolor.command import command_line, make_console, named
from raycolor.errors import CheckpointError

if TYPE_CHECKING:
    from raycolor.plan import Plan
    from raycolor.study.state import StudyState


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Show what a study found, while it runs too.

    Prints the leaderboard, what mattered, how sure that is and what it cost, and writes the page
    `report.html`: one file with everything in it, pictures too, that works offline.
    """

    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY")]
    """Folder of the study, as results/quickstart, or its address, as s3://BUCKET/FOLDER/STUDY."""
    explain: Annotated[str | None, named("TRIAL")] = None
    """Number or name of a trial: tell why it was stopped, or how it came through."""
    page: Annotated[Path | None, named("FILE")] = None
    """Where the page goes; STUDY/report.html if not given, for an address in the cache folder."""
    optuna: Annotated[Path | None, named("FILE")] = None
    """File: write the study as a database for Optuna's dashboard, and nothing else."""


def main() -> None:
    """Run the command line; exit codes: 0 done, 2 the user's error, 130 interrupted."""
    flags = tyro.cli(Flags, prog="raycolor-show")
    with command_line():
        console = make_console()
        state, plan = _study(flags.study)
        from raycolor.study.closing import PAGE

        if flags.explain is not None:
            from raycolor.study.explain import explain, find_trial

            for sentence in explain(find_trial(state, flags.explain), state, plan):
                console.print(sentence, markup=False)
            return
        if flags.optuna is not None:
            from raycolor.study.opening import places, read_records
            from raycolor.study.optuna_export import address, write_optuna

            write_optuna(flags.optuna, read_records(*places(flags.study)), plan)
            console.print(f"{flags.optuna}: open it with", markup=False)
            console.print(f"  optuna-dashboard {address(flags.optuna)}", markup=False)
            return
        _show(console, state, plan, flags.page or plan.folder / PAGE)


def _show(console: Console, state: "StudyState", plan: "Plan", path: Path) -> None:
    from raycolor.study.answer import print_findings
    from raycolor.study.closing import print_commands, print_leaderboard, progress
    from raycolor.study.engine import is_finished
    from raycolor.study.findings import findings
    from raycolor.study.page.write import write_page

    found = findings(state, plan)
    console.print(f"{plan.where}: {progress(state, plan)}.\n", markup=False)
    print_leaderboard(console, state, plan)
    print_findings(console, found, plan)
    write_page(path, found, state, plan)
    console.print()
    print_commands(console, state, plan, page=path, finished=is_finished(state, plan))


def _study(named: str) -> tuple["StudyState", "Plan"]:
    """Read a study from its journal.

    Raises:
        CheckpointError: there is none, or it is damaged.
        ConfigError: another raycolor wrote it, or the address is none.
    """
    from raycolor.plan import restored_plan
    from raycolor.remote.address import check_address, is_address, parent
    from raycolor.study.opening import places, read_records, settle, studies_in
    from raycolor.study.state import fold

    if is_address(named):
        check_address("STUDY", named)
    folder, address = places(named)
    state = fold(read_records(folder, address))
    if not state.sessions:
        studies = studies_in(folder, address)
        hint = (
            f"it holds studies: {', '.join(studies)}"
            if studies
            else "name the folder of a study, as results/quickstart"
        )
        raise CheckpointError(f"{named}: no study there; {hint}")
    remote = None if address is None else parent(address)
    plan = restored_plan(state.sessions[-1].plan, folder, remote=remote)
    settle(plan)
    return state, plan


if __name__ == "__main__":
    main()
