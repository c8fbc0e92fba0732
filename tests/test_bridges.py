"""Bridges: export then import is identity; what others write is read; what is not in order is refused with its place."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import datasets
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policyclf.bridges import FORMATS, export_labels, from_dataset, import_labels, to_dataset
from policyclf.errors import LabelError, OutputError, UsageError
from policyclf.labels import label_files, load_labels, read_categories, read_labels
from policyclf.records import Category, LabelRecord

CATEGORIES = (Category("a", "甲类"), Category("b", "乙、丙类"), Category("c", "Talent policy"), Category("d", "=SUM"))
NAMES = [category.name for category in CATEGORIES]
FILES = {"policyclf": "x.jsonl", "doccano": "x.jsonl", "labelstudio": "x.json", "prodigy": "x.jsonl", "fasttext": "x.txt", "datasets": "x"}

any_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30) | st.sampled_from(
    ["=1+1", "'=x", "''@", "-5", "一、“引号”", "a,b;c", "line\nbreak", "tab\t", "__label__甲类 x", "▁", "👍🏽", "_x000D_", "0012", "1e5", "TRUE"]
)


@st.composite
def records(draw: st.DrawFn, text: st.SearchStrategy[str] = any_text) -> list[LabelRecord]:
    filled = text.filter(lambda t: bool(t.strip()))
    documents = draw(st.lists(filled, min_size=1, max_size=3, unique=True))
    ids = iter(draw(st.lists(filled, min_size=9, max_size=9, unique=True)))
    labels = st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(tuple)
    return [LabelRecord(next(ids), document, draw(filled), draw(labels)) for document in documents for _ in range(draw(st.integers(1, 3)))]


def ordered(records: list[LabelRecord]) -> list[LabelRecord]:
    """Tables do not keep in which order the labels of a passage stand."""
    return [LabelRecord(r.id, r.document, r.text, tuple(sorted(r.labels, key=NAMES.index))) for r in records]


@pytest.mark.parametrize("format", ["policyclf", "doccano", "labelstudio", "prodigy"])
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_export_then_import_is_identity(tmp_path: Path, format: str, data: st.DataObject) -> None:
    found = data.draw(records(any_text | st.text(min_size=1, max_size=9)))  # lone surrogates and control characters as well
    path = tmp_path / FILES[format]
    export_labels(found, path, format, CATEGORIES)
    assert import_labels(path, format, CATEGORIES) == found


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=records())
def test_tables_are_identity(tmp_path: Path, suffix: str, found: list[LabelRecord]) -> None:
    path = tmp_path / f"x{suffix}"
    export_labels(found, path, "table", CATEGORIES)
    assert import_labels(path, "table", CATEGORIES) == ordered(found)


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=records())
def test_datasets_are_identity(found: list[LabelRecord]) -> None:
    assert from_dataset(to_dataset(found, CATEGORIES), CATEGORIES) == found


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=records(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]), min_size=1).filter(lambda t: "▁" not in t)))
def test_fasttext_keeps_texts_and_labels(tmp_path: Path, found: list[LabelRecord]) -> None:
    path = tmp_path / "x.txt"
    export_labels(found, path, "fasttext", CATEGORIES)
    back = import_labels(path, "fasttext", CATEGORIES)
    assert [(r.text, r.labels) for r in back] == [(r.text, r.labels) for r in found]
    assert [r.id for r in back] == [f"x-{n}" for n in range(1, len(found) + 1)]


def test_the_bundled_labels_go_through_every_format(tmp_path: Path) -> None:
    categories = read_categories()
    found = read_labels(label_files()[:2], categories)
    for format in FORMATS:
        path = tmp_path / format / {**FILES, "table": "x.xlsx"}[format]
        path.parent.mkdir()
        export_labels(found, path, format, categories)
        back = import_labels(path, format, categories)
        if format == "fasttext":
            assert [(r.text, set(r.labels)) for r in back] == [(re.sub(r"\s", " ", r.text), set(r.labels)) for r in found]
        elif format == "table":
            assert [(r.id, r.document, r.text, set(r.labels)) for r in back] == [(r.id, r.document, r.text, set(r.labels)) for r in found]
        else:
            assert back == found
    assert datasets.load_from_disk(str(tmp_path / "datasets" / "x"))[0]["text"] == found[0].text
    split = load_labels(label_files()[:2])
    assert sorted(r.id for r in from_dataset(split, categories)) == sorted(r.id for r in found)


def write(path: Path, *entries: object) -> Path:
    path.write_text("\n".join(entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False) for entry in entries), encoding="utf-8")
    return path


def test_what_the_tools_themselves_write(tmp_path: Path) -> None:
    doccano = write(tmp_path / "d.jsonl", {"id": 7, "text": "一。", "label": ["甲类"], "Comments": []}, "", {"id": 8, "data": "二。", "label": []})
    assert import_labels(doccano, "doccano", CATEGORIES) == [LabelRecord("7", "7", "一。", ("甲类",)), LabelRecord("8", "8", "二。", ())]
    result = {"id": "x", "from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": ["甲类", "=SUM"]}}
    rating = {"type": "rating", "value": {"rating": 3}}
    task = {
        "id": 1,
        "data": {"text": "一。"},
        "annotations": [{"result": [result, rating], "was_cancelled": False}, {"result": [], "was_cancelled": True}],
        "predictions": [],
    }
    studio = write(tmp_path / "s.json", [task])
    assert import_labels(studio, "labelstudio", CATEGORIES) == [LabelRecord("s-1", "s-1", "一。", ("甲类", "=SUM"))]
    prodigy = write(tmp_path / "p.jsonl", {"text": "一。", "options": [], "accept": ["甲类"], "answer": "accept", "_input_hash": 5})
    assert import_labels(prodigy, "prodigy", CATEGORIES) == [LabelRecord("p-1", "p-1", "一。", ("甲类",))]
    fasttext = write(tmp_path / "f.txt", "__label__甲类 推进 open data 建设 GDP", "", "没有 标签")
    assert [(r.text, r.labels) for r in import_labels(fasttext, "fasttext", CATEGORIES)] == [("推进open data建设GDP", ("甲类",)), ("没有标签", ())]


def test_documents_are_brought_together(tmp_path: Path) -> None:
    rows = [{"text": f"第{n}句。", "label": [], "document": "乙" if n % 2 else "甲", "passage_id": str(n)} for n in range(5)]
    assert [r.id for r in import_labels(write(tmp_path / "d.jsonl", *rows), "doccano", CATEGORIES)] == ["0", "2", "4", "1", "3"]


def table(path: Path, rows: list[list[object]], encoding: str = "utf-8") -> Path:
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        for cell in book.active[1]:
            cell.data_type = "s"
        book.save(path)
    else:
        with path.open("w", encoding=encoding, newline="") as file:
            csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows(rows)
    return path


@pytest.mark.parametrize("name", ["t.xlsx", "t.csv", "t.tsv"])
def test_tables_as_people_have_them(tmp_path: Path, name: str) -> None:
    rows: list[list[object]] = [
        ["编号", "句子", "类别"],
        [1, "第一句，简体中文的句子要能读对。", "甲类；Talent policy"],
        [2, "第二句。", "乙、丙类"],
        ["", "", ""],
        [3, "第三句。", "无"],
        [4, "第四句。", ""],
        [5, "第五句。", "甲类|=SUM"],
    ]
    back = import_labels(table(tmp_path / name, rows, "gb18030"), "table", CATEGORIES)
    assert [r.labels for r in back] == [("甲类", "Talent policy"), ("乙、丙类",), (), (), ("甲类", "=SUM")]
    assert [r.id for r in back] == ["1", "2", "3", "4", "5"]
    flags: list[list[object]] = [["正文", *NAMES, "备注"], ["一。", 1, "", "否", "√", "x"], ["二。", 0.0, None, None, None]]
    back = import_labels(table(tmp_path / name, flags), "table", CATEGORIES)
    assert [(r.id, r.labels) for r in back] == [("t-1", ("甲类", "=SUM")), ("t-2", ())]
    both = [["text", "labels", "甲类"], ["一。", "甲类、Talent policy", 1]]
    assert import_labels(table(tmp_path / name, both), "table", CATEGORIES)[0].labels == ("甲类", "Talent policy")


GOOD = {"text": "一。", "label": []}


@pytest.mark.parametrize(
    ("format", "content", "place", "problem"),
    [
        ("doccano", [GOOD, "{"], ":2", "no valid JSON"),
        ("doccano", [GOOD, "[]"], ":2", "no JSON object"),
        ("doccano", [{"text": "一。", "label": "甲类"}], ":1", "no list of strings"),
        ("doccano", [{"text": "一。", "label": ["丁"]}], ":1", "unknown category '丁'"),
        ("doccano", [{"text": "一。", "label": ["甲类", "甲类"]}], ":1", "twice"),
        ("doccano", [{"text": " ", "label": []}], ":1", "empty"),
        ("doccano", [{"text": 5, "label": []}], ":1", "no string"),
        ("doccano", [{**GOOD, "id": 3}, {**GOOD, "id": 3}], ":2", "already stands at"),
        ("doccano", [""], "", "no labelled passage"),
        ("labelstudio", ["[\n{]"], ":2", "no valid JSON"),
        ("labelstudio", ["{}"], "", "no list of tasks"),
        ("labelstudio", [[{"text": "一。", "label": "甲类"}]], "task 1", "no task"),
        ("labelstudio", [[{"data": {"text": "一。"}, "annotations": []}]], "task 1", "no annotation"),
        ("labelstudio", [[{"data": {"text": "一。"}, "annotations": [{"result": [{"type": "choices", "value": {}}]}]}]], "task 1", "no list of strings"),
        (
            "labelstudio",
            [[{"data": {"text": "一。"}, "annotations": [{"result": []}, {"result": [{"type": "choices", "value": {"choices": ["甲类"]}}]}]}]],
            "task 1",
            "differently",
        ),
        ("prodigy", [{"text": "一。", "accept": [], "answer": "ignore"}], ":1", "answered 'ignore'"),
        ("prodigy", [{"text": "一。", "label": "甲类", "answer": "accept"}], ":1", "no list of strings"),
        ("fasttext", ["__label__丁 一 。"], ":1", "unknown category"),
        ("fasttext", ["__label__甲类"], ":1", "empty"),
    ],
)
def test_what_is_not_in_order_is_refused(tmp_path: Path, format: str, content: list[object], place: str, problem: str) -> None:
    path = write(tmp_path / "x.any", *content)
    with pytest.raises(LabelError, match=problem) as raised:
        import_labels(path, format, CATEGORIES)
    assert raised.value.place.startswith(str(path))
    assert raised.value.place.endswith(place)


@pytest.mark.parametrize(
    ("rows", "place", "problem"),
    [
        ([["a", "b"], ["1", "2"]], "", "needs a column of text"),
        ([["text", "labels"], ["一。", "丁"]], "B2", "unknown category"),
        ([["text", "labels"], ["", "甲类"]], "A2", "empty"),
        ([["text", "正文", "labels"], ["一。", "一。", ""]], "", "several columns"),
        ([["text", "甲类"], ["一。", 1]], "", "no column for"),
        ([["text", *NAMES], ["一。", "maybe"]], "B2", "neither yes nor no"),
        ([["text", "labels", "甲类"], ["一。", "甲类", 0]], "B2", "differ"),
        ([["text", "labels"]], "", "no labelled passage"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, rows: list[list[object]], place: str, problem: str) -> None:
    with pytest.raises(LabelError, match=problem) as raised:
        import_labels(table(tmp_path / "x.xlsx", rows), "table", CATEGORIES)
    assert raised.value.place.endswith(place)
    with pytest.raises(LabelError, match=problem):
        import_labels(table(tmp_path / "x.csv", rows), "table", CATEGORIES)


def test_files_and_formats_that_are_refused(tmp_path: Path) -> None:
    good = [LabelRecord("1", "d", "一。", ("甲类",))]
    refused: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (UsageError, "unknown format", lambda: export_labels(good, tmp_path / "x", "excel", CATEGORIES)),
        (UsageError, "unknown format", lambda: import_labels(tmp_path / "x", "excel", CATEGORIES)),
        (UsageError, "kind of table", lambda: export_labels(good, tmp_path / "x.ods", "table", CATEGORIES)),
        (UsageError, "kind of table", lambda: import_labels(tmp_path / "x.ods", "table", CATEGORIES)),
        (LabelError, "cannot be read", lambda: import_labels(tmp_path / "x.csv", "table", CATEGORIES)),
        (LabelError, "unknown category", lambda: export_labels(good, tmp_path / "x", "doccano", CATEGORIES[1:])),
        (LabelError, "no saved dataset", lambda: import_labels(tmp_path / "x", "datasets", CATEGORIES)),
        (OutputError, "cannot be written", lambda: export_labels(good, tmp_path / "no" / "x", "doccano", CATEGORIES)),
        (OutputError, "exists already", lambda: export_labels(good, tmp_path, "datasets", CATEGORIES)),
        (LabelError, "same name", lambda: export_labels([], tmp_path / "x", "fasttext", [Category("a", "a b"), Category("b", "a_b")])),
        (LabelError, "surrogate", lambda: export_labels([LabelRecord("1", "d", "\ud800", ())], tmp_path / "x", "fasttext", CATEGORIES)),
        (LabelError, "surrogate", lambda: export_labels([LabelRecord("1", "d", "\ud800", ())], tmp_path / "x.csv", "table", CATEGORIES)),
        (LabelError, "surrogate", lambda: to_dataset([LabelRecord("1", "d", "\ud800", ())], CATEGORIES)),
        (LabelError, "too long", lambda: export_labels([LabelRecord("1", "d", "长" * 40_000, ())], tmp_path / "x.xlsx", "table", CATEGORIES)),
        (LabelError, "no list of labels", lambda: from_dataset(datasets.Dataset.from_dict({"text": ["x"]}), CATEGORIES)),
    ]
    for kind, problem, call in refused:
        with pytest.raises(kind, match=problem):
            call()
    (tmp_path / "gbk.jsonl").write_bytes('{"text": "一。"}\n{"text": "啊"}'.encode("gb18030"))
    with pytest.raises(LabelError, match=r":1: is not UTF-8"):
        import_labels(tmp_path / "gbk.jsonl", "doccano", CATEGORIES)
    (tmp_path / "quote.csv").write_text('text,labels\n"x" y,', encoding="utf-8")
    with pytest.raises(LabelError, match="no valid CSV"):
        import_labels(tmp_path / "quote.csv", "table", CATEGORIES)
