"""Results as an Excel workbook that a person would want to open.

Sheets: passages in reading order (one row each), articles, measures grouped by category (one row for each passage and
category), a long layout for pivot tables, failures, and a page that explains the columns. Rows go to disk as they come;
only the number of articles is kept. What exceeds Excel is never dropped: further rows go on in a second sheet, text
beyond 32,767 characters stands whole in a sheet of its own.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from policyclf.journal import Failure
from policyclf.records import Tag, TaggedArticle, TaggedPassage
from policyclf.table import (
    COLOURS,
    Result,
    duplicate_of,
    joined_categories,
    joined_evidence,
    lead,
    numbered,
    plain,
    share,
    tagged,
    unit,
    word,
    words_of,
    year,
)

MAX_ROWS = 1_048_576  # of a sheet, the header among them
MAX_TEXT = 32_767  # UTF-16 units of a cell
PART = 16_000  # code points that fit into a cell whatever they are, with room for a note
FONT = {"font_name": "Microsoft YaHei", "font_size": 10}
INK, FAINT, LINE, HEAD = "#222222", "#A0A0A0", "#E1E4E8", "#24405F"

# Excel reads _x0041_ in a cell as "A"; where the text says so itself, its underscore has to be written so.
_EXCEL_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")

_NAMES = {
    "passages": ("段落", "passages"),
    "articles": ("文章", "articles"),
    "measures": ("举措", "measures"),
    "pivot": ("透视", "pivot"),
    "failures": ("失败", "failures"),
    "about": ("说明", "about"),
    "long": ("长文", "long text"),
}

_ABOUT = {
    "zh": (
        ("段落", "每段一行，按阅读顺序排列。单元编号为“文件-段-句”，与手工编码一致；各类别列为校准概率，达到阈值（即被标注）者加粗。证据词在原文中加粗着色。"),
        ("文章", "每篇一行：各类别的段数与占全部段落的比例，以及段数最多的主导类别（并列时全部列出）。"),
        ("举措", "按类别分组；一段有几个类别就出现几次。"),
        ("透视", "每篇文章、每个类别一行，可直接插入数据透视表；占比 = 段数 ÷ 段落数。"),
        ("失败", "未能处理的输入、原因和处理办法。编号在各表中一致。"),
        ("概率", "0 到 1 之间的校准概率，由模型给出，不是人工判断。"),
        ("转义", "Excel 不能保存的控制字符和残缺字符写作 \\x00、\\ud800 等可见形式；超过 32,767 字的文本全文见“长文”表。"),
    ),
    "en": (
        ("passages", "One row a passage, in reading order. The unit number is article-paragraph-sentence; category columns hold the calibrated "
                     "probability, bold where it reached the threshold. Words of evidence are bold and coloured in the passage."),
        ("articles", "One row an article: passages of each category, their share of all passages, and the category of most passages."),
        ("measures", "Grouped by category; a passage of several categories appears in each."),
        ("pivot", "One row for each article and category, ready for a pivot table; share = count / passages."),
        ("failures", "Inputs that could not be read, why, and what to do. Numbers are the same in all sheets."),
        ("probability", "Calibrated, from 0 to 1; given by the model, not by a person."),
        ("escapes", "Control characters and lone surrogates, which Excel cannot hold, stand as \\x00 or \\ud800; text beyond 32,767 characters "
                    "stands whole in the sheet “long text”."),
    ),
}  # fmt: skip


class Column(NamedTuple):
    """A column of a sheet: its name, width in characters, and the style of its cells."""

    name: str
    width: float
    style: str = "text"
    colour: str = ""  # of the data bars


def write_workbook(results: Iterable[Result], file: IO[bytes], *, language: str = "zh", only_tagged: bool = False) -> None:
    """Write results to a binary file as an Excel workbook; temporary files go to the folder of ``file``."""
    categories, stream = numbered(results)
    folder = str(Path(file.name).parent)
    with ExitStack() as stack:
        book = stack.enter_context(_Book(file, folder, language, categories))
        # A sheet must be written from top to bottom, so measures wait on disk for their category's turn.
        waiting = [stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", dir=folder)) for _ in categories]
        passages, articles, measures, pivot, failures = _sheets(book)
        n_articles = n_passages = n_failed = 0
        models: dict[str, None] = {}
        for number, result in stream:
            if isinstance(result, Failure):
                n_failed += 1
                failures.add([number, result.source, result.problem, result.way_out, result.kind])
                continue
            n_articles += 1
            n_passages += len(result.passages)
            models.setdefault(result.model)
            articles.add(_article_row(number, result, language))
            for row in _pivot_rows(number, result):
                pivot.add(row)
            for passage in result.passages:
                if passage.tags or not only_tagged:
                    passages.add(_passage_row(book, number, result, passage))
                for tag in passage.tags:
                    waiting[categories.index(tag.category)].write(json.dumps(_measure_row(book, number, result, passage, tag)) + "\n")
        for name, lines in zip(categories, waiting, strict=True):
            lines.seek(0)
            for line in lines:
                cells: list[Any] = json.loads(line)
                measures.add([(name, f"name{categories.index(name)}"), cells[0], _Rich(cells[1]), *cells[2:]])
        _about(book, n_articles, n_passages, n_failed, [model for model in models if model])


def _sheets(book: _Book) -> list[_Sheet]:
    def column(key: str, width: float, style: str = "text") -> Column:
        return Column(word(key, book.language), width, style)

    origin = [column("source", 22), column("title", 26), column("date", 12), column("place", 10), column("publisher", 12)]
    dated = [*origin[:3], column("year", 7, "number"), *origin[3:]]
    share_of = word("share", book.language)
    bars = [Column(name, 10, "bar", book.colour(k)) for k, name in enumerate(book.categories)]
    columns = {
        "passages": [
            column("unit", 9), column("heading", 18), column("text", 62), column("category", 15, "names"), column("highest", 9, "bar"),
            column("evidence", 24), *bars, *origin, column("start", 8, "number"), column("end", 8, "number"),
        ],
        "articles": [
            column("number", 6, "number"), *dated, column("passages", 8, "number"), column("tagged", 9, "number"), column("lead", 14),
            *(Column(name, 9, "number") for name in book.categories),
            *(Column(f"{name} {share_of}", 10, "bar", book.colour(k)) for k, name in enumerate(book.categories)),
            column("encoding", 10), column("format", 8), column("duplicate_of", 18), column("model", 14),
        ],
        "measures": [
            column("category", 13), column("unit", 9), column("text", 66), column("probability", 9, "bar"), column("evidence", 24),
            column("heading", 18), *origin,
        ],
        "pivot": [
            column("number", 6, "number"), *dated, column("category", 13),
            column("count", 8, "number"), column("passages", 8, "number"), column("share", 9, "bar"),
        ],
        "failures": [column("number", 6, "number"), column("source", 44), column("error", 60), column("way_out", 50), column("kind", 18)],
    }  # fmt: skip
    return [_Sheet(book, key, columns[key]) for key in columns]


def _article_row(number: int, result: TaggedArticle, language: str) -> list[Any]:
    counts, total = result.counts, len(result.passages)
    return [
        number,
        *_dated(result),
        total,
        tagged(result),
        lead(counts, language),
        *counts.values(),
        *(share(count, total) for count in counts.values()),
        result.article.encoding,
        result.article.format,
        duplicate_of(result),
        result.model,
    ]


def _pivot_rows(number: int, result: TaggedArticle) -> list[list[Any]]:
    total = len(result.passages)
    return [[number, *_dated(result), name, count, total, share(count, total)] for name, count in result.counts.items()]


def _passage_row(book: _Book, number: int, result: TaggedArticle, passage: TaggedPassage) -> list[Any]:
    names = {tag.category for tag in passage.tags}
    shown = [(round(value, 4), "hit" if name in names else "miss") for name, value in zip(result.categories, passage.probabilities, strict=True)]
    return [
        unit(number, passage),
        passage.heading,
        _Rich(_fragments(passage, passage.tags, book.categories)),
        book.names(passage),
        max((round(tag.probability, 4) for tag in passage.tags), default=None),
        joined_evidence(passage, book.language),
        *shown,
        *_origin(result),
        passage.start,
        passage.end,
    ]


def _measure_row(book: _Book, number: int, result: TaggedArticle, passage: TaggedPassage, tag: Tag) -> list[Any]:
    return [
        unit(number, passage),
        _fragments(passage, (tag,), book.categories),
        round(tag.probability, 4),
        words_of(tag, book.language),
        passage.heading,
        *_origin(result),
    ]


def _origin(result: TaggedArticle) -> list[str]:
    article = result.article
    return [article.source, article.title, article.date, article.place, article.publisher]


def _dated(result: TaggedArticle) -> list[Any]:
    source, title, date, place, publisher = _origin(result)
    return [source, title, date, int(year(date)) if year(date) else None, place, publisher]


def _fragments(passage: TaggedPassage, tags: Sequence[Tag], categories: Sequence[str]) -> list[tuple[str, int]]:
    """Cut a passage at its words of evidence: pieces with the number of their category, or -1; together they are the passage."""
    words = sorted((e.start, e.end, categories.index(tag.category)) for tag in tags for e in tag.evidence)
    pieces, at = [], passage.start
    for start, end, k in words:
        start = max(start, at)  # of two categories that share a word the first colours it
        if start >= end or end > passage.end:
            continue
        if start > at:
            pieces.append((passage.text[at - passage.start : start - passage.start], -1))
        pieces.append((passage.text[start - passage.start : end - passage.start], k))
        at = end
    if at < passage.end or not pieces:
        pieces.append((passage.text[at - passage.start :], -1))
    return pieces


class _Rich(NamedTuple):
    """Text in pieces, each coloured by a category (its number) or by none (-1)."""

    pieces: Sequence[tuple[str, int]]


class _Book:
    """A workbook being written, its formats, and the sheet of text that is too long for a cell."""

    def __init__(self, file: IO[bytes], folder: str, language: str, categories: Sequence[str]) -> None:
        from xlsxwriter import Workbook

        self.language = language
        self.categories = tuple(categories)
        self.sheets: list[_Sheet] = []
        self._long: _Sheet | None = None
        self.book: Any = Workbook(file, {"constant_memory": True, "tmpdir": folder})
        # The same results give the same bytes: no date of today.
        self.book.set_properties({"comments": "policyclf", "created": datetime(1980, 1, 1)})
        cell = {**FONT, "valign": "top", "font_color": INK, "bottom": 1, "bottom_color": LINE}
        self._formats = {
            "head": {**FONT, "bold": True, "font_color": "#FFFFFF", "bg_color": HEAD, "valign": "vcenter", "align": "center", "text_wrap": True, "border": 1,
                     "border_color": "#FFFFFF"},
            "text": {**cell, "text_wrap": True},
            "names": {**cell, "text_wrap": True, "bold": True},
            "number": {**cell, "num_format": "0"},
            "bar": {**cell, "num_format": "0%"},
            "hit": {**cell, "num_format": "0%", "bold": True},
            "miss": {**cell, "num_format": "0%", "font_color": FAINT},
            "run-1": {**FONT, "font_color": INK},
            **{f"run{k}": {**FONT, "bold": True, "font_color": _mixed(self.colour(k), "#000000", 0.75)} for k in range(len(categories))},
            **{f"name{k}": {**cell, "bold": True, "bg_color": _mixed(self.colour(k), "#FFFFFF", 0.25)} for k in range(len(categories))},
        }  # fmt: skip
        self._made: dict[str, Any] = {}

    def __enter__(self) -> _Book:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            for filled in self.sheets:
                filled.finish()
            from xlsxwriter.exceptions import FileCreateError

            try:
                self.book.close()
            except FileCreateError as failed:  # it hides an OSError
                raise (failed.args[0] if failed.args and isinstance(failed.args[0], OSError) else OSError(str(failed))) from failed
        for sheet in self.book.worksheets():  # after an error its temporary files are still open
            if getattr(sheet, "row_data_fh", None):
                sheet.row_data_fh.close()

    def format(self, name: str) -> Any:
        """Return a format by its name, made when it is first asked for."""
        if name not in self._made:
            self._made[name] = self.book.add_format(self._formats[name])
        return self._made[name]

    def colour(self, k: int) -> str:
        return "#" + COLOURS[k % len(COLOURS)]

    def names(self, passage: TaggedPassage) -> Any:
        """Return the categories of a passage as a cell, each in its colour."""
        if len(passage.tags) == 1:
            name = passage.tags[0].category
            return name, f"name{self.categories.index(name)}"
        joined = joined_categories(passage, self.language)
        pieces, at = [], 0
        for tag in passage.tags:
            found = joined.index(tag.category, at)
            if found > at:
                pieces.append((joined[at:found], -1))
            pieces.append((tag.category, self.categories.index(tag.category)))
            at = found + len(tag.category)
        return _Rich(pieces) if pieces else None

    def keep_long(self, row: Sequence[Any], column: str, text: str) -> str:
        """Put a text that is too long for a cell into the sheet for such, and return what stands in the cell."""
        if self._long is None:
            names = ("所在行", "栏目", "部分", "文本") if self.language == "zh" else ("row", "column", "part", "text")
            widths = zip(names, (14, 16, 8, 120), ("text", "text", "number", "text"), strict=True)
            self._long = _Sheet(self, "long", [Column(*column) for column in widths])
        key = str(row[1] if isinstance(row[0], tuple) else row[0])
        for part in range(0, len(text), PART):
            self._long.add([key, column, part // PART + 1, text[part : part + PART]])
        note = "全文见“长文”表" if self.language == "zh" else "whole text in the sheet “long text”"
        return f"{text[:PART]}……【{note}】"


class _Sheet:
    """A sheet that is filled from top to bottom, and goes on in a next one when it is full."""

    def __init__(self, book: _Book, key: str, columns: Sequence[Column]) -> None:
        self._book = book
        self._key = key
        self._columns = columns
        self._n_sheets = 0
        book.sheets.append(self)
        self._open()

    def _open(self) -> None:
        self._n_sheets += 1
        name = _NAMES[self._key][self._book.language == "en"]
        self._sheet = sheet = self._book.book.add_worksheet(name if self._n_sheets == 1 else f"{name} {self._n_sheets}")
        self._row = 0
        for c, column in enumerate(self._columns):
            sheet.set_column(c, c, column.width)
        sheet.set_row(0, 32)
        for c, column in enumerate(self._columns):
            sheet.write_string(0, c, _excel(plain(column.name)), self._book.format("head"))
        sheet.freeze_panes(1, 1)
        sheet.hide_gridlines(2)
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
        sheet.repeat_rows(0)
        sheet.fit_to_pages(1, 0)
        sheet.set_footer("&L&A&R&P / &N")
        if self._key == "failures":
            sheet.set_tab_color("#B00020")

    def add(self, cells: Sequence[Any]) -> None:
        """Write the next row. A cell is text, a number, None, text in pieces, or a pair of one of these and a style."""
        if self._row + 1 >= MAX_ROWS:
            self.finish()
            self._open()
        self._row += 1
        for c, (cell, column) in enumerate(zip(cells, self._columns, strict=True)):
            style = column.style
            if type(cell) is tuple:
                cell, style = cell
            if cell is None or cell == "":
                self._sheet.write_blank(self._row, c, None, self._book.format(style))
            elif isinstance(cell, (int, float)):
                self._sheet.write_number(self._row, c, cell, self._book.format(style))
            else:
                self._write_text(c, cell, style, cells)

    def _write_text(self, c: int, cell: str | _Rich, style: str, row: Sequence[Any]) -> None:
        pieces = [(plain(piece), k) for piece, k in cell.pieces] if isinstance(cell, _Rich) else [(plain(cell), -1)]
        text = "".join(piece for piece, _ in pieces)
        if len(text) > MAX_TEXT // 2 and len(_excel(text).encode("utf-16-le")) // 2 > MAX_TEXT:
            pieces = [(self._book.keep_long(row, self._columns[c].name, text), -1)]
        if len(pieces) == 1:
            self._sheet.write_string(self._row, c, _excel(pieces[0][0]), self._book.format(style))
        else:
            runs = [part for piece, k in pieces for part in (self._book.format(f"run{k}"), _excel(piece))]
            self._sheet.write_rich_string(self._row, c, *runs, self._book.format(style))

    def finish(self) -> None:
        """Set the filter and the data bars, which need the number of rows."""
        if self._key in ("about", "long"):
            return
        self._sheet.autofilter(0, 0, self._row, len(self._columns) - 1)
        for c, column in enumerate(self._columns):
            if column.style == "bar" and self._row:
                bar = {"type": "data_bar", "bar_solid": True, "bar_color": _mixed(column.colour or HEAD, "#FFFFFF", 0.45)}
                self._sheet.conditional_format(1, c, self._row, c, {**bar, "min_type": "num", "max_type": "num", "min_value": 0, "max_value": 1})


def _about(book: _Book, n_articles: int, n_passages: int, n_failed: int, models: Sequence[str]) -> None:
    zh = book.language == "zh"
    sheet = _Sheet(book, "about", [Column("项目" if zh else "item", 16, "names"), Column("说明" if zh else "meaning", 110)])
    articles, passages, failed = ("文章", "段落", "失败") if zh else ("articles", "passages", "failures")
    sheet.add([word("model", book.language), "、".join(models)])
    sheet.add([f"{articles} / {passages} / {failed}", f"{n_articles} / {n_passages} / {n_failed}"])
    for item, meaning in _ABOUT[book.language]:
        sheet.add([item, meaning])


def _excel(text: str) -> str:
    """Return text as Excel's XML wants it: one kind of line break, and no accidental escapes."""
    return _EXCEL_ESCAPE.sub("_x005F_", text.replace("\r\n", "\n").replace("\r", "\n"))


def _mixed(colour: str, other: str, part: float) -> str:
    """Return ``part`` of a colour and the rest of another."""
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + "".join(f"{round(part * a + (1 - part) * b):02X}" for a, b in pairs)
