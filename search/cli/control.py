"""How does one pause or stop a study from anywhere? By its state, which every worker reads with what it writes."""

import sys

from optselect.search.cli.terminal import stdout_console
from optselect.search.documents import SCHEMA, Ordered, print_document
from optselect.search.engines.placing import stop_workers
from optselect.search.surroundings import Surroundings
from optselect.storage.records import overview, studies
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Engine, make_engine

WHAT_HAPPENS = {
    "paused": "no trial starts any more; running trials end as usual",
    "stopped": "no trial starts any more; running trials leave with a checkpoint, within a second or, in a long "
    "epoch, within ten",
}


def order(name: str, state: str, place: Surroundings) -> None:
    """Pause or stop a study and say what its running trials will do; harmless to repeat."""
    engine = make_engine(place.open())
    study = studies.load_study(engine, name)
    before, after = studies.order_state(engine, study.id, state)
    running = count_running(engine, study)
    behind = stop_workers(engine, study) if state == "stopped" else []
    if place.as_json:
        print_document(order_json(name, before, after, running))
    else:
        stdout_console().print(order_line(name, before, after, running), soft_wrap=True)
    for line in behind:
        print(line, file=sys.stderr)


def count_running(engine: Engine, study: StoredStudy) -> int:
    return sum(trial.state == "running" for trial in overview.list_trials(engine, study.id))


def order_json(name: str, before: str, after: str, running: int) -> Ordered:
    """What a script gets: the state, the one before, and how many trials run at this moment."""
    return {"schema": SCHEMA, "study": name, "state": after, "state_before": before, "running": running}


def order_line(name: str, before: str, after: str, running: int) -> str:
    """What a person gets.

    >>> order_line("digits", "running", "paused", 2)
    'digits is paused: no trial starts any more; running trials end as usual (2 now). To go on: optselect resume digits'
    >>> order_line("digits", "stopped", "stopped", 0)
    'digits was stopped already. To go on: optselect resume digits'
    >>> order_line("digits", "finished", "finished", 0)
    'digits is finished: nothing is to be ended. To search further: optselect resume digits --trials +24'
    """
    if after == "finished":
        return f"{name} is finished: nothing is to be ended. To search further: optselect resume {name} --trials +24"
    go_on = f"To go on: optselect resume {name}"
    if before == after:
        return f"{name} was {after} already. {go_on}"
    return f"{name} is {after}: {WHAT_HAPPENS[after]} ({running} now). {go_on}"
