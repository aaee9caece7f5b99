"""What does a metric's name alone say: is less of it better, or more?

Whole words count, never parts of others: `accident` is no accuracy. A word that turns the meaning (`accuracy_gap`)
or words of both kinds (`error_accuracy`) leave it open: then a person must say it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

Said = Literal["less", "more", "unclear"]
"""unclear: a word that turns what stands beside it."""

LESS = """
    loss, losses, cost, error, err, top k err, top k error, top \\d+ err, top \\d+ error, mistake
    failure, wrong, incorrect, residual, distortion, penalty, violation, misclassification
    misclassified, miss, miss rate, mismatch, risk, regret, false, false positive, false negative, mse
    rmse, nmse, nrmse, mae, nmae, mape, smape, wape, wmape, mdape, mdae, medae, mase, msle, rmsle, mspe
    rmspe, mre, sse, sae, rss, rse, rae, rrse, absrel, sqrel, rmsd, mad, deviation, deviance
    crossentropy, cross entropy, xent, bce, cce, scce, logloss, log loss, nll, nlpd
    negative log likelihood, neg log likelihood, negative loglikelihood, neg loglikelihood
    negative elbo, neg elbo, negative log prob, neg log prob, neg logp, negative logp, perplexity, ppl
    bits per dim, bits per byte, bits per char, bits per character, bpd, bpb, bpc, hinge, huber, logcosh
    log cosh, poisson, divergence, kl, kld, jsd, mmd, wasserstein, emd, discrepancy, brier, crps, ctc
    pinball, ece, mce, ace, aic, bic, wer, cer, ter, mer, der, eer, hter, acer, apcer, bpcer, far, frr
    fpr, fnr, fdr, fpir, fnir, min dcf, mindcf, fid, kid, fad, fvd, lpips, dists, niqe, brisque, mcd
    edit distance, cosine distance, euclidean distance, energy distance, levenshtein, hamming, chamfer
    hausdorff, hd \\d+, assd, asd, epe, ade, fde, mpjpe, mean rank, median rank, gini impurity
"""
MORE = """
    accuracy, accuracies, acc, correct, exact match, agreement, auc, auroc, auprc, aupr, aupro, roc
    rocauc, prauc, aucroc, aucpr, average precision, ap, map, m ap, precision, recall, sensitivity
    specificity, selectivity, tpr, tnr, ppv, npv, true positive, true negative
    positive predictive value, negative predictive value, positive predictive, negative predictive, f1
    f2, f0 5, f 05, f beta, fbeta, f score, f 1 score, f 2 score, fscore, f measure, fmeasure, dice, dsc
    iou, io u, miou, giou, jaccard, tversky, kappa, qwk, mcc, matthews, gini, youden, informedness
    g mean, gmean, r2, r 2 score, r squared, rsquared, rsq, coefficient of determination
    hamming score, deviance explained, explained deviance, explained variance, explained variance ratio, variance explained, nse, kge, correlation, corr
    pearson, pearsonr, spearman, spearmanr, kendall, kendalltau, concordance, ccc, c index, cindex, pcc
    plcc, srcc, similarity, cosine sim, ndcg, dcg, cumulative gain, mrr, reciprocal rank, hit, hit rate
    hitrate, top k, top \\d+, bleu, sacrebleu, rouge, rougel, meteor, chrf, cider, bertscore, psnr, ssim
    msssim, snr, sdr, sisdr, sisnr, pesq, stoi, signal to noise, signal to noise ratio, inception score
    pck, mota, hota, nmi, ari, ami, silhouette, purity, homogeneity, completeness, v measure, likelihood
    log likelihood, loglikelihood, log prob, logp, skill, reward, return, success, win rate, pass at
    pass \\d+, pass rate, utility, profit, sharpe
"""
UNCLEAR = """
    not, non, no, un, without, free, above, below, over, under, within, saved, saving, explained, d 2
    distance, dist, dissimilarity, oneminus, one minus, 1 accuracy, 1 acc, 1 auc, 1 iou, 1 dice, 1 f1
    neg, negative, minus, inverse, inverted, inv, complement, gap, drop, decrease, decline, degradation
    reduction, improvement, gain, difference, diff, delta, change, std, stddev, stdev
    standard deviation, variance, var, ratio, weight, threshold
"""


def said_by(name: str) -> set[Said]:
    """Which kinds of words a metric's name holds; empty where it holds none that we know.

    >>> sorted(said_by("val_mean_io_u_1")), sorted(said_by("accident_nll")), sorted(said_by("Recall@5"))
    (['more'], ['less'], ['more'])
    >>> sorted(said_by("error_accuracy")), sorted(said_by("accuracy_gap")), said_by("true_mean")
    (['less', 'more'], ['more', 'unclear'], set())
    >>> [sorted(said_by(name)) for name in ("jaccard_distance", "1_accuracy", "mse_1", "d2_absolute_error_score")]
    [['more', 'unclear'], ['unclear'], ['less'], ['less', 'unclear']]
    """
    return set(_kinds(" ".join(words_in(name))))


def words_in(name: str) -> list[str]:
    """The words of a name, parted at whatever is no letter, at camelCase and at numbers; F1 and R2 are words.

    >>> words_in("val_meanIoU@50"), words_in("macroF1-score"), words_in("PRAuc")
    (['val', 'mean', 'io', 'u', '50'], ['macro', 'f1', 'score'], ['pr', 'auc'])
    """
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[fr]\d(?!\d)|[^\W\d_]+|\d+", parted.lower())


def _kinds(words: str) -> Iterator[Said]:
    """Of each word that is known; of two that begin alike the longer one counts, so its parts do not."""
    listed: Mapping[Said, str] = {"less": LESS, "more": MORE, "unclear": UNCLEAR}
    phrases = [(phrase, kind) for kind, text in listed.items() for phrase in _phrases(text)]
    for found in re.finditer(
        rf"\b(?:{'|'.join(f'({phrase})' for phrase, _ in _longest_first(phrases))})s?\b", words
    ):
        yield _longest_first(phrases)[(found.lastindex or 1) - 1][1]


def _longest_first(phrases: list[tuple[str, Said]]) -> list[tuple[str, Said]]:
    return sorted(phrases, key=lambda one: len(one[0]), reverse=True)


def _phrases(listed: str) -> list[str]:
    return [phrase for part in re.split(r"[,\n]", listed) if (phrase := part.strip())]
