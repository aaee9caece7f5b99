"""Kinds of models and data that users have, as what a problem file says beyond the preamble of conftest.py.

Their compile() names the optimizer "sgd", so that a test can put another in its place.
"""

SEQUENTIAL = """
RUN_EAGERLY = False
"""
FUNCTIONAL = """
def model():
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(6, "relu")(inputs)
    net = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()([hidden, inputs])))
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
BATCH_NORM = """
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
SUBCLASSED = """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.drop, self.out = keras.layers.Dense(5, "tanh"), keras.layers.Dropout(0.3), keras.layers.Dense(1)
    def call(self, inputs, training=False):
        return self.out(self.drop(self.hidden(inputs), training=training))
def model():
    net = Net()
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
CUSTOM_TRAIN_STEP = """
class Net(keras.Sequential):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x + 0.01, training=True))
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        for metric in self.metrics:
            metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, self(x))
        return {metric.name: metric.result() for metric in self.metrics}
def model():
    net = Net([keras.Input((4,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
OWN_LOGS = CUSTOM_TRAIN_STEP.replace(
    "return {metric.name: metric.result() for metric in self.metrics}",
    'return {"loss": loss, "twice": 2 * loss}',
)
TWO_OPTIMIZERS = """
class Net(keras.Sequential):
    def train_step(self, data):
        logs = super().train_step(data)
        with tf.GradientTape() as tape:
            penalty = tf.reduce_mean(tf.square(self.layers[-1].kernel))
        kernel = [self.layers[-1].kernel]
        self.penalty_optimizer.apply(tape.gradient(penalty, kernel), kernel)
        return logs
def model():
    net = Net([keras.Input((4,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(1)])
    net.penalty_optimizer = keras.optimizers.Adam(0.01)
    net.penalty_optimizer.build([net.layers[-1].kernel])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
TWO_WAYS = """
def model():
    image, number = keras.Input((4,), name="image"), keras.Input((1,), name="number")
    both = keras.layers.Concatenate()([keras.layers.Dense(4, "relu")(image), number])
    both = keras.layers.BatchNormalization()(both)
    outputs = {"value": keras.layers.Dense(1, name="value")(both), "sign": keras.layers.Dense(1, "sigmoid", name="sign")(both)}
    net = keras.Model({"image": image, "number": number}, outputs)
    net.compile("sgd", {"value": "mse", "sign": "binary_crossentropy"}, loss_weights={"value": 0.3, "sign": 2.0},
                metrics={"sign": ["accuracy"]})
    return net
def data():
    def part(a, b):
        rows = x[a:b], y[a:b]
        weights = {"value": np.abs(rows[0][:, 0]), "sign": np.abs(rows[0][:, 1])}
        return {"image": rows[0], "number": rows[0][:, :1]}, {"value": rows[1], "sign": (rows[1] > 0).astype("float32")}, weights
    return part(0, 37), part(37, 50)
fit["validation_batch_size"] = 5
"""
WEIGHTED = """
RUN_EAGERLY = False
def data():
    weight = np.linspace(0.5, 2.0, 37).astype("float32")
    return (x[:37], y[:37], weight), (x[37:45], y[37:45], np.ones(8, "float32"))
"""
CLASS_WEIGHTS = """
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(2, "softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return net
def data():
    sign = (y > 0).astype("int64")
    return (x[:37], sign[:37]), (x[37:], sign[37:])
fit["class_weight"] = {0: 1.0, 1: 3.0}
"""
EMBEDDING = """
def model():
    net = keras.Sequential([keras.Input((5,), dtype="int32"), keras.layers.Embedding(20, 4), keras.layers.GRU(3),
                            keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
def data():
    words = np.random.default_rng(1).integers(0, 20, (50, 5)).astype("int32")
    return (words[:37], y[:37]), (words[37:], y[37:])
"""
STATEFUL = """
def model():
    kept = keras.layers.Bidirectional(keras.layers.LSTM(2, stateful=True, return_sequences=True)), keras.layers.SimpleRNN(3, stateful=True)
    net = keras.Sequential([keras.Input(batch_shape=(8, 5, 2)), *kept, keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
def data():
    steps = random.normal(size=(40, 5, 2)).astype("float32")
    return (steps[:24], y[:24]), (steps[24:], y[24:40])
fit["batch_size"] = 8
"""
MISSING_TARGETS = """
def of_known(y, predicted):
    error = tf.square(tf.where(tf.math.is_nan(y), 0.0, y) - predicted)
    return tf.where(tf.math.is_nan(y), 0.0, error)
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(1)])
    net.compile("sgd", of_known)
    return net
def data():
    known = np.where(np.arange(50) % 3 == 0, np.nan, y).astype("float32")[:, None]
    return (x[:37], known[:37]), (x[37:], known[37:])
"""
SWAPPED_AVERAGES = """
RUN_EAGERLY = False
fit["callbacks"] = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]
"""
STATEFUL_METRICS = """
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
    net.compile("sgd", "binary_crossentropy", metrics=[keras.metrics.AUC(num_thresholds=20), keras.metrics.Precision(),
                                                            keras.metrics.F1Score(threshold=0.5)])  # an array of one
    return net
def data():
    sign = (y > 0).astype("float32")[:, None]
    return (x[:37], sign[:37]), (x[37:], sign[37:])
"""
BFLOAT16 = """
def model():
    policy = keras.DTypePolicy("mixed_bfloat16")
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "relu", dtype=policy), keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
FLOAT16 = """
def model():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(1, dtype="float32")])
        net.compile("sgd", "mse", metrics=["mae"])
    finally:
        keras.config.set_dtype_policy("float32")
    return net
"""
DATASET = """
RUN_EAGERLY = False
def data():
    train = tf.data.Dataset.from_tensor_slices((x[:37], y[:37])).batch(16)
    return train, tf.data.Dataset.from_tensor_slices((x[37:], y[37:])).batch(8)
"""
SHUFFLED_DATASET = DATASET.replace(".batch(16)", ".shuffle(37, seed=5).batch(16)")
UNEVEN_DATASET = """
def model():
    net = keras.Sequential([keras.Input((None, 2)), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
def data():
    def batches():
        for length in (3, 5, 4):
            yield np.full((6, length, 2), length / 5, "float32"), np.arange(6, dtype="float32")
    spec = tf.TensorSpec((None, None, 2)), tf.TensorSpec((None,))
    endless = tf.data.Dataset.from_generator(batches, output_signature=spec)
    return endless.repeat(), endless
fit["steps_per_epoch"] = 4
"""
PYDATASET = """
RUN_EAGERLY = False
class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3
    def __getitem__(self, index):
        return x[index * 16 : index * 16 + 16], y[index * 16 : index * 16 + 16]
def data():
    return Batches(), (x[37:], y[37:])
fit["shuffle"] = False  # or fit draws the order of the batches from Python's own generator
"""
BATCH_CALLBACK = """
RUN_EAGERLY = False
class EachBatch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass
fit["callbacks"] = [EachBatch()]
"""
EPOCH_CALLBACKS = """
RUN_EAGERLY = False
fit["epochs"] = 6
fit["callbacks"] = [keras.callbacks.ReduceLROnPlateau(patience=0, min_delta=10.0), keras.callbacks.EarlyStopping("loss", patience=4),
                    keras.callbacks.TerminateOnNaN()]
"""
MUON = """
RUN_EAGERLY = False
def model():
    hidden = [keras.layers.Dense(3, "tanh"), keras.layers.BatchNormalization(), keras.layers.Dense(5, "relu")]
    net = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(1)])
    net.compile(keras.optimizers.Muon(0.09, exclude_layers=[f"(^|/){net.layers[-1].name}/"]), "mse", metrics=["mae"])
    return net
"""
PYTHON_LOOP = """
class Halving(keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        rate, strength = learning_rate, self.momentum
        while strength > 0.3:  # Python decides by the number
            rate, strength = rate / 2, strength / 2
        variable.assign_sub(gradient * rate)
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    net.compile(Halving(0.02, momentum=0.9), "mse", metrics=["mae"])
    return net
"""
SCHEDULE = """
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    net.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 9)), "mse", metrics=["mae"])
    return net
"""
ADAM_SCHEDULE = SCHEDULE.replace("SGD", "Adam").replace(
    "CosineDecay(0.1, 9)", "ExponentialDecay(0.1, 3, 0.7)"
)
PIECES = SCHEDULE.replace("CosineDecay(0.1, 9)", "PiecewiseConstantDecay([2, 5], [0.1, 0.03, 0.01])")
RATE_FUNCTION = SCHEDULE.replace("keras.optimizers.schedules.CosineDecay(0.1, 9)", "lambda: 0.05")
OWN_STATE = """
class Counting(keras.layers.Layer):
    def build(self, shape):
        self.calls = tf.Variable(0.0, trainable=False)  # TensorFlow's own: Keras does not list it
    def call(self, inputs):
        self.calls.assign_add(0.1)
        return inputs * (1.0 + self.calls)
def model():
    net = keras.Sequential([keras.Input((4,)), Counting(), keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
TABLE_STATE = """
class Counting(keras.layers.Layer):
    def build(self, shape):
        self.calls = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.0)  # no variable at all
    def call(self, inputs):
        count = tf.ensure_shape(self.calls.lookup(tf.zeros([1], tf.int64)), [1]) + 0.1
        self.calls.insert(tf.zeros([1], tf.int64), count)
        return inputs * (1.0 + count)
def model():
    net = keras.Sequential([keras.Input((4,)), Counting(), keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
