"""What several tests share: the bundled tagger and a small model trained on a few documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from policyclf.labels import label_files, read_categories, read_labels
from policyclf.records import LabelRecord
from policyclf.tagger import Tagger, load
from policyclf.train import PolicyClassifier

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def tagger() -> Tagger:
    return load(ROOT / "models" / "default")


@pytest.fixture(scope="session")
def some_records() -> list[LabelRecord]:
    """About 1,200 labelled passages in whole documents."""
    return read_labels([label_files()[1], label_files()[2]], read_categories())


@pytest.fixture(scope="session")
def small_lexicon(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Every twentieth term of the bundled lexicon: its terms are training passages, too, and take most of the time of a small fit."""
    lines = (ROOT / "labels" / "lexicon.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    path = tmp_path_factory.mktemp("lexicon") / "lexicon.tsv"
    path.write_text("".join(lines[::20]), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def small(some_records: list[LabelRecord], small_lexicon: str) -> PolicyClassifier:
    names = [category.name for category in read_categories()]
    classifier = PolicyClassifier(categories=names, lexicon=small_lexicon)
    return classifier.fit([r.text for r in some_records], [r.labels for r in some_records], [r.document for r in some_records])


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[[Sequence[Any]], Path]:
    """Write rows (dicts, or raw lines) as a labels file."""

    def write(rows: Sequence[Any], name: str = "labels.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
        return path

    return write
