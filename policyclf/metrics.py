"""Measure: precision, recall, F1, average precision, calibration, agreement, each with an interval resampled by document.

Everything works on matrices of shape ``(n_passages, n_categories)``: ``truth`` (0/1), ``tagged`` (0/1), ``probability``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[Any]
    Statistic = Callable[[NDArray[np.intp]], NDArray[np.float64]]

N_BINS = 10
N_RESAMPLES = 1000


def divide(top: Any, bottom: Any) -> NDArray[np.float64]:
    """Return top / bottom with 0 where the bottom is 0, as precision of nothing tagged is reported."""
    top, bottom = np.asarray(top, float), np.asarray(bottom, float)
    out: NDArray[np.float64] = np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom != 0)
    return out


def precision_recall_f1(truth: Matrix, tagged: Matrix) -> NDArray[np.float64]:
    """Return precision, recall and F1 of each category, shape ``(3, n_categories)``; 0 where undefined."""
    hit = (truth * tagged).sum(0)
    said, there = tagged.sum(0), truth.sum(0)
    return np.stack([divide(hit, said), divide(hit, there), divide(2 * hit, said + there)])


def average_precision(truth: Matrix, probability: Matrix) -> NDArray[np.float64]:
    """Return the average precision of each category, shape ``(n_categories,)``: the step-wise area under the PR curve."""
    out = np.zeros(truth.shape[1])
    for k in range(truth.shape[1]):
        order = np.argsort(-probability[:, k], kind="stable")
        y, p = truth[order, k], probability[order, k]
        last = np.append(p[1:] != p[:-1], True)  # ties count together
        hits = np.cumsum(y)[last]
        precision = hits / (np.flatnonzero(last) + 1)
        out[k] = divide(np.sum(np.diff(hits, prepend=0) * precision), y.sum())
    return out


def calibration_error(truth: Matrix, probability: Matrix) -> NDArray[np.float64]:
    """Return the expected calibration error of each category over ten bins of equal width (Naeini et al. 2015)."""
    out = np.zeros(truth.shape[1])
    for k in range(truth.shape[1]):
        bins = np.minimum((probability[:, k] * N_BINS).astype(int), N_BINS - 1)
        gap = np.bincount(bins, truth[:, k] - probability[:, k], N_BINS)
        out[k] = np.abs(gap).sum() / max(1, len(truth))
    return out


def reliability(truth: Matrix, probability: Matrix) -> list[dict[str, float]]:
    """Return the reliability diagram over all categories together: one bin a row, empty bins left out."""
    y, p = truth.ravel(), probability.ravel()
    bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    rows = []
    for b in range(N_BINS):
        inside = bins == b
        if inside.any():
            rows.append({"n": int(inside.sum()), "probability": float(p[inside].mean()), "share": float(y[inside].mean())})
    return rows


def resample(documents: Sequence[str], statistic: Statistic, *, n: int = N_RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Return the 95 % interval of a statistic, resampled by document: shape ``(2, ...)`` of the statistic's own shape.

    Whole documents are drawn with replacement, because passages of one document are alike (cluster bootstrap, percentile
    interval; Efron and Tibshirani 1993). ``statistic`` gets the row numbers of a resample.
    """
    names = {name: i for i, name in enumerate(dict.fromkeys(documents))}
    owner = np.array([names[name] for name in documents])
    order = np.argsort(owner, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(owner))[:-1])
    random = np.random.default_rng(seed)
    draws = [statistic(np.concatenate([rows[i] for i in random.integers(len(rows), size=len(rows))])) for _ in range(n)]
    return np.quantile(np.array(draws), [0.025, 0.975], axis=0)


def evaluate(
    truth: Matrix,
    probability: Matrix,
    thresholds: Sequence[float],
    names: Sequence[str],
    documents: Sequence[str],
    *,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, Any]:
    """Return every figure of an evaluation, ready for JSON.

    Each category has ``precision``, ``recall``, ``f1``, ``average_precision``, ``calibration_error``, ``support`` and
    ``threshold``; the whole has ``macro_f1``, ``micro_f1``, ``macro_average_precision``, ``calibration_error``. With every
    figure that has one stands its 95 % interval, under ``intervals``.
    """
    truth = np.asarray(truth, np.int64)
    probability = np.asarray(probability, float)
    tagged = (probability >= np.asarray(thresholds)).astype(np.int64)

    def figures(rows: NDArray[np.intp]) -> NDArray[np.float64]:
        y, t, p = truth[rows], tagged[rows], probability[rows]
        prf = precision_recall_f1(y, t)
        micro = precision_recall_f1(y.reshape(-1, 1), t.reshape(-1, 1)).ravel()
        ap, ece = average_precision(y, p), calibration_error(y, p)
        return np.concatenate([prf.ravel(), ap, ece, [prf[2].mean(), *micro, ap.mean(), ece.mean()]])

    keys = [f"{kind}/{name}" for kind in ("precision", "recall", "f1", "average_precision", "calibration_error") for name in names]
    keys += ["macro_f1", "micro_precision", "micro_recall", "micro_f1", "macro_average_precision", "calibration_error"]
    point = dict(zip(keys, figures(np.arange(len(truth))).tolist(), strict=True))
    bounds = resample(documents, figures, seed=seed, n=n_resamples) if n_resamples else np.full((2, len(keys)), np.nan)
    interval = {key: [float(low), float(high)] for key, low, high in zip(keys, *bounds, strict=True)}

    kinds = ("precision", "recall", "f1", "average_precision", "calibration_error")
    categories = {}
    for k, name in enumerate(names):
        categories[name] = {
            **{kind: point[f"{kind}/{name}"] for kind in kinds},
            "support": int(truth[:, k].sum()),
            "threshold": float(thresholds[k]),
            "intervals": {kind: interval[f"{kind}/{name}"] for kind in kinds},
        }
    whole = keys[len(kinds) * len(names) :]
    return {
        **{key: point[key] for key in whole},
        "intervals": {key: interval[key] for key in whole},
        "categories": categories,
        "n": len(truth),
        "n_documents": len(set(documents)),
    }


def f1_threshold(truth: NDArray[Any], probability: NDArray[np.float64], documents: Sequence[str], *, seed: int = 0) -> float:
    """Return a threshold for the F1 of one category: the middle of all whose F1 is within one standard error of the best.

    F1 hardly moves over a wide range of thresholds, and where its maximum lies on one set of documents is a matter of
    chance. One standard error of the best F1, resampled by document, marks off that range (as Breiman et al. 1984, section
    3.4.3, do for the size of a tree); its middle moves least from one set of documents to the next.
    """
    grid = np.arange(0.05, 0.96, 0.01)
    names = {name: i for i, name in enumerate(dict.fromkeys(documents))}
    owner = np.array([names[name] for name in documents])
    tagged = (probability[:, None] >= grid) * 1.0
    hits = np.stack([np.bincount(owner, column) for column in (tagged * truth[:, None]).T], axis=1)
    said = np.stack([np.bincount(owner, column) for column in tagged.T], axis=1)
    there = np.bincount(owner, truth)
    f1 = divide(2 * hits.sum(0), said.sum(0) + there.sum())
    best = int(np.argmax(f1))
    draws = np.random.default_rng(seed).integers(len(names), size=(200, len(names)))
    resampled = divide(2 * hits[draws, best].sum(1), said[draws, best].sum(1) + there[draws].sum(1))
    return float(grid[f1 >= f1[best] - resampled.std()].mean())


def risk_coverage(truth: Matrix, probability: Matrix, steps: int = 50) -> list[dict[str, float]]:
    """Return the risk-coverage curve: keep only the surest decisions, and how many of those are wrong.

    A decision is one passage and category, tagged where the probability is 0.5 or more; its confidence is its distance
    from 0.5 (El-Yaniv and Wiener 2010).
    """
    y, p = np.asarray(truth).ravel(), np.asarray(probability).ravel()
    order = np.argsort(-np.abs(p - 0.5), kind="stable")
    wrong = np.cumsum((p[order] >= 0.5) != y[order])
    cut = np.unique(np.linspace(1, len(y), steps).astype(int))
    return [{"coverage": float(n / len(y)), "risk": float(wrong[n - 1] / n)} for n in cut]


def agreement(first: Matrix, second: Matrix) -> Mapping[str, NDArray[np.float64]]:
    """Return agreement of two coders for each category, arrays of shape ``(n_categories,)``.

    ``kappa`` (Cohen 1960), ``alpha`` (Krippendorff 2004, nominal, two coders, no gaps), ``holsti`` (Holsti 1969: the share
    of passages coded alike) and ``f1`` (the second against the first). Kappa and alpha are 1 where neither coder ever used
    a category, since they agree on all.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    n = max(1, len(first))
    same = (first == second).mean(0) if len(first) else np.ones(first.shape[1])
    a, b = first.mean(0), second.mean(0)
    chance = a * b + (1 - a) * (1 - b)
    kappa = np.where(chance < 1, divide(same - chance, 1 - chance), 1.0)
    ones = first.sum(0) + second.sum(0)
    expected = 2 * ones * (2 * n - ones) / (2 * n * (2 * n - 1))
    alpha = np.where(expected > 0, 1 - divide(1 - same, expected), 1.0)
    return {"kappa": kappa, "alpha": alpha, "holsti": same, "f1": precision_recall_f1(first, second)[2]}
