"""Fit a model: one linear classifier a category, context on out-of-fold scores, thresholds out of fold by document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from scipy.sparse import vstack
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.utils.validation import check_is_fitted

from policyclf.card import model_card
from policyclf.compiler import CONTEXT_SLOPE, CONTEXT_WINDOW, Linear, compile_scorer
from policyclf.errors import LabelError
from policyclf.fallback import context_features
from policyclf.features import COVERAGE_CAP, Lexicon, fitted_vectorizer, occurrences, stack
from policyclf.labels import NEAR_MISS, bundled, document_folds, label_matrix, read_categories, read_lexicon
from policyclf.metrics import N_RESAMPLES, evaluate, f1_threshold
from policyclf.model import Model, save_model
from policyclf.records import Category, LabelRecord, Term
from policyclf.text import clauses, fold

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Progress = Callable[[str], None]

TERM_WEIGHT = 0.1  # a lexicon term is a passage of a few characters: it teaches its n-grams, and a tenth of a passage is enough


class _Matrices(NamedTuple):
    """What stage one is fitted to; K is the number of categories.

    ``passages`` and ``clauses`` have the n-grams and the coverage of each, ``terms`` the n-grams of each term; ``truth`` and
    ``term_truth`` say which categories they carry, ``owner`` the passage of each clause.
    """

    passages: csr_matrix
    clauses: csr_matrix
    terms: csr_matrix
    truth: NDArray[np.int8]
    term_truth: NDArray[np.int8]
    owner: NDArray[np.int64]


class _StageOne(NamedTuple):
    """Scores out of fold, of passages and clauses, and the weights (n_features, K) and intercepts (K,) of the classifiers of everything."""

    scores: NDArray[np.float64]
    clause_scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]


def _fit_svm(svm: LinearSVC, of: _Matrices, k: int, kept: NDArray[np.bool_], chosen: NDArray[np.bool_] | None) -> tuple[NDArray[np.float64], float]:
    """Return weights and intercept for category ``k`` from the passages ``kept``, all terms and, of those passages, the clauses ``chosen``."""
    parts, truth = [of.passages[kept], of.terms], [of.truth[kept, k], of.term_truth[:, k]]
    weight = [np.ones(kept.sum()), np.full(of.terms.shape[0], TERM_WEIGHT)]
    if chosen is not None:
        here = np.flatnonzero(chosen & kept[of.owner])
        parts.append(of.clauses[here])
        truth.append(of.truth[of.owner[here], k])
        weight.append(np.ones(len(here)))
    labels = np.concatenate(truth)
    if not of.truth[kept, k].any() or labels.all():  # a fold may have lost a rare category's only document
        return np.zeros(of.passages.shape[1]), -1.0
    svm.fit(vstack(parts, format="csr"), labels, sample_weight=np.concatenate(weight))
    return svm.coef_[0], float(svm.intercept_[0])


class PolicyClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multi-label classifier of Chinese policy passages, a scikit-learn estimator.

    Stage one is a linear SVM for each category over character n-gram TF-IDF and lexicon
    coverage; the lexicon's terms stand among the training passages too, with little weight. It is the mean of two: one of
    passages, and one that has the strongest clause of each passage, as the first scores it out of fold, as a passage more (as in
    multiple-instance learning, mi-SVM: Andrews et al. 2002). Stage two, a logistic
    regression for each category, reads the out-of-fold scores of the passage, of its strongest clause (a long sentence may
    state its measure in one clause of six), of its neighbours, its heading and its document, and gives
    calibrated probabilities (stacking, Wolpert 1992). Thresholds come from F1 on out-of-fold probabilities
    (:func:`policyclf.metrics.f1_threshold`); no document is ever cut.

    Parameters
    ----------
    ngram_range, min_df : the character n-grams, and in how many passages one must occur.
    C : inverse regularisation of the SVM.
    lexicon : ``"default"`` (the bundled one, where its categories are the ones to learn), a path, or None.
    context : whether stage two sees the neighbours; without ``documents`` there are none to see.
    folds : number of document folds for out-of-fold scores.
    categories : names, in the order of the columns; by default those that occur, sorted, or the bundled ones.
    n_jobs : processes that fit side by side, -1 for one on each core; the model does not depend on it.
    seed : decides the folds and the solver's order.

    Attributes
    ----------
    model_ : the fitted :class:`policyclf.model.Model`; linear_ : its numbers; classes_ : category names;
    oof_probability_ : cross-fitted probabilities, shape ``(n_passages, n_categories)``.

    """

    def __init__(
        self,
        *,
        ngram_range: tuple[int, int] = (1, 3),
        min_df: int = 2,
        C: float = 1.0,
        lexicon: str | Path | None = "default",
        context: bool = True,
        folds: int = 5,
        categories: Sequence[str] | None = None,
        seed: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.ngram_range = ngram_range
        self.min_df = min_df
        self.C = C
        self.lexicon = lexicon
        self.context = context
        self.folds = folds
        self.categories = categories
        self.seed = seed
        self.n_jobs = n_jobs

    def fit(self, X: Sequence[str], y: Any, documents: Sequence[str] | None = None, progress: Progress | None = None) -> PolicyClassifier:
        """Fit on passages ``X`` and ``y``: lists of category names, or a 0/1 matrix of shape ``(n_passages, n_categories)``.

        ``documents`` names the document of each passage, those of one document together and in reading order; without it
        every passage stands alone. ``progress`` is called with a line for each step.
        Raises :class:`LabelError` for empty input, lengths that differ, or a category without two examples.
        """
        texts = list(X)
        say = progress or (lambda line: None)
        known, names, truth = self._targets(y)
        if not texts or len(texts) != len(truth):
            raise LabelError(f"{len(texts)} passages and {len(truth)} label sets", way_out="give one label set for each passage")
        groups = [str(name) for name in documents] if documents is not None else [str(i) for i in range(len(texts))]
        if len(groups) != len(texts):
            raise LabelError(f"{len(texts)} passages and {len(groups)} document names")
        counts = [len(list(group)) for _, group in groupby(groups)]
        if len(counts) != len(set(groups)):
            raise LabelError("the passages of a document do not stand together", way_out="sort them by document, in reading order")
        for name, n in zip(names, truth.sum(0), strict=True):
            if not 2 <= n < len(texts):
                raise LabelError(
                    f"category {name!r} has {n} examples among {len(texts)} passages", way_out="label at least two with it and one without, or leave it out"
                )

        say("counting n-grams")
        lexicon = Lexicon(self._terms(known), names)
        terms = list(lexicon.terms)
        try:
            vector = fitted_vectorizer(texts, terms, self.ngram_range, self.min_df)
        except ValueError as error:
            raise LabelError(f"nothing to learn from: {error}", way_out="give more passages or lower min_df") from error
        parts = [clauses(fold(text)) or [""] for text in texts]
        n_clauses = np.array([len(part) for part in parts])
        first = np.cumsum(n_clauses) - n_clauses  # clause of each passage
        clause_texts = list(chain.from_iterable(parts))
        matrices = _Matrices(
            passages=stack(vector.transform(texts), lexicon.coverage(texts)),
            clauses=stack(occurrences(vector, clause_texts), lexicon.coverage(clause_texts)),
            terms=stack(vector.transform(terms or [""]), np.zeros((len(terms or [""]), len(lexicon.columns))))[: len(terms)],
            truth=truth,
            term_truth=label_matrix([[] if term.category == NEAR_MISS else [term.category] for term in lexicon.terms.values()], names),
            owner=np.repeat(np.arange(len(texts)), n_clauses),
        )

        n_folds = min(self.folds, len(counts))
        fold_number = document_folds(groups, n_folds, self.seed)
        say("fitting the classifiers of passages")
        plain = self._stage_one(matrices, fold_number, None)
        say("fitting those of passages and their strongest clauses")
        best = np.maximum.reduceat(plain.clause_scores, first, axis=0)
        several = (n_clauses > 1)[matrices.owner]
        sharp = self._stage_one(matrices, fold_number, (plain.clause_scores == best[matrices.owner]) & several[:, None])
        scores, clause_scores, weights, intercepts = (np.mean(pair, axis=0) for pair in zip(plain, sharp, strict=True))
        n_ngrams = len(vector.vocabulary_)

        say("fitting context and thresholds")
        strongest = np.maximum.reduceat(clause_scores, first, axis=0)
        features = context_features(scores, strongest, texts, counts, (CONTEXT_SLOPE, CONTEXT_WINDOW))
        if not self.context:
            features[:, 2 * truth.shape[1] :] = 0
        probability = np.zeros(truth.shape)
        for number in range(n_folds):
            held = fold_number == number
            slopes, offsets = self._fit_context(features[~held], truth[~held])
            probability[held] = _logistic(features[held] @ slopes + offsets)
        slopes, offsets = self._fit_context(features, truth)

        say("compiling")
        ngrams = sorted(vector.vocabulary_, key=vector.vocabulary_.__getitem__)
        self.linear_ = Linear(
            ngrams=ngrams,
            idf=vector.idf_.astype(np.float32),
            weights=weights[:n_ngrams].astype(np.float32),
            terms={term: lexicon.columns[place] for term, place in lexicon.terms.items()},
            coverage_weights=weights[n_ngrams:],
            intercepts=intercepts,
            context_weights=slopes,
            context_intercepts=offsets,
            cap=COVERAGE_CAP,
        )
        self.vectorizer_, self.lexicon_, self.classes_ = vector, lexicon, np.array(names, object)
        self.oof_probability_ = probability
        self.model_ = self._model(known, names, truth, probability, groups)
        self._scorer = None
        return self

    _scorer: Any = None  # opened when first needed

    def decision_function(self, X: Sequence[str], documents: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Return decision values (log odds), shape ``(n_passages, n_categories)``."""
        check_is_fitted(self, "model_")
        texts = list(X)
        counts = [len(list(group)) for _, group in groupby(documents)] if documents is not None else [1] * len(texts)
        if self._scorer is None:
            self._scorer = self.model_.scorer()
        _, decisions = self._scorer.passages(texts, counts)
        return np.frombuffer(decisions, np.float64).reshape(len(texts), len(self.classes_))

    def predict_proba(self, X: Sequence[str], documents: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape ``(n_passages, n_categories)``."""
        return _logistic(self.decision_function(X, documents))

    def predict(self, X: Sequence[str], documents: Sequence[str] | None = None) -> Any:
        """Return what ``fit`` was given: a 0/1 matrix, or a list of tuples of category names."""
        tagged = self.predict_proba(X, documents) >= np.array(self.model_.thresholds)
        if self._matrix_labels:
            return tagged.astype(np.int64)
        return [tuple(self.classes_[row]) for row in tagged]

    def reference_scores(self, X: Sequence[str], *, clauses: bool = False) -> NDArray[np.float64]:
        """Return the scores of passages, or of clauses, as scikit-learn computes them: what every compiled scorer must equal."""
        tfidf = occurrences(self.vectorizer_, X) if clauses else self.vectorizer_.transform(X)
        matrix = stack(tfidf, self.lexicon_.coverage(X))
        weights = np.concatenate([self.linear_.weights.astype(np.float64), self.linear_.coverage_weights])
        return np.asarray(matrix @ weights + self.linear_.intercepts)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_scorer": None}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags

    def _targets(self, y: Any) -> tuple[tuple[Category, ...], list[str], NDArray[np.int8]]:
        self._matrix_labels = isinstance(y, np.ndarray) and y.dtype != object and y.ndim == 2
        if self._matrix_labels:
            truth = np.asarray(y, np.int8)
            if not np.array_equal(truth, y) or not np.isin(truth, (0, 1)).all():
                raise LabelError("a label matrix holds only 0 and 1")
            names = list(self.categories) if self.categories else [str(k) for k in range(truth.shape[1])]
            if len(names) != truth.shape[1]:
                raise LabelError(f"{truth.shape[1]} label columns and {len(names)} categories")
        else:
            rows = [[row] if isinstance(row, str) else list(row) for row in y]
            used = {name for row in rows for name in row}
            own = [category.name for category in read_categories()]
            names = list(self.categories) if self.categories else own if used and used <= set(own) else sorted(used)
            if not self.categories:
                names = [name for name in names if name in used]
            if not names:
                raise LabelError("no passage has a category", way_out="label some")
            truth = label_matrix(rows, names)
        shipped = {category.name: category for category in read_categories()}
        return tuple(shipped.get(name, Category(id=name, name=name)) for name in names), names, truth

    def _terms(self, categories: Sequence[Category]) -> Mapping[str, Term]:
        if self.lexicon is None:
            return {}
        if self.lexicon != "default":
            return read_lexicon(self.lexicon, categories)
        shipped = read_categories()
        if {category.name for category in categories} <= {category.name for category in shipped}:
            terms = read_lexicon(bundled("labels") / "lexicon.tsv", shipped)
            known = {category.name for category in categories}
            return {term: place for term, place in terms.items() if place.category in {*known, NEAR_MISS}}
        return {}

    def _stage_one(self, of: _Matrices, fold_number: NDArray[np.int64], chosen: NDArray[np.bool_] | None) -> _StageOne:
        """Fit a classifier for each fold and category, and for each category one to everything; ``chosen`` (n_clauses, K) are clauses to learn from."""
        n_folds, n_categories = fold_number.max() + 1, of.truth.shape[1]
        everything = np.ones(len(fold_number), bool)
        jobs = [(k, everything if number == n_folds else fold_number != number) for number in range(n_folds + 1) for k in range(n_categories)]
        svm = LinearSVC(C=self.C, random_state=self.seed)
        fits = Parallel(n_jobs=self.n_jobs)(delayed(_fit_svm)(svm, of, k, kept, None if chosen is None else chosen[:, k]) for k, kept in jobs)
        models = [tuple(np.array(part).T for part in zip(*fits[at : at + n_categories], strict=True)) for at in range(0, len(fits), n_categories)]
        scores, clause_scores = np.zeros(of.truth.shape), np.zeros((len(of.owner), n_categories))
        clause_fold = fold_number[of.owner]
        for number, (weights, intercepts) in enumerate(models[:-1]):
            scores[fold_number == number] = of.passages[fold_number == number] @ weights + intercepts
            clause_scores[clause_fold == number] = of.clauses[clause_fold == number] @ weights + intercepts
        return _StageOne(scores, clause_scores, *models[-1])

    def _fit_context(self, features: NDArray[np.float64], truth: NDArray[np.int8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        weights = np.zeros((features.shape[1], truth.shape[1]))
        intercepts = np.full(truth.shape[1], -5.0)
        for k in range(truth.shape[1]):
            if truth[:, k].any():
                logistic = LogisticRegression(C=1.0, max_iter=5000, tol=1e-6).fit(features, truth[:, k])
                weights[:, k], intercepts[k] = logistic.coef_[0], logistic.intercept_[0]
        return weights, intercepts

    def _model(
        self, categories: Sequence[Category], names: Sequence[str], truth: NDArray[np.int8], probability: NDArray[np.float64], groups: Sequence[str]
    ) -> Model:
        import hashlib

        import sklearn

        compiled = compile_scorer(self.linear_)
        thresholds = tuple(round(f1_threshold(truth[:, k], probability[:, k], groups, seed=self.seed), 2) for k in range(len(names)))
        meta = {
            "options": {
                "ngram_range": list(self.ngram_range),
                "min_df": self.min_df,
                "C": self.C,
                "context": self.context,
                "folds": self.folds,
                "coverage_cap": COVERAGE_CAP,
                "context_slope": CONTEXT_SLOPE,
                "context_window": CONTEXT_WINDOW,
            },
            "seed": self.seed,
            "n_passages": len(truth),
            "n_documents": len(set(groups)),
            "n_ngrams": len(self.linear_.ngrams),
            "n_terms": len(self.linear_.terms),
            "support": dict(zip(names, truth.sum(0).tolist(), strict=True)),
            "scorer_sha256": hashlib.sha256(compiled).hexdigest(),
            "libraries": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        }
        return Model(tuple(categories), thresholds, compiled, meta)


def evaluate_fit(classifier: PolicyClassifier, records: Sequence[LabelRecord], *, n_resamples: int = N_RESAMPLES) -> dict[str, Any]:
    """Return the figures of a fitted classifier on its own training documents, out of fold."""
    names = [str(name) for name in classifier.classes_]
    truth = label_matrix([record.labels for record in records], names)
    documents = [record.document for record in records]
    return evaluate(truth, classifier.oof_probability_, classifier.model_.thresholds, names, documents, seed=classifier.seed, n_resamples=n_resamples)


def save_fit(
    classifier: PolicyClassifier, figures: Mapping[str, Any], path: str | Path, *, categories: Sequence[Category], sources: Mapping[str, str]
) -> Model:
    """Write a fitted classifier as a model folder, with its figures, its sources' SHA-256 and its card. Returns the model."""
    by_name = {category.name: category for category in categories}
    fitted = classifier.model_
    model = Model(
        tuple(by_name[category.name] for category in fitted.categories),
        fitted.thresholds,
        fitted.compiled,
        {**fitted.meta, "sources": dict(sources), "metrics": dict(figures)},
        str(path),
    )
    save_model(model, classifier.linear_, path, model_card(model))
    return model


def _logistic(decision: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-decision))
