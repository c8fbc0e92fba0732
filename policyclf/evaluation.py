"""Compare a tagger with labels: every figure with its interval, and the curves behind the figures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from policyclf.labels import label_matrix
from policyclf.metrics import N_RESAMPLES, evaluate
from policyclf.records import LabelRecord
from policyclf.tagger import Tagger

if TYPE_CHECKING:
    from numpy.typing import NDArray


def probabilities(tagger: Tagger, records: Sequence[LabelRecord]) -> NDArray[np.float64]:
    """Return the probability of each category for labelled passages, shape ``(n_passages, n_categories)``.

    The passages of one document stand together, in order: each document is tagged as an article, so that context counts.
    """
    counts = [len(list(group)) for _, group in groupby(records, key=lambda record: record.document)]
    _, decisions = tagger.model.scorer().passages([record.text for record in records], counts)
    table: NDArray[np.float64] = np.frombuffer(decisions, np.float64).reshape(len(records), len(tagger.categories))
    return 1 / (1 + np.exp(-table))


def evaluate_tagger(tagger: Tagger, records: Sequence[LabelRecord], *, seed: int = 0, n_resamples: int = N_RESAMPLES) -> dict[str, Any]:
    """Return the figures of :func:`policyclf.metrics.evaluate` for a tagger on labelled passages."""
    truth = label_matrix([record.labels for record in records], tagger.categories)
    documents = [record.document for record in records]
    return evaluate(truth, probabilities(tagger, records), tagger.thresholds, tagger.categories, documents, seed=seed, n_resamples=n_resamples)
