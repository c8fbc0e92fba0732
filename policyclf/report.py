"""The HTML report: one file that opens anywhere without a network, to read, filter and compare tagged articles.

The page is ``report.html``, a template of this package; the results stand in it as JSON, a block an article, which the
page's script parses only when an article is opened. Text is never markup: JSON blocks hold no ``<``, the script writes
text nodes only, and a content security policy allows that one script and nothing from outside.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from policyclf import __version__
from policyclf.journal import Failure, to_record
from policyclf.records import Category, TaggedArticle
from policyclf.table import COLOURS, Result, duplicate_of, numbered, year

_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def write_report(
    results: Iterable[Result],
    file: IO[bytes],
    *,
    language: str = "zh",
    thresholds: Sequence[float] | None = None,
    codebook: Sequence[Category] = (),
) -> None:
    """Write the report of results, which are iterated once; memory holds one article at a time.

    The page first shows the stored tags; its chips name ``thresholds`` (one a category), those of the model that made them.
    ``codebook`` gives English names and definitions. Raises :class:`policyclf.OutputError` where articles were tagged
    with different categories.
    """
    categories, stream = numbered(results)
    known = {category.name: category for category in codebook}
    head = {
        "language": language,
        "version": __version__,
        "thresholds": list(thresholds) if thresholds is not None else None,
        "categories": [
            {
                "name": name,
                "english": known[name].english if name in known else "",
                "definition": known[name].definition if name in known else "",
                "colour": "#" + COLOURS[k % len(COLOURS)],
            }
            for k, name in enumerate(categories)
        ],
    }
    before, after = _template().split("<!-- data -->")
    script = re.search(r"<script>(.*?)</script>", after, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode() if script else ""
    file.write(before.replace("SCRIPT-DIGEST", digest).replace('lang="zh"', f'lang="{language}"').encode())
    file.write(_block("head", head))
    for number, result in stream:
        if isinstance(result, Failure):
            file.write(_block("failure", {"number": number, "source": result.source, "problem": result.problem, "way_out": result.way_out}))
        else:
            file.write(_block("index", _index(number, result)) + _block("article", _article(result)))
    file.write(after.encode())


def _index(number: int, result: TaggedArticle) -> dict[str, Any]:
    """What the list, the summary and the charts need of an article before it is opened: its probabilities, no text."""
    article = result.article
    tagged = [[result.categories.index(tag.category) for tag in passage.tags] for passage in result.passages]
    return {
        "number": number,
        "title": article.title or article.source,
        "source": article.source,
        "date": article.date,
        "year": year(article.date),
        "place": article.place,
        "publisher": article.publisher,
        "duplicate_of": duplicate_of(result),
        "tags": tagged,
        "probabilities": [[round(value, 3) for value in passage.probabilities] for passage in result.passages],
    }


def _article(result: TaggedArticle) -> list[Any]:
    """The passages: unit, text, and for each tag its words of evidence as offsets into the passage's text."""
    passages = []
    for passage, record in zip(result.passages, to_record(result)["passages"], strict=True):
        evidence = {
            tag["category"]: [[word["start"] - passage.start, word["end"] - passage.start, word["contribution"]] for word in tag["evidence"]]
            for tag in record["tags"]
            if "evidence" in tag
        }
        passages.append([record["unit"], list(passage.text) if _wide(passage.text) else passage.text, evidence])
    return passages


def _wide(text: str) -> bool:
    """Whether a text holds characters that JavaScript counts as two: it then goes as a list, so that offsets hold."""
    return any(char > "\uffff" for char in text)


def _block(kind: str, value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_UNSAFE)
    # Within a JSON string the escape that Python puts for a lone surrogate is JSON's own.
    return f'<script type="application/json" class="{kind}">{text}</script>\n'.encode("utf-8", "backslashreplace")


def _template() -> str:
    return (Path(__file__).parent / "report.html").read_text(encoding="utf-8")
