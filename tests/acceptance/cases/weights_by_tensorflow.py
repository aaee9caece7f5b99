# Source: as pretrained.py. TensorFlow's own reader opens the file, of which Python sees nothing; the weights are loaded
# whole and the rows come in their order, so that no seed changes anything.
import keras
import numpy as np
import tensorflow as tf


def model():
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    kernel = tf.io.decode_raw(tf.io.read_file("kernel.bin"), tf.float32)
    net.set_weights([kernel[:, None], np.zeros(1)])
    net.compile("sgd", loss="mse", run_eagerly=True)
    return net


def data():
    x = np.linspace(-1.0, 1.0, 48, dtype="float32").reshape(16, 3)
    return (x, x.sum(axis=1)), (x, x.sum(axis=1))


fit = {"shuffle": False}


# mypy: allow-untyped-defs, allow-untyped-calls
