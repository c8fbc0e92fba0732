"""Measure the bundled model on labelled real text and store the figures.

    python experiments/evaluate.py EVALUATION.jsonl...

The texts are not part of this project (they belong to others); their SHA-256 is stored with the figures.
"""

from __future__ import annotations

import sys

from train import ROOT, store

from policyclf.evaluation import evaluate_tagger, probabilities
from policyclf.labels import label_matrix, read_labels, sha256_of
from policyclf.metrics import precision_recall_f1, resample, risk_coverage
from policyclf.tagger import load
from policyclf.terminal import show_figures


def main(files: list[str]) -> None:
    tagger = load(ROOT / "models" / "default")
    records = read_labels(files, tagger.model.categories)
    figures = evaluate_tagger(tagger, records)
    truth = label_matrix([record.labels for record in records], tagger.categories)
    probability = probabilities(tagger, records)

    strict = load(ROOT / "models" / "default", precision=0.95)
    tagged = (probability >= strict.thresholds).astype(int)

    def pooled(rows: object) -> object:
        return precision_recall_f1(truth[rows].reshape(-1, 1), tagged[rows].reshape(-1, 1)).ravel()  # type: ignore[index]

    low, high = resample([record.document for record in records], pooled)  # type: ignore[arg-type]
    point = pooled(slice(None))
    at_95 = {name: {"value": float(p), "interval": [float(a), float(b)]} for name, p, a, b in zip(("precision", "recall", "f1"), point, low, high, strict=True)}  # type: ignore[call-overload]
    store(
        "evaluation",
        {
            "text": "real passages, adjudicated labels",
            "model": tagger.model.id,
            "files": sha256_of(files),
            **figures,
            "precision_0.95": at_95,
            "risk_coverage": risk_coverage(truth, probability),
        },
    )
    show_figures(figures, f"{figures['n']} real passages of {figures['n_documents']} documents")


if __name__ == "__main__":
    main(sys.argv[1:])
