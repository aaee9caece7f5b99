"""A trial of 20 epochs costs at most 90 SQL statements, also where each epoch is written by itself with a checkpoint."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from optselect.search.bundles.source import read_bundle
from optselect.search.context import Context
from optselect.search.spec.declarations import Sampler
from optselect.search.spec.study_spec import Request, resolve
from optselect.search.studies.creating import create, new_study
from optselect.search.studies.in_process import InProcessDescriber
from optselect.search.worker.departure import Departure
from optselect.storage.records.overview import list_trials
from optselect.storage.server.database import Database, make_engine

MOST_STATEMENTS = 90
PROBLEM = Path(__file__).parents[1] / "support" / "steady.py"


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement that any engine of this process sends, in order."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize(("sampler", "phases"), [("tpe", {"quota", "survivors"}), ("learned", {"survivors"})])
def test_a_trial_of_twenty_epochs_costs_ninety_statements_at_most(
    initialised_database: Database,
    statements: list[str],
    monkeypatch: pytest.MonkeyPatch,
    sampler: Sampler,
    phases: set[str],
) -> None:
    monkeypatch.setattr("optselect.trials.training.watch.REPORT_SECONDS", 0.0)
    engine = make_engine(initialised_database)
    description = InProcessDescriber(PROBLEM).result()
    request = Request(
        problem=str(PROBLEM), optimizers="adamw", trials=13, epochs=20, tune="all", seeds=0, sampler=sampler
    )
    spec = resolve(request, description, False, PROBLEM.parent)
    context = Context(None, initialised_database.home)
    bundle = read_bundle(PROBLEM, description.modules)
    study = create(
        new_study(f"counted-{sampler}", spec, description, bundle, context),
        spec,
        initialised_database,
        engine,
    )

    from optselect.search.worker.loop import work
    from optselect.search.worker.preparing import Assignment  # TensorFlow, whose settings are in place now

    statements.clear()
    assert work(Assignment(initialised_database, engine, study, PROBLEM, 60.0), Departure()) == 0
    whole = [trial for trial in list_trials(engine, study.id) if trial.epochs == 20]
    assert phases <= {trial.phase for trial in whole}  # points of a plan, and the sampler's
    # One worker claims in order; what it sends until the next claim is that trial's.
    of_tickets = list(between_claims(statements))
    for trial in whole:
        sent = of_tickets[trial.ord]
        epochs = sum("INSERT INTO epoch_log" in statement for statement in sent)
        states = sum("INSERT INTO checkpoint" in statement for statement in sent)
        assert epochs >= 1
        # Short epochs may have shared a write; twenty times as long, each has its own, with a checkpoint.
        assert len(sent) - epochs - states + 2 * 20 <= MOST_STATEMENTS, sent


def between_claims(statements: list[str]) -> Iterator[list[str]]:
    claims = [place for place, statement in enumerate(statements) if "SET state = 'leased'" in statement]
    for first, following in itertools.pairwise([*claims, len(statements)]):
        yield statements[first:following]
