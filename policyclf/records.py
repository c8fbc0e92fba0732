"""What travels through the library: named tuples, frozen, each one small.

A change makes a new one: ``article._replace(title="...")``. Named tuples rather than dataclasses, because they are made
ten times by every passage and importing dataclasses alone costs more than tagging a sentence.

Offsets are code points of ``Article.text``, half open, so that ``article.text[p.start:p.end] == p.text``.
"""

from __future__ import annotations

from collections import namedtuple

# Importing typing takes a fifth of the time of a start, so what a tag needs does without: type checkers take any name like
# this one for true.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple  # noqa: PLC0414 - to be imported from here
else:

    class _Maker(type):
        """Makes of a class body with annotated fields what ``typing.NamedTuple`` makes of it."""

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body["__annotations__"]
            made = namedtuple(name, fields, defaults=[body[field] for field in fields if field in body])
            for key, value in body.items():
                if key not in fields:
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Maker):
        """The base of the records."""


class Category(NamedTuple):
    """One category of a codebook: its id, its name as it stands in labels, and what it takes in and leaves out."""

    id: str
    name: str
    english: str = ""
    definition: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


TIERS = 2


class Term(NamedTuple):
    """Where a lexicon term points: to a category's name or to ``无``, near miss.

    ``tier`` 1 is for terms that are nearly always about that category; 2 for a wider list, less sure term by term. A model
    gives each tier its own weight.
    """

    category: str
    tier: int = 1


class LabelRecord(NamedTuple):
    """One labelled passage, as a line of ``labels/*.jsonl`` has it."""

    id: str
    document: str
    text: str
    labels: tuple[str, ...]


class Article(NamedTuple):
    """A text to tag and what its document says of itself; unknown fields are empty.

    ``text`` is the decoded original, untouched: offsets point into it. ``sha256`` is of the bytes that were read,
    empty where there was no file.
    """

    text: str
    source: str = ""
    title: str = ""
    date: str = ""
    place: str = ""
    publisher: str = ""
    encoding: str = ""
    format: str = "text"
    sha256: str = ""


class Evidence(NamedTuple):
    """A word of the passage (or a part of the context) and how much it moved the decision.

    ``start`` and ``end`` are offsets into the article's text; both are -1 for context, which stands elsewhere.
    ``contribution`` is in units of the decision value (log odds).
    """

    text: str
    start: int
    end: int
    contribution: float


class Tag(NamedTuple):
    """A category that the model gives a passage, with its calibrated probability (0 to 1)."""

    category: str
    probability: float
    evidence: tuple[Evidence, ...] = ()


class Passage(NamedTuple):
    """One sentence, heading or list item of an article: ``article.text[start:end] == text``."""

    start: int
    end: int
    text: str


class TaggedPassage(NamedTuple):
    """A passage, the tags whose probability reached the threshold, and the probability of every category.

    ``unit`` is the number of paragraph and sentence, both from 1, as coders count by hand; ``heading`` is the nearest
    heading above. ``probabilities`` has one value for each category of the model, in the model's order.
    """

    start: int
    end: int
    text: str
    tags: tuple[Tag, ...]
    probabilities: tuple[float, ...]
    unit: tuple[int, int] = (1, 1)
    heading: str = ""


class TaggedArticle(NamedTuple):
    """An article and its passages in reading order, with the categories of the model that tagged it.

    ``run`` names the model with all options (see :func:`policyclf.batch.run_id`); ``duplicate_of`` is the source of the
    article of the same run that this one repeats, word for word or nearly so. Both are empty outside of a batch.
    """

    article: Article
    passages: tuple[TaggedPassage, ...]
    categories: tuple[str, ...]
    model: str = ""
    run: str = ""
    duplicate_of: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many passages carry each category, in the model's order."""
        count = dict.fromkeys(self.categories, 0)
        for passage in self.passages:
            for tag in passage.tags:
                count[tag.category] += 1
        return count


class Explanation(NamedTuple):
    """Why a passage does or does not get a category.

    ``decision`` (log odds) is ``intercept`` plus the contributions of ``evidence``, which holds every word of the
    passage in reading order and then the context; ``probability`` is its logistic.
    """

    category: str
    text: str
    decision: float
    probability: float
    threshold: float
    intercept: float
    evidence: tuple[Evidence, ...] = ()
