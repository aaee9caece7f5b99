"""How does a machine serve every running study, those of tomorrow included? Its slots go where work is least shared.

A slot holds one training process at a time, of one study: two problems never share a process, so that a slot changes
its study by a new process. sharing.py decides which.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optselect.search.errors import InvalidInput
from optselect.search.exit_codes import WorkerExit
from optselect.search.processes.devices import Seat
from optselect.search.processes.forking import Zygote, closing
from optselect.search.processes.local import Slot, slot_on, zygote_of
from optselect.search.processes.observing import observing
from optselect.search.processes.sharing import next_study
from optselect.search.processes.supervising import (
    PATIENCE_SECONDS,
    Outage,
    Service,
    log_folder,
    run_folder,
    watch,
)
from optselect.search.voice import say
from optselect.storage.errors import InvalidRow, NotFound
from optselect.storage.records import studies
from optselect.storage.records.studies import Share, StoredStudy
from optselect.storage.records.tickets import lease_seconds
from optselect.storage.server.database import Database, Engine

GIVING_WAY = ("--gives-way",)


@dataclass(frozen=True)
class Terms:
    """How a machine takes part."""

    slots: int
    max_idle_seconds: float | None = None  # None: it stays until it is told to leave
    tracking: str | None = None
    extra: tuple[str, ...] = ()
    seats: Sequence[Seat] = ()
    admit: Callable[[StoredStudy], None] = lambda study: None
    """Raises InvalidInput for a study that must not run here."""


def serve_all(database: Database, engine: Engine, terms: Terms) -> int:
    """Serve all studies until told to leave, or idle for too long; returns the worker's exit code."""
    outage = Outage()
    with run_folder(database.home) as folder:
        fleet = Fleet(database, engine, terms, folder, zygote_of("every-study", os.environ, terms.seats))
        with closing(fleet.zygote), observing(engine, None, lease_seconds(os.environ)):
            interrupted = watch(fleet, lambda: fleet.assign(studies.read_shares(engine)), outage)
        fleet.close(0.0 if interrupted else PATIENCE_SECONDS)
    outage.demand_end()
    if interrupted:
        return WorkerExit.INTERRUPTED
    return WorkerExit.RETRY if fleet.stopping else WorkerExit.DONE


@dataclass
class Fleet:
    """The slots of this machine and the studies that they serve now."""

    database: Database
    engine: Engine
    terms: Terms
    folder: Path
    zygote: Zygote | None  # for the training processes of all studies
    services: dict[str, Service] = field(default_factory=dict)  # by study
    stopping: bool = False
    idle_since: float = field(default_factory=time.monotonic)
    _last_served: dict[str, float] = field(default_factory=dict)
    _refused: set[str] = field(default_factory=set)  # studies that this machine cannot train
    _ending: list[Service] = field(default_factory=list)
    _told_idle: bool = False

    # --- a team, as watch() sees it ---

    @property
    def alive(self) -> bool:
        """Whether a child runs, or a study may still bring work."""
        if any(service.team.alive for service in self.services.values()):
            return True
        return not self.stopping and not self._idle_too_long

    def poll(self) -> None:
        for service in self.services.values():
            service.team.poll()
        self._collect()

    def stop(self) -> None:
        self.stopping = True
        for service in self.services.values():
            service.team.stop()

    def kill(self) -> None:
        self.stopping = True
        for service in self.services.values():
            service.team.kill()

    def close(self, patience_seconds: float) -> None:
        """Let the last curves reach MLflow."""
        end = time.monotonic() + patience_seconds
        for service in [*self._ending, *self.services.values()]:
            service.carrier.close(max(0.0, end - time.monotonic()))

    # --- the slots ---

    def assign(self, shares: Sequence[Share]) -> None:
        """Give every free slot to the study that is worst off."""
        while not self.stopping and (free := self._free_slots()):
            held = {name: len(service.team.slots) for name, service in self.services.items()}
            study = next_study(shares, held, self._last_served, self._refused)
            if study is None:
                break
            self._serve(study, free[0])
        self._note_idleness()

    def _free_slots(self) -> list[int]:
        taken = {slot.number for service in self.services.values() for slot in service.team.slots}
        return [number for number in range(self.terms.slots) if number not in taken]

    def _serve(self, name: str, number: int) -> None:
        if name not in self.services:
            try:
                study = studies.load_study(self.engine, name)
                self.terms.admit(study)
            except (InvalidInput, InvalidRow, NotFound) as error:
                self._refuse(name, str(error))
                return
            self.services[name] = Service.start(
                self.database,
                self.engine,
                study,
                [],
                self.folder,
                tracking=self.terms.tracking,
                extra=(*GIVING_WAY, *self.terms.extra),
                zygote=self.zygote,
            )
        service = self.services[name]
        service.team.slots.append(self._slot(number, log_folder(self.database, service.study)))
        self._last_served[name] = time.monotonic()
        say(f"place {number} serves {name}")

    def _slot(self, number: int, logs: Path) -> Slot:
        return slot_on(number, self.terms.seats, logs)

    def _collect(self) -> None:
        """Take back the slots whose process is gone for good, and end the service of studies that have none left."""
        for name, service in list(self.services.items()):
            for slot in [slot for slot in service.team.slots if slot.closed]:
                self._take_back(name, service, slot)
            if not service.team.slots:
                service.carrier.begin_close(PATIENCE_SECONDS)
                self._ending.append(self.services.pop(name))
        self._ending = [service for service in self._ending if service.carrier.is_running]

    def _take_back(self, name: str, service: Service, slot: Slot) -> None:
        if slot.failed:
            self._refuse(name, f"The end of its log here:\n{service.team.last_lines()}")
        service.team.slots.remove(slot)

    def _refuse(self, name: str, why: str) -> None:
        self._refused.add(name)
        say(f"{name if name.isprintable() else repr(name)} is left to other machines. {why}")

    # --- idleness ---

    def _note_idleness(self) -> None:
        if self.services:
            self.idle_since, self._told_idle = time.monotonic(), False
        elif not self._told_idle:
            self._told_idle = True
            say("no study wants work done; waiting for one")

    @property
    def _idle_too_long(self) -> bool:
        limit = self.terms.max_idle_seconds
        return limit is not None and not self.services and time.monotonic() - self.idle_since >= limit
