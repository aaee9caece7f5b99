"""What is seen of a training while it runs: its epochs, its divergence, the answer of who listens."""

import logging
import math
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, Protocol

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.optimizers.building import learning_rate_of, shortest
from optselect.trials.state.callbacks import go_on_after, write_below
from optselect.trials.state.snapshot import Position, write_snapshot
from optselect.trials.state.users_state import UsersState
from optselect.trials.terms.configuration import Configuration, OptimizerConfig, Switch
from optselect.trials.terms.errors import SnapshotError
from optselect.trials.terms.outcome import Epoch, Outcome, Stop, batch_limit, loss_limit, numbers_in

log = logging.getLogger(__name__)

REPORT_SECONDS = 1.0
ASK_SECONDS = 5.0
"""In a long epoch on_epochs is asked so often, with no epochs, whether to go on."""

OnEpochs = Callable[[Sequence[Epoch], Callable[[], bytes]], Stop | None]


class PlacesOptimizers(Protocol):
    """What trains: of it a watch needs the model and the change of the optimizer."""

    model: Any

    @property
    def taken(self) -> Mapping[str, float]:
        """The optimizer's numbers that callbacks had set before the first batch."""

    def place(self, config: OptimizerConfig, keeps_slots: bool = False) -> None:
        """Put an optimizer in place, with fresh slots or what the one before leaves it; the weights stay."""

    def leave(self) -> None:
        """Let the optimizer finish, as at the end of a training."""

    def rate_after(self, epoch: int, second: OptimizerConfig) -> float | None:
        """Estimate the learning rate at which an SGD goes on after an epoch; None where nothing can be said."""


class RateBeforeCallbacks(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Reads the learning rate of an epoch. Stands first: ReduceLROnPlateau sets the next epoch's at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.learning_rate = math.nan
        self.known: float | None = None  # what a program read of the epoch that ends; None: look yourself

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called by fit."""
        self.learning_rate = learning_rate_of(self.model) if self.known is None else shortest(self.known)


class SeededPython(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Seeds Python's and numpy's generators for each epoch, by which a PyDataset shuffles and callbacks may draw.

    Never TensorFlow's: that would make every compiled function be prepared anew.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called by fit."""
        number = int(np.random.SeedSequence((self._seed, epoch + 1)).generate_state(1)[0])
        random.seed(number)
        np.random.seed(number)


class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Records and reports the epochs, judges them and switches the optimizer.

    Stands last among the callbacks, so that it sees what the user's put into the logs and a snapshot holds what
    they did.
    """

    def __init__(
        self,
        configuration: Configuration,
        epochs: int,
        batch_ends: Collection[int],
        on_epochs: OnEpochs,
        folder: Path | None = None,
    ) -> None:
        """`folder` is where Keras's own callbacks write; None: where their paths say."""
        super().__init__()
        self.curve: list[Epoch] = []
        self.outcome, self.reason = Outcome.COMPLETE, ""
        self.initial: Mapping[str, float] = {}
        self.first_loss = math.nan  # the mean training loss of the first epoch
        self.weights_are_finite: bool | None = None  # of the epoch that ends; None: look yourself
        self.runner: PlacesOptimizers | None = None
        self.caller_error: BaseException | None = None  # what on_epochs raised: not the user's failure
        self.rate = RateBeforeCallbacks()
        self._configuration, self._epochs = configuration, epochs
        self._batch_ends, self._on_epochs, self._folder = batch_ends, on_epochs, folder
        self._users_state = UsersState(())
        self._position = Position(epoch=0, phase=1)
        self._reported = 0
        self._reported_at = self._asked_at = time.monotonic()
        self._is_abandoned = False  # stopped in mid-epoch

    @property
    def epoch(self) -> int:
        """The last trained epoch, 0 before the first."""
        return self._position.epoch

    @property
    def limit(self) -> float:
        """Of an epoch's mean loss at each batch; infinite in the first epoch, where nothing is known yet."""
        return batch_limit(self.first_loss, (self.params or {}).get("steps"))

    def begin(self, position: Position, initial: Mapping[str, float]) -> None:
        """Begin in mid-training, or at its very start."""
        self._position, self.initial = position, initial
        self.first_loss = position.first_loss
        self._switch_if_due()

    def among(self, callbacks: Sequence[Any], users_state: UsersState) -> list[Any]:
        """Take one's place among the user's callbacks, and let them and all that they share begin anew."""
        self._users_state = users_state
        users_state.restore()
        if self._folder is not None:
            write_below(callbacks, self._folder)
            go_on_after(callbacks, self.epoch)
        return [self.rate, *callbacks, self]

    def end(self, outcome: Outcome, reason: str) -> None:
        """Decide how the trial ends, and end it."""
        self.outcome, self.reason = outcome, reason
        if self.model is not None:
            self.model.stop_training = True

    def end_unhealthy(self, loss: float) -> None:
        """End the trial at a batch whose loss, the mean of the epoch so far, is not finite or beyond the limit."""
        self.end(Outcome.DIVERGED, self._why_unhealthy(loss, self._position.epoch + 1))

    def is_told_to_stop(self) -> bool:
        """Ask in the middle of a long epoch whether to go on; asks nobody more often than every five seconds."""
        if time.monotonic() - self._asked_at < ASK_SECONDS:
            return False
        if (stop := self._ask((), _no_snapshot)) is not None:
            self._is_abandoned = True
            self.end(Outcome.STOPPED, stop.reason)
        return self._is_abandoned

    def report_rest(self) -> None:
        """Report what was not reported yet; the outcome stands, so the answer is not asked for."""
        if len(self.curve) > self._reported:
            self._report()

    # The hooks that fit calls.

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Called by fit, after the user's callbacks have forgotten everything."""
        if self._position.epoch:
            self._users_state.apply(self._position.memory)
        self._reported_at = self._asked_at = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Called by fit; the loss is the running mean of the epoch, which stays NaN once a batch was."""
        if self.outcome is not Outcome.COMPLETE:
            return
        loss = float(np.max((logs or {}).get("loss", 0.0)))
        if not loss < self.limit:
            self.end_unhealthy(loss)
        else:
            self.is_told_to_stop()

    def on_test_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Called by fit: a validation may be as long as an epoch."""
        if self.outcome is Outcome.COMPLETE:
            self.is_told_to_stop()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called by fit, after validation."""
        if self._is_abandoned:
            return
        self._position = Position(epoch + 1, self._position.phase)
        self.curve.append(Epoch(epoch + 1, self._metrics(logs or {}), int(time.time() * 1000)))
        if math.isnan(self.first_loss):  # older snapshots do not tell it: then the first one after
            self.first_loss = self.curve[-1].metrics.get("loss", math.nan)
        if self.outcome is Outcome.COMPLETE and (reason := self._why_diverged(self.curve[-1])):
            self.end(Outcome.DIVERGED, reason)
        self.weights_are_finite = None
        if self.outcome is Outcome.COMPLETE and self._is_report_due() and (stop := self._report()):
            self.end(Outcome.STOPPED, stop.reason)
        if self.outcome is Outcome.COMPLETE and epoch + 1 < self._epochs:
            self._switch_if_due()

    # What they do.

    def _metrics(self, logs: Mapping[str, Any]) -> dict[str, float]:
        metrics = numbers_in(logs)
        if self.outcome is not Outcome.COMPLETE:  # validation saw a training that was cut off, or nothing
            metrics |= {name: math.nan for name in metrics if name.startswith("val_")}
        metrics["learning_rate"] = self.rate.learning_rate
        if self._configuration.switches:
            metrics["optimizer_phase"] = float(self._position.phase)
        return metrics

    def _why_diverged(self, epoch: Epoch) -> str:
        """Say why this epoch ends the trial, or nothing; a validation ends none, whatever it says."""
        loss = epoch.metrics.get("loss", 0.0)
        if not math.isfinite(loss) or loss > loss_limit(self.first_loss):
            return self._why_unhealthy(loss, epoch.number)
        for variable in () if self.weights_are_finite else self.model.trainable_variables:
            if not is_finite(variable):
                return f"{variable.path} is not finite at epoch {epoch.number}"
        return ""

    def _why_unhealthy(self, loss: float, epoch: int) -> str:
        if not math.isfinite(loss):
            return f"loss is not finite at epoch {epoch}"
        return f"loss {loss:.4g} at epoch {epoch}, in the first epoch it was {self.first_loss:.4g}"

    def _is_report_due(self) -> bool:
        number = self._position.epoch
        is_last = number == self._epochs or self.model.stop_training
        return is_last or number in self._batch_ends or time.monotonic() - self._reported_at >= REPORT_SECONDS

    def _report(self) -> Stop | None:
        answer = self._ask(tuple(self.curve[self._reported :]), self._snapshot)
        self._reported, self._reported_at = len(self.curve), self._asked_at
        return answer

    def _ask(self, epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> Stop | None:
        try:
            answer = self._on_epochs(epochs, snapshot)
        except BaseException as error:
            self.caller_error = error
            raise
        self._asked_at = time.monotonic()
        return answer

    def _snapshot(self) -> bytes:
        memory = self._users_state.changes()
        taken = {} if self.runner is None else dict(self.runner.taken)
        position = Position(self._position.epoch, self._position.phase, memory, self.first_loss, taken)
        return write_snapshot(self.model, position)

    def _switch_if_due(self) -> None:
        """Put the next optimizer in place, in the middle of the one training, so that callbacks live on."""
        phase, epoch = self._position.phase, self._position.epoch
        if phase > len(self._configuration.switches) or epoch < self._configuration.switches[phase - 1].epoch:
            return
        assert self.runner is not None, "set before the training begins"
        switch = self._configuration.switches[phase - 1]
        self.runner.leave()
        self.runner.place(self._next_optimizer(switch), switch.keeps_slots)
        self._position = Position(epoch, phase + 1, self._position.memory)

    def _next_optimizer(self, switch: Switch) -> OptimizerConfig:
        assert self.runner is not None, "set before the training begins"
        if not switch.estimates_rate:
            return switch.optimizer
        rate = self.runner.rate_after(self._position.epoch, switch.optimizer)
        if rate is None:
            log.warning("no step goes downhill: %s goes on at its own rate", switch.optimizer.optimizer)
            return switch.optimizer
        return replace(switch.optimizer, arguments={**switch.optimizer.arguments, "learning_rate": rate})


def is_finite(variable: Any) -> bool:
    """Tell whether all values of a variable are finite; whole numbers are."""
    if not variable.dtype.startswith(("float", "bfloat")):
        return True
    return bool(tf.reduce_all(tf.math.is_finite(variable.value)))


def _no_snapshot() -> NoReturn:
    raise SnapshotError("A snapshot can be taken at the end of an epoch only. Received: a call in mid-epoch")
