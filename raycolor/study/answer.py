"""A study's answer in the terminal: what was searched, what mattered, how sure, at what cost."""

from rich.console import Console

from raycolor.plan import Plan
from raycolor.spaces.domains import Choice, Domain, Int
from raycolor.study.confirmation import verdict
from raycolor.study.evidence import Cost
from raycolor.study.findings import Findings
from raycolor.study.importance import LEAST_TRIALS
from raycolor.study.live import duration
from raycolor.study.naming import short_path, value_text
from raycolor.study.saving import saving_sentence


def print_findings(console: Console, found: Findings, plan: Plan) -> None:
    """Print what stands behind the leaderboard."""
    _heading(console, "What was searched")
    width = max((len(short_path(path)) for path in plan.space.search), default=0)
    for path, domain in plan.space.search.items():
        absent = "not searched beside its others"
        won = found.best.chosen.get(path, absent) if found.best else None
        best = "" if won is None else f"; the best trial has {value_text(won)}"
        _line(console, f"{short_path(path):<{width}}  {describe_domain(domain)}{best}")
    _heading(console, "What mattered")
    if not found.importances:
        _line(
            console,
            f"Nothing can be said before {LEAST_TRIALS} trials have a score at the same rung.",
        )
    for images, items in found.importances.items():
        place = found.compared[images]
        _line(console, f"Median distance of the trials {place}, the surest first:")
        for item in items:
            medians = ", ".join(f"{name}: {median:.1f}" for name, median in item.medians)
            told = f"{item.verdict} (chance {item.chance:.2g}); {medians}"
            _line(console, f"  {short_path(item.path):<{width}}  {told}")
    _heading(console, "How sure is it")
    if found.confirmed:
        _line(console, verdict(found.confirmed))
    elif found.lead is not None:
        _line(console, found.lead.verdict)
    if found.luck:
        _line(console, found.luck)
    for correlation in found.correlations:
        _line(
            console,
            f"The order of {correlation.num_trials} finished trials at {correlation.images:,} "
            f"images and at the end, 1 if the same: rank correlation {correlation.spearman:.2f} "
            f"({correlation.low:.2f} to {correlation.high:.2f}).",
        )
    if not found.correlations:
        _line(
            console,
            "Too few trials ran to the end to say how well a rung foretells it.",
        )
    _heading(console, "Cost")
    _line(console, cost_sentence(found, plan))


def cost_sentence(found: Findings, plan: Plan) -> str:
    """Say what a study took."""
    cost = found.cost
    seconds = cost.train_seconds + cost.evaluate_seconds
    share = cost.evaluate_seconds / seconds if seconds else 0.0
    memory = ""
    if cost.peak_gpu_gib:
        memory = f", at most {cost.peak_gpu_gib:.1f} GiB of GPU memory a trial"
    shared = " and sharing" if cost.images_inherited else ""
    text = (
        f"{cost.images:,} training images, {cost.share_of_full:.0%} of what the same trials would "
        f"have taken without pruning{shared}; {duration(cost.wall_seconds)} of search, "
        f"{duration(seconds)} of trials, of which {share:.0%} was spent on evaluation{memory}."
    )
    more = (saving_sentence(found.saving, plan), saved_sentence(cost))
    return " ".join((text, *filter(None, more)))


def saved_sentence(cost: Cost) -> str:
    """Say what was saved by sharing pretraining; empty where nothing was."""
    if not cost.images_inherited:
        return ""
    return (
        f"{cost.images_inherited:,} images of pretraining were taken over from runs that had "
        f"trained them, which saved {duration(cost.seconds_inherited)} of trials."
    )


def describe_domain(domain: Domain) -> str:
    """Say which values a domain has."""
    if isinstance(domain, Choice):
        text = "one of " + ", ".join(value_text(value) for value in domain.values)
    else:
        text = f"{value_text(domain.low)} to {value_text(domain.high)}"
        text += ", logarithmic" if domain.kind == "loguniform" else ""
        if not isinstance(domain, Int) and domain.points is not None:
            text += f", one of {domain.points} values"
    if domain.when:
        conditions = "; ".join(
            f"{short_path(path)} is {' or '.join(map(value_text, values))}"
            for path, values in domain.when.items()
        )
        text += f", where {conditions}"
    return text


def _heading(console: Console, text: str) -> None:
    console.print(f"\n[bold]{text}[/]")


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)
