"""What should make a reader of a verdict careful? Sentences, each with what can be done about it."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from optselect.search.notes import LAST_RATE
from optselect.search.spec.dimension import Dimension
from optselect.search.spec.switching import FRACTION, SECOND
from optselect.search.strategy.planning import ENOUGH
from optselect.search.verdict.findings import Findings
from optselect.search.verdict.task import task_model
from optselect.search.verdict.tuning import single_runs, tunings
from optselect.trials.terms.configuration import BASELINE, ArgumentValue

EDGE = 0.05
"""Outer share of a range, on the scale of the search, in which the best value may well lie beyond it."""

MOST_NAMED = 4
"""Optimizers with their figures in one sentence."""

CONTAINS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "RMSprop": ("SGD",),
        "Adam": ("SGD",),
        "AdamW": ("Adam", "SGD"),
        "Nadam": ("Adam", "RMSprop", "SGD"),
    }
)
"""Optimizers that behave, with the right settings, like these simpler ones (Choi et al. 2019)."""


def cautions(found: Findings) -> list[str]:
    """The most important first."""
    return [
        *not_compared(found),
        *contradictions(found),
        *better_defaults(found),
        *too_few_trials(found),
        *unlike_known_tasks(found),
        *unstable(found),
        *alike_rates(found),
        *edges(found),
        *inclusions(found),
        *shortfall(found),
    ]


def not_compared(found: Findings) -> Iterator[str]:
    """The user's own optimizer was set aside: what is tuned has nothing to be better than."""
    if reason := found.record.set_aside.get(BASELINE):
        yield f"Your own optimizer is {reason}. So nothing is compared with it."


def contradictions(found: Findings) -> Iterator[str]:
    """Validation and test disagree on who is best."""
    comparisons = found.judgement.comparisons.items()
    ahead = ["yours" if name == BASELINE else name for name, c in comparisons if c.relation == "ahead"]
    if ahead:
        yield (
            f"{called(found.judgement.leader)} leads on the validation data, but the test data clearly prefer "
            f"{', '.join(ahead)}: the two splits differ more than the optimizers do. More validation rows would help, more trials would not."
        )


def better_defaults(found: Findings) -> Iterator[str]:
    """Optimizers that do better without what was tuned of them: on fresh seeds, or in single runs."""
    fresh, single = tunings(found), single_runs(found.record)
    sure = {name: beside(t.default, t.tuned) for name, t in fresh.items() if t.surely_lost}
    close = {name: beside(t.default, t.tuned) for name, t in fresh.items() if t.lost and not t.surely_lost}
    once = {n: beside(one.default, one.tuned) for n, one in single.items() if one.lost and n not in fresh}
    spec, why = found.record.spec, "the search was too short, or its ranges too narrow."
    if not found.thin:  # else the verdict itself says how many more trials it needs
        why += f" For a longer one: optselect resume {found.record.name} --trials +24"
    if sure:
        yield f"{defaults_of(sure, spec.custom)} did better than what was tuned, on the same fresh seeds: {why}"
    if close:
        yield (
            f"{defaults_of(close, spec.custom)} did a little better than what was tuned, which may be chance, on the "
            "same fresh seeds: tuning has gained nothing that shows."
        )
    if once:
        yield (
            f"{defaults_of(once, spec.custom)} did better in one run than the best trial of the search, by "
            f"{spec.objective}: {why}"
        )


def beside(default: float, tuned: float | None) -> str:
    """Both figures of an optimizer.

    >>> beside(0.49854, 0.53379), beside(0.5, None)
    ('0.4985, tuned 0.5338', '0.5, tuned none')
    """
    return f"{default:.4g}, tuned {'none' if tuned is None else format(tuned, '.4g')}"


def defaults_of(figures: Mapping[str, str], customs: Collection[str]) -> str:
    """Defaults in a sentence, with their figures; those of a class of the user's own are not Keras's.

    >>> defaults_of({"Lion": "0.49", "SGD": "0.7"}, ()), defaults_of({"Mine": "0.5"}, ("Mine",))
    ("Keras's defaults of Lion (0.49) and SGD (0.7)", 'The defaults of Mine (0.5)')
    """
    shown = [f"{name} ({figure})" for name, figure in figures.items()]
    if len(shown) > MOST_NAMED:  # tables and --json have them all
        shown = [*shown[: MOST_NAMED - 1], f"{len(shown) - MOST_NAMED + 1} more"]
    listed = " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)
    whose = "The" if any(name in customs for name in figures) else "Keras's"
    return f"{whose} defaults of {listed}"


def too_few_trials(found: Findings) -> Iterator[str]:
    fewest, _ = found.trials_each
    enough = ENOUGH[found.record.spec.sampler]
    if fewest < enough and not found.thin:  # then the answer itself says so
        yield (
            f"Only {fewest} trial{'s' if fewest != 1 else ''} of an optimizer: with fewer than {enough} the order "
            "often changes when there are more."
        )


def unlike_known_tasks(found: Findings) -> Iterator[str]:
    """What other tasks teach did not help here, so that the search had to begin from nothing."""
    record = found.record
    if record.spec.sampler == "learned" and (model := task_model(record)).misfit.rings:
        yield (
            f"This task is unlike the {len(model.known.names)} tasks that the search has learned from: its results are "
            "likelier without them. So it went on without them, and needs more trials than usual: the best settings may "
            "not be found yet."
        )


def unstable(found: Findings) -> Iterator[str]:
    """Of those one may take: an optimizer that is best on average and explodes now and then."""
    for name in dict.fromkeys((found.shown, *found.judgement.tie)):
        finalist = found.finalist(name)
        if finalist.diverged:
            yield f"{called(name)} diverged on {finalist.diverged} of {finalist.seeds} seeds."
        elif finalist.shaky:
            yield (
                f"{called(name)} is unstable: on {finalist.shaky} of {finalist.seeds} seeds it was more than twice "
                "as bad as usual."
            )


def alike_rates(found: Findings) -> Iterator[str]:
    """Optimizers whose trials all ended at one learning rate, wherever they began: a callback has set it."""
    spec = found.record.spec
    for name in (name for name in spec.singles if not spec.is_scheduled(name)):
        whole = [trial for trial in found.record.searched(name) if trial.state == "complete"]
        ended = [trial for trial in whole if LAST_RATE in trial.notes]
        begun = {trial.params.get("learning_rate") for trial in ended}
        rates = {trial.notes[LAST_RATE] for trial in ended}
        if len(begun) > 1 and len(rates) == 1:
            yield (
                f"All {len(ended)} trials of {name} ended at the learning rate {rates.pop():g}, wherever they began: a "
                "callback sets it, and the search of the learning rate may say little."
            )


def called(name: str) -> str:
    return "Your own optimizer" if name == BASELINE else f"Tuned {name}"


def edges(found: Findings) -> Iterator[str]:
    """Arguments at the end of their range, and how to widen it."""
    name = found.shown
    for dimension in found.record.spec.space.get(name, ()):
        if dimension.keyword == FRACTION:
            continue  # beyond its ends lie the two optimizers alone, which have trials of their own
        side = edge_of(dimension, found.finalist(name).arguments)
        if side:
            yield edge_sentence(
                name, dimension, found.finalist(name).arguments, side, place_of(found, dimension)
            )


def place_of(found: Findings, dimension: Dimension) -> str:
    """The table and key of a spec file; a switch searches the ranges of its two optimizers."""
    for switch in found.record.spec.switches:
        if switch.name == found.shown:
            is_second = dimension.keyword.startswith(SECOND)
            table = switch.second if is_second else switch.first
            return f"[space.{table}] {dimension.keyword.removeprefix(SECOND)}"
    return f"[space.{found.shown}] {dimension.keyword}"


def edge_of(dimension: Dimension, arguments: Mapping[str, ArgumentValue]) -> str:
    """At which end of its range an argument stands, "lower" or "upper" in Keras's values; empty where inside.

    >>> rate = Dimension(keyword="learning_rate", scale="log", low=1e-5, high=0.1)
    >>> edge_of(rate, {"learning_rate": 0.08}), edge_of(rate, {"learning_rate": 1.1e-5})
    ('upper', 'lower')
    >>> edge_of(rate, {"learning_rate": 0.01})
    ''
    """
    value = arguments.get(dimension.keyword)
    if dimension.scale in ("choice", "fixed") or not isinstance(value, (int, float)):
        return ""
    place = dimension.place(value)
    if dimension.scale == "complement":  # 1 - x is sampled
        # Beyond 0.9 of 1 - x lies next to nothing: there the momentum is gone already.
        return "upper" if place < EDGE else "lower" if place > 1 - EDGE and dimension.high < 0.9 else ""
    return "lower" if place < EDGE else "upper" if place > 1 - EDGE else ""


def edge_sentence(
    optimizer: str, dimension: Dimension, arguments: Mapping[str, ArgumentValue], side: str, place: str
) -> str:
    low, high = dimension.keras_bounds()
    return (
        f"{dimension.keyword} {arguments[dimension.keyword]:.4g} of {optimizer} is at the {side} edge of its range, "
        f"{low:.4g} to {high:.4g}: the best may lie beyond. Widen it in a spec file, {place} = "
        f"{{{widened(dimension, side)}}}, and launch under another name."
    )


def widened(dimension: Dimension, side: str) -> str:
    """The range with a decade more at one end, as a spec file says it.

    >>> widened(Dimension(keyword="learning_rate", scale="log", low=1e-5, high=0.1), "upper")
    'low = 1e-05, high = 1, log = true'
    """
    low, high = dimension.keras_bounds()
    if dimension.scale == "complement":
        low, high = (low, 1 - (1 - high) / 10) if side == "upper" else (max(0.0, 1 - (1 - low) * 2), high)
        return f"low = {low:.6g}, high = {high:.6g}"
    if dimension.scale in ("log", "integer log"):
        low, high = (low, high * 10) if side == "upper" else (low / 10, high)
        return f"low = {low:.6g}, high = {high:.6g}, log = true"
    width = high - low
    low, high = (low, high + width) if side == "upper" else (low - width, high)
    return f"low = {low:.6g}, high = {high:.6g}"


def inclusions(found: Findings) -> Iterator[str]:
    """A general optimizer that lost to one that it contains was rather searched badly than worse."""
    best = found.judgement.leader
    beaten = {name for name, c in found.judgement.comparisons.items() if c.relation == "beaten"}
    losers = [n for n, inside in CONTAINS.items() if best in inside and n in beaten | found.dropped.keys()]
    if losers:
        yield (
            f"{' and '.join(losers)} lost to {best}, which {'they' if len(losers) > 1 else 'it'} can imitate: "
            "suspect ranges or too few trials before the optimizer."
        )


def shortfall(found: Findings) -> Iterator[str]:
    """Trials of the budget that failed: they searched nothing."""
    failed = [trial for trial in found.record.trials if trial.searched and trial.state == "failed"]
    if failed:
        by_optimizer = Counter(trial.optimizer for trial in failed)
        whose = ", ".join(f"{count} of {name}" for name, count in by_optimizer.items())
        reason = next((trial.message for trial in failed if trial.message), "unknown")
        yield f"{len(failed)} trials failed and searched nothing ({whose}); the first reason: {reason}"
    runs = [t for t in found.record.trials if t.phase == "final" and t.state == "failed"]
    if runs:
        yield f"{len(runs)} runs of the finals failed and are missing; the first reason: {runs[0].message}"
