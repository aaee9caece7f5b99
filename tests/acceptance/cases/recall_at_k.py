# Source: mlflow/mlflow#9425, open-mmlab/mmdetection#10258: MLflow refuses a ranking metric named recall@5.
import keras
import numpy as np


def model():
    net = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(12, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    top = keras.metrics.SparseTopKCategoricalAccuracy(3, name="recall@3")
    hits = keras.metrics.SparseCategoricalAccuracy(name="Genauigkeit (größe=1)")
    net.compile("adam", loss="sparse_categorical_crossentropy", metrics=[top, hits])
    return net


def data():
    random = np.random.default_rng(4)
    x = random.normal(size=(200, 8)).astype("float32")
    y = np.argmax(x @ random.normal(size=(8, 10)), axis=1)
    return (x[:140], y[:140]), (x[140:], y[140:])


fit = {"batch_size": 32, "epochs": 2}
