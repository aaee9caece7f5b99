"""A described problem for tests, without any model."""

from optselect.trials.terms.description import BaselineDescription, ProblemDescription


def description(baseline: str = "SGD", path: str = "/somewhere/net.py") -> ProblemDescription:
    """A small regression of 11 batches an epoch with the metrics of mse and mae."""
    return ProblemDescription(
        name="net",
        path=path,
        metrics=("loss", "mae", "val_loss", "val_mae"),
        inputs={},
        rows={"train": 352},
        batch_size=32,
        epochs=25,
        steps_per_epoch=11,
        parameters=769,
        baseline=BaselineDescription(
            baseline, {"learning_rate": 0.01}, "keras.optimizers.SGD(learning_rate=0.01)"
        ),
        data_hash="0" * 64,
        modules={"net.py": "1" * 64},
        versions={"keras": "3.15.1"},
        outputs=(),
        warnings=(),
    )
