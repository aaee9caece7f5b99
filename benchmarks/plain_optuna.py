"""What does the same search cost with Optuna's own storage? Ask, suggest, report and should_prune at each epoch, tell."""

import time
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL

from benchmarks.simulated_workers import SimulatedTraining, metrics_of
from optselect.search.spec.space import suggest_optimizer
from optselect.search.spec.study_spec import StudySpec


@dataclass
class PlainWorker:
    """A study by ask and tell, driven as Optuna's manual shows; the same parameters as ours, the same training."""

    study: optuna.Study
    spec: StudySpec
    training: SimulatedTraining
    service_seconds: float = 0.0  # in report and should_prune
    training_seconds: float = 0.0

    @classmethod
    def join(cls, url: URL, name: str, spec: StudySpec, training: SimulatedTraining) -> "PlainWorker":
        storage = RDBStorage(url.render_as_string(hide_password=False))
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=3)
        study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True, pruner=pruner)
        return cls(study, spec, training)

    def train(self, epochs: int | None = None) -> None:
        trial = self.study.ask()
        suggest_optimizer(trial, self.spec.space, 220)
        best, began = float(trial.number % 97), time.monotonic()
        for epoch in range(1, (epochs or self.spec.epochs) + 1):
            self.training.train_an_epoch()
            if self.reports(trial, epoch, metrics_of(best, epoch)["val_loss"]):
                self.training_seconds += time.monotonic() - began
                self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return
        self.training_seconds += time.monotonic() - began
        self.study.tell(trial, best)

    def reports(self, trial: Any, epoch: int, value: float) -> bool:
        began = time.monotonic()
        trial.report(value, epoch)
        cut = bool(trial.should_prune())
        self.service_seconds += time.monotonic() - began
        return cut
