# Source: keras-team/keras#10472, keras-tuner#674, autokeras#867: a score of the whole validation set, which a callback
# takes from scikit-learn and puts into the logs. The user expects to choose it by --objective val_f1:max.
import keras
import numpy as np
from sklearn.metrics import f1_score


def rows():
    random = np.random.default_rng(4)
    x = random.normal(size=(160, 6)).astype("float32")
    y = (x[:, 0] + 0.5 * random.normal(size=160) > 0.5).astype("float32")
    return (x[:100], y[:100]), (x[100:], y[100:])


class F1(keras.callbacks.Callback):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def on_epoch_end(self, epoch, logs=None):
        guessed = self.model.predict(self.x, verbose=0)[:, 0] > 0.5
        logs["val_f1"] = f1_score(self.y, guessed, zero_division=0)


def model():
    net = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(1, "sigmoid")]
    )
    net.compile("adam", loss="binary_crossentropy")
    return net


def data():
    return rows()


stop = keras.callbacks.EarlyStopping("val_f1", mode="max", patience=2)
fit = {"batch_size": 16, "epochs": 4, "shuffle": False, "callbacks": [F1(*rows()[1]), stop]}
