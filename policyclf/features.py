"""Texts to numbers: a character n-gram TF-IDF and how much of a text the lexicon's terms cover.

TF-IDF is scikit-learn's (sublinear term frequency, L2 norm) over folded text; n-grams stay within clauses, so that a passage's
are those of its clauses. In a clause by itself, which is short, each occurrence of an n-gram counts as a feature of its own
(:func:`occurrences`). Coverage has, for each tier of the lexicon, a
column for each category and one for near misses: for every position, the longest term that begins there adds its length in
characters; the sum is cut off at ``COVERAGE_CAP`` and divided by it, so it runs from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from policyclf.labels import NEAR_MISS
from policyclf.records import TIERS, Term
from policyclf.text import crosses_clauses, fold

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

COVERAGE_CAP = 12.0  # characters; two or three terms say all that coverage can say


def vectorizer(ngram_range: tuple[int, int], min_df: int) -> TfidfVectorizer:
    """Return the unfitted TF-IDF vectoriser that every model of this library is made of."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer="char", preprocessor=fold, ngram_range=ngram_range, min_df=min_df, sublinear_tf=True, dtype=np.float64)


def fitted_vectorizer(texts: Sequence[str], terms: Sequence[str], ngram_range: tuple[int, int], min_df: int) -> TfidfVectorizer:
    """Return a vectoriser with the n-grams of texts and terms, but for those that go on from one clause to the next.

    The inverse document frequency is that among the texts: the terms are so many that theirs would be another language's.
    Raises :class:`ValueError` where no n-gram occurs in ``min_df`` texts and terms.
    """
    counted = vectorizer(ngram_range, min_df).fit([*texts, *terms])
    ngrams = sorted(ngram for ngram in counted.vocabulary_ if not crosses_clauses(ngram))
    vector = with_vocabulary(ngrams, np.ones(len(ngrams)), ngram_range)
    frequency = np.bincount(vector.transform(texts).indices, minlength=len(ngrams))
    vector.idf_ = np.log((1 + len(texts)) / (1 + frequency)) + 1  # as TfidfTransformer has it
    return vector


def with_vocabulary(ngrams: Sequence[str], idf: NDArray[np.float64], ngram_range: tuple[int, int]) -> TfidfVectorizer:
    """Return a fitted vectoriser of these n-grams with these inverse document frequencies."""
    vector = vectorizer(ngram_range, 1).set_params(vocabulary=list(ngrams)).fit([""])
    vector.idf_ = np.asarray(idf, np.float64)
    return vector


def occurrences(vector: TfidfVectorizer, clauses: Sequence[str]) -> csr_matrix:
    """Return the n-grams of clauses, each occurrence weighted by its idf and the squares of all of them adding up to 1.

    Where no n-gram repeats this is TF-IDF. Sums over occurrences need not know what repeats.
    """
    import scipy.sparse
    from sklearn.feature_extraction.text import CountVectorizer

    counts = CountVectorizer.transform(vector, clauses)
    squares = counts @ vector.idf_**2
    return scipy.sparse.diags(1 / np.sqrt(np.where(squares > 0, squares, 1))) @ counts @ scipy.sparse.diags(vector.idf_)


class Lexicon:
    """The terms of a lexicon and the coverage of texts by them.

    ``terms`` maps a folded term (two characters or more) to its category, of ``names`` or ``NEAR_MISS``, and tier.
    """

    def __init__(self, terms: Mapping[str, Term], names: Sequence[str]) -> None:
        own = [Term(name, tier) for tier in range(1, TIERS + 1) for name in (*names, NEAR_MISS)]
        self.columns = {term: column for column, term in enumerate(own)}  # TIERS * (n_categories + 1)
        self.terms = dict(terms)
        self._starts: dict[str, list[str]] = {}  # first two characters -> terms, the longest first
        for term in sorted(terms, key=lambda term: (-len(term), term)):
            self._starts.setdefault(term[:2], []).append(term)

    def matches(self, folded: str) -> list[tuple[int, str]]:
        """Return (start, term) of the longest term that begins at each position of a folded text."""
        found = []
        for start in range(len(folded) - 1):
            for term in self._starts.get(folded[start : start + 2], ()):
                if folded.startswith(term, start):
                    found.append((start, term))
                    break
        return found

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return coverage of shape ``(n_texts, TIERS * (n_categories + 1))``, each value from 0 to 1."""
        covered = np.zeros((len(texts), len(self.columns)))
        for row, text in enumerate(texts):
            for _, term in self.matches(fold(text)):
                covered[row, self.columns[self.terms[term]]] += len(term)
        return np.minimum(covered, COVERAGE_CAP) / COVERAGE_CAP


def stack(tfidf: csr_matrix, coverage: NDArray[np.float64]) -> csr_matrix:
    """Put TF-IDF and coverage side by side: shape ``(n_texts, n_ngrams + n_columns)``."""
    import scipy.sparse

    return scipy.sparse.hstack([tfidf, scipy.sparse.csr_matrix(coverage)], format="csr")
