"""Word documents (.docx) -> Article: paragraphs and tables in reading order, with the numbers that Word only computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from policyclf.records import Article

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
# Deleted and moved text, field codes, the fallback of a drawing (its text stands in the drawing too), readings above characters, properties.
_LEFT_OUT = frozenset(
    [f"{_W}{name}" for name in ("del", "moveFrom", "instrText", "delText", "rt", "pPr", "rPr", "tblPr", "trPr", "tcPr", "sdtPr")] + [f"{_MC}Fallback"]
)
_TABS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_LEVELS = 9

_CHINESE = frozenset(("chineseCounting", "chineseCountingThousand", "taiwaneseCounting", "taiwaneseCountingThousand", "japaneseCounting", "ideographDigital"))
_ROMAN = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]
_SERIES = {
    "ideographTraditional": "甲乙丙丁戊己庚辛壬癸",
    "ideographZodiac": "子丑寅卯辰巳午未申酉戌亥",
    "decimalEnclosedCircle": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
    "decimalEnclosedCircleChinese": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
    "decimalEnclosedParen": "⑴⑵⑶⑷⑸⑹⑺⑻⑼⑽⑾⑿⒀⒁⒂⒃⒄⒅⒆⒇",
    "decimalEnclosedFullstop": "⒈⒉⒊⒋⒌⒍⒎⒏⒐⒑⒒⒓⒔⒕⒖⒗⒘⒙⒚⒛",
    "lowerLetter": "abcdefghijklmnopqrstuvwxyz",
    "upperLetter": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
}


def read_docx(file: IO[bytes]) -> Article:
    """Read a Word document. Tracked deletions, comments, notes, headers, footers and tables of contents are left out."""
    import docx

    document = docx.Document(file)
    lines = list(_blocks(document.element.body, _Numbers(document)))
    text = "\n".join(line for line, _ in lines)
    titled = (line.strip() for line, style in lines if style in ("Title", "标题") and line.strip())
    title = next(titled, (document.core_properties.title or "").strip())
    # Many documents carry the title of the template or of the document that they began as.
    if title and "".join(title.split()) not in "".join(text[:2000].split()):
        title = ""
    return Article(text, title=title)


def _blocks(container: Any, numbers: _Numbers) -> Iterator[tuple[str, str]]:
    """Yield (text, name of its style) for each paragraph and each row of a table, in reading order."""
    for node in container:
        if node.tag == f"{_W}p":
            style = numbers.style_name(node)
            if style.lower().startswith(("toc", "目录")):
                continue
            yield numbers.number(node) + "".join(_text(node)), style
            for box in node.iter(f"{_W}txbxContent"):
                if next(box.iterancestors(f"{_W}p")) is node and not any(parent.tag in _LEFT_OUT for parent in box.iterancestors()):
                    yield from _blocks(box, numbers)
        elif node.tag == f"{_W}tbl":
            for row in node.iterchildren(f"{_W}tr", f"{_W}sdt"):
                cells = row.iter(f"{_W}tc") if row.tag == f"{_W}sdt" else row.iterchildren(f"{_W}tc")
                yield "\t".join("\n".join(line for line, _ in _blocks(cell, numbers)).strip() for cell in cells), ""
        elif node.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}moveTo", f"{_W}customXml", f"{_W}smartTag"):
            yield from _blocks(node, numbers)


def _text(node: Any) -> Iterator[str]:
    """Yield the pieces of text under a node of a paragraph, those of text boxes left out."""
    for child in node:
        if child.tag == f"{_W}t":
            yield child.text or ""
        elif child.tag in _TABS:
            yield _TABS[child.tag]
        elif child.tag not in _LEFT_OUT and child.tag != f"{_W}txbxContent":
            yield from _text(child)


class _Numbers:
    """The automatic numbers of a document, which its text does not hold: 一、 （一） 1. and the like.

    ECMA-376 part 1, 17.9: a paragraph or its style names a list (``num``) and a level; the list is an instance of an
    abstract one, whose levels say how to count, and instances of one abstract list count on unless told to start anew.
    """

    def __init__(self, document: Any) -> None:
        self._styles = {style.get(f"{_W}styleId"): style for style in document.styles.element.iterchildren(f"{_W}style")}
        parts = [rel.target_part for rel in document.part.rels.values() if not rel.is_external and rel.reltype.endswith("/numbering")]
        root = parts[0].element if parts else ()
        abstract = {node.get(f"{_W}abstractNumId"): node for node in root if node.tag == f"{_W}abstractNum"}
        self._lists: dict[str, tuple[str, dict[int, Any], dict[int, int]]] = {}
        for num in root:
            if num.tag != f"{_W}num":
                continue
            key = _value(num, "abstractNumId")
            levels = _levels(abstract.get(key, ()))
            starts = {}
            for override in num.iterchildren(f"{_W}lvlOverride"):
                level = int(override.get(f"{_W}ilvl", "0"))
                levels |= _levels(override)
                if (start := _value(override, "startOverride")).isdecimal():
                    starts[level] = int(start)
            self._lists[num.get(f"{_W}numId")] = key, levels, starts
        self._counts: dict[str, list[int | None]] = {}
        self._begun: set[tuple[str, int]] = set()

    def style_name(self, paragraph: Any) -> str:
        """Return the name of a paragraph's style, "" for the default."""
        style = self._styles.get(_value(paragraph.find(f"{_W}pPr"), "pStyle"))
        return _value(style, "name")

    def number(self, paragraph: Any) -> str:
        """Return the number before a paragraph, "" where it has none; to be asked once for each, in order."""
        num, level = self._list_of(paragraph)
        if num not in self._lists:
            return ""
        key, levels, starts = self._lists[num]
        if level not in levels:
            return ""
        counts = self._counts.setdefault(key, [None] * _LEVELS)
        if level in starts and (num, level) not in self._begun:
            counts[level] = None
            self._begun.add((num, level))
            first = starts[level]
        else:
            first = _start(levels, level)
        counts[level] = first if counts[level] is None else (counts[level] or 0) + 1
        counts[level + 1 :] = [None] * (_LEVELS - level - 1)
        return _written(levels, level, counts)

    def _list_of(self, paragraph: Any) -> tuple[str, int]:
        """Return the list and level of a paragraph: its own, or those of its style or of one that this is based on."""
        holder, seen = paragraph, 0
        style_id = _value(paragraph.find(f"{_W}pPr"), "pStyle")
        level = ""
        while holder is not None and seen < 20:
            properties = holder.find(f"{_W}pPr")
            numbering = properties.find(f"{_W}numPr") if properties is not None else None
            level = level or _value(numbering, "ilvl")
            if num := _value(numbering, "numId"):
                if not level and holder is not paragraph:
                    level = next((str(at) for at, node in self._lists.get(num, ("", {}, {}))[1].items() if _value(node, "pStyle") == style_id), "")
                return num, min(int(level or 0), _LEVELS - 1)
            style_id = _value(holder, "basedOn") if holder is not paragraph else style_id
            holder, seen = self._styles.get(style_id), seen + 1
        return "", 0


def _value(node: Any, name: str) -> str:
    child = node.find(f"{_W}{name}") if node is not None else None
    return (child.get(f"{_W}val") or "") if child is not None else ""


def _levels(node: Any) -> dict[int, Any]:
    return {int(level.get(f"{_W}ilvl", "0")): level for level in node if level.tag == f"{_W}lvl"}


def _start(levels: dict[int, Any], level: int) -> int:
    start = _value(levels.get(level), "start")
    return int(start) if start.isdecimal() else 1


def _written(levels: dict[int, Any], level: int, counts: list[int | None]) -> str:
    node = levels[level]
    kind, text = _value(node, "numFmt"), _value(node, "lvlText")
    if not text or (kind in ("bullet", "none") and "%" not in text):
        return ""
    decimal = node.find(f"{_W}isLgl") is not None
    for at in range(level + 1):
        count = counts[at]
        if f"%{at + 1}" in text:
            number = _start(levels, at) if count is None else count
            text = text.replace(f"%{at + 1}", _formatted(number, "decimal" if decimal else _value(levels.get(at), "numFmt")))
    return text if _value(node, "suff") == "nothing" or text[-1] in "、）)．】，" else text + " "


def _formatted(number: int, kind: str) -> str:
    """Return a number as a list of some kind writes it.

    >>> [_formatted(21, kind) for kind in ("chineseCountingThousand", "upperRoman", "decimalZero", "lowerLetter", "decimalFullWidth")]
    ['二十一', 'XXI', '21', 'u', '２１']
    """
    if kind in _CHINESE and 0 < number < 10_000:
        return "".join("〇一二三四五六七八九"[int(digit)] for digit in str(number)) if kind == "ideographDigital" else _chinese(number)
    if 0 < number <= len(_SERIES.get(kind, "")):
        return _SERIES[kind][number - 1]
    if kind in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        roman = ""
        for value, sign in _ROMAN:
            roman += sign * (number // value)
            number %= value
        return roman if kind == "upperRoman" else roman.lower()
    if kind == "decimalFullWidth":
        return str(number).translate({ord("0") + digit: ord("０") + digit for digit in range(10)})
    return f"{number:02d}" if kind == "decimalZero" else str(number)


def _chinese(number: int) -> str:
    """Return a number from 1 to 9999 in Chinese.

    >>> [_chinese(n) for n in (1, 10, 12, 20, 101, 110, 1020)]
    ['一', '十', '十二', '二十', '一百零一', '一百一十', '一千零二十']
    """
    text, gap = "", False
    for unit, sign in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, unit)
        if digit:
            text += ("零" if gap and text else "") + "一二三四五六七八九"[digit - 1] + sign
        gap = not digit
    return text[1:] if text.startswith("一十") else text
