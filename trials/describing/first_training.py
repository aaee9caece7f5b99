"""Does a short training work, which metrics come of it, and what do the user's callbacks do in it?

One batch for each epoch, by Keras's own fit. Where fit has callbacks, twice two epochs at different learning rates: what
sets a rate whatever it was before makes all trials of an optimizer alike, and there is nothing to search.
"""

import math
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from optselect.trials.data.splits import Arrays, Split, batch_count
from optselect.trials.describing.file_watch import UNKNOWN, FileWatch
from optselect.trials.optimizers.building import innermost, install_optimizer, learning_rate_of
from optselect.trials.problem.loading import Problem
from optselect.trials.state.callbacks import left_out, that_are_moved, write_below
from optselect.trials.terms.errors import ProblemError
from optselect.trials.terms.user_code import demand_users_failure, explain

EPOCHS = 2
RATIO = 0.1
"""Of the second training's learning rate to the first one's."""
SET_THE_RATE = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
"""Of Keras's own callbacks; a plateau shows after epochs only."""


@dataclass(frozen=True)
class FirstTraining:
    """What came of it."""

    logs: Mapping[str, Any]  # of its last epoch, with what callbacks put there
    set_the_rate: tuple[str, ...] = ()  # classes of callbacks that change the learning rate
    moved: tuple[str, ...] = ()  # classes of Keras's callbacks whose files go into a folder of each trial
    remarks: tuple[str, ...] = ()  # sentences for the user


def train_shortly(model: Any, problem: Problem) -> FirstTraining:
    """Train a model that was just made; raises ProblemError where that fails, or where every rate becomes the same."""
    if not problem.callbacks:
        return FirstTraining(_fitted(model, problem, 1, ()), remarks=tuple(_remarks(problem, {})))
    _let_rate_be_set(model)
    with tempfile.TemporaryDirectory(prefix="optselect-") as folder, FileWatch(Path.cwd()) as files:
        first, second = _trainings_at_two_rates(model, problem, Path(folder), files)
    changed = first.setters | second.setters
    _demand_own_rates(problem, first, second, changed)
    known = {place for place, one in enumerate(problem.callbacks) if isinstance(one, SET_THE_RATE)}
    return FirstTraining(
        first.logs,
        _classes(problem, changed | known),
        tuple(dict.fromkeys(that_are_moved(problem.callbacks))),
        tuple(_remarks(problem, files.written)),
    )


@contextmanager
def one_batch_must_train(problem: Problem) -> Iterator[None]:
    """Say in one line why one batch cannot be trained, whatever the user's code raises in the block.

    Raises ProblemError; one that says so already passes through.
    """
    try:
        yield
    except ProblemError:
        raise
    except BaseException as error:
        demand_users_failure(error)
        raise ProblemError(
            f"{problem.path.name}: one batch of the data must train the model{_with_callbacks(problem)}. "
            f"Received: {explain(error, problem.path.parent)}" + (". Try --jit off" if problem.jit else "")
        ) from error


def _with_callbacks(problem: Problem) -> str:
    return " with the callbacks of its fit" if problem.callbacks else ""


# --- what callbacks do ---------------------------------------------------------------------------------


class Diary:
    """What happens in one short training, seen from between the callbacks."""

    def __init__(self, callbacks: Sequence[Any], files: FileWatch) -> None:
        self.setters: set[int] = set()  # places of callbacks that changed the learning rate
        self.rates: list[list[float]] = []  # in force at each batch of each epoch
        self.logs: Mapping[str, Any] = {}
        self._callbacks, self._files, self._rate = callbacks, files, math.nan

    def among(self) -> list[Any]:
        """Give the callbacks with one of ours before, between and behind them."""
        looks = [_Look(self, place) for place in range(len(self._callbacks) + 1)]
        pairs = zip(looks, self._callbacks, strict=False)
        return [one for pair in pairs for one in pair] + looks[-1:]

    def note(self, model: Any, place: int) -> None:
        """Note what the callback before this place has done; the one at it runs next."""
        rate = learning_rate_of(model)
        if place and repr(rate) != repr(self._rate):  # NaN is NaN
            self.setters.add(place - 1)
        is_moved = place < len(self._callbacks) and that_are_moved(self._callbacks[place : place + 1])
        self._files.current = None if place == len(self._callbacks) or is_moved else place
        self._rate = rate

    def note_batch(self, epoch: int, place: int) -> None:
        """Note the rate of a batch that begins."""
        if place == len(self._callbacks):
            del self.rates[epoch + 1 :]
            self.rates += [[] for _ in range(epoch + 1 - len(self.rates))]
            self.rates[epoch].append(self._rate)


class _Look(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Stands before a callback, or behind the last one."""

    def __init__(self, diary: Diary, place: int) -> None:
        super().__init__()
        self._diary, self._place, self._epoch = diary, place, 0

    def _look(self, *given: Any, **more: Any) -> None:
        self._diary.note(self.model, self._place)

    on_train_begin = on_epoch_end = on_train_batch_end = on_test_begin = on_test_end = on_train_end = _look

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called by fit."""
        self._epoch = epoch
        self._look()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Called by fit."""
        self._look()
        self._diary.note_batch(self._epoch, self._place)


def _trainings_at_two_rates(
    model: Any, problem: Problem, folder: Path, files: FileWatch
) -> tuple[Diary, Diary]:
    state, rate = problem.users_state(model), learning_rate_of(model)
    diaries = Diary(problem.callbacks, files), Diary(problem.callbacks, files)
    for diary, factor in zip(diaries, (1.0, RATIO), strict=True):
        state.restore()
        write_below(problem.callbacks, folder)
        model.optimizer.learning_rate = factor * rate
        diary.logs = _fitted(model, problem, EPOCHS, diary.among())
    state.restore()
    return diaries


def _let_rate_be_set(model: Any) -> None:
    """Put the same optimizer with a plain rate in the place of one with a schedule."""
    optimizer = innermost(model.optimizer)
    if callable(getattr(optimizer, "_learning_rate", None)):
        config = {**optimizer.get_config(), "learning_rate": 0.01}
        install_optimizer(model, type(optimizer).from_config(config))


def _demand_own_rates(problem: Problem, first: Diary, second: Diary, changed: Iterable[int]) -> None:
    """Refuse callbacks that leave no trial its own learning rate."""
    epochs = min(len(first.rates), len(second.rates))
    if not epochs or first.rates[epochs - 1] != second.rates[epochs - 1]:
        return
    if not first.rates[epochs - 1][-1] > 0:  # a warm-up from zero, or an optimizer without a rate
        return
    who = " and ".join(_classes(problem, changed)) or "a callback"
    raise ProblemError(
        f"{problem.path.name}: callbacks must leave each trial its own learning rate, which is searched. Received: {who} "
        f"sets it to {first.rates[epochs - 1][-1]:g} in epoch {epochs}, whatever it was. Write it relative to the "
        "trial's rate (lambda epoch, learning_rate: 0.5 * learning_rate), or leave it out and give --schedule"
    )


def _classes(problem: Problem, places: Iterable[int]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(type(problem.callbacks[place]).__name__ for place in sorted(places)))


def _remarks(problem: Problem, written: Mapping[int, Sequence[str]]) -> Iterator[str]:
    for name in left_out(problem.fit.get("callbacks")):
        yield f"{name} is left out: an interrupted trial goes on from a checkpoint of its own."
    for place, paths in written.items():
        who = "A callback" if place == UNKNOWN else type(problem.callbacks[place]).__name__
        yield (
            f"{who} writes to {paths[0]}{f' and {len(paths) - 1} more files' * (len(paths) > 1)}: all trials write to "
            "it, also those that run at the same time."
        )


# --- the training --------------------------------------------------------------------------------------


def _fitted(model: Any, problem: Problem, epochs: int, callbacks: Sequence[Any]) -> Mapping[str, Any]:
    """Let fit itself name the metrics of an epoch, and show of which kind they are."""
    train, validation = problem.data.train, problem.data.validation
    size = problem.validation_batch_size
    with one_batch_must_train(problem), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras minds that one step does not use the data up
        history = model.fit(
            validation_data=validation.head(size).packed() if isinstance(validation, Arrays) else validation,
            validation_steps=None if isinstance(validation, Arrays) else _one_step_of(validation),
            validation_batch_size=size,
            **_one_step(problem, train, epochs),
            epochs=epochs,
            callbacks=list(callbacks),
            verbose=0,
        )
    return {name: values[-1] for name, values in history.history.items() if values}


def _one_step(problem: Problem, train: Split, epochs: int) -> dict[str, Any]:
    if isinstance(train, Arrays):
        batches = problem.training_rows.batches(seed=0, first_epoch=1, last_epoch=epochs)
        return {"x": batches, "steps_per_epoch": 1}
    return {
        "x": train,
        "steps_per_epoch": _one_step_of(train),
        "class_weight": problem.fit.get("class_weight"),
        "shuffle": False,
    }


def _one_step_of(split: Split) -> int | None:
    """Give the steps of an epoch of one batch; data of one batch is used up by them, and ends by itself."""
    return None if batch_count(split) == 1 else 1
