"""What is published is what was measured: figures in the README files, the labelled set, the model."""

from __future__ import annotations

import collections
import json
import statistics
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

from policyclf.labels import label_files, read_categories, read_labels, read_lexicon, sha256_of
from policyclf.model import load_model
from policyclf.text import fold, split

ROOT = Path(__file__).parent.parent
RECORDS = read_labels(label_files(), read_categories())


def test_figures_in_the_readme_files_are_the_stored_ones() -> None:
    run = subprocess.run([sys.executable, ROOT / "experiments" / "publish.py", "--check"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_model_was_trained_on_these_labels() -> None:
    model = load_model(ROOT / "models" / "default")
    labels = ROOT / "labels"
    assert model.meta["sources"] == sha256_of([*label_files(), labels / "lexicon.tsv", labels / "categories.json"])
    assert model.meta["n_passages"] == len(RECORDS)


def test_the_readme_files_say_the_same() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    assert english.count("```") == chinese.count("```")
    commands = [line.split("#")[0] for line in english.splitlines() if line.startswith("policyclf ")]
    assert len(commands) > 8
    assert all(command in chinese for command in commands)


def test_size_and_shares() -> None:
    assert len(RECORDS) >= 15_000
    sizes = collections.Counter(record.document for record in RECORDS)
    assert sum(15 <= size <= 60 for size in sizes.values()) >= 500
    assert 0.6 < sum(not record.labels for record in RECORDS) / len(RECORDS) < 0.75
    count = collections.Counter(name for record in RECORDS for name in record.labels)
    assert min(count.values()) >= 1000
    lengths = sorted(len(record.text) for record in RECORDS)
    assert 35 <= statistics.median(lengths) <= 65
    assert 75 <= lengths[len(lengths) * 9 // 10] <= 140


def test_one_sentence_a_passage() -> None:
    several = [record.id for record in RECORDS if len(list(split(record.text))) != 1]
    assert len(several) <= 0.002 * len(RECORDS), several[:20]


def test_no_copies_and_no_templates() -> None:
    folded = [fold(record.text) for record in RECORDS]
    long = [text for text in folded if len(text) > 14]
    assert len(long) - len(set(long)) <= 0.002 * len(long)
    runs = collections.Counter(run for text in folded for run in {text[i : i + 12] for i in range(len(text) - 11)})
    assert sum(count >= 6 for count in runs.values()) < 400
    openings = collections.Counter(text[:5] for text in folded if len(text) >= 12)
    assert openings.most_common(1)[0][1] <= 0.005 * len(RECORDS)


def test_every_passage_has_both_codings() -> None:
    lines = [json.loads(line) for path in label_files() for line in path.read_text(encoding="utf-8").splitlines()]
    assert all({"coding_1", "coding_2"} <= set(line) for line in lines)
    names = {category.name for category in read_categories()}
    assert all(set(line["coding_1"]) | set(line["coding_2"]) <= names for line in lines)
    agree = sum(line["coding_1"] == line["coding_2"] for line in lines) / len(lines)
    assert agree > 0.95


def test_lexicon() -> None:
    terms = read_lexicon(ROOT / "labels" / "lexicon.tsv", read_categories())
    assert len(terms) >= 12_000
    for name, group in groupby(sorted(term.category for term in terms.values())):
        assert len(list(group)) >= 300, name


@pytest.mark.parametrize("name", ["labels_sha256", "authored", "real"])
def test_floors_are_pinned(name: str) -> None:
    assert json.loads((ROOT / "experiments" / "floors.json").read_text(encoding="utf-8"))[name]
