"""Tagged articles as JSON lines, and back: one line an article, or an error in its place.

The line is all that the other outputs are made from, so a run can be cut off, resumed and turned into any table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from policyclf.errors import OutputError, PolicyclfError
from policyclf.records import Article, Evidence, Tag, TaggedArticle, TaggedPassage

_FIELDS = ("source", "sha256", "format", "encoding", "title", "date", "place", "publisher")


@dataclass(frozen=True, slots=True)
class Failure:
    """An article that could not be tagged: where it is, what is wrong and what to do about it."""

    source: str
    problem: str
    way_out: str = ""
    kind: str = "ArticleError"
    sha256: str = ""
    model: str = ""

    @classmethod
    def of(cls, source: str, error: PolicyclfError, *, sha256: str = "", model: str = "") -> Failure:
        """Make a failure of an error of this library."""
        return cls(source, error.problem, error.way_out, type(error).__name__, sha256, model)


def to_line(result: TaggedArticle | Failure) -> str:
    """Return one line of JSON, without the line break, Chinese as Chinese."""
    return json.dumps(to_record(result), ensure_ascii=False, separators=(",", ":"))


def to_record(result: TaggedArticle | Failure) -> dict[str, Any]:
    """Return a result as plain dicts and lists; probabilities have four decimals, evidence is left out where there is none."""
    if isinstance(result, Failure):
        error = {"kind": result.kind, "problem": result.problem, "way_out": result.way_out}
        return {"source": result.source, "sha256": result.sha256, "model": result.model, "error": error}
    record: dict[str, Any] = {name: getattr(result.article, name) for name in _FIELDS}
    record["model"] = result.model
    record["categories"] = list(result.categories)
    record["passages"] = [_passage_record(passage) for passage in result.passages]
    return record


def from_line(line: str, place: str = "") -> TaggedArticle | Failure:
    """Return the result that a line holds; the article's text is not in it and comes back empty.

    Raises :class:`OutputError` for a line that is none.
    """
    try:
        return from_record(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError("is no line that `policyclf tag` wrote", place=place, way_out="name a JSONL file made by `policyclf tag`") from error


def from_record(record: dict[str, Any]) -> TaggedArticle | Failure:
    """Return the result of a record made by :func:`to_record`."""
    if "error" in record:
        error = record["error"]
        return Failure(record["source"], error["problem"], error["way_out"], error["kind"], record["sha256"], record["model"])
    article = Article("", **{name: record[name] for name in _FIELDS})
    passages = tuple(_passage(entry) for entry in record["passages"])
    return TaggedArticle(article, passages, tuple(record["categories"]), record["model"])


def _passage_record(passage: TaggedPassage) -> dict[str, Any]:
    return {
        "unit": "-".join(map(str, passage.unit)),
        "start": passage.start,
        "end": passage.end,
        "heading": passage.heading,
        "text": passage.text,
        "tags": [_tag_record(tag) for tag in passage.tags],
        "probabilities": [round(value, 4) for value in passage.probabilities],
    }


def _tag_record(tag: Tag) -> dict[str, Any]:
    record: dict[str, Any] = {"category": tag.category, "probability": round(tag.probability, 4)}
    if tag.evidence:
        record["evidence"] = [{"text": e.text, "start": e.start, "end": e.end, "contribution": round(e.contribution, 3)} for e in tag.evidence]
    return record


def _passage(entry: dict[str, Any]) -> TaggedPassage:
    tags = tuple(Tag(tag["category"], tag["probability"], tuple(Evidence(**word) for word in tag.get("evidence", ()))) for tag in entry["tags"])
    paragraph, sentence = entry["unit"].split("-")
    return TaggedPassage(
        entry["start"], entry["end"], entry["text"], tags, tuple(entry["probabilities"]), (int(paragraph), int(sentence)), entry["heading"]
    )
