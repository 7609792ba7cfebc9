"""Show what a study found: `python -m raycolor.show results/quickstart`.

    python -m raycolor.show results/quickstart                 the answer, and report.html
    python -m raycolor.show results/quickstart --explain 7     why trial 7 went as it did
    python -m raycolor.show results/quickstart --page a.html   the page somewhere else
    python -m raycolor.show results/quickstart --optuna a.db   a database for Optuna's dashboard
    python -m raycolor.show s3://bucket/studies/quickstart --follow    while it runs, from anywhere

Everything is read from the study's journal, so it works while the study runs, from another
terminal or another machine, and for a folder that was copied. Nothing of the study is changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from raycolor.command import command_line, complain, make_console, named
from raycolor.errors import ConfigError

if TYPE_CHECKING:
    from raycolor.plan import Plan
    from raycolor.study.findings import Findings
    from raycolor.study.look import Look
    from raycolor.study.news import News
    from raycolor.study.state import StudyState

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 1, 3600
"""Bounds of --every: each reading of shared storage costs a request or two, and money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Show what a study found, while it runs too.

    Prints the leaderboard, what mattered, how sure that is and what it cost, and writes the page
    `report.html`: one file with everything in it, pictures too, that works offline. For a study on
    shared storage tables, TensorBoard events and the best generator are built here too.
    """

    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY")]
    """Folder of the study, as results/quickstart, or its address, as s3://BUCKET/FOLDER/STUDY."""
    follow: Annotated[bool, tyro.conf.FlagCreatePairsOff, named(None)] = False
    """Go on showing and building until the study has ended; Ctrl-C ends it before, and leaves the
    study alone."""
    every: Annotated[float | None, named("SECONDS")] = None
    """With --follow: seconds between two readings, 10 if not given."""
    into: Annotated[Path | None, named("FOLDER")] = None
    """Build page, tables, TensorBoard events and best generator in FOLDER/STUDY; in the cache
    folder if not given. Without --follow and an address only the page is written, to the study."""
    explain: Annotated[str | None, named("TRIAL")] = None
    """Number or name of a trial: tell why it was stopped, or how it came through."""
    page: Annotated[Path | None, named("FILE")] = None
    """Where the page goes; report.html in the folder of the others if not given."""
    optuna: Annotated[Path | None, named("FILE")] = None
    """File: write the study as a database for Optuna's dashboard, and nothing else."""


def main() -> None:
    """Run the command line; exit codes: 0 done, 2 the user's error, 130 interrupted."""
    flags = tyro.cli(Flags, prog="raycolor-show")
    with command_line():
        _check(flags)
        console = make_console()
        from raycolor.study.look import look_at

        look = look_at(flags.study, flags.into)
        if flags.follow:
            _follow(console, look, flags)
        elif flags.explain is not None:
            from raycolor.study.explain import explain, find_trial

            state, plan, _ = _read(look)
            for sentence in explain(find_trial(state, flags.explain), state, plan):
                console.print(sentence, markup=False)
        elif flags.optuna is not None:
            from raycolor.study.optuna_export import address, write_optuna

            _, plan, news = _read(look)
            write_optuna(flags.optuna, news.records, plan)
            console.print(f"{flags.optuna}: open it with", markup=False)
            console.print(f"  optuna-dashboard {address(flags.optuna)}", markup=False)
        elif look.address is None and flags.into is None:
            _show_in_place(console, look, flags.page)
        else:
            _show_and_build(console, look, flags.page)


def _check(flags: Flags) -> None:
    """Refuse flags that do not go together.

    Raises:
        ConfigError: all problems at once, one a line.
    """
    problems = []
    only = {"--explain": flags.explain is not None, "--optuna": flags.optuna is not None}
    for flag in [flag for flag, given in only.items() if given]:
        if flags.follow:
            problems.append(f"--follow: does not go with {flag}; give one of them")
        if flags.into is not None:
            problems.append(f"--into {flags.into}: {flag} builds nothing there; leave it out")
    if flags.every is not None and not flags.follow:
        problems.append(f"--every {flags.every:g}: goes with --follow; add that, or leave it out")
    if flags.every is not None and not SHORTEST_PAUSE_S <= flags.every <= LONGEST_PAUSE_S:
        problems.append(
            f"--every {flags.every:g}: give a number of seconds from {SHORTEST_PAUSE_S} to "
            f"{LONGEST_PAUSE_S}"
        )
    if problems:
        raise ConfigError("\n".join(problems))


def _show_in_place(console: Console, look: "Look", page: Path | None) -> None:
    """Show a study in a folder, and write its page there."""
    from raycolor.kept_plan import restored_plan
    from raycolor.study.closing import PAGE
    from raycolor.study.page.write import write_page

    state, _, _ = _read(look)
    plan = restored_plan(state.sessions[-1].plan, Path(look.named))
    path = page or plan.folder / PAGE
    _show(console, state, plan, path, lambda found: write_page(path, found, state, plan))


def _show_and_build(console: Console, look: "Look", page: Path | None) -> None:
    """Show a study, and build its views in a folder of one's own."""
    from raycolor.study.closing import PAGE
    from raycolor.study.look import Builder, BusyError
    from raycolor.study.page.write import write_page

    state, plan, news = _read(look)
    path = page or plan.folder / PAGE
    assert news.origin is not None
    try:
        with look.held():
            plan.files.belong(news.origin)
            builder = Builder(plan, page=path)
            builder.build(state, all_of_it=True)
            builder.close()
    except BusyError as busy:
        # One that follows the study builds the same.
        complain(str(busy))
        if page is not None:
            _show(console, state, plan, path, lambda found: write_page(path, found, state, plan))
            return
    _show(console, state, plan, path)


def _follow(console: Console, look: "Look", flags: Flags) -> None:
    """Show a study and build its views, until it has ended."""
    from raycolor.study.closing import PAGE
    from raycolor.study.following import PAUSE_S, Follower

    with look.held():
        pause_s = PAUSE_S if flags.every is None else flags.every
        follower = Follower(look, console, tell=complain, pause_s=pause_s, page=flags.page)
        page = flags.page or look.folder / PAGE
        try:
            follower.run()
        except KeyboardInterrupt:
            if follower.plan is not None:
                console.print(f"\n{page}", markup=False, soft_wrap=True)
                events = look.folder / "tensorboard"
                console.print(f"tensorboard --logdir {events}", markup=False, soft_wrap=True)
            raise
        assert follower.plan is not None
        _show(console, follower.state, follower.plan, page)


def _show(
    console: Console,
    state: "StudyState",
    plan: "Plan",
    page: Path,
    write: "Callable[[Findings], None] | None" = None,
) -> None:
    """Print the answer; `write` writes the page, where that is not done yet."""
    from raycolor.study.answer import print_findings
    from raycolor.study.closing import print_commands, print_leaderboard, progress
    from raycolor.study.engine import is_finished
    from raycolor.study.findings import findings

    found = findings(state, plan)
    console.print(f"{plan.where}: {progress(state, plan)}.\n", markup=False)
    print_leaderboard(console, state, plan)
    print_findings(console, found, plan)
    if write is not None:
        write(found)
    console.print()
    print_commands(console, state, plan, page=page, finished=is_finished(state, plan))


def _read(look: "Look") -> tuple["StudyState", "Plan", "News"]:
    """Read a study from its journal.

    Raises:
        CheckpointError: there is none, or it is damaged.
        ConfigError: another raycolor wrote it.
    """
    from raycolor.study.state import fold

    news = look.reader().read()
    state = fold(news.records)
    if not state.sessions:
        raise look.missing()
    return state, look.plan(state.sessions[-1]), news


if __name__ == "__main__":
    main()
