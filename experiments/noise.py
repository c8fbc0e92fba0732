"""Rank the labels that look wrong: cleanlab on out-of-fold probabilities.

    python experiments/noise.py

The probabilities come from models that did not see the passage's document. A label is listed where cleanlab (Northcutt,
Jiang and Chuang 2021, confident learning) finds it at odds with them, the most doubtful first; a person decides. Writes
experiments/results/noise.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import train
from rich.console import Console
from rich.table import Table
from rich.text import Text

from policyclf.labels import label_files, label_matrix, read_categories, read_labels, sha256_of
from policyclf.train import PolicyClassifier

MOST = 300


def doubts(truth: np.ndarray, probability: np.ndarray) -> list[tuple[int, int, float, bool]]:
    """Return (row, category, quality, found) of the ``MOST`` labels of the lowest quality.

    ``quality`` is the probability of the label as given, 0 to 1; ``found`` says whether confident learning calls it an error.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    rows = []
    for k in range(truth.shape[1]):
        given = truth[:, k].astype(np.int64)
        both = np.column_stack([1 - probability[:, k], probability[:, k]])
        found = find_label_issues(given, both, n_jobs=1)
        quality = get_label_quality_scores(given, both, method="self_confidence")
        rows += [(int(i), k, float(quality[i]), bool(found[i])) for i in np.flatnonzero(found | (quality < 0.5))]
    return sorted(rows, key=lambda row: (row[2], row[0], row[1]))[:MOST]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--smoke", metavar="FOLDER", help=argparse.SUPPRESS)  # two files, results into FOLDER: for the tests
    smoke = parser.parse_args().smoke
    files = label_files()[:2] if smoke else label_files()
    train.RESULTS = Path(smoke) if smoke else train.RESULTS
    categories = read_categories(train.ROOT / "labels" / "categories.json")
    names = [category.name for category in categories]
    records = read_labels(files, categories)
    truth = label_matrix([r.labels for r in records], names)
    classifier = PolicyClassifier(categories=names, min_df=train.MIN_DF, n_jobs=-1).fit([r.text for r in records], truth, [r.document for r in records])
    probability = classifier.oof_probability_
    ranked = doubts(truth, probability)
    found = [
        {"id": records[i].id, "category": names[k], "given": bool(truth[i, k]), "probability": round(float(probability[i, k]), 4), "confident_learning": error}
        for i, k, _, error in ranked
    ]
    counted: dict[str, Any] = {
        name: {side: sum(row["category"] == name and row["given"] is given for row in found) for side, given in (("given", True), ("not given", False))}
        for name in names
    }
    train.store("noise", {"labels": sha256_of(files), "n": len(records), "listed": counted, "labels_in_doubt": found})

    table = Table(title=f"{len(found)} labels in doubt among {len(records)} passages", title_justify="left", box=None, padding=(0, 1))
    for header in ("id", "category", "given", "probability", "text"):
        table.add_column(header, overflow="fold", ratio=1 if header == "text" else None, no_wrap=header != "text")
    for row, (i, *_) in zip(found, ranked, strict=True):
        table.add_row(row["id"], row["category"], "yes" if row["given"] else "no", f"{row['probability']:.3f}", Text(records[i].text))
    console = Console()
    console.print(table)
    console.print(counted)


if __name__ == "__main__":
    main()
