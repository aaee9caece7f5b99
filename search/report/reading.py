"""What is a report made of, from a database or from a file?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optselect.search.context import Context
from optselect.search.verdict.findings import Findings, demand_verdict, find
from optselect.search.verdict.record import Record, read_record
from optselect.storage.records.curves import read_metric
from optselect.storage.records.studies import StoredStudy, load_study
from optselect.storage.server.database import Engine, make_engine

if TYPE_CHECKING:
    from optselect.search.verdict.insight import Curves


@dataclass(frozen=True)
class Evidence:
    """What a report is made of, from a database or from a file."""

    record: Record
    sources: Mapping[str, str]
    """The problem's files, by path."""
    curves: "Callable[[], Curves]"
    """Of the objective."""

    def demand_findings(self) -> Findings:
        """The verdict; raises InvalidInput where there is none."""
        return demand_verdict(find(self.record))


def stored_evidence(name: str, context: Context) -> Evidence:
    """What the database has of a study."""
    engine = make_engine(context.open())
    return evidence_of(engine, load_study(engine, name))


def evidence_of(engine: Engine, study: StoredStudy) -> Evidence:
    def curves() -> "Curves":
        return read_metric(engine, study.id, study.objective)

    return Evidence(read_record(engine, study), study.bundle, curves)
