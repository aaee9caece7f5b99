"""How does a verdict look in a terminal, and as JSON?"""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from optselect.search.documents import SCHEMA, Baseline, BesideDefaults, BesideLeader, Verdict, WithoutVerdict
from optselect.search.documents import Finalist as FinalistPart
from optselect.search.documents import Gain as GainPart
from optselect.search.report.chosen_code import chosen_code
from optselect.search.report.sentences import Words, compared, relative, short_name, words_of
from optselect.search.status.tables import AT_DEFAULTS, dash, plain_table
from optselect.search.verdict.comparing import Interval
from optselect.search.verdict.findings import Finalist, Findings, Gain, NoVerdict, stored_findings
from optselect.search.verdict.judging import Comparison
from optselect.search.verdict.tuning import SingleRuns, Tuning, single_runs, tunings
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Engine
from optselect.trials.terms.configuration import BASELINE

SHOWN: Mapping[str, str] = MappingProxyType({"equivalent": "equal"})
"""Relations that a person reads by another word than a script, whose words must last."""
MOST_ROWS = 9
MOST_CAUTIONS = 5
"""What is beyond stands in --json and --html: a page of a terminal is soon full."""


def verdict_page(found: Findings) -> RenderableType:
    """The whole report: at most 40 lines of 100 columns."""
    words = words_of(found)
    parts: list[RenderableType] = [Text(words.answer, style="bold"), "", ranking_table(found)]
    hidden = len(found.finalists) - MOST_ROWS
    parts += [Text(f"and {hidden} more: --json", style="dim")] if hidden > 0 else []
    parts += [Text(f"{found.metric}: {found.record.objective.which_is_better}", style="dim")]
    return Group(*parts, "", *evidence_lines(words), "", code_lines(found))


def short_verdict(found: Findings) -> RenderableType:
    """The end of a launch, below its table."""
    words = words_of(found)
    return Group(Text(words.answer, style="bold"), *evidence_lines(words), "", code_lines(found))


def evidence_lines(words: Words) -> Iterator[RenderableType]:
    for sentence in words.evidence:
        yield Text(sentence)
    for sentence in words.cautions[:MOST_CAUTIONS]:
        yield Text(f"Mind: {sentence}", style="yellow")
    if len(words.cautions) > MOST_CAUTIONS:
        yield Text(f"and {len(words.cautions) - MOST_CAUTIONS} more warnings: --json", style="dim")
    for sentence in words.to_settle:
        yield Text(sentence)


def code_lines(found: Findings) -> Text:
    return Text("\n".join(f"  {line}" for line in chosen_code(found).splitlines()), style="green")


def ranking_table(found: Findings) -> Table:
    """Who was in the finals, the best first; the one interval is that by which the verdict was made."""
    columns = ("optimizer", f"mean {found.metric}", "beside the leader", "seeds", "diverged")
    table = plain_table(*columns, wide="beside the leader")
    fresh = tunings(found)
    for finalist in found.finalists[:MOST_ROWS]:
        table.add_row(
            f"yours: {found.record.problem.baseline.optimizer}"
            if finalist.name == BASELINE
            else finalist.name,
            f"{finalist.values.mean:.4g}",
            beside_leader(found, finalist),
            str(finalist.seeds),
            dash(finalist.diverged),
        )
        if finalist.name in fresh and fresh[finalist.name].lost:
            table.add_row(*defaults_row(fresh[finalist.name]), style="yellow")
    return table


def defaults_row(tuning: Tuning) -> tuple[str, ...]:
    """Below what was tuned of an optimizer, its defaults that do better."""
    gained = Interval(-tuning.gain, -tuning.share.high, -tuning.share.low)
    return (
        AT_DEFAULTS,
        f"{tuning.default:.4g}",
        f"{compared(gained, tuning.seeds)} than tuned",
        str(tuning.seeds),
        dash(tuning.diverged),
    )


def shown_interval(interval: Interval) -> str:
    return f"{interval.low:.4g} to {interval.high:.4g}" if 0 < interval.half < math.inf else "-"


def beside_leader(found: Findings, finalist: Finalist) -> str:
    """The interval that decides, and what it comes to."""
    beside = finalist.versus_leader
    if beside is None:
        return "leads"
    return (
        f"{compared(relative(found, finalist), beside.seeds)}, {SHOWN.get(beside.relation, beside.relation)}"
    )


# --- JSON ---------------------------------------------------------------------------------------------


def answer_json(study: str, found: Findings | NoVerdict) -> Verdict | WithoutVerdict:
    """The answer of `report --json`, or why there is no verdict."""
    return no_verdict_json(study, found) if isinstance(found, NoVerdict) else verdict_json(found)


def verdict_json(found: Findings) -> Verdict:
    """A verdict as data: means in the objective's values, differences in cost, above 0 where worse."""
    words = words_of(found)
    return {
        "schema": SCHEMA,
        "study": found.record.name,
        "outcome": found.outcome,
        "winner": found.judgement.leader if found.outcome == "winner" else None,
        "tie": list(found.judgement.tie),
        "leader": found.judgement.leader,
        "keep": found.keep,
        "margin": found.judgement.margin,
        "bound": max(0.0, found.judgement.bound),
        "metric": found.metric,
        "direction": found.record.spec.direction,
        "tested": found.tested,
        "ranking": [finalist_json(finalist) for finalist in found.finalists],
        "defaults": defaults_json(found),
        "baseline": baseline_json(found),
        "dropped": dict(found.dropped),
        "answer": words.answer,
        "evidence": list(words.evidence),
        "warnings": list(words.cautions),
        "to_settle": list(words.to_settle),
        "code": chosen_code(found),
    }


def no_verdict_json(study: str, found: NoVerdict) -> WithoutVerdict:
    """The same for a study without a verdict."""
    return {
        "schema": SCHEMA,
        "study": study,
        "outcome": None,
        "winner": None,
        "tie": [],
        "ranking": [],
        "answer": found.reason,
    }


def finalist_json(finalist: Finalist) -> FinalistPart:
    return {
        "optimizer": finalist.name,
        "mean": finalist.values.mean,
        "ci": bounds(finalist.values),
        "median": finalist.median,
        "p_best": finalist.p_best,
        "seeds": finalist.seeds,
        "diverged_share": finalist.diverged / finalist.seeds,
        "params": dict(finalist.arguments),
        "vs_leader": None if finalist.versus_leader is None else versus_json(finalist.versus_leader),
    }


def versus_json(beside: Comparison) -> BesideLeader:
    return {
        "mean": beside.difference.mean,
        "ci": bounds(beside.difference),
        "confidence": beside.confidence,
        "p": beside.p,
        "relation": beside.relation,
        "seeds": beside.seeds,
        "lost_on": beside.lost_on,
    }


def defaults_json(found: Findings) -> list[BesideDefaults]:
    fresh, single = tunings(found), single_runs(found.record)
    return [
        fresh_json(name, fresh[name]) if name in fresh else single_json(name, single[name])
        for name in found.record.spec.optimizers
        if name in fresh or name in single
    ]


def fresh_json(name: str, tuning: Tuning) -> BesideDefaults:
    return {
        "optimizer": name,
        "default": tuning.default,
        "tuned": tuning.tuned,
        "better": "defaults" if tuning.gain < 0 else "tuned",
        "share": tuning.gain,
        "ci": bounds(tuning.share),
        "seeds": tuning.seeds,
    }


def single_json(name: str, runs: SingleRuns) -> BesideDefaults:
    return {
        "optimizer": name,
        "default": runs.default,
        "tuned": runs.tuned,
        "better": "defaults" if runs.lost else "tuned",
        "share": None,
        "ci": None,
        "seeds": 0,
    }


def baseline_json(found: Findings) -> Baseline:
    own = found.record.problem.baseline
    facts: Baseline = {
        "optimizer": own.optimizer,
        "params": dict(own.arguments),
        "called": short_name(own),
        "gain": None if found.gain is None else gain_json(found.gain),
        "code": own.code,
    }
    for finalist in found.finalists:
        if finalist.name == BASELINE:
            return {**facts, **finalist_json(finalist), "optimizer": own.optimizer}
    return facts


def gain_json(gain: Gain) -> GainPart:
    share = gain.share
    return {"optimizer": gain.optimizer, "share": share.mean, "ci": bounds(share), "seeds": gain.seeds}


def bounds(interval: Interval) -> list[float | None]:
    return [interval.low, interval.high]


def verdict_data(engine: Engine, study: StoredStudy) -> Verdict | WithoutVerdict:
    """What `report --json` answers."""
    return answer_json(study.name, stored_findings(engine, study))
