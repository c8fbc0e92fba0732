"""How long training takes as the labelled set grows.

    python experiments/scaling.py [PASSAGES...]

Up to the size of the labelled set: some of its documents. Beyond: documents of as many passages, each passage put together
of the clauses of two of the set's own, so that the number of different n-grams goes on growing; such text says nothing about
quality and is used for time alone. Processor seconds of one process, which other work on the machine moves little.
Writes experiments/results/scaling.json.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import train
from benchmark import machine
from threadpoolctl import threadpool_limits

from policyclf.labels import label_files, read_categories, read_labels
from policyclf.text import clauses
from policyclf.train import PolicyClassifier

SIZES = (5_000, 10_000, 20_000, 100_000)
PASSAGES_PER_DOCUMENT = 20


def grown(texts: list[str], labels: list[tuple[str, ...]], n: int) -> tuple[list[str], list[tuple[str, ...]], list[str]]:
    """Return ``n`` passages, the first clauses of one and the last of another of the same labels."""
    random = np.random.default_rng(0)
    alike: dict[tuple[str, ...], list[int]] = {}
    for i, own in enumerate(labels):
        alike.setdefault(own, []).append(i)
    new, chosen = [], random.integers(len(texts), size=n)
    for i in chosen:
        other = alike[labels[i]][random.integers(len(alike[labels[i]]))]
        left, right = clauses(texts[i]), clauses(texts[other])
        new.append("".join(left[: (len(left) + 1) // 2] + right[len(right) // 2 :]))
    return new, [labels[i] for i in chosen], [str(i // PASSAGES_PER_DOCUMENT) for i in range(n)]


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    records = read_labels(label_files(), read_categories())
    names = [category.name for category in read_categories()]
    order = {document: i for i, document in enumerate(np.random.default_rng(0).permutation(sorted({r.document for r in records})))}
    records.sort(key=lambda record: order[record.document])  # stable: the passages of a document stay in order
    rows = []
    for n in sizes:
        if n <= len(records):
            texts, labels, documents = ([getattr(r, part) for r in records[:n]] for part in ("text", "labels", "document"))
        else:
            texts, labels, documents = grown([r.text for r in records], [r.labels for r in records], n)
        began = time.process_time()
        with threadpool_limits(1):
            classifier = PolicyClassifier(categories=names, min_df=train.MIN_DF).fit(texts, labels, documents)
        rows.append(
            {
                "passages": n,
                "composed_of_clauses": n > len(records),
                "n_ngrams": len(classifier.linear_.ngrams),
                "cpu_seconds": round(time.process_time() - began, 1),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            }
        )
        print(rows[-1], flush=True)
        train.store("scaling", {"machine": machine(), "rows": rows})


if __name__ == "__main__":
    main()
