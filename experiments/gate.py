"""The quality gate: fails when a figure falls below its pinned floor, or when the model is not the one that was measured.

    python experiments/gate.py [EVALUATION.jsonl...]

Floors stand in experiments/floors.json with the SHA-256 of the labels they were pinned for; they are raised on purpose and
never lowered in silence. Real text cannot be shipped, so its figures are checked as stored in
experiments/results/evaluation.json, which names the model; with evaluation files given they are measured anew.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from policyclf.evaluation import evaluate_tagger
from policyclf.labels import label_files, read_labels
from policyclf.tagger import load

ROOT = Path(__file__).parent.parent


def labels_digest() -> str:
    """One SHA-256 over all label files, names and bytes."""
    digest = hashlib.sha256()
    for path in [*label_files(), ROOT / "labels" / "lexicon.tsv", ROOT / "labels" / "categories.json"]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def compare(kind: str, floors: dict[str, Any], figures: dict[str, Any]) -> list[str]:
    """Return a line for each figure below its floor."""
    low = [f"{kind}: {key} {figures[key]:.4f} < {floor}" for key, floor in floors.items() if key != "each_f1" and figures[key] < floor]
    each = floors.get("each_f1", 0)
    return low + [f"{kind}: F1 of {name} {row['f1']:.4f} < {each}" for name, row in figures["categories"].items() if row["f1"] < each]


def main(files: list[str]) -> int:
    floors = json.loads((ROOT / "experiments" / "floors.json").read_text(encoding="utf-8"))
    stored = {name: json.loads((ROOT / "experiments" / "results" / f"{name}.json").read_text(encoding="utf-8")) for name in ("training", "evaluation")}
    tagger = load(ROOT / "models" / "default")
    faults = []
    if floors["labels_sha256"] != labels_digest():
        faults.append("the labels changed since the floors were pinned: train, evaluate, then pin floors.json again")
    if stored["evaluation"]["model"] != tagger.model.id:
        faults.append("experiments/results/evaluation.json is of another model: run experiments/evaluate.py")
    faults += compare("authored", floors["authored"], dict(tagger.model.meta["metrics"]))
    real = stored["evaluation"]
    if files:
        real = evaluate_tagger(tagger, read_labels(files, tagger.model.categories), n_resamples=0)
    faults += compare("real", floors["real"], real)
    for fault in faults:
        print(fault, file=sys.stderr)
    print(
        f"quality gate: {'failed' if faults else 'passed'}; real text macro-F1 {real['macro_f1']:.3f}, authored {tagger.model.meta['metrics']['macro_f1']:.3f}"
    )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
