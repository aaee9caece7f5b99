# Source: tensorflow/tensorflow#35267, keras-team/keras#13826: an autoencoder's targets are not there, y is None.
import keras
import numpy as np
import tensorflow as tf


class Autoencoder(keras.Model):
    def __init__(self):
        super().__init__()
        self.code, self.plain = keras.layers.Dense(3, activation="tanh"), keras.layers.Dense(6)
        self.noise = keras.layers.GaussianNoise(0.1)
        self.total = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.total]

    def call(self, x, training=False):
        return self.plain(self.noise(self.code(x), training=training))

    def error(self, x, training):  # fit gives rows alone where there is nothing else, and no tuple
        return keras.ops.mean(keras.ops.square(x - self(x, training=training)))

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            error = self.error(batch, training=True)
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(error, weights), weights, strict=True))
        self.total.update_state(error)
        return {"loss": self.total.result()}

    def test_step(self, batch):
        self.total.update_state(self.error(batch, training=False))
        return {"loss": self.total.result()}


def model():
    net = Autoencoder()
    net.compile(optimizer="adam")
    return net


def data():
    random = np.random.default_rng(9)
    x = (random.normal(size=(200, 2)) @ random.normal(size=(2, 6))).astype("float32")
    return (x[:140], None), (x[140:], None)


fit = {"batch_size": 32, "epochs": 3}
