"""A problem whose trials last as long as a test wants, and whose every number depends on seeds: dropout, order, weights."""

import os
import select
import signal
from typing import Any

import keras
from sklearn.datasets import load_diabetes


class Pause(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Makes an epoch as long as EPOCH_SECONDS until HURRY_FILE exists; without a trace in its numbers."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        obey_death_order()
        if not os.path.exists(os.environ.get("HURRY_FILE", "")):
            # Not time.sleep, which libfaketime spoils where a test gives this process another clock.
            select.select([], [], [], float(os.environ.get("EPOCH_SECONDS", "0")))


def obey_death_order() -> None:
    """End this process in the way that DEATH_FILE says: one process obeys, and only once."""
    order = os.environ.get("DEATH_FILE", "")
    try:
        os.rename(order, mine := f"{order}-{os.getpid()}")
    except OSError:
        return
    with open(mine, encoding="ascii") as file:
        how = file.read()
    if how == "exit":
        os._exit(0)
    if how == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    held = []
    while how == "memory":  # until the kernel kills it
        held.append(b"x" * 2**25)


def model() -> keras.Model:
    net = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1),
        ]
    )
    net.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    return net


def data() -> Any:
    x, y = load_diabetes(return_X_y=True)
    y = (y - y.mean()) / y.std()
    return (x[:300], y[:300]), (x[300:], y[300:])


fit = {"batch_size": 32, "epochs": 40, "callbacks": [Pause()]}
