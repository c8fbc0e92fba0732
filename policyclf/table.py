"""What all tables have in common: their words, the numbers of units, shares, and text that every program can open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from policyclf.errors import OutputError
from policyclf.journal import Failure
from policyclf.records import Tag, TaggedArticle, TaggedPassage

Result = TaggedArticle | Failure

# Okabe and Ito's palette, which people with any colour vision can tell apart, lightest and darkest last; a codebook of more
# categories starts again from the first, and names stand beside every colour.
COLOURS = ("0072B2", "E69F00", "009E73", "CC79A7", "D55E00", "56B4E9", "B8A500", "6B6B6B")

# key: (Chinese, English). One dictionary, so that a column is called the same in every table.
WORDS = {
    "unit": ("单元编号", "unit"),
    "number": ("编号", "number"),
    "article": ("文件号", "article"),
    "paragraph": ("段号", "paragraph"),
    "sentence": ("句号", "sentence"),
    "source": ("文件", "file"),
    "title": ("标题", "title"),
    "date": ("日期", "date"),
    "year": ("年份", "year"),
    "place": ("地区", "place"),
    "publisher": ("来源", "publisher"),
    "heading": ("上级标题", "heading"),
    "text": ("段落原文", "passage"),
    "category": ("类别", "category"),
    "probability": ("概率", "probability"),
    "highest": ("最高概率", "highest probability"),
    "evidence": ("证据", "evidence"),
    "start": ("起", "start"),
    "end": ("止", "end"),
    "encoding": ("编码", "encoding"),
    "format": ("格式", "format"),
    "model": ("模型", "model"),
    "duplicate_of": ("重复于", "duplicate of"),
    "error": ("错误", "error"),
    "way_out": ("处理办法", "way out"),
    "kind": ("错误类型", "kind of error"),
    "passages": ("段落数", "passages"),
    "tagged": ("有类别段落数", "passages with a category"),
    "lead": ("主导类别", "lead category"),
    "count": ("段数", "count"),
    "share": ("占比", "share"),
}

# XML 1.0 has no place for these, some readers of CSV end at a NUL, and lone surrogates are in no encoding.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d)")


def word(key: str, language: str) -> str:
    """Return the name of a column in Chinese (``"zh"``) or English (``"en"``)."""
    return WORDS[key][language == "en"]


def between(language: str) -> str:
    """Return what stands between the items of a list in one cell."""
    return "; " if language == "en" else "、"


def plain(text: str) -> str:
    r"""Return text that any file can hold: control characters and lone surrogates as visible escapes, the rest untouched.

    >>> plain("a\x00b\ud800\tc")
    'a\\x00b\\ud800\tc'
    """
    return _UNWRITABLE.sub(lambda match: _escape(match[0]), text)


def _escape(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"


def numbered(results: Iterable[Result]) -> tuple[tuple[str, ...], Iterator[tuple[int, Result]]]:
    """Return the categories of the results and the results with their numbers, from 1; a failure takes a number, too.

    Reads ahead to the first article only. A table has one set of columns: the iterator raises :class:`OutputError`
    at an article whose model has other categories.
    """
    source = iter(results)
    held: list[Result] = []
    categories: tuple[str, ...] = ()
    for result in source:
        held.append(result)
        if isinstance(result, TaggedArticle):
            categories = result.categories
            break
    return categories, _number(chain(held, source), categories)


def _number(results: Iterable[Result], categories: tuple[str, ...]) -> Iterator[tuple[int, Result]]:
    for number, result in enumerate(results, 1):
        if isinstance(result, TaggedArticle) and result.categories != categories:
            raise OutputError(
                f"its categories are {'、'.join(result.categories)}, those of the first article {'、'.join(categories)}",
                place=result.article.source or f"article {number}",
                way_out="write the articles of each model to a table of their own, or all of them to .jsonl",
            )
        yield number, result


def unit(number: int, passage: TaggedPassage) -> str:
    """Return the unit number that coders write: article, paragraph and sentence."""
    return f"{number}-{passage.unit[0]}-{passage.unit[1]}"


def year(date: str) -> str:
    """Return the year of a date as it stands in a document, or nothing.

    >>> year("青岛日报 2021年11月09日"), year("二〇二一年")
    ('2021', '')
    """
    match = _YEAR.search(date)
    return match[0] if match else ""


def tagged(article: TaggedArticle) -> int:
    """Return how many passages carry a category."""
    return sum(bool(passage.tags) for passage in article.passages)


def share(count: int, total: int) -> float:
    """Return a share from 0 to 1; of nothing it is 0."""
    return round(count / total, 4) if total else 0.0


def lead(counts: Mapping[str, int], language: str) -> str:
    """Return the category of most passages, all of them where several tie, nothing where there are none."""
    most = max(counts.values(), default=0)
    return between(language).join(name for name, count in counts.items() if count == most) if most else ""


def duplicate_of(result: TaggedArticle) -> str:
    """Return the source of the article that this one repeats, or nothing."""
    return str(getattr(result, "duplicate_of", "") or getattr(result.article, "duplicate_of", "") or "")


def joined_categories(passage: TaggedPassage, language: str) -> str:
    """Return the categories of a passage in one cell."""
    return between(language).join(tag.category for tag in passage.tags)


def joined_evidence(passage: TaggedPassage, language: str) -> str:
    """Return the evidence of all tags in one cell; where there are several tags each says whose words they are."""
    told = [tag for tag in passage.tags if tag.evidence]
    if len(passage.tags) == 1:
        return words_of(told[0], language) if told else ""
    return ("; " if language == "en" else "；").join(f"{tag.category}: {words_of(tag, language)}" for tag in told)


def words_of(tag: Tag, language: str) -> str:
    """Return the words of evidence of one tag, each once, in reading order."""
    return between(language).join(dict.fromkeys(evidence.text for evidence in tag.evidence))
