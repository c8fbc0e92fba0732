"""The model card: what a model was trained on, how well it did, and what it is not for; all of it from its own record."""

from __future__ import annotations

from typing import Any

from policyclf.model import FORMAT, Model


def figure_table(figures: dict[str, Any]) -> str:
    """Return a Markdown table of an evaluation, one category a line, with 95 % intervals."""
    lines = ["| category | precision | recall | F1 | average precision | n | threshold |", "|---|---|---|---|---|---|---|"]
    kinds = ("precision", "recall", "f1", "average_precision")
    for name, row in figures["categories"].items():
        cells = [with_interval(row, kind) for kind in kinds]
        lines.append(f"| {name} | {' | '.join(cells)} | {row['support']} | {row['threshold']:.3f} |")
    macro = f"| **macro** | | | {with_interval(figures, 'macro_f1')} | {with_interval(figures, 'macro_average_precision')} | {figures['n']} passages | |"
    return "\n".join([*lines, macro])


def with_interval(row: dict[str, Any], kind: str) -> str:
    """Return a figure with its interval, such as ``0.86 (0.83–0.89)``."""
    low, high = row["intervals"][kind]
    return f"{row[kind]:.3f} ({low:.3f}–{high:.3f})"


def model_card(model: Model) -> str:
    """Return the card of a model in Markdown; the figures are those stored in the model."""
    meta = model.meta
    figures = meta["metrics"]
    options = meta["options"]
    sources = "\n".join(f"- `{name}` {digest}" for name, digest in meta["sources"].items())
    low, high = options["ngram_range"]
    return f"""# Model card

Tags passages of Chinese policy text with {", ".join(f"**{name}**" for name in model.names)}: zero, one or several each.

- Stage one: character {low}- to {high}-gram TF-IDF ({meta["n_ngrams"]:,} n-grams) and coverage by {meta["n_terms"]:,} lexicon terms, a linear
  SVM for each category: the mean of one taught by passages and one taught by their strongest clauses, too.
- Stage two: logistic regression over the scores of the passage, its strongest clause, its neighbours, its heading and its document; gives the probability.
- Thresholds: the middle of those whose F1 out of fold is within one standard error of the best; no document cut. Seed {meta["seed"]}. Format {FORMAT},
  plain files, no pickle.
- Trained on {meta["n_passages"]:,} passages of {meta["n_documents"]:,} documents.

## Figures out of fold, on the training set's own kind of text

{figure_table(figures)}

Expected calibration error {with_interval(figures, "calibration_error")}. Intervals are 95 %, resampled by document. Text of another kind than the
training set's is read less well: measure on your own with `policyclf evaluate`.

## Trained on (SHA-256)

{sources}

## Not for

Judging persons, firms or places; counting measures without reading a sample of the tags; text that is not Chinese.
"""
