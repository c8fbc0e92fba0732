from __future__ import annotations

import csv
import errno
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest

from policyclf import outputs
from policyclf.errors import OutputError, UsageError
from policyclf.journal import Failure, to_line
from policyclf.outputs import read_results, write
from policyclf.records import Article, Evidence, Tag, TaggedArticle, TaggedPassage

NAMES = ("甲", "乙")
NASTY = [
    "=cmd|'/c calc'!A1",
    "+1+1",
    "-2",
    "@SUM(A1)",
    "\tx",
    "</script><script>alert(1)</script>",
    "a\u2028b\u2029c",
    "👍🏽 表情",
    "\ud800半个",
    "\x00\x07控制",
    "'引号",
    "𠮷野家 & <b>",
]


def passage(text: str, *tags: str, unit: tuple[int, int] = (1, 1), start: int = 0) -> TaggedPassage:
    made = tuple(Tag(name, 0.9, (Evidence(text[:1], start, start + 1, 1.5),)) for name in tags)
    return TaggedPassage(start, start + len(text), text, made, tuple(0.9 if name in tags else 0.1 for name in NAMES), unit, "标题")


def article(source: str, *passages: TaggedPassage, **fields: str) -> TaggedArticle:
    return TaggedArticle(Article("", source=source, title=f"{source}的标题", **fields), passages, NAMES, "0123456789ab")


RESULTS = [
    article(
        "a.txt", passage("减环节。", "甲"), passage("两类都有；", "甲", "乙", unit=(1, 2)), passage("没有。", unit=(2, 1)), date="2024-05-06", place="临岚市"
    ),
    Failure("b.pdf", "is scanned", "recognise its characters first"),
    article("empty.txt"),
    article("nasty.txt", *(passage(text, "乙", unit=(i, 1)) for i, text in enumerate(NASTY, 1)), date="2025-01-02", place="=1+1"),
]


@pytest.fixture(params=["csv", "xlsx", "parquet", "html", "jsonl"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"out.{request.param}"


def workbook(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*extension is not supported")  # data bars: Excel knows them
        return openpyxl.load_workbook(path)


def sheet(path: Path, name: str) -> list[tuple[Any, ...]]:
    return list(workbook(path)[name].iter_rows(values_only=True))


def test_jsonl_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(iter(RESULTS), path)
    assert [to_line(result) for result in read_results(path)] == [to_line(result) for result in RESULTS]


def test_csv_has_every_row_and_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write(RESULTS, path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 + 1 + 1 + len(NASTY)
    assert [row["类别"] for row in rows[:3]] == ["甲", "甲、乙", ""]
    assert [(row["甲"], row["乙"]) for row in rows[:3]] == [("1", "0"), ("1", "1"), ("0", "0")]
    assert rows[3]["错误"] == "is scanned"
    for row in rows:
        assert not any(value[:1] in tuple("=+-@\t\r") for value in row.values() if value and not re.fullmatch(r"-?[\d.]+", value))
    assert rows[5]["段落原文"] == "'" + NASTY[0]
    assert "半个" in rows[5 + 8]["段落原文"]


def test_parquet_is_typed_and_keeps_several_labels(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write(RESULTS, path)
    rows = pq.read_table(path).to_pylist()
    assert len(rows) == 3 + 1 + 1 + len(NASTY)
    assert rows[1]["categories"] == ["甲", "乙"]
    assert rows[1]["tags"][0]["evidence"][0]["text"] == "两"
    assert rows[3]["error"] == "is scanned"
    assert rows[0]["probability_甲"] == pytest.approx(0.9)
    assert str(pq.read_schema(path).field("start").type) == "int64"


def test_workbook_sheets(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    write(RESULTS, path)
    names = workbook(path).sheetnames
    assert {"段落", "文章", "举措", "透视", "失败"} <= set(names)
    everything = [cell for name in names for row in sheet(path, name) for cell in row if isinstance(cell, str)]
    assert any("减环节" in cell for cell in everything)
    passages = sheet(path, "段落")
    texts = " ".join(str(cell) for row in passages for cell in row)
    assert all(text in texts for text in ("减环节。", "两类都有；", "没有。", NASTY[0], "表情", "</script>"))
    assert "1-1-2" in texts
    measures = sheet(path, "举措")
    assert sum("两类都有；" in map(str, row) for row in measures) == 2
    assert any("is scanned" in map(str, row) for row in sheet(path, "失败"))
    book = workbook(path)
    assert book["段落"].freeze_panes is not None
    assert book["段落"].auto_filter.ref or book["段落"].tables
    assert all(cell.data_type != "f" for name in names for row in book[name].iter_rows() for cell in row if "cmd" in str(cell.value))


def test_english_and_only_tagged(tmp_path: Path) -> None:
    write(RESULTS, tmp_path / "out.csv", language="en", only_tagged=True)
    with open(tmp_path / "out.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert "passage" in rows[0]
    assert "没有。" not in [row["passage"] for row in rows]


def test_nothing_at_all_is_a_file(path: Path) -> None:
    write([], path)
    assert path.exists()


def test_an_error_half_way_leaves_the_old_file(path: Path) -> None:
    path.write_text("old")

    def broken() -> Iterator[TaggedArticle]:
        yield RESULTS[0]  # type: ignore[misc]
        raise RuntimeError("kaputt")

    with pytest.raises(RuntimeError, match="kaputt"):
        write(broken(), path)
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_full_disk_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outputs.os, "fsync", full)
    with pytest.raises(OutputError, match="make room"):
        write(RESULTS, path)
    assert path.read_text() == "old"


def test_refusals(tmp_path: Path) -> None:
    for arguments, problem in (
        ({"path": "x.doc"}, "unknown format"),
        ({"path": "x.csv", "language": "fr"}, "unknown language"),
        ({"path": "x.html", "only_tagged": True}, "all passages"),
    ):
        with pytest.raises(UsageError, match=problem):
            write(RESULTS, **arguments)  # type: ignore[arg-type]
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write(RESULTS, tmp_path / "folder.csv")
    with pytest.raises(OutputError, match="make the folder first"):
        write(RESULTS, tmp_path / "none" / "out.csv")
    other = TaggedArticle(Article(""), (), ("丙",), "")
    with pytest.raises(OutputError, match="its categories are"):
        write([RESULTS[0], other], tmp_path / "out.csv")
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(OutputError, match="is no line"):
        list(read_results(tmp_path / "bad.jsonl"))


def blocks(page: str, kind: str) -> list[Any]:
    return [json.loads(text) for text in re.findall(rf'<script type="application/json" class="{kind}">(.*?)</script>', page)]


def test_report_holds_all_of_it_and_no_foreign_markup(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    write(RESULTS, path, thresholds=(0.5, 0.6))
    page = path.read_text(encoding="utf-8")
    assert len(re.findall("<script", page)) == page.count("</script>") == 1 + 1 + 3 * 2 + 1
    assert "alert(1)</script>" not in page
    assert not re.search(r"(src|href)=", page)
    assert "http://www.w3.org/2000/svg" in page
    assert page.count("http") == page.count("http://www.w3.org/2000/svg") + page.count("http-equiv")
    index, articles = blocks(page, "index"), blocks(page, "article")
    assert [entry["title"] for entry in index] == ["a.txt的标题", "empty.txt的标题", "nasty.txt的标题"]
    assert index[0]["tags"] == [[0], [0, 1], []]
    assert index[0]["year"] == "2024"
    texts = ["".join(text) for _, text, _ in articles[2]]
    assert texts == NASTY
    assert isinstance(articles[2][7][1], list)  # beyond the basic plane: a list, so that offsets count code points
    assert articles[0][0][2] == {"甲": [[0, 1, 1.5]]}
    assert blocks(page, "failure")[0]["source"] == "b.pdf"
    assert blocks(page, "head")[0]["thresholds"] == [0.5, 0.6]


def test_report_allows_its_own_script_only(tmp_path: Path) -> None:
    import base64
    import hashlib

    path = tmp_path / "out.html"
    write(RESULTS[:1], path)
    page = path.read_bytes().decode()
    script = page[page.rindex("<script>") + len("<script>") : page.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page
