"""The review loop in Excel: pick the passages worth a person's time, read the decisions back, merge them into the labels.

The model's tags stand in hidden columns at the end and nothing is filled in beforehand: coders who see a suggestion
tend to accept it. A coder puts 1 under each category that holds, or 1 under 无 where none does; a row left blank is not
reviewed. One passage in five is drawn at random, because agreement on passages picked for being hard says little about
all others.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policyclf.errors import LabelError, OutputError, UsageError
from policyclf.journal import Failure
from policyclf.outputs import write_whole
from policyclf.records import LabelRecord, TaggedArticle
from policyclf.selection import CELL, RANDOM, Candidate, candidates, passage_hash, pick

if TYPE_CHECKING:
    from policyclf.tagger import Tagger

NONE = "无"
_NUMBER, _SOURCE, _UNIT, _HEADING, _BEFORE, _TEXT, _AFTER = "编号", "文件", "段-句", "上级标题", "上文", "段落原文", "下文"
_NOTE, _REASON, _DETAIL, _EVIDENCE, _TAGS, _HASH, _RUN = "备注", "理由", "理由说明", "证据", "模型类别", "句哈希", "模型"
_META = "policyclf"  # a hidden sheet: what the columns mean must not hang on where they stand
_FORMAT = 1
_YES = {"1", "1.0", "是", "y", "yes", "true", "√", "✓", "✔"}
_NO = {"0", "0.0", "否", "n", "no", "false", "×", "✗"}


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A person's decision on one passage: ``labels`` are those of ``categories`` that hold, ``tags`` what the model had given.

    ``hash`` is that of the folded text; ``place`` is the cell of the text, for messages.
    """

    hash: str
    source: str
    unit: str
    text: str
    labels: tuple[str, ...]
    tags: tuple[str, ...]
    categories: tuple[str, ...]
    reason: str = ""
    note: str = ""
    place: str = ""


def write_review(results: Iterable[TaggedArticle | Failure], path: str | Path, *, tagger: Tagger, n: int = 200, seed: int = 0) -> int:
    """Pick up to ``n`` passages worth reviewing into an Excel sheet and return how many there are.

    Picked are passages drawn at random, passages near a threshold, passages with two categories close together, and
    passages unlike the training text (many character n-grams that the model has never seen), spread over the articles;
    the same passage never twice. Failures among the results are passed over.

    Raises :class:`UsageError` for ``n`` below 1 or a path that does not end in .xlsx, :class:`OutputError` for a file that
    exists (it may hold somebody's work) or cannot be written, and for results without a passage to review.
    """
    path = Path(path)
    if n < 1 or path.suffix.lower() != ".xlsx":
        raise UsageError("a review needs n of 1 or more and a file that ends in .xlsx", place=str(path))
    if path.exists():
        raise OutputError("exists already and may hold decisions", place=str(path), way_out="name another file")
    articles = [result for result in results if isinstance(result, TaggedArticle)]
    picked = pick(candidates(articles, tagger), n, seed)
    if not picked:
        raise OutputError("there is no passage to review", place=str(path))
    write_whole(path, _sheet(articles, picked, tagger))
    return len(picked)


def _sheet(articles: Sequence[TaggedArticle], picked: Sequence[tuple[Candidate, str]], tagger: Tagger) -> bytes:
    """Return the workbook."""
    import xlsxwriter

    from policyclf.table import plain

    names = tagger.categories
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False})
    line = {"bottom": 1, "bottom_color": "#D9D9D9"}
    head = book.add_format({"bold": True, "bg_color": "#DCE6F1", "border": 1, "text_wrap": True, "valign": "vcenter", "align": "center"})
    body = book.add_format({**line, "text_wrap": True, "valign": "top"})
    strong = book.add_format({**line, "text_wrap": True, "valign": "top", "font_size": 12})
    pale = book.add_format({**line, "text_wrap": True, "valign": "top", "font_color": "#7F7F7F"})
    mark = book.add_format({"align": "center", "valign": "top", "border": 1, "bg_color": "#FFFBE6", "font_size": 12})
    columns: list[tuple[str, int, Any]] = [
        (_NUMBER, 6, body), (_SOURCE, 18, body), (_UNIT, 7, body), (_HEADING, 14, pale), (_BEFORE, 32, pale), (_TEXT, 56, strong), (_AFTER, 32, pale),
        *((name, max(7, 2 * len(name) + 2), mark) for name in names), (NONE, 6, mark), (_NOTE, 20, body), (_REASON, 14, pale),
        (_DETAIL, 24, pale), (_EVIDENCE, 24, pale), (_TAGS, 14, pale), (_HASH, 20, pale), (_RUN, 14, pale),
    ]  # fmt: skip
    at = {name: k for k, (name, _, _) in enumerate(columns)}
    sheet = book.add_worksheet("审核")
    for k, (name, width, cell) in enumerate(columns):
        hidden = {"hidden": True} if k > at[_REASON] else {}
        sheet.set_column(k, k, width, cell, hidden)
        sheet.write_string(0, k, name, head)
    for row, (candidate, reason) in enumerate(picked, 1):
        article = articles[candidate.article]
        passage = article.passages[candidate.passage]
        around = [article.passages[i].text if 0 <= i < len(article.passages) else "" for i in (candidate.passage - 1, candidate.passage + 1)]
        evidence = "；".join(f"{tag.category}：{'、'.join(word.text for word in tag.evidence)}" for tag in passage.tags if tag.evidence)
        cells = {
            _SOURCE: article.article.source, _UNIT: "-".join(map(str, passage.unit)), _HEADING: passage.heading, _BEFORE: around[0],
            _TEXT: passage.text, _AFTER: around[1], _REASON: reason, _DETAIL: candidate.details.get(reason, ""), _EVIDENCE: evidence,
            _TAGS: "\n".join(tag.category for tag in passage.tags), _HASH: candidate.hash, _RUN: article.model,
        }  # fmt: skip
        sheet.write_number(row, 0, row)
        for name, text in cells.items():
            sheet.write_string(row, at[name], plain(text)[:CELL])
        sheet.set_row(row, _height([(cells.get(name, ""), width * 5 // 6 if cell is strong else width) for name, width, cell in columns[: at[_REASON]]]))
    last = len(picked)
    rule = {"validate": "list", "source": ["1", "0"], "error_title": "1 / 0", "error_message": "1 = 属于这一类，0 = 不属于；未审的行请留空。"}
    sheet.data_validation(1, at[names[0]], last, at[NONE], rule)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, last, len(columns) - 1)
    sheet.set_landscape()
    sheet.repeat_rows(0)
    sheet.fit_to_pages(1, 0)
    _write_guide(book, tagger, head, body)
    meta = book.add_worksheet(_META)
    meta.write_string(0, 0, json.dumps({"format": _FORMAT, "categories": names}, ensure_ascii=False))
    meta.hide()
    book.close()
    return content.getvalue()


def _height(cells: Iterable[tuple[str, int]]) -> float:
    """Return the height in points of a row of wrapped texts, for not every program finds it out by itself; a Chinese character is two wide."""
    lines = max(-(-sum(1 + (ord(char) > 0x2E7F) for char in text) // (width - 1)) for text, width in cells)
    return float(min(409, 15 * max(1, lines) + 6))


def _write_guide(book: Any, tagger: Tagger, head: Any, body: Any) -> None:
    """Say how to fill the sheet in, and what the categories are."""
    guide = book.add_worksheet("填写说明")
    guide.set_column(0, 0, 16, body)
    guide.set_column(1, 3, 60, body)
    lines = (
        "每行一句。属于哪些类别，就在哪些类别下填 1（可多选）；都不属于，在“无”下填 1。留空的行视为未审。",
        "只填 1 即可，同一行其余类别视为 0。可以排序、筛选、增加列；请勿改动“段落原文”和隐藏的列。",
        "模型的类别和证据在右侧隐藏列中，请先独立判断，再决定是否查看。“随机抽查”的行用来估计与模型的一致性，请不要跳过。",
    )
    for row, line in enumerate(lines):
        guide.merge_range(row, 0, row, 3, line, body)
        guide.set_row(row, 34)
    for k, name in enumerate(("类别", "定义", "包括", "不包括")):
        guide.write_string(len(lines) + 1, k, name, head)
    for row, category in enumerate(tagger.model.categories, len(lines) + 2):
        texts = (category.name, category.definition, "\n".join(category.include), "\n".join(category.exclude))
        for k, text in enumerate(texts):
            guide.write_string(row, k, text)
        guide.set_row(row, sum(_height([(text, 60)]) for text in max((t.split("\n") for t in texts), key=lambda lines: sum(map(len, lines)))))
    guide.set_landscape()
    guide.fit_to_pages(1, 0)


def read_review(path: str | Path) -> list[Reviewed]:
    """Read a review sheet back: the rows with a decision, in the order of the sheet.

    Rows may stand in another order or be missing, columns may have moved or been added, and blank rows are not reviewed.
    Raises :class:`LabelError`, with the cell, for a value that is neither yes nor no, a row that contradicts itself or
    says only what the passage is not, a text that was changed, and two rows that decide differently on one passage.
    """
    from openpyxl.utils import get_column_letter

    sheet, names = _open_review(path)
    rows = list(sheet.iter_rows(values_only=True))
    top = next((number for number, row in enumerate(rows[:20]) if _TEXT in row and _HASH in row), None)
    if top is None:
        raise LabelError(f"has no row with the column names {_TEXT} and {_HASH}", place=f"{path}, {sheet.title}", way_out="put them back")
    header = [str(name).strip() if name is not None else "" for name in rows[top]]
    twice = [name for name in (*names, NONE, _TEXT, _HASH) if header.count(name) != 1]
    if twice:
        problem = f"has {header.count(twice[0]) or 'no'} columns named {twice[0]!r}"
        raise LabelError(problem, place=f"{path}, {sheet.title}", way_out="each column of the original once")
    column = {name: header.index(name) for name in header if name}
    found: dict[str, Reviewed] = {}
    for number, row in enumerate(rows[top + 1 :], top + 2):

        def place(name: str) -> str:
            return f"{path}, {sheet.title}!{get_column_letter(column[name] + 1)}{number}"  # noqa: B023 -- used in this round only

        cells = [*row, *[None] * (len(header) - len(row))]
        text = {name: _text(cells[k]) for name, k in column.items()}
        labels = _decision({name: text[name] for name in (*names, NONE)}, names, place)
        if labels is None:
            continue
        if passage_hash(text[_TEXT]) != text[_HASH].strip():
            raise LabelError("the passage or its hash was changed", place=place(_TEXT), way_out="take the text back from the original sheet")
        tags = tuple(name for name in text.get(_TAGS, "").split("\n") if name in names)
        reviewed = Reviewed(
            text[_HASH].strip(), text.get(_SOURCE, ""), text.get(_UNIT, ""), text[_TEXT], labels, tags, names,
            text.get(_REASON, ""), text.get(_NOTE, ""), place(_TEXT),
        )  # fmt: skip
        before = found.setdefault(reviewed.hash, reviewed)
        if before.labels != reviewed.labels:
            raise LabelError(f"the same passage is decided otherwise at {before.place}", place=reviewed.place, way_out="keep one of the two rows")
    return list(found.values())


def _open_review(path: str | Path) -> tuple[Any, tuple[str, ...]]:
    import warnings

    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on styles, which do not matter here
            book = openpyxl.load_workbook(path, data_only=True)
        meta = json.loads(book[_META]["A1"].value)
        names, form = tuple(meta["categories"]), meta["format"]
    except OSError as error:
        raise LabelError(f"cannot be read: {error.strerror or error}", place=str(path)) from error
    except Exception as error:  # whatever openpyxl and zipfile say of a file that is no workbook
        raise LabelError("is no review sheet", place=str(path), way_out="name the .xlsx that `policyclf review` wrote") from error
    if form != _FORMAT:
        raise LabelError(f"is a review sheet of format {form}, this version reads {_FORMAT}", place=str(path))
    sheets = [sheet for sheet in book.worksheets if sheet.title != _META and any(_HASH in row for row in sheet.iter_rows(max_row=20, values_only=True))]
    if len(sheets) != 1:
        raise LabelError(f"has {len(sheets) or 'no'} sheets with passages", place=str(path), way_out="keep one")
    return sheets[0], names


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def yes_or_no(text: str, place: str) -> bool | None:
    """Return what a cell says, None for nothing. Raises :class:`LabelError` for anything that is not clear.

    >>> yes_or_no("1", "A1"), yes_or_no("否", "A1"), yes_or_no(" ", "A1")
    (True, False, None)
    """
    word = text.strip().lower()
    if not word:
        return None
    if word in _YES or word in _NO:
        return word in _YES
    raise LabelError(f"{text!r} is neither yes nor no", place=place, way_out="1 or 0, 是 or 否")


def _decision(cells: dict[str, str], names: Sequence[str], place: Callable[[str], str]) -> tuple[str, ...] | None:
    """Return the labels that a row decides on, or None where it decides nothing."""
    said = {name: yes_or_no(text, place(name)) for name, text in cells.items()}
    labels = tuple(name for name in names if said[name])
    if labels and said[NONE]:
        raise LabelError(f"says both {labels[0]} and {NONE}", place=place(NONE), way_out="clear one of the two")
    if labels or said[NONE] or (said[NONE] is None and all(said[name] is False for name in names)):
        return labels
    if all(value is None for value in said.values()):
        return None
    given = next(name for name, value in said.items() if value is not None)
    raise LabelError("says only what the passage is not", place=place(given), way_out=f"put 1 under a category or under {NONE}, or clear the row")


def merge_reviewed(records: Iterable[LabelRecord], reviewed: Iterable[Reviewed]) -> list[LabelRecord]:
    """Return labelled records with a person's decisions in them: known passages relabelled, others added at the end.

    A passage is known by the hash of its folded text. Labels of categories that the sheet does not have stay as they are.
    Passages that are added have the document of their file, so that no split parts them.
    """
    decisions = {decision.hash: decision for decision in reviewed}
    merged, seen = [], set()
    for record in records:
        key = passage_hash(record.text)
        decision = decisions.get(key)
        if decision:
            seen.add(key)
            others = tuple(label for label in record.labels if label not in decision.categories)
            record = record._replace(labels=decision.labels + others)
        merged.append(record)
    ids, documents = {record.id for record in merged}, {record.document for record in merged}
    added: dict[str, list[Reviewed]] = {}
    for decision in decisions.values():
        if decision.hash not in seen:
            added.setdefault(decision.source, []).append(decision)
    for source, decisions_of in added.items():
        document = _free(f"review/{source}", documents)
        for decision in sorted(decisions_of, key=lambda d: _unit(d.unit)):
            merged.append(LabelRecord(_free(f"review/{decision.hash}", ids), document, decision.text, decision.labels))
    return merged


def _free(name: str, taken: set[str]) -> str:
    """Return a name that is not taken, and take it."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free


def _unit(unit: str) -> tuple[int, ...]:
    return tuple(int(part) for part in unit.split("-") if part.isdecimal())


def agreement_with_model(reviewed: Sequence[Reviewed]) -> dict[str, dict[str, float | int]]:
    """Return for each category how far person and model agree: ``kappa``, ``alpha``, ``holsti``, ``f1`` (of the model), ``n``.

    ``person`` and ``model`` count the passages that each gave the category. ``kappa_random`` and ``n_random`` are of the
    passages that were drawn at random; only these speak for all passages, the others were picked for being hard.
    Kappa is 1 where neither gave a category to any passage.
    """
    import numpy as np

    from policyclf.labels import label_matrix
    from policyclf.metrics import agreement

    if not reviewed:
        return {}
    names = reviewed[0].categories
    if any(decision.categories != names for decision in reviewed):
        raise LabelError("the reviewed passages have different categories", way_out="compare the sheets of one codebook")
    person, model = label_matrix([r.labels for r in reviewed], names), label_matrix([r.tags for r in reviewed], names)
    drawn = np.array([r.reason == RANDOM for r in reviewed])
    figures, fair = agreement(person, model), agreement(person[drawn], model[drawn])
    return {
        name: {
            **{key: float(values[k]) for key, values in figures.items()},
            "n": len(reviewed),
            "person": int(person[:, k].sum()),
            "model": int(model[:, k].sum()),
            "kappa_random": float(fair["kappa"][k]),
            "n_random": int(drawn.sum()),
        }
        for k, name in enumerate(names)
    }
