"""Search for the best colorizer: `python -m raycolor.search`.

    python -m raycolor.search                             the quickstart on the built-in photos
    python -m raycolor.search --space my.yaml --data my-data --trials 40
    python -m raycolor.search --dry-run                   the plan and its largest cost

The same command again goes on with a study that was interrupted, and tells the result of a finished
one; with more --trials it extends it.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from raycolor.command import INTERRUPTED, command_line, make_console
from raycolor.domains import Scalar
from raycolor.errors import ConfigError
from raycolor.plan import BUILT_IN, Plan, make_plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Search for the best colorizer of photographs.

    With no flags: the space `quickstart` on the built-in photos, on this machine.
    """

    space: str = "quickstart"
    """Search-space file, or the name of one that ships with raycolor."""
    study: str | None = None
    """Name of the study; the space's name if not given. Its folder is OUT/STUDY."""
    out: Path = Path("results")
    """Folder of the studies."""
    data: str = BUILT_IN
    """Folder of a prepared data set, or `photos` for the built-in one."""
    trials: int | None = None
    """Number of trials; more than before extend a study."""
    concurrent: int | None = None
    """Trials at once; as many as the machines hold if not given."""
    set: Annotated[list[str], tyro.conf.UseAppendAction] = field(default_factory=list)
    """PATH=VALUE: fix a setting of all trials, or change one of the study (study.PATH=VALUE). May
    be given several times."""
    address: str | None = None
    """Address of a running Ray cluster, `auto` on its head node; this machine if not given."""
    time_budget: float | None = None
    """Seconds after which running trials end at their next report; the same command goes on."""
    seed: int = 0
    """Seed of suggestions, initial weights and data order."""
    dry_run: bool = False
    """Print the plan, the rungs and the largest cost, and stop."""


def main() -> None:
    """Run the command line; exit codes: 0 done, 2 the user's error, 130 interrupted."""
    flags = tyro.cli(Flags, prog="raycolor-search")
    with command_line():
        console = make_console()
        plan = _plan(flags)
        if flags.dry_run:
            console.print(plan.describe(), markup=False)
            return
        sys.exit(search(plan, console))


def search(plan: Plan, console: Console) -> int:
    """Run, resume or extend a study, or tell its result.

    Returns:
        The exit code.

    Raises:
        RaycolorError: what the user can mend.
    """
    from raycolor.study.closing import print_closing
    from raycolor.study.engine import check_same_study, is_finished
    from raycolor.study.journal import read_journal
    from raycolor.study.state import fold

    state = fold(read_journal(plan.folder / "journal"))
    if state.sessions:
        check_same_study(state.sessions[-1].identity, plan)
        if is_finished(state, plan):
            console.print(f"{plan.folder}: finished.\n", highlight=False)
            print_closing(console, state, plan, finished=True)
            return 0
    return _run(plan, console)


def _run(plan: Plan, console: Console) -> int:
    from raycolor.environment import describe_environment
    from raycolor.study.closing import print_closing
    from raycolor.study.engine import Engine
    from raycolor.study.journal import Journal
    from raycolor.study.live import LiveView
    from raycolor.study.views import Views
    from raycolor.tuning.run import run_study

    fingerprint = _preflight(plan)
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal)
        views, live = Views(plan.folder, plan), LiveView(plan, console)
        engine.observers += [views.take, live.take]
        engine.begin(describe_environment(), fingerprint)
        console.print(plan.describe() + "\n", markup=False, highlight=False)
        if engine.state.trials:
            ended = sum(trial.status != "open" for trial in engine.state.trials)
            console.print(f"Going on: {ended} of {plan.trials} trials have ended.\n")
        views.rebuild(engine.state)
        live.start(engine.state)
        code = 0
        try:
            out_of_time = run_study(plan, engine)
            finished = engine.finished
            engine.end("finished" if finished or not out_of_time else "time_budget")
        except KeyboardInterrupt:
            finished, code = False, INTERRUPTED
            engine.end("interrupted")
        finally:
            live.stop()
            views.close(engine.state)
        if code == INTERRUPTED:
            console.print("\nInterrupted; nothing that was reported is lost.")
        print_closing(console, engine.state, plan, finished=finished)
    return code


def _preflight(plan: Plan) -> str:
    """Check what trials will need, before any starts; return the data's fingerprint.

    Raises:
        RaycolorError: what is missing, and the remedy.
    """
    from raycolor.data import PHOTOS, open_prepared, verify
    from raycolor.weights import efficientnet_lite0_path

    prepared = open_prepared(PHOTOS if plan.data == BUILT_IN else Path(plan.data))
    verify(prepared)
    if (size := plan.base.data.size) > prepared.size:
        raise ConfigError(
            f"data.size: {size} is larger than the pictures of {prepared.path} "
            f"({prepared.size} pixels); take at most {prepared.size}"
        )
    efficientnet_lite0_path()
    return prepared.fingerprint


def _plan(flags: Flags) -> Plan:
    """Turn flags into a plan.

    Raises:
        ConfigError: all problems at once, one a line.
    """
    overrides, problems = _overrides(flags.set)
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
            seed=flags.seed,
        )
    except ConfigError as error:
        raise ConfigError("\n".join([*problems, str(error)])) from error
    if problems:
        raise ConfigError("\n".join(problems))
    return plan


def _overrides(given: list[str]) -> tuple[Mapping[str, Scalar], list[str]]:
    """Read PATH=VALUE flags; values are YAML, as in a space file.

    Returns:
        The values, and a line for each flag that is no PATH=VALUE.
    """
    overrides: dict[str, Scalar] = {}
    problems = []
    for item in given:
        path, equals, text = item.partition("=")
        if not (path and equals):
            problems.append(f"--set {item}: give PATH=VALUE, as in --set losses.l1_lambda=100")
            continue
        try:
            value = YAML(typ="safe", pure=True).load(text)
        except YAMLError:
            value = text
        if isinstance(value, list | dict):
            problems.append(f"--set {item}: give one value; domains stand in a space file")
            continue
        overrides[path.strip()] = value
    return overrides, problems


if __name__ == "__main__":
    main()
