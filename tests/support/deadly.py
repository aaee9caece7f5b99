"""A problem whose process ends while a certain optimizer trains it: KILLS names that one's class, HOW the way."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import keras
import numpy as np

LAST = 5
"""The epoch at whose end it dies: beyond those that are trained to try it."""
BLOCK = 2**25
"""Bytes by which it grows until it is killed for memory."""


def say_and_leave() -> NoReturn:
    print("no licence for this optimizer", flush=True)
    os._exit(3)


def eat() -> NoReturn:
    held: list[Any] = []
    while True:
        held.append(np.ones(BLOCK // 8))


def end(error: BaseException) -> NoReturn:
    raise error


WAYS: Mapping[str, Callable[[], object]] = MappingProxyType(
    {
        "exit 0": lambda: os._exit(0),
        "exit 3": say_and_leave,
        "exit 64": lambda: os._exit(64),
        "SIGSEGV": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "abort": os.abort,
        "memory": eat,
        "KeyboardInterrupt": lambda: end(KeyboardInterrupt()),
        "CancelledError": lambda: end(asyncio.CancelledError()),
        "sys.exit": lambda: sys.exit(0),
    }
)


class Kills(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch == LAST and type(self.model.optimizer).__name__ == os.environ.get("KILLS"):
            WAYS[os.environ["HOW"]]()


def model() -> keras.Model:
    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    net.compile(keras.optimizers.Adam(0.01), loss="mse")
    return net


def data() -> Any:
    x = np.linspace(-1, 1, 64).reshape(-1, 1).astype("float32")
    return (x, 2 * x + 1), (x, 2 * x + 1)


fit = {"epochs": LAST + 1, "batch_size": 16, "callbacks": [Kills()]}
