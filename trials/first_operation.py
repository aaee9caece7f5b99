"""Does TensorFlow run in this process? A process that was forked proves it before it takes up any work."""

import faulthandler

import tensorflow as tf


def run_first_operation() -> None:
    """Run a small graph, after which the watchdog over a forked process is called off.

    Only after the user's file was loaded: the first operation fixes the settings of TensorFlow that it may make.
    """
    total = tf.function(lambda numbers: tf.reduce_sum(numbers * 2.0), autograph=False)(tf.ones(3))
    if float(total) != 6.0:
        raise RuntimeError(f"TensorFlow must calculate 6. Received: {float(total)}.")
    faulthandler.cancel_dump_traceback_later()
