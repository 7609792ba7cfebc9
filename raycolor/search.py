"""Search for the best colorizer: `python -m raycolor.search`.

    python -m raycolor.search                             the quickstart on the built-in photos
    python -m raycolor.search --space my.yaml --data my-data --trials 40
    python -m raycolor.search --dry-run                   the plan and its largest cost
    python -m raycolor.search --keys                      every key of a space file

The same command again goes on with a study that was interrupted, and tells the result of a finished
one; with more --trials it extends it.
"""

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from raycolor.command import INTERRUPTED, command_line, complain, make_console, named
from raycolor.errors import CheckpointError, ConfigError
from raycolor.plan import BUILT_IN, Plan, make_plan
from raycolor.spaces.manual import manual
from raycolor.spaces.overrides import parse_overrides
from raycolor.storage import StorageError

if TYPE_CHECKING:
    from raycolor.study.state import StudyState


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Search for the best colorizer of photographs.

    With no flags: the space `quickstart` on the built-in photos, on this machine.
    """

    space: Annotated[str, tyro.conf.arg(metavar="FILE")] = "quickstart"
    """Search-space file, or the name of one that ships with raycolor."""
    study: Annotated[str | None, named("NAME")] = None
    """Name of the study; the space's name if not given. Its folder is OUT/STUDY."""
    out: Annotated[str, tyro.conf.arg(metavar="FOLDER")] = "results"
    """Folder of the studies, or an address on shared storage, as s3://BUCKET/FOLDER, gs://..., or
    file:///FOLDER."""
    data: Annotated[str, tyro.conf.arg(metavar="FOLDER")] = BUILT_IN
    """Folder of a prepared data set, its address on shared storage, or `photos` for the built-in
    one. From an address each machine copies it once to its cache folder."""
    trials: Annotated[int | None, named("N")] = None
    """Number of trials, if not the space's; more than before extend a study."""
    concurrent: Annotated[int | None, named("N")] = None
    """Trials at once; as many as the machines hold if not given."""
    set: Annotated[list[str], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="PATH=VALUE")] = (
        field(default_factory=list)
    )
    """Fix a setting of all trials, as losses.l1_lambda=100, or change one of the study, as
    study.searcher.kind=random; --keys lists all."""
    address: Annotated[str | None, named("ADDRESS")] = None
    """Address of a running Ray cluster, `auto` on its head node; this machine if not given."""
    time_budget: Annotated[float | None, named("SECONDS")] = None
    """Seconds after which running trials end at their next report; the same command goes on."""
    gpu_hours: Annotated[float | None, named("HOURS")] = None
    """GPU hours of all trials, earlier sessions' too, after which running ones end at their next
    report; the same command with more goes on."""
    max_cost: Annotated[float | None, named("AMOUNT")] = None
    """The same as a cost; the space names the price: study.resources.price_per_hour."""
    fresh: Annotated[bool, tyro.conf.FlagCreatePairsOff, named(None)] = False
    """Begin anew: the study that is there is moved aside, to NAME.1, NAME.2 and so on."""
    revive: Annotated[list[int], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="N")] = field(
        default_factory=list
    )
    """Take up a pruned or failed trial again; may be given several times."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of suggestions, initial weights and data order."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff, named(None)] = False
    """Print the plan, the rungs and the largest cost, and stop."""
    keys: Annotated[bool, tyro.conf.FlagCreatePairsOff, named(None)] = False
    """Print every key of a space file with its values and meaning, and stop."""


def main() -> None:
    """Run the command line; exit codes: 0 done, 2 the user's error, 130 interrupted."""
    flags = tyro.cli(Flags, prog="raycolor-search")
    with command_line():
        console = make_console()
        if flags.keys:
            columns = console.width if console.is_terminal else None
            print(manual(columns), flush=True)  # noqa: T201  (plain text, also in a pipe)
            return
        plan = _plan(flags)
        if flags.dry_run:
            _check_dry(plan, fresh=flags.fresh)
            console.print(plan.describe(), markup=False)
            return
        if flags.fresh:
            from raycolor.study.aside import move_aside

            if (kept := move_aside(plan, tell=complain)) is not None:
                console.print(f"The study that was there is kept in {kept}.", markup=False)
        sys.exit(search(plan, console, revived=flags.revive))


def _check_dry(plan: Plan, *, fresh: bool) -> None:
    """Refuse a plan that a real run would refuse, as far as can be told at once.

    Raises:
        RaycolorError: what the user can mend.
    """
    from raycolor.preflight import check_data
    from raycolor.study.engine import check_same_study
    from raycolor.study.opening import read_records
    from raycolor.study.records import Session

    data = check_data(plan)
    records = [] if fresh else read_records(plan.folder, plan.address_of_study)
    sessions = [record for record in records if isinstance(record, Session)]
    if sessions:
        check_same_study(sessions[-1].identity, plan, data.fingerprint)


def search(plan: Plan, console: Console, *, revived: Sequence[int] = ()) -> int:
    """Run, resume or extend a study, or tell its result.

    Args:
        plan: of the study.
        console: where to show it.
        revived: numbers of trials that are taken up again.

    Returns:
        The exit code.

    Raises:
        RaycolorError: what the user can mend.
    """
    from raycolor.preflight import check_data
    from raycolor.study.closing import print_closing
    from raycolor.study.engine import check_same_study, is_finished
    from raycolor.study.opening import is_here, read_records
    from raycolor.study.state import budget_of, fold

    state = fold(read_records(plan.folder, plan.address_of_study))
    if state.sessions:
        data = plan.data != state.sessions[-1].identity.get("data")
        fingerprint = check_data(plan).fingerprint if data else None
        check_same_study(state.sessions[-1].identity, plan, fingerprint)
        grows = plan.base.budget.images > budget_of(state.sessions[-1])
        if is_finished(state, plan) and not grows and not revived:
            if not is_here(plan) or _are_behind(plan, state):
                _write_views(plan, state)
            console.print(f"{plan.where}: finished.\n", highlight=False)
            print_closing(console, state, plan, finished=True)
            return 0
    return _run(plan, console, revived)


def _are_behind(plan: Plan, state: "StudyState") -> bool:
    """Tell whether a finished study's views are not all there: its driver was killed at its end.

    The page is the last that a driver writes, and has to be younger than the last record; the table
    of trials is the last that it brings to shared storage.
    """
    from raycolor.remote.mirror import is_copy
    from raycolor.study.closing import PAGE

    try:
        if (plan.folder / PAGE).stat().st_mtime < state.last_time:
            return True
    except FileNotFoundError:
        return True
    there = plan.files.bucket
    names = (PAGE, "trials.parquet")
    return there is not None and not all(is_copy(plan.folder / n, there, n) for n in names)


def _run(plan: Plan, console: Console, revived: Sequence[int]) -> int:
    from raycolor.preflight import check_before_trials, find_pretrained

    # Before Ray and torch are imported, which takes seconds.
    fingerprint = check_before_trials(plan, tell=complain)
    weights, contents = find_pretrained(plan, complain)
    from raycolor.environment import describe_environment
    from raycolor.metrics.weights import extractor_fingerprint
    from raycolor.study.closing import PAGE, print_closing
    from raycolor.study.engine import Engine
    from raycolor.study.live import LiveView
    from raycolor.study.opening import open_journal
    from raycolor.study.publishing import publishing
    from raycolor.study.views import Views
    from raycolor.tuning.run import run_study

    environment = {
        **describe_environment(),
        "weights": {**weights, **extractor_fingerprint(plan.base.evaluation)},
        "command": _command(sys.argv[1:]),
    }
    with (
        open_journal(plan, tell=complain) as journal,
        publishing(plan, journal, tell=complain),
    ):
        engine = Engine(plan, journal)
        views, live = Views(plan), LiveView(plan, console)
        engine.observers += [views.take, live.take]
        engine.begin(environment, fingerprint, revived=revived)
        console.print(plan.describe() + "\n", markup=False, highlight=False)
        if engine.state.trials:
            ended = sum(trial.status != "open" for trial in engine.state.trials)
            console.print(f"Going on: {ended} of {plan.trials} trials have ended.\n")
        views.rebuild(engine.state)
        live.start(engine.state)
        code, paused = 0, False
        try:
            ending = run_study(plan, engine, contents, fingerprint=fingerprint, tell=complain)
            engine.end(ending)
            finished = engine.finished
        except KeyboardInterrupt:
            finished, code = False, INTERRUPTED
            engine.end("interrupted")
        except (CheckpointError, ConfigError):
            # Storage that refuses, or machines and limits that do not go together.
            paused = True
            # If the journal cannot be written either, the study looks killed, and goes on alike.
            with suppress(CheckpointError):
                engine.end("interrupted")
            raise
        finally:
            live.stop()
            views.close(engine.state)
            if views.problem is not None:
                # Without it, the same command knows that all views have to be written again.
                with suppress(OSError):
                    (plan.folder / PAGE).unlink(missing_ok=True)
                if not paused:
                    complain(views.problem)
        if code == INTERRUPTED:
            console.print("\nInterrupted; nothing that was reported is lost.")
        if views.problem is None:
            try:
                _write_page(plan, engine.state)
            except CheckpointError as error:
                complain(str(error))
        print_closing(console, engine.state, plan, finished=finished)
    return code


def _command(words: Sequence[str]) -> str:
    """Write the command that goes on with this study: without what is meant for once."""
    kept: list[str] = []
    for place, word in enumerate(words):
        once = word == "--fresh" or word.startswith("--revive=")
        of_revive = word == "--revive" or (place > 0 and words[place - 1] == "--revive")
        if not (once or of_revive):
            kept.append(word)
    return shlex.join(["python", "-m", "raycolor.search", *kept])


def _write_views(plan: Plan, state: "StudyState") -> None:
    """Write all that is derived from the journal of a study that is finished.

    Raises:
        CheckpointError: another search works on it, or the storage refuses.
    """
    from raycolor.study.opening import open_journal
    from raycolor.study.publishing import publishing
    from raycolor.study.views import Views

    with (
        open_journal(plan, tell=complain) as journal,
        publishing(plan, journal, tell=complain),
    ):
        views = Views(plan)
        views.rebuild(state)
        views.close(state)
        if views.problem is not None:
            raise StorageError(views.problem)
        _write_page(plan, state)


def _write_page(plan: Plan, state: "StudyState") -> None:
    from raycolor.study.closing import PAGE
    from raycolor.study.findings import findings
    from raycolor.study.page.write import write_page

    write_page(plan.folder / PAGE, findings(state, plan), state, plan)


def _plan(flags: Flags) -> Plan:
    """Turn flags into a plan.

    Raises:
        ConfigError: all problems at once, one a line.
    """
    overrides, problems = parse_overrides(flags.set)
    try:
        plan = make_plan(
            space=flags.space,
            study=flags.study,
            out=flags.out,
            data=flags.data,
            trials=flags.trials,
            concurrent=flags.concurrent,
            overrides=overrides,
            address=flags.address,
            time_budget_s=flags.time_budget,
            gpu_hours=flags.gpu_hours,
            max_cost=flags.max_cost,
            seed=flags.seed,
        )
    except ConfigError as error:
        raise ConfigError("\n".join([*problems, str(error)])) from error
    if problems:
        raise ConfigError("\n".join(problems))
    return plan


if __name__ == "__main__":
    main()
