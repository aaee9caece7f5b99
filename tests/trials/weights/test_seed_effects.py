"""What a seed decides is looked at, not believed: weights, dropout, the order of rows, or nothing."""

import pytest

from optselect.trials.describing.describe import describe
from optselect.trials.weights.seed_effects import rows_differ
from tests.trials.conftest import MakeProblem

FIXED = """
def model():
    keras.utils.set_random_seed(42)
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), *MORE, keras.layers.Dense(1)])
    net.compile("sgd", "mse", run_eagerly=True)
    return net
MORE = []
"""
IN_ORDER = "fit['shuffle'] = False\n"
OWN_BATCHES = """
class Batches(keras.utils.PyDataset):
    def __init__(self):
        super().__init__()
        self.rows = np.arange(40)
    def __len__(self):
        return 5
    def __getitem__(self, number):
        rows = self.rows[8 * number:8 * number + 8]
        return x[rows], y[rows]
    def on_epoch_end(self):
        SHUFFLE(self.rows)
def data():
    return Batches(), (x, y)
fit = {"epochs": 2, "shuffle": False}
SHUFFLE = np.random.shuffle
"""
DATASET = "def data(): return tf.data.Dataset.from_tensor_slices((x, y)){}.batch(8), (x, y)\n"


@pytest.mark.parametrize(
    ("source", "differ"),
    [
        (IN_ORDER, True),  # weights from the seed
        (FIXED, True),  # the order of rows
        (FIXED + IN_ORDER, False),
        (FIXED + "fit['batch_size'] = 64", False),  # a batch of all rows has no order
    ],
)
def test_the_user_is_told_where_seeds_change_nothing(
    make_problem: MakeProblem, source: str, differ: bool
) -> None:
    description = describe(make_problem(source))
    assert description.seeds_differ == differ
    assert description.seeds_note.startswith("Seeds change nothing: ") != differ


@pytest.mark.parametrize(
    ("source", "differ"),
    [
        ("", True),
        (IN_ORDER, False),
        (OWN_BATCHES, True),
        (f"{OWN_BATCHES}SHUFFLE = len", False),
        (f"{OWN_BATCHES}SHUFFLE = len; del fit['shuffle']", True),  # fit shuffles the batches
        (DATASET.format(""), False),
        (DATASET.format(".shuffle(50)"), True),
        (DATASET.format(".shuffle(50, reshuffle_each_iteration=False)"), False),
    ],
)
def test_rows_come_in_another_order_where_anything_shuffles_them(
    make_problem: MakeProblem, source: str, differ: bool
) -> None:
    assert rows_differ(make_problem(source)) == differ


def test_weights_that_no_seed_repeats_are_named(make_problem: MakeProblem) -> None:
    description = describe(
        make_problem("""
free = np.random.default_rng()
def model():
    start = lambda shape, dtype: free.normal(size=shape)
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer=start, name="free")])
    net.compile("sgd", "mse", run_eagerly=True)
    return net
""")
    )
    assert "free/kernel do not follow from the seed" in description.warnings[-1]
