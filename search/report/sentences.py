"""How is a verdict said? The answer first, then how sure it is, for what it holds, and what would settle the rest."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optselect.search.report.cautions import cautions
from optselect.search.spec.declarations import MOST_SEEDS_ASKED
from optselect.search.spec.study_spec import FEWEST_TRIALS
from optselect.search.status.tables import shown_arguments
from optselect.search.strategy.planning import ENOUGH
from optselect.search.verdict.comparing import Interval, shown_share
from optselect.search.verdict.findings import Finalist, Findings, shares
from optselect.trials.terms.configuration import BASELINE
from optselect.trials.terms.description import BaselineDescription

MOST_NAMES = 4


@dataclass(frozen=True)
class Words:
    """A verdict in words."""

    headline: str
    """The first sentence: what to do."""
    beside: str
    """What else belongs to the answer: how it compares with what the user has; empty where the headline says it."""
    evidence: Sequence[str]
    cautions: Sequence[str]
    to_settle: Sequence[str]
    """What would decide what is open, with its command."""

    @property
    def answer(self) -> str:
        return f"{self.headline} {self.beside}".rstrip()


def words_of(found: Findings) -> Words:
    headline, beside = answer(found)
    return Words(
        headline=headline,
        beside=beside,
        evidence=[*margin_of_victory(found), figures(found), *others_given_up(found), holds_for(found)],
        cautions=cautions(found),
        to_settle=list(to_settle(found)),
    )


# --- the answer ---------------------------------------------------------------------------------------


def answer(found: Findings) -> tuple[str, str]:
    """What to do, and what else belongs to it."""
    if found.outcome == "winner":
        return winner(found)
    return tie(found) if found.outcome == "tie" else undecided(found)


def winner(found: Findings) -> tuple[str, str]:
    name = found.judgement.leader
    if name == BASELINE:
        return f"Keep yours: your present {own_name(found)} beats every optimizer that was tuned.", gain(
            found
        )
    return f"Use tuned {name}: {gain(found, 'it')}", ""


def tie(found: Findings) -> tuple[str, str]:
    others = tuned([member for member in found.judgement.tie if member != BASELINE])
    how = equality(found)
    if found.keep == BASELINE:
        return f"A tie: keep your present {own_name(found)}.", f"It and {others} {how}. {gain(found)}"
    headline = f"A tie: take tuned {found.keep}, for none of them has fewer settings."
    return headline, f"{capitalised(others)} {how}. {gain(found)}"


def equality(found: Findings) -> str:
    """In which sense the members of a tie are equal."""
    rivals = [found.judgement.comparisons[name] for name in found.judgement.tie[1:]]
    if all(rival.difference == Interval(0.0, 0.0, 0.0) for rival in rivals):
        return f"have the same {found.metric} on each of {min(rival.seeds for rival in rivals)} seeds"
    if len(rivals) == 1:
        return f"are equal within {percent(found.judgement.margin)}"
    leader = called(found, found.judgement.leader)
    return f"are equal: the others are within {percent(found.judgement.margin)} of {leader}"


def undecided(found: Findings) -> tuple[str, str]:
    """What to do until more is known, then who leads, and what may hide in that."""
    leader = called(found, found.judgement.leader)
    leads = f"leads{where_leading(found)}"
    why = f"{leads}, but {why_undecided(found)}. {bound(found)}"
    if found.gain is None:
        why += capitalised(gain(found))
        return f"Not enough evidence for a winner: {leader} {leads}.", f"It {why}"
    why += f"So far {gain(found)}"
    use = "keep" if found.keep == BASELINE else "use"
    who = "It" if found.keep == found.judgement.leader else capitalised(leader)
    return f"Not enough evidence for a winner: {use} {called(found, found.keep)} for now.", f"{who} {why}"


def where_leading(found: Findings) -> str:
    """What names the leader, where the mean of what was judged is better of another one."""
    better = any(rival.difference.mean < 0 for rival in found.judgement.comparisons.values())
    return " on the validation data" if better and found.tested else ""


def why_undecided(found: Findings) -> str:
    if found.judgement.contradicted:
        return f"the test data prefer {named(found.judgement.named('ahead'))}"
    if found.thin:
        fewest, _ = found.trials_each
        return f"{fewest} trial{'s' if fewest != 1 else ''} of each optimizer are too few to tell them apart"
    names = found.judgement.undecided
    sentence = f"{named(names)} {'is' if len(names) == 1 else 'are'} not excluded"
    if BASELINE in found.judgement.named("equivalent"):
        leader = called(found, found.judgement.leader)
        return f"{sentence}, and yours is equal to {leader} within {percent(found.judgement.margin)}"
    return sentence


def bound(found: Findings) -> str:
    """How much better than the leader another one may still be, by the intervals that are shown; a sentence or nothing."""
    most, rivals = found.judgement.bound, list(found.judgement.comparisons)
    if most <= 0:
        return ""
    if most >= 1:
        return "These seeds do not tell how much better another one may be. "
    others = (
        f"{capitalised(called(found, rivals[0]))} is at most"
        if len(rivals) == 1
        else "None of the others is more than"
    )
    return f"{others} {rounded_up(most)} better than {called(found, found.judgement.leader)}. "


def gain(found: Findings, subject: str = "") -> str:
    """The best tuned optimizer beside the user's own."""
    own = next((finalist for finalist in found.finalists if finalist.name == BASELINE), None)
    if found.gain is None or own is None:
        return "your present optimizer has no finished run to compare with."
    share, seeds = found.gain.share, found.gain.seeds
    sentence = (
        f"{subject or f'tuned {found.gain.optimizer}'} is {compared(share, seeds)} "
        f"{'than' if share.mean else 'as'} your present {own_name(found)}, "
        f"which diverged on {own.diverged} of {own.seeds} seeds."
    )
    return sentence if subject or found.outcome == "not_enough_evidence" else capitalised(sentence)


def compared(share: Interval, seeds: int) -> str:
    """A difference in words; where its spread is not known it has no plus-minus.

    >>> compared(Interval(0.12, 0.09, 0.15), 5), compared(Interval(-0.034, -0.044, -0.024), 5)
    ('12.0% ± 3.0% better', '3.4% ± 1.0% worse')
    >>> compared(Interval(0.003, -0.005, 0.011), 20)
    '0.3% ± 0.8% better'
    >>> compared(Interval(-0.5, -math.inf, math.inf), 1), compared(Interval(0.0, 0.0, 0.0), 10)
    ('50% worse on 1 seed', 'the same on 10 seeds')
    """
    word = "better" if share.mean >= 0 else "worse"
    if 0 < share.half < math.inf:
        digits = digits_of(abs(share.mean), share.half)
        form = f".{digits}%"
        return f"{shown_share(abs(share.mean), form)} ± {shown_share(share.half, form)} {word}"
    where = f"on {seeds} seed{'s' if seeds != 1 else ''}"
    return (
        f"{shown_share(abs(share.mean), '.0%' if abs(share.mean) >= 0.0095 else '.1%')} {word} {where}"
        if share.mean
        else f"the same {where}"
    )


def digits_of(mean: float, half: float) -> int:
    """So many that one sees whether the interval leaves out zero.

    >>> digits_of(0.30, 0.12), digits_of(0.041, 0.038), digits_of(0.0404, 0.0401)
    (0, 1, 2)
    """
    fewest = 0 if half >= 0.0995 else 1
    return next((digits for digits in range(fewest, 4) if f"{mean:.{digits}%}" != f"{half:.{digits}%}"), 4)


def percent(share: float) -> str:
    """A share as a person writes it.

    >>> percent(0.01), percent(0.005)
    ('1%', '0.5%')
    """
    return f"{100 * share:.3g}%"


def rounded_up(share: float) -> str:
    """A bound, never below what it bounds.

    >>> rounded_up(0.071), rounded_up(0.08), rounded_up(0.0041)
    ('8%', '8%', '0.5%')
    """
    parts = 100 if share >= 0.01 else 1000
    return percent(math.ceil(round(share * parts, 6)) / parts)


# --- the evidence -------------------------------------------------------------------------------------


def margin_of_victory(found: Findings) -> Iterator[str]:
    """How far the next ones are behind a winner."""
    rivals = [finalist for finalist in found.finalists[1:] if finalist.name != BASELINE]
    if found.outcome != "winner" or not rivals:
        return
    next_best = rivals[0]
    beside = next_best.versus_leader
    assert beside is not None, "every one but the leader is compared with it"
    yield (
        f"The next best is tuned {next_best.name}: {compared(relative(found, next_best), beside.seeds)}, and it lost on "
        f"{beside.lost_on} of {beside.seeds} seeds."
    )


def relative(found: Findings, rival: Finalist) -> Interval:
    """How much better a rival is than the leader, as a share of the leader's cost; below 0: worse."""
    assert rival.versus_leader is not None
    whole = abs(found.judgement.costs[found.judgement.leader].mean) or 1.0
    return shares(rival.versus_leader.difference, -whole)


def figures(found: Findings) -> str:
    """The figure of the one that is shown, from fresh seeds."""
    finalist = found.finalist(found.shown)
    values = finalist.values
    between = f" (95%: {values.low:.4g} to {values.high:.4g})" if 0 < values.half < math.inf else ""
    median = f", median {finalist.median:.4g}" if finalist.diverged else ""
    if found.tested:
        where = "on test data that no choice has seen"
    else:
        where = "on the validation data, also used for the search: optimistic, for data() gives no test split"
    shares = f" Percentages are of 1 - {found.metric}." if found.record.scale.whole else ""
    return (
        f"{mean_of(found)} of {called(found, finalist.name)}: {values.mean:.4g}{between}{median} over {finalist.seeds} fresh seeds, "
        f"{where}.{shares}"
    )


def mean_of(found: Findings) -> str:
    return "Test " + found.metric.removeprefix("test ") if found.tested else f"Mean {found.metric}"


def others_given_up(found: Findings) -> Iterator[str]:
    # Of the baseline a warning says it.
    given_up = {name: reason for name, reason in found.dropped.items() if name != BASELINE}
    if given_up:
        each = "; ".join(f"{name} ({reason})" for name, reason in given_up.items())
        yield f"Given up on the way: {each}."


def holds_for(found: Findings) -> str:
    """For which budget it holds."""
    fewest, most = found.trials_each
    trials = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    plural = "" if most == 1 else "s"
    return (
        f"This holds for {trials} trial{plural} of each optimizer and {found.record.spec.epochs} epochs"
        f"{in_precision(found)}; "
        "with another budget the order may be another."
    )


def in_precision(found: Findings) -> str:
    """Where it is not Keras's usual one; yours, the baseline, was trained in the same."""
    precision = found.record.spec.precision or found.record.problem.precision
    return "" if precision == "float32" else f" in {precision}"


# --- what would settle it -----------------------------------------------------------------------------


def to_settle(found: Findings) -> Iterator[str]:
    """How much more would decide, and the command."""
    name = found.record.name
    if found.thin:
        count, enough = len(found.record.compared.optimizers), ENOUGH[found.record.spec.sampler]
        least, more = FEWEST_TRIALS * count - found.record.budget, enough * count - found.record.budget
        yield (
            f"A verdict takes at least {least} more trials; {enough} for each optimizer are advised: "
            f"optselect resume {name} --trials +{more}. Or name fewer optimizers in a new study."
        )
    elif found.judgement.undecided and not found.judgement.contradicted:
        yield more_seeds(found)


def more_seeds(found: Findings) -> str:
    seeds = found.judgement.more_seeds
    if seeds <= MOST_SEEDS_ASKED:
        return f"About {seeds} more seeds would decide: optselect resume {found.record.name} --seeds +{seeds}"
    return f"It would take about {float(f'{seeds:.2g}'):,.0f} more seeds to decide: not worth while."


# --- names --------------------------------------------------------------------------------------------


def called(found: Findings, name: str) -> str:
    """A finalist in a sentence."""
    return f"your present {own_name(found)}" if name == BASELINE else f"tuned {name}"


def named(names: Sequence[str]) -> str:
    """Finalists in a sentence, the user's own first.

    >>> named(["Adam", "baseline", "SGD"]), named(["baseline"]), named(["Adam", "baseline"])
    ('yours, tuned Adam and SGD', 'yours', 'yours and tuned Adam')
    """
    others = [name for name in names if name != BASELINE]
    if BASELINE not in names:
        return tuned(others)
    return f"yours{', ' if len(others) > 1 else ' and '}{tuned(others)}" if others else "yours"


def own_name(found: Findings) -> str:
    return short_name(found.record.problem.baseline)


def short_name(baseline: BaselineDescription) -> str:
    """The user's optimizer in a sentence.

    >>> short_name(BaselineDescription("SGD", {"learning_rate": 0.01}, ""))
    'SGD(0.01)'
    >>> short_name(BaselineDescription("SGD", {"learning_rate": 0.01, "momentum": 0.9}, ""))
    'SGD(learning_rate=0.01, momentum=0.9)'
    >>> short_name(BaselineDescription("SGD", {"learning_rate": "ExponentialDecay(0.1, 100, 0.9)"}, ""))
    'SGD(ExponentialDecay)'
    """
    arguments = dict(baseline.arguments)
    rate = arguments.get("learning_rate")
    if isinstance(rate, str):  # a schedule, as its call
        arguments["learning_rate"] = rate = rate.partition("(")[0]
    if set(arguments) == {"learning_rate"}:
        return f"{baseline.optimizer}({rate if isinstance(rate, str) else f'{rate:.4g}'})"
    return f"{baseline.optimizer}({shown_arguments(arguments) if arguments else ''})"


def tuned(names: Sequence[str]) -> str:
    """Tuned optimizers in a sentence, some of them where they are many.

    >>> tuned(["Adam", "SGD"]), tuned(["Adam", "SGD", "Lion", "Nadam", "AdamW", "Ftrl"])
    ('tuned Adam and SGD', 'tuned Adam, SGD, Lion and 3 more')
    """
    shown = (
        list(names)
        if len(names) <= MOST_NAMES
        else [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} more"]
    )
    return f"tuned {listed(shown)}"


def capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def listed(names: Sequence[str]) -> str:
    """A list in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
