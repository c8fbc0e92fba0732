"""Train the bundled model and store how well it does.

    python experiments/train.py

Reads labels/, writes models/default/ and, into experiments/results/, training.json and four pictures. The same labels, seed
and library versions give the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from policyclf.labels import label_files, label_matrix, read_categories, read_labels, sha256_of
from policyclf.metrics import reliability, risk_coverage
from policyclf.terminal import Steps, show_figures
from policyclf.train import PolicyClassifier, evaluate_fit, save_fit

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"
MIN_DF = 8  # a quarter of the n-grams of 2 and the same scores within the noise (ablations.json): the model loads and runs faster


def main() -> None:
    categories = read_categories(ROOT / "labels" / "categories.json")
    sources = [*label_files(), ROOT / "labels" / "lexicon.tsv", ROOT / "labels" / "categories.json"]
    records = read_labels(label_files(), categories)
    names = [category.name for category in categories]
    classifier = PolicyClassifier(categories=names, min_df=MIN_DF, n_jobs=-1)
    with Steps() as steps:
        classifier.fit([r.text for r in records], [r.labels for r in records], [r.document for r in records], progress=steps.say)
        steps.say("measuring out of fold")
        figures = evaluate_fit(classifier, records)
        steps.say("writing")
        save_fit(classifier, figures, ROOT / "models" / "default", categories=categories, sources=sha256_of(sources))
        truth = label_matrix([r.labels for r in records], names)
        store("training", {"text": "authored, out of fold by document", **figures, "risk_coverage": risk_coverage(truth, classifier.oof_probability_)})
        draw(truth, classifier.oof_probability_, np.array(classifier.model_.thresholds), classifier.model_.categories)
    show_figures(figures, f"out of fold, {figures['n']} authored passages of {figures['n_documents']} documents")


def store(name: str, result: dict[str, Any]) -> None:
    """Write a result as JSON, the same bytes for the same result."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, ensure_ascii=False, indent=1, default=float)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def draw(truth: Any, probability: Any, thresholds: Any, categories: Any) -> None:
    """Draw precision-recall curves, the reliability diagram, the risk-coverage curve and the confusion picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    labels = [category.english or category.name for category in categories]  # a font with Chinese is not everywhere

    figure, axes = plt.subplots(figsize=(6, 4.5))
    for k, label in enumerate(labels):
        order = np.argsort(-probability[:, k], kind="stable")
        hits = np.cumsum(truth[order, k])
        axes.plot(hits / hits[-1], hits / np.arange(1, len(hits) + 1), label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title=f"Out of fold, {len(truth):,} authored passages")
    axes.legend(loc="lower left", fontsize=8)
    save(figure, "precision_recall")

    figure, axes = plt.subplots(figsize=(4.5, 4.5))
    rows = reliability(truth, probability)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.plot([r["probability"] for r in rows], [r["share"] for r in rows], marker="o")
    axes.set(xlabel="probability", ylabel="share that carries the category", title="Reliability, all categories")
    save(figure, "reliability")

    figure, axes = plt.subplots(figsize=(6, 4))
    curve = risk_coverage(truth, probability)
    axes.plot([r["coverage"] for r in curve], [r["risk"] for r in curve])
    axes.set(xlabel="coverage: share of decisions kept", ylabel="risk: share of them wrong", title="Risk-coverage")
    save(figure, "risk_coverage")

    tagged = probability >= thresholds
    rows_true = np.column_stack([truth, ~truth.any(1)]).astype(float)
    rows_tagged = np.column_stack([tagged, ~tagged.any(1)]).astype(float)
    share = rows_true.T @ rows_tagged / np.maximum(1, rows_true.sum(0))[:, None]
    ticks = [*labels, "none"]
    figure, axes = plt.subplots(figsize=(7, 5.5))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i in range(len(ticks)):
        for j in range(len(ticks)):
            axes.text(j, i, f"{share[i, j]:.2f}", ha="center", va="center", color="white" if share[i, j] > 0.5 else "black", fontsize=8)
    axes.set_xticks(range(len(ticks)), ticks, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(ticks)), ticks, fontsize=8)
    axes.set(xlabel="tagged", ylabel="labelled", title="Of the passages that carry the row, the share tagged with the column")
    save(figure, "confusion")


def save(figure: Any, name: str) -> None:
    import matplotlib.pyplot as plt

    figure.tight_layout()
    figure.savefig(RESULTS / f"{name}.png", dpi=120, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
