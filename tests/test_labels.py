from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policyclf.errors import LabelError
from policyclf.labels import document_folds, label_matrix, load_labels, read_categories, read_labels, read_lexicon, sha256_of

CATEGORIES = read_categories()
GOOD = {"id": "a-1", "document": "a", "text": "推行秒批。", "labels": ["审批改革"]}
Write = Callable[..., Path]


def test_good_file_is_read_with_further_keys(write_jsonl: Write) -> None:
    path = write_jsonl([{**GOOD, "source": "x"}, "", {**GOOD, "id": "a-2", "labels": []}])
    records = read_labels([path], CATEGORIES)
    assert [(r.id, r.document, r.text, r.labels) for r in records] == [("a-1", "a", "推行秒批。", ("审批改革",)), ("a-2", "a", "推行秒批。", ())]


@pytest.mark.parametrize(
    ("rows", "line", "problem"),
    [
        ([GOOD, "{bad"], 2, "no valid JSON"),
        ([GOOD, "[1]"], 2, "no JSON object"),
        ([{**GOOD, "labels": ["审批"]}], 1, "unknown category '审批'"),
        ([{**GOOD, "labels": ["人才", "人才"]}], 1, "twice"),
        ([{**GOOD, "labels": "人才"}], 1, "no list"),
        ([{**GOOD, "text": "  "}], 1, "'text' is missing, empty"),
        ([{k: v for k, v in GOOD.items() if k != "id"}], 1, "'id' is missing"),
        ([GOOD, GOOD], 2, "already stands at"),
        ([GOOD, {**GOOD, "id": "b-1", "document": "b"}, {**GOOD, "id": "a-2"}], 3, "torn apart"),
    ],
)
def test_bad_lines_are_named(write_jsonl: Write, rows: list[Any], line: int, problem: str) -> None:
    path = write_jsonl(rows)
    with pytest.raises(LabelError, match=problem) as caught:
        read_labels([path], CATEGORIES)
    assert caught.value.place == f"{path}:{line}"


def test_empty_missing_and_undecodable_files(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n\n")
    with pytest.raises(LabelError, match="no labelled passage"):
        read_labels([empty], CATEGORIES)
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels([tmp_path / "none.jsonl"], CATEGORIES)
    (tmp_path / "gbk.jsonl").write_bytes(b"{}\n" + "审批".encode("gbk"))
    with pytest.raises(LabelError, match="is not UTF-8") as caught:
        read_labels([tmp_path / "gbk.jsonl"], CATEGORIES)
    assert caught.value.place.endswith("gbk.jsonl:2")


def test_crlf_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + (json.dumps(GOOD, ensure_ascii=False) + "\r\n").encode())
    assert read_labels([path], CATEGORIES)[0].id == "a-1"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "no valid JSON"),
        ("[]", "no list of categories"),
        ('[{"id": "x"}]', "needs a name"),
        ('[{"name": "甲"}, {"name": "甲"}]', "stands twice"),
        ('[{"name": "无"}]', "reserved"),
        ('[{"name": "甲", "colour": 1}]', "unknown key"),
    ],
)
def test_bad_categories(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "categories.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(LabelError, match=problem):
        read_categories(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("秒批 审批改革", "no tab"),
        ("秒批\t审批", "unknown category"),
        ("批\t审批改革", "shorter than two"),
        ("秒批\t审批改革\n秒 批\t人才", "stands twice"),
        ("秒批，快批\t审批改革", "across clauses"),
        ("秒批\t审批改革\t3", "unknown tier"),
    ],
)
def test_bad_lexicon(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "lexicon.tsv"
    path.write_text(content + "\n", encoding="utf-8")
    with pytest.raises(LabelError, match=problem):
        read_lexicon(path, CATEGORIES)


def test_label_matrix() -> None:
    names = [c.name for c in CATEGORIES]
    assert label_matrix([["人才", "审批改革"], []], names).tolist() == [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    with pytest.raises(LabelError, match="passage 0"):
        label_matrix([["没有"]], names)


def test_folds_keep_documents_whole() -> None:
    documents = [f"d{i // 7}" for i in range(700)]
    folds = document_folds(documents, 5)
    assert {len({int(f) for f, d in zip(folds, documents, strict=True) if d == name}) for name in set(documents)} == {1}
    assert (folds == document_folds(documents, 5)).all()
    assert (folds != document_folds(documents, 5, seed=1)).any()
    with pytest.raises(LabelError, match="cannot be split"):
        document_folds(["a", "b"], 5)


def test_load_labels_is_a_dataset_split_by_document() -> None:
    labels = load_labels()
    assert set(labels) == {"train", "validation", "test"}
    documents = [set(labels[split]["document"]) for split in labels]
    assert sum(map(len, documents)) == len(set().union(*documents))
    assert labels["train"].features["labels"].feature.names == [c.name for c in CATEGORIES]
    total = sum(len(labels[split]) for split in labels)
    assert 0.7 < len(labels["train"]) / total < 0.9
    assert min(len(labels[split]) for split in labels) > 0.04 * total


def test_load_labels_of_ones_own(write_jsonl: Write) -> None:
    path = write_jsonl([GOOD])
    labels = load_labels([path])
    assert sum(len(labels[split]) for split in labels) == 1


def test_sha256_names_files(write_jsonl: Write) -> None:
    digest = sha256_of([write_jsonl([GOOD])])
    assert list(digest) == ["labels.jsonl"]
    assert len(digest["labels.jsonl"]) == 64
