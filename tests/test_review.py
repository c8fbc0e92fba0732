"""The review loop: what is picked, what comes back from the sheet, what is refused, and how it joins the labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.worksheet.worksheet import Worksheet

from policyclf.errors import LabelError, OutputError, UsageError
from policyclf.journal import Failure
from policyclf.labels import label_files, read_categories, read_labels
from policyclf.records import Article, LabelRecord, TaggedArticle
from policyclf.review import Reviewed, agreement_with_model, merge_reviewed, read_review, write_review, yes_or_no
from policyclf.selection import CLOSE, RANDOM, UNCERTAIN, UNLIKE, passage_hash, unknown_share
from policyclf.tagger import Tagger
from policyclf.text import fold

Edit = Callable[[Worksheet, dict[str, int]], None]


@pytest.fixture(scope="session")
def tagged(tagger: Tagger) -> list[TaggedArticle]:
    """Twelve articles out of the labelled passages."""
    records = read_labels([label_files()[0]], read_categories())
    documents: dict[str, list[str]] = {}
    for record in records:
        documents.setdefault(record.document, []).append(record.text)
    articles = [Article("\n".join(texts), source=f"{name}.txt") for name, texts in list(documents.items())[:12]]
    return tagger.tag_all(articles, evidence=True)


@pytest.fixture
def sheet(tagged: list[TaggedArticle], tagger: Tagger, tmp_path: Path) -> Path:
    path = tmp_path / "review.xlsx"
    assert write_review([*tagged, Failure("x.txt", "is empty")], path, tagger=tagger, n=40) == 40
    return path


def edit(path: Path, change: Edit) -> Path:
    """Let a coder work on the sheet: ``change`` gets it and the number of each column."""
    book = openpyxl.load_workbook(path)
    page = book["审核"]
    change(page, {str(cell.value): cell.column for cell in page[1]})
    book.save(path)
    return path


def put(row: int, **values: Any) -> Edit:
    return lambda page, column: [page.cell(row, column[name]).__setattr__("value", value) for name, value in values.items()] and None


def names() -> list[str]:
    return [category.name for category in read_categories()]


def test_what_is_picked(sheet: Path, tagged: list[TaggedArticle], tagger: Tagger) -> None:
    page = openpyxl.load_workbook(sheet)["审核"]
    head, *rows = [[cell.value for cell in row] for row in page.iter_rows()]
    table = [dict(zip(head, row, strict=True)) for row in rows]
    assert len({row["句哈希"] for row in table}) == len(table) == 40
    reasons = [row["理由"] for row in table]
    assert {reason: reasons.count(reason) for reason in set(reasons)} == {RANDOM: 8, UNCERTAIN: 16, CLOSE: 8, UNLIKE: 8}
    assert len({row["文件"] for row in table}) >= 8
    order = [result.article.source for result in tagged]
    assert [order.index(row["文件"]) for row in table] == sorted(order.index(row["文件"]) for row in table)
    assert all(row[name] is None for row in table for name in [*names(), "无"])  # nothing is suggested
    for row in table:
        article = next(result for result in tagged if result.article.source == row["文件"])
        texts = [passage.text for passage in article.passages]
        at = texts.index(row["段落原文"])
        assert (row["上文"] or "") == (texts[at - 1] if at else "")
        assert (row["下文"] or "") == (texts[at + 1] if at + 1 < len(texts) else "")
        assert (row["模型类别"] or "").split() == [tag.category for tag in article.passages[at].tags]
        assert row["理由说明"] or row["理由"] == RANDOM
    hidden = [head[k] for k in range(len(head)) if page.column_dimensions[openpyxl.utils.get_column_letter(k + 1)].hidden]
    assert {"模型类别", "句哈希"} <= {*hidden, *head[head.index("理由") + 1 :]}
    (rule,) = page.data_validations.dataValidation
    assert rule.formula1 == '"1,0"'


def test_uncertain_passages_are_near_a_threshold(sheet: Path, tagged: list[TaggedArticle], tagger: Tagger) -> None:
    page = openpyxl.load_workbook(sheet)["审核"]
    head, *rows = [[cell.value for cell in row] for row in page.iter_rows()]
    picked = {row[head.index("段落原文")] for row in rows if row[head.index("理由")] == UNCERTAIN}

    def doubt(probabilities: tuple[float, ...]) -> float:
        return max(np.exp(-abs(np.log(p / (1 - p)) - np.log(t / (1 - t)))) for p, t in zip(probabilities, tagger.thresholds, strict=True))

    doubts = {passage.text: doubt(passage.probabilities) for result in tagged for passage in result.passages}
    assert np.mean([doubts[text] for text in picked]) > 2 * np.mean(list(doubts.values()))
    everywhere = {row[head.index("段落原文")] for row in rows}
    assert sum(text in everywhere for text in sorted(doubts, key=lambda text: -doubts[text])[:10]) >= 8  # not all: they are spread over articles


def test_share_of_unknown_ngrams(tagger: Tagger) -> None:
    texts = ["推行并联审批，企业开办一日办结。", "饕餮魍魉魑魅，躞蹀踟蹰彳亍。", "", "审"]
    shares = unknown_share(tagger.model, texts)
    assert shares[0] < 0.4
    assert 0.9 < shares[1] <= 1
    known = set((Path(tagger.model.path) / "ngrams.txt").read_text(encoding="utf-8").split("\n"))
    text = fold(texts[0])
    grams = [text[i : i + n] for n in (2, 3) for i in range(len(text) - n + 1)]
    assert shares[0] <= 1 - np.mean([gram in known for gram in grams]) + 1e-9  # the lexicon's terms are known as well


def test_few_passages_fill_up(tmp_path: Path, tagger: Tagger) -> None:
    results = [tagger.tag("推行并联审批，企业开办一日办结。推行并联审批，企业开办一日办结。\n一、总则\n引进博士可得安家补助十万元。")]
    assert write_review(results, tmp_path / "few.xlsx", tagger=tagger, n=100) == 2
    assert read_review(tmp_path / "few.xlsx") == []


def test_write_refuses(tmp_path: Path, tagger: Tagger, sheet: Path) -> None:
    with pytest.raises(OutputError, match="may hold decisions"):
        write_review([], sheet, tagger=tagger)
    with pytest.raises(OutputError, match="no passage"):
        write_review([tagger.tag("一、总则")], tmp_path / "r.xlsx", tagger=tagger)
    with pytest.raises(UsageError):
        write_review([], tmp_path / "r.csv", tagger=tagger)
    with pytest.raises(UsageError):
        write_review([], tmp_path / "r.xlsx", tagger=tagger, n=0)
    with pytest.raises(OutputError, match="cannot be written"):
        write_review([tagger.tag("引进博士可得安家补助十万元。")], tmp_path / "no" / "r.xlsx", tagger=tagger)


def test_rows_in_another_order_columns_moved_and_added(sheet: Path) -> None:
    first, second, *_ = names()

    def work(page: Worksheet, column: dict[str, int]) -> None:
        rows = [[cell.value for cell in row] for row in page.iter_rows()]
        head, body = rows[0], rows[1:]
        body[0][column[first] - 1] = 1
        body[1][column["无"] - 1] = "是"
        body[2][column[first] - 1], body[2][column[second] - 1] = True, "√"
        for name in names():
            body[3][column[name] - 1] = 0
        body[4][column["备注"] - 1] = "只有备注，未审"
        head.insert(2, "我的列")
        for k, row in enumerate(body):
            row.insert(2, f"随手记{k}")
        order = sorted(range(len(head)), key=lambda k: (k % 3, k))
        page.delete_rows(1, page.max_row)
        for row in [head, *reversed(body[:30])]:
            page.append([row[k] for k in order])
        page.insert_rows(1, 2)

    before = [row[5].value for row in openpyxl.load_workbook(sheet)["审核"].iter_rows(2, 5)]
    reviewed = read_review(edit(sheet, work))
    assert [(r.text, r.labels) for r in reviewed] == list(
        zip(reversed(before), [(), tuple(n for n in names() if n in (first, second)), (), (first,)], strict=True)
    )
    assert all(r.categories == tuple(names()) and r.source.endswith(".txt") and r.reason and "审核!" in r.place for r in reviewed)


@pytest.mark.parametrize(
    ("row", "values", "cell", "problem"),
    [
        (3, {0: "maybe"}, "H3", "neither yes nor no"),
        (4, {0: 2}, "H4", "neither yes nor no"),
        (2, {0: 1, "无": 1}, "M2", "says both"),
        (2, {1: 0}, "I2", "only what the passage is not"),
        (2, {0: 0, 1: 0, 2: 0, 3: 0, 4: 0, "无": 0}, "H2", "only what the passage is not"),
        (5, {0: 1, "段落原文": "改过的原文，和原来不一样。"}, "F5", "was changed"),
    ],
)
def test_ambiguous_rows_are_refused_with_their_cell(sheet: Path, row: int, values: dict[Any, Any], cell: str, problem: str) -> None:
    edit(sheet, put(row, **{names()[key] if isinstance(key, int) else key: value for key, value in values.items()}))
    with pytest.raises(LabelError, match=problem) as raised:
        read_review(sheet)
    assert raised.value.place.endswith(f"审核!{cell}")


def test_one_passage_decided_twice(sheet: Path) -> None:
    def copy(page: Worksheet, column: dict[str, int]) -> None:
        page.append([cell.value for cell in page[2]])
        page.cell(2, column[names()[0]]).value = 1
        page.cell(page.max_row, column[names()[0]]).value = 1

    assert len(read_review(edit(sheet, copy))) == 1
    edit(sheet, put(2, **{names()[1]: 1}))
    with pytest.raises(LabelError, match=r"decided otherwise at .*F2"):
        read_review(sheet)


def test_what_is_no_review_sheet(tmp_path: Path, sheet: Path) -> None:
    with pytest.raises(LabelError, match="cannot be read"):
        read_review(tmp_path / "missing.xlsx")
    (tmp_path / "a.xlsx").write_text("不是表格", encoding="utf-8")
    with pytest.raises(LabelError, match="no review sheet"):
        read_review(tmp_path / "a.xlsx")
    openpyxl.Workbook().save(tmp_path / "b.xlsx")
    with pytest.raises(LabelError, match="no review sheet"):
        read_review(tmp_path / "b.xlsx")
    broken = {
        "columns named": lambda page, column: page.cell(1, column["无"]).__setattr__("value", names()[0]),
        "no row with the column names": lambda page, column: page.cell(1, column["段落原文"]).__setattr__("value", "x"),
        "sheets with passages": lambda page, column: page.parent.copy_worksheet(page) and None,
        "format 2": lambda page, column: page.parent["policyclf"].__setitem__("A1", '{"format": 2, "categories": []}'),
    }
    original = sheet.read_bytes()
    for problem, change in broken.items():
        sheet.write_bytes(original)
        with pytest.raises(LabelError, match=problem):
            read_review(edit(sheet, change))


def decision(text: str, labels: tuple[str, ...], *, tags: tuple[str, ...] = (), source: str = "a.txt", unit: str = "1-1", reason: str = "") -> Reviewed:
    return Reviewed(passage_hash(text), source, unit, text, labels, tags, ("甲", "乙"), reason)


def test_merge() -> None:
    records = [LabelRecord("1", "d", "旧句一。", ("甲",)), LabelRecord("2", "d", "旧句二。", ("乙", "丙")), LabelRecord("review/x", "e", "旧 句一。", ())]
    reviewed = [
        decision("旧句　一。", ("乙",)),
        decision("旧句二。", ()),
        decision("新句二。", ("甲",), unit="10-1"),
        decision("新句一。", (), unit="9-2"),
        decision("新句三。", ("甲", "乙"), source="b.txt"),
    ]
    merged = merge_reviewed(records, reviewed)
    assert [r.labels for r in merged] == [("乙",), ("丙",), ("乙",), (), ("甲",), ("甲", "乙")]
    assert [r.text for r in merged[3:]] == ["新句一。", "新句二。", "新句三。"]
    assert [r.document for r in merged[3:]] == ["review/a.txt", "review/a.txt", "review/b.txt"]
    assert len({r.id for r in merged}) == len(merged)
    again = merge_reviewed(merged, reviewed)
    assert again == merged
    assert merge_reviewed(records, []) == records
    taken = [LabelRecord(f"review/{passage_hash('新句。')}", "review/a.txt", "别的。", ())]
    assert [(r.id[-2:], r.document[-2:]) for r in merge_reviewed(taken, [decision("新句。", ())])][1] == ("-2", "-2")


def test_agreement() -> None:
    both = [decision(f"甲乙{n}", ("甲",) if n % 2 else (), tags=("甲",) if n % 2 else ("乙",), reason=RANDOM if n < 4 else UNCERTAIN) for n in range(10)]
    figures = agreement_with_model(both)
    assert figures["甲"]["kappa"] == 1
    assert figures["甲"]["n"] == 10
    assert figures["甲"]["person"] == figures["甲"]["model"] == 5
    assert figures["乙"]["kappa"] == 0
    assert (figures["乙"]["person"], figures["乙"]["model"]) == (0, 5)
    assert figures["甲"]["n_random"] == 4
    assert agreement_with_model([]) == {}
    odd = Reviewed("h", "", "", "x", (), (), ("丙",))
    with pytest.raises(LabelError, match="different categories"):
        agreement_with_model([both[0], odd])


@given(st.sampled_from(["1", " 是", "YES", "√", "1.0", "True"]), st.sampled_from(["0", "否 ", "No", "×", "FALSE"]))
def test_yes_and_no(yes: str, no: str) -> None:
    assert yes_or_no(yes, "A1") is True
    assert yes_or_no(no, "A1") is False
    assert yes_or_no(" \n", "A1") is None
    with pytest.raises(LabelError, match="A1"):
        yes_or_no(yes + "?", "A1")
