"""Does TensorFlow run in this process? A process that was forked proves it before it takes up any work."""

import faulthandler
import os

import tensorflow as tf

WATCHDOG = "OPTSELECT_WATCHDOG_SECONDS"
"""In the environment of a forked process: how long its own steps may take without the user's code."""


def keep_watch() -> None:
    """Let the process end, with a traceback of where it hangs, unless it is called off; only in a forked process.

    A thread that needs no Python does it. The user's code is loaded without a watch (data/loading.py): it may take hours.
    """
    if seconds := os.environ.get(WATCHDOG):
        faulthandler.dump_traceback_later(float(seconds), exit=True, file=2)


def run_first_operation() -> None:
    """Run a small graph, under the watchdog of a forked process, which is called off after it.

    Only after the user's file was loaded: the first operation fixes the settings of TensorFlow that it may make.
    """
    keep_watch()
    total = tf.function(lambda numbers: tf.reduce_sum(numbers * 2.0), autograph=False)(tf.ones(3))
    if float(total) != 6.0:
        raise RuntimeError(f"TensorFlow must calculate 6. Received: {float(total)}.")
    faulthandler.cancel_dump_traceback_later()
