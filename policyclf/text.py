"""Split text into passages and fold it for comparison, without ever losing an offset.

Folding maps one code point to one code point, or drops it; so a folded character always knows where it came from, and
the compiled scorer can do the same with a table.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from policyclf.records import Passage

TERMINATORS = "。！？；｡!?;"
LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"  # what str.splitlines cuts at
CLOSERS = "”’」』）)】》〉〕］]"  # a closing mark belongs to the sentence that it ends; ASCII quotes do not say which way they face
UNFINISHED = "，、,：:"  # a line that ends so goes on: no heading
CLAUSE_MARKS = ",:;!?。"  # as folded
_NO_HEADING = TERMINATORS + CLOSERS + UNFINISHED
HEADING_LENGTH = 30  # longer lines without a final stop are sentences cut short, not headings

_BREAK = f"\r\n|[{LINE_BREAKS}]"
_ITEM = "第[一二三四五六七八九十百零]+[章节条编]|[一二三四五六七八九十]+、|[（(][一二三四五六七八九十0-9]+[）)]|[0-9]+[.．、]|[①-⑳●■◆]|附件"
_WRAP_SAMPLE = 50_000  # characters by which a text is judged
_WRAP_LINES = 6  # fewer lines than this show no width
_WRAP_LONGEST, _WRAP_NARROWEST = 100, 30  # characters, and columns: longer lines are paragraphs, narrower ones may be lists
_WRAP_RAGGED = 4  # columns: no line begins with a comma, and a word of letters is not cut

# Expressions are compiled where they are first used: compiling them takes longer than tagging a sentence.
_PIECE = f"[^{re.escape(TERMINATORS + LINE_BREAKS)}]*(?:[{re.escape(TERMINATORS)}]+[{re.escape(CLOSERS)}]*)?"


class _FoldTable(dict[int, int | None]):
    """Code point -> folded code point, or None where it is dropped; filled as characters are met."""

    def __missing__(self, point: int) -> int | None:
        self[point] = folded = _fold_point(point)
        return folded


def _fold_point(point: int) -> int | None:
    char = chr(point)
    if char.isspace() or unicodedata.category(char) in ("Cc", "Cf"):
        return None
    for step in (unicodedata.normalize("NFKC", char), char):
        # A compatibility form or a lower case of several characters would move offsets: such a character stays as it is.
        if len(step) == 1 and len(step.lower()) == 1:
            char = step.lower()
            break
    return ord(simplified().get(char, char))


@cache
def simplified() -> dict[str, str]:
    """Traditional character -> simplified character, one to one.

    Facts taken from the character table of OpenCC (Apache-2.0) by ``experiments/simplified.py``; phrases, in which a
    character may stand for another one, are left alone because they would move offsets.
    """
    from pathlib import Path

    traditional, plain = (Path(__file__).parent / "simplified.txt").read_text(encoding="utf-8").split()
    return dict(zip(traditional, plain, strict=True))


_FOLD = _FoldTable()


def fold(text: str) -> str:
    r"""Return the text as the features see it: NFKC, lower case, simplified, without white space and control characters.

    >>> fold("ＡＢ審 批\n改革")
    'ab审批改革'
    """
    return text.translate(_FOLD)


def clauses(folded: str) -> list[str]:
    """Return the clauses of a folded passage, each up to the marks that end it; put together they are the passage again.

    >>> clauses("压减环节,发放补贴。")
    ['压减环节,', '发放补贴。']
    """
    return re.findall(f"[^{CLAUSE_MARKS}]*[{CLAUSE_MARKS}]+|[^{CLAUSE_MARKS}]+", folded)


def crosses_clauses(folded: str) -> bool:
    """Whether a folded text goes on from one clause to the next.

    >>> crosses_clauses("节,发"), crosses_clauses("贴。")
    (True, False)
    """
    return len(clauses(folded)) > 1


def fold_positions(text: str) -> list[int]:
    """Return, for each character of ``fold(text)``, the index of the character of ``text`` that it came from."""
    return [i for i, char in enumerate(text) if _FOLD[ord(char)] is not None]


def has_chinese(text: str) -> bool:
    """Whether a text holds a Chinese character (of the unified ideographs or their extension A)."""
    return any("\u3400" <= char <= "\u9fff" for char in text)


def is_heading(text: str) -> bool:
    """Whether a passage reads as a heading: short, and not ended as a sentence.

    >>> is_heading("一、深化审批制度改革"), is_heading("审批更快了。")
    (True, False)
    """
    return len(text) <= HEADING_LENGTH and text[-1:] not in _NO_HEADING


def unwrap(text: str) -> str:
    r"""Return a text of the same length in which hard line breaks inside sentences are spaces.

    Nothing changes unless the text is clearly set in lines of one width, most of which end in mid sentence; then a break
    goes after such a line if the next one is neither blank nor indented nor begins an item.

    >>> lines = "推行政务服务改革，把分散在各个部门的\n审批事项并入同一窗口。对一时拿不出的\n材料，允许容缺受理，事后补齐即可；对\n"
    >>> unwrap(lines * 2).count("\n"), unwrap("推行“秒批”，\n减环节").count("\n")
    (1, 1)
    """
    head = text[:_WRAP_SAMPLE]
    if len(lines := [line for line in head.splitlines() if line.strip()]) < _WRAP_LINES or max(map(len, lines)) > _WRAP_LONGEST:
        return text
    widths = sorted(map(_width, lines))
    full = widths[len(widths) * 9 // 10] - _WRAP_RAGGED
    cut = [line.rstrip() for line in lines if _width(line) >= full]
    cut_open = [line for line in cut if line[-1] not in TERMINATORS + CLOSERS]
    stops = sum(any(stop in line for stop in TERMINATORS) for line in lines)  # a list of titles has none
    if full < _WRAP_NARROWEST or widths[-1] > full + 2 * _WRAP_RAGGED or 5 * len(cut) < 2 * len(lines):
        return text
    if 5 * len(cut_open) < 3 * len(cut) or 5 * stops < len(lines):
        return text
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    pieces, last = [], 0
    for match in re.finditer(_BREAK, text):
        line = text[last : match.start()]
        following = text[match.end() : match.end() + _WRAP_LONGEST]
        deeper = len(following) - len(following.lstrip()) > indent
        whole = not line.strip() or not following or _width(line) < full or line.rstrip()[-1] in TERMINATORS or deeper
        item = not whole and line.rstrip()[-1] not in UNFINISHED and re.match(_ITEM, following.lstrip())
        pieces += [line, match.group() if whole or item else " " * len(match.group())]
        last = match.end()
    return "".join(pieces) + text[last:]


def _width(line: str) -> int:
    """Return the columns that a line takes, a Chinese character two."""
    return len(line.rstrip().encode("gb18030", "replace"))


def split(text: str) -> Iterator[Passage]:
    r"""Yield the passages of a text in reading order.

    A passage ends at 。！？； or their half-width forms (with the closing marks that follow) or at a line break; white
    space around it is cut off, and a piece without a letter or digit is none. Every letter and digit of the text stands
    in exactly one passage. Runs in linear time.

    >>> [p.text for p in split("推行“秒批”。\n  ——\n拨付资金；减环节")]
    ['推行“秒批”。', '拨付资金；', '减环节']
    """
    for match in re.finditer(_PIECE, text):
        piece = match.group()
        inner = piece.strip()
        if inner and any(map(str.isalnum, inner)):
            start = match.start() + len(piece) - len(piece.lstrip())
            yield Passage(start, start + len(inner), inner)
