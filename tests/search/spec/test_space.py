"""The space of every optimizer can be sampled, and what comes out is what Keras allows."""

import optuna
import pytest

from optselect.search.errors import InvalidInput
from optselect.search.spec.catalogue import CATALOGUE, DEFAULT_OPTIMIZERS
from optselect.search.spec.dimension import Dimension
from optselect.search.spec.space import choose_optimizers, study_space, suggest_optimizer, tuned_dimensions
from optselect.trials.terms.configuration import OptimizerConfig, check_arguments

KERAS = "SGD RMSprop Adam AdamW Nadam Adamax Adagrad Adadelta Lion Adafactor Lamb Ftrl Muon ScheduleFreeAdamW"


def test_the_catalogue_holds_every_optimizer_of_keras() -> None:
    assert set(CATALOGUE) == set(KERAS.split())


@pytest.mark.parametrize("optimizer", CATALOGUE)
def test_every_value_that_can_be_sampled_is_allowed(optimizer: str) -> None:
    space = study_space([optimizer], "all", 1)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(40):
        study.enqueue_trial({"optimizer": optimizer})
        config = suggest_optimizer(study.ask(), space, total_steps=200)
        assert config.optimizer == optimizer
        check_arguments(OptimizerConfig(config.optimizer, config.arguments))


@pytest.mark.parametrize("optimizer", CATALOGUE)
def test_both_ends_of_every_range_are_allowed(optimizer: str) -> None:
    for dimension in CATALOGUE[optimizer].tier_1 + CATALOGUE[optimizer].tier_2:
        ends = dimension.choices or (dimension.low, dimension.high)
        for end in ends:
            trial = optuna.trial.FixedTrial(
                {"optimizer": optimizer, f"{optimizer}.{dimension.parameter}": end}
            )
            found = suggest_optimizer(trial, {optimizer: (dimension,)}, total_steps=100)
            check_arguments(OptimizerConfig(found.optimizer, found.arguments))


@pytest.mark.parametrize("optimizer", CATALOGUE)
def test_the_learning_rate_is_searched_first_and_on_a_log_scale(optimizer: str) -> None:
    first = CATALOGUE[optimizer].tier_1[0]
    assert (first.keyword, first.scale) == ("learning_rate", "log")


def test_momenta_and_betas_are_sampled_as_one_minus_x() -> None:
    for entry in CATALOGUE.values():
        for dimension in entry.tier_1 + entry.tier_2:
            if dimension.keyword in ("momentum", "rho", "beta_1", "beta_2"):
                assert dimension.scale == "complement"
                assert dimension.parameter == f"one_minus_{dimension.keyword}"


@pytest.mark.parametrize(("trials", "count"), [(3, 1), (9, 1), (10, 2), (24, 2), (25, 3), (49, 3), (50, 5)])
def test_more_trials_open_more_parameters(trials: int, count: int) -> None:
    assert len(tuned_dimensions(CATALOGUE["RMSprop"], "auto", trials)) == count


def test_tune_1_takes_tier_1_and_all_takes_both_whatever_the_budget() -> None:
    entry = CATALOGUE["Adam"]
    assert tuned_dimensions(entry, "1", 1) == entry.tier_1
    assert [d.keyword for d in tuned_dimensions(entry, "all", 1)] == [
        "learning_rate",
        "beta_1",
        "epsilon",
        "beta_2",
    ]


def test_the_baseline_is_a_choice_without_parameters() -> None:
    study = optuna.create_study()
    study.enqueue_trial({"optimizer": "baseline"})
    trial = study.ask()
    config = suggest_optimizer(trial, study_space(["Adam"], "all", 1), 100)
    assert (config.optimizer, config.arguments) == ("baseline", {})
    assert trial.params == {"optimizer": "baseline"}


def test_the_class_of_the_users_optimizer_joins_the_default_set() -> None:
    assert choose_optimizers(None, "Adam") == DEFAULT_OPTIMIZERS
    assert choose_optimizers(None, "Lamb") == (*DEFAULT_OPTIMIZERS, "Lamb")
    assert choose_optimizers(None, "MyOwn") == DEFAULT_OPTIMIZERS


def test_names_are_read_in_any_case_and_once() -> None:
    assert choose_optimizers("sgd, ADAM,sgd", "Adam") == ("SGD", "Adam")
    assert choose_optimizers("all", "Adam") == tuple(CATALOGUE)


@pytest.mark.parametrize(
    ("asked", "answer"), [("adm", 'Did you mean "adam"'), (" , ", "at least one"), ("", "at least one")]
)
def test_an_unknown_optimizer_is_answered_with_those_that_are_known(asked: str, answer: str) -> None:
    with pytest.raises(InvalidInput, match=answer) as caught:
        choose_optimizers(asked, "Adam")
    assert "rmsprop" in str(caught.value)


def test_a_dimension_survives_its_way_through_the_database() -> None:
    for entry in CATALOGUE.values():
        for dimension in entry.tier_1 + entry.tier_2:
            assert Dimension.model_validate(dimension.model_dump(mode="json")) == dimension
