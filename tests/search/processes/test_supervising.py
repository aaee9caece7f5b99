"""A supervisor goes on looking after its children while the database is away, and says so."""

import os
import signal
from dataclasses import dataclass, field

import psycopg2
import pytest

from optselect.search.processes.supervising import Outage, watch
from optselect.search.voice import speak
from optselect.storage.errors import Unreachable


@dataclass
class Team:
    """Lives for so many polls; a stop ends it at once."""

    polls: int
    polled: int = 0
    told: list[str] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return self.polled < self.polls and not self.told

    def poll(self) -> None:
        self.polled += 1

    def stop(self) -> None:
        self.told.append("stop")

    def kill(self) -> None:
        self.told.append("kill")


def away() -> None:
    raise psycopg2.OperationalError("connection refused")


def test_an_outage_is_said_once_and_so_is_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    speak(timed=False)
    outage = Outage(patience_seconds=600.0)
    for call in (away, away, lambda: None, lambda: None):
        outage.ask(call)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "the database is away; trials go on and wait for it, up to 10 minutes: connection refused",
        "the database is back",
    ]
    outage.demand_end()


def test_children_are_polled_while_the_database_is_away() -> None:
    team = Team(polls=3)
    assert not watch(team, away, Outage(patience_seconds=600.0))
    assert (team.polled, team.told) == (3, [])


def test_an_outage_that_is_too_long_drains_the_team_and_is_said_in_one_line() -> None:
    team, outage = Team(polls=1000), Outage(patience_seconds=0.0)
    watch(team, away, outage)
    assert team.told == ["stop"]
    with pytest.raises(Unreachable, match=r"did not come back \(connection refused\).*resume here"):
        outage.demand_end()


def test_an_interrupt_is_answered_during_an_outage() -> None:
    team = Team(polls=1000)

    def interrupted_and_away() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        away()

    assert watch(team, interrupted_and_away, Outage(patience_seconds=600.0))
    assert team.told[0] == "stop"


def test_an_error_that_waiting_does_not_cure_comes_out() -> None:
    def wrong() -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        watch(Team(polls=3), wrong, Outage(patience_seconds=600.0))
