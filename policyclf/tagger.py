"""Tag articles: split, score, add context, compare with the thresholds, and say which words made each tag."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from policyclf.errors import UsageError
from policyclf.model import Model, load_model
from policyclf.records import Article, Evidence, Explanation, Tag, TaggedArticle, TaggedPassage
from policyclf.shipped import shipped
from policyclf.text import LINE_BREAKS, has_chinese, is_heading, unwrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from policyclf.evidence import Reader

EVIDENCE_WORDS = 5  # words shown for a tag: a person reads no more


class Tagger:
    """Tags text with a model. Safe to share between threads; pickles, so that worker processes can have it.

    ``precision`` (0.5 to 0.99) tags only what is at least so sure; see :meth:`Model.thresholds_at`.
    """

    def __init__(self, model: Model, *, precision: float | None = None) -> None:
        self.model = model
        self.precision = precision
        self.thresholds = model.thresholds_at(precision)
        self._scorer = model.scorer()
        self._reader: Reader | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "precision": self.precision}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of the model's categories, in the order of every tuple of probabilities."""
        return self.model.names

    def tag(self, text: str | Article, *, evidence: bool = False) -> TaggedArticle:
        """Tag one text or article. Text without a letter or digit has no passages; text without Chinese gets no tags.

        With ``evidence`` each tag carries the words that spoke for it most.
        """
        return self.tag_all([text], evidence=evidence)[0]

    def tag_all(self, texts: Sequence[str | Article], *, evidence: bool = False) -> list[TaggedArticle]:
        """Tag several texts or articles in one call to the scorer, which is faster than one by one and gives the same."""
        articles = [_as_article(text) for text in texts]
        flat = [unwrap(article.text) for article in articles]
        buffers = self._scorer.articles(flat)
        counts, spans, _, decisions = (_view(buffer, kind) for buffer, kind in zip(buffers, "qqdd", strict=True))
        out, at = [], 0
        for article, count in zip(articles, counts, strict=True):
            passages = tuple(self._passages(article.text, spans[2 * at : 2 * (at + count)], decisions, at))
            out.append(TaggedArticle(article, passages, self.categories, self.model.id))
            at += count
        return [self._with_evidence(tagged) for tagged in out] if evidence else out

    def tag_file(self, path: str | Path, *, encoding: str | None = None, column: str | None = None, evidence: bool = False) -> TaggedArticle:
        """Read and tag a file that holds one article; for files of many see :func:`policyclf.tag_files`."""
        from policyclf.article import read_article

        return self.tag(read_article(path, encoding=encoding, column=column), evidence=evidence)

    def explain(self, text: str, category: str, *, passage: int | None = None) -> Explanation:
        """Explain the decision on one category for one passage of a text, its neighbours being the context.

        ``passage`` counts from 0; by default the passage that has the highest probability for the category.
        Raises :class:`UsageError` for an unknown category, a text without passages or a passage that it does not have.
        """
        if category not in self.categories:
            raise UsageError(f"unknown category {category!r}", way_out=f"one of {'、'.join(self.categories)}")
        k = self.categories.index(category)
        tagged = self.tag(text)
        if not tagged.passages:
            raise UsageError("nothing to explain: the text holds no sentence")
        if passage is None:
            passage = max(range(len(tagged.passages)), key=lambda i: tagged.passages[i].probabilities[k])
        elif not 0 <= passage < len(tagged.passages):
            raise UsageError(f"no passage {passage}", way_out=f"from 0 to {len(tagged.passages) - 1}")
        return self._evidence_reader().explain(tagged, passage, k, self.thresholds[k])

    def _passages(self, text: str, spans: Sequence[int], decisions: Sequence[float], at: int) -> Iterator[TaggedPassage]:
        n_categories = len(self.categories)
        heading, paragraph, sentence, last = "", 0, 0, 0
        for i in range(len(spans) // 2):
            start, end = spans[2 * i], spans[2 * i + 1]
            if not paragraph or any(char in LINE_BREAKS for char in text[last:start]):
                paragraph, sentence = paragraph + 1, 0
            sentence, last = sentence + 1, end
            row = (at + i) * n_categories
            piece = text[start:end]
            # Of other scripts the model has learned nothing but the odd letter of a name.
            known = decisions[row : row + n_categories] if has_chinese(piece) else (-math.inf,) * n_categories
            probabilities = tuple(logistic(decision) for decision in known)
            tags = tuple(
                Tag(name, probability)
                for name, probability, threshold in zip(self.categories, probabilities, self.thresholds, strict=True)
                if probability >= threshold
            )
            yield TaggedPassage(start, end, piece, tags, probabilities, (paragraph, sentence), heading)
            if is_heading(piece):
                heading = piece

    def _with_evidence(self, tagged: TaggedArticle) -> TaggedArticle:
        if not any(passage.tags for passage in tagged.passages):
            return tagged

        reader = self._evidence_reader()
        passages = []
        for i, passage in enumerate(tagged.passages):
            if passage.tags:
                words = reader.words(tagged, i)
                tags = tuple(tag._replace(evidence=_strongest(words[self.categories.index(tag.category)])) for tag in passage.tags)
                passage = passage._replace(tags=tags)
            passages.append(passage)
        return tagged._replace(passages=tuple(passages))

    def _evidence_reader(self) -> Reader:
        if self._reader is None:
            from policyclf.evidence import Reader

            self._reader = Reader(self.model)
        return self._reader


def load(path: str | Path | None = None, *, precision: float | None = None) -> Tagger:
    """Return a tagger with the model that ships with the library, or with the model folder ``path``.

    Raises :class:`policyclf.ModelError` for a folder that is damaged, of another format or no model.
    """
    return Tagger(load_model(path if path is not None else shipped("models/default")), precision=precision)


def logistic(decision: float) -> float:
    """Return the probability of a decision value (log odds), without overflow."""
    if decision < 0:
        odds = math.exp(decision)
        return odds / (1 + odds)
    return 1 / (1 + math.exp(-decision))


def _as_article(text: str | Article) -> Article:
    if isinstance(text, Article):
        return text
    if not isinstance(text, str):
        raise UsageError(f"a text is a str or an Article, not {type(text).__name__}", way_out="decode bytes first, or use tag_file")
    return Article(text)


def _strongest(words: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Return the few words that spoke most for a tag, in reading order."""
    best = sorted((word for word in words if word.start >= 0 and word.contribution > 0), key=lambda word: -word.contribution)
    floor = 0.1 * best[0].contribution if best else 0.0
    return tuple(sorted((word for word in best[:EVIDENCE_WORDS] if word.contribution >= floor), key=lambda word: word.start))


def _view(buffer: Any, kind: Any) -> Any:
    """Return a result of a scorer, bytes or array, as a flat sequence of Python numbers."""
    flat = memoryview(buffer).cast("B") if len(buffer) else memoryview(b"")
    return flat.cast(kind)
