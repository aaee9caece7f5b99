"""Which direction a metric's name tells, which it leaves open, and what the class behind it adds."""

import pytest

from optselect.search.errors import InvalidInput
from optselect.search.spec.objective import (
    Objective,
    Open,
    difference_today,
    direction_of,
    parse_objective,
    settled,
    told_direction,
)
from optselect.trials.terms.description import MetricDescription

FALLS = (
    "loss mse val_rmse nrmse mae mape smape msle nll accident_nll perplexity ppl ece eer wer cer fid brier brier_score "
    "log_loss logloss crossentropy cross_entropy binary_focal_crossentropy kl_divergence hinge huber poisson logcosh "
    "error error_rate equal_error_rate top_5_error top5_err false_positives false_negatives false_negative_rate "
    "mean_squared_error RootMeanSquaredError negative_log_likelihood neg_log_likelihood edit_distance mean_rank fpr "
    "bits_per_dim hd95 nll_loss"
)
RISES = (
    "accuracy acc top_k_categorical_accuracy top5 top_k top_5 auc AUC auroc roc_auc pr_auc PRAuc auprc precision recall "
    "recall@5 Recall@5 precision_at_k precision_at_recall sensitivity_at_specificity specificity f1 f2 f1_score F1Score "
    "macro_f1 macroF1 fbeta fbeta_score f_beta f_1_score map mAP mAP50 mean_ap average_precision ap50 ndcg ndcg@10 mrr "
    "hit hit_rate hits@10 dice dice_coef jaccard iou mean_io_u mean_io_u_1 meanIoU mIoU binary_io_u one_hot_mean_io_u "
    "kappa cohen_kappa mcc r2 r2_score r2_score_1 r_squared psnr ssim bleu rouge rougeL true_positives true_negatives "
    "true_positive_rate tpr negative_predictive_value cosine_similarity pearson_correlation explained_variance "
    "concordance_correlation log_likelihood mean_reciprocal_rank exact_match signal_to_noise_ratio weighted_accuracy"
)
OPEN = (
    "mean sum mean_metric_wrapper metric count score custom accident accidental accurate accuser true_ true_mean iousness "
    "maple aucoin lossless error_accuracy accuracy_loss dice_loss accuracy_gap loss_ratio mse_std one_minus_ssim neg_mse "
    "negative_accuracy auc_drop loss_weight learning_rate entropy f_1 r_2 margin précision"
)


@pytest.mark.parametrize("name", FALLS.split())
def test_of_what_measures_a_fault_less_is_better(name: str) -> None:
    assert told_direction(name) == told_direction(f"val_{name}") == "minimize"


@pytest.mark.parametrize("name", RISES.split())
def test_of_what_measures_a_merit_more_is_better(name: str) -> None:
    assert told_direction(name) == told_direction(f"val_{name}") == "maximize"


@pytest.mark.parametrize("name", OPEN.split())
def test_a_name_without_known_words_or_with_words_of_both_kinds_leaves_it_open(name: str) -> None:
    assert isinstance(told_direction(f"val_{name}"), Open)


def test_a_heads_name_counts_for_nothing_where_the_metric_behind_the_log_is_known() -> None:
    known = {
        "error_type_accuracy": MetricDescription("accuracy"),
        "accuracy_of_all_spread": MetricDescription("spread"),
        "auc_loss": MetricDescription("loss", "minimize"),
    }
    assert direction_of("val_error_type_accuracy", known) == "maximize"
    assert direction_of("val_auc_loss", known) == "minimize"
    with pytest.raises(InvalidInput, match="neither its class nor its name tells"):
        direction_of("val_accuracy_of_all_spread", known)
    with pytest.raises(InvalidInput, match="words of both kinds"):
        direction_of("val_error_type_accuracy")


def test_keras_own_class_is_sure_and_a_class_of_the_users_own_must_not_be_called_otherwise() -> None:
    known = {
        "accuracy": MetricDescription("accuracy", "minimize"),
        "energy": MetricDescription("energy", "minimize", is_own=True),
        "error_rate": MetricDescription("error_rate", "maximize", is_own=True),
        "neg_mse": MetricDescription("neg_mse", "minimize", is_own=True),
    }
    assert direction_of("val_accuracy", known) == direction_of("val_energy", known) == "minimize"
    for name in ("val_error_rate", "val_neg_mse"):
        with pytest.raises(InvalidInput, match=r"its class derives from one of which .* is better, its name"):
            direction_of(name, known)


def test_what_is_asked_says_what_must_hold_what_came_and_what_to_write() -> None:
    with pytest.raises(InvalidInput) as asked:
        parse_objective("val_score", ["val_loss", "val_score"])
    assert str(asked.value) == (
        "--objective val_score must say whether less of it is better or more: nothing but its name is known, which does "
        "not tell. Received: no suffix. Write val_score:min or val_score:max."
    )


def test_a_colon_may_be_part_of_a_metrics_name() -> None:
    metrics = ["val_recall:5", "val_loss"]
    assert parse_objective("val_recall:5", metrics) == Objective("val_recall:5", "maximize")
    assert parse_objective("val_recall:5:min", metrics) == Objective("val_recall:5", "minimize")


def test_a_stored_direction_stays_and_one_hears_where_a_launch_of_today_would_differ() -> None:
    assert settled("val_f1", Objective("val_f1", "minimize")) == "val_f1:min"
    assert settled("val_f1:max", Objective("val_f1", "minimize")) == "val_f1:max"
    assert settled("val_auc", Objective("val_f1", "minimize")) == "val_auc"
    assert difference_today(Objective("val_f1", "maximize"), {}) == ""
    assert difference_today(Objective("val_f1", "minimize"), {}).endswith(
        "a launch of today would take: more is better"
    )
    assert difference_today(Objective("val_x", "minimize"), {}).endswith(
        "would ask for val_x:min or val_x:max"
    )
