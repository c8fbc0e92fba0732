"""Which words made a decision: a linear model takes apart exactly.

Every n-gram and every lexicon term hands its contribution in equal parts to its characters, once for the passage and once
for its strongest clause, and every word (jieba, with the lexicon's terms as words of their own) sums what its characters
got. With the intercept and the context the words sum
to the decision value.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from policyclf.fallback import context_features
from policyclf.records import Evidence, Explanation, TaggedArticle
from policyclf.scorer import CONTEXT_BLOCKS, numpy_scorer
from policyclf.text import fold_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from policyclf.model import Model

CONTEXT_NAMES = ("〔上一句〕", "〔下一句〕", "〔前后文〕", "〔标题〕", "〔全文〕")


class Reader:
    """Takes decisions of one model apart."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._scorer = numpy_scorer(model.compiled)
        self._cutter = _cutter(_terms(model))

    def words(self, tagged: TaggedArticle, passage: int) -> list[list[Evidence]]:
        """Return, for each category, the words of a passage in reading order with their contributions to its decision."""
        piece = tagged.passages[passage]
        per_char = self._per_character(piece.text)
        positions = fold_positions(piece.text)
        sums = np.zeros((len(piece.text) + 1, per_char.shape[1]))
        sums[np.array(positions, np.intp) + 1] = per_char
        sums = np.cumsum(sums, axis=0)
        words: list[list[Evidence]] = [[] for _ in range(per_char.shape[1])]
        for word, start, end in self._cutter.tokenize(piece.text):
            for k, share in enumerate(sums[end] - sums[start]):
                words[k].append(Evidence(word, piece.start + start, piece.start + end, float(share)))
        return words

    def _per_character(self, text: str) -> NDArray[np.float64]:
        """Return what each folded character adds to each decision, by the passage's scores and by its strongest clauses'."""
        passage_weights, clause_weights = self._scorer.own_weights
        shares = self._scorer.per_character(text) @ passage_weights
        clauses, scores = self._scorer.clauses(text)
        starts = np.cumsum([0, *map(len, clauses)])
        for category, strongest in enumerate(scores.argmax(0)):
            own = self._scorer.per_character(clauses[strongest], clause=True)[:, category]
            shares[starts[strongest] : starts[strongest + 1]] += own[:, None] * clause_weights[category]
        return shares

    def explain(self, tagged: TaggedArticle, passage: int, k: int, threshold: float) -> Explanation:
        """Return the whole account of one decision: words, context, intercept."""
        texts = [p.text for p in tagged.passages]
        scores, decisions = self._scorer.passages(texts, [len(texts)])
        n = len(tagged.categories)
        # The words tell what the passage and its clauses add: of the features those of the context are all that is needed.
        features = context_features(scores, scores, texts, [len(texts)], self._scorer.context_shape)[passage].reshape(CONTEXT_BLOCKS, n)
        parts = (features * self._scorer.context_weights[:, k].reshape(CONTEXT_BLOCKS, n)).sum(1)
        context = [Evidence(name, -1, -1, float(part)) for name, part in zip(CONTEXT_NAMES, parts[2:], strict=True)]
        decision = float(decisions[passage, k])
        return Explanation(
            category=tagged.categories[k],
            text=texts[passage],
            decision=decision,
            probability=tagged.passages[passage].probabilities[k],
            threshold=threshold,
            intercept=float(self._scorer.own_intercepts[k]),
            evidence=(*self.words(tagged, passage)[k], *context),
        )


def _terms(model: Model) -> list[str]:
    """The lexicon's terms, so that an instrument's name stays one word; a model that was never saved has none to read."""
    file = Path(model.path) / "lexicon.tsv"
    if not model.path or not file.exists():
        return []
    return [line.partition("\t")[0] for line in file.read_text(encoding="utf-8").splitlines()]


def _cutter(terms: Sequence[str]) -> Any:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    cutter = jieba.Tokenizer()
    cutter.initialize()
    for term in terms:
        cutter.add_word(term)
    return cutter
