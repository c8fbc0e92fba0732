"""What each part of the model brings: the shipped configuration, and the same with one thing changed.

    python experiments/ablations.py [EVALUATION.jsonl...]

Every variant is measured on the authored documents, out of fold by document, and on the given evaluation files, each
document in order so that context counts. The texts of these files are not part of this project; their SHA-256 is stored.
Every figure has a 95 % interval resampled by document, and every variant the paired interval of its difference to the
shipped configuration. Writes experiments/results/ablations.json and learning_curve.png.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import train
from sklearn.feature_selection import chi2
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from policyclf.compiler import CONTEXT_SLOPE, CONTEXT_WINDOW
from policyclf.fallback import context_features
from policyclf.features import COVERAGE_CAP, Lexicon, fitted_vectorizer, occurrences, vectorizer
from policyclf.labels import NEAR_MISS, document_folds, label_files, label_matrix, read_categories, read_labels, read_lexicon, sha256_of
from policyclf.metrics import N_RESAMPLES, average_precision, divide, f1_threshold, precision_recall_f1
from policyclf.records import TIERS, LabelRecord
from policyclf.text import clauses, fold
from policyclf.train import TERM_WEIGHT, PolicyClassifier

SHIPPED = PolicyClassifier(min_df=train.MIN_DF).get_params()
BLOCKS = ("own", "clause", "previous", "next", "window", "heading", "document")
CHARS = (("char", *SHIPPED["ngram_range"]),)
PRIOR = 5.0  # passages' worth of the category's own precision in the learned weight of a term
SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)


# --------------------------------------------------------------------------- texts and figures; peers.py uses them too


@dataclass(frozen=True)
class Texts:
    """Labelled passages, those of a document together."""

    texts: list[str]
    documents: list[str]
    truth: np.ndarray

    @property
    def counts(self) -> list[int]:
        """How many passages each document has."""
        return [len(list(group)) for _, group in groupby(self.documents)]

    def take(self, rows: np.ndarray) -> Texts:
        """Return some of the passages."""
        return Texts([self.texts[i] for i in rows], [self.documents[i] for i in rows], self.truth[rows])


def read(files: Sequence[str | Path], names: Sequence[str], documents: int = 0) -> Texts:
    """Read labelled passages; of ``documents`` documents spread over the files, or of all."""
    records: list[LabelRecord] = read_labels(files, read_categories())
    if documents:
        found = list(dict.fromkeys(record.document for record in records))
        kept = set(found[:: max(1, len(found) // documents)])
        records = [record for record in records if record.document in kept]
    return Texts([r.text for r in records], [r.document for r in records], label_matrix([r.labels for r in records], names))


def draw_figures(part: Texts, tagged: np.ndarray, probability: np.ndarray, n: int) -> np.ndarray:
    """Return macro-F1, macro average precision and each F1 of ``n`` resamples by document, shape ``(n, 2 + n_categories)``.

    The resamples are those of :func:`policyclf.metrics.resample`, computed from counts: a document drawn twice has weight 2.
    """
    number = {name: i for i, name in enumerate(dict.fromkeys(part.documents))}
    owner = np.array([number[name] for name in part.documents])
    random = np.random.default_rng(0)
    weight = np.stack([np.bincount(random.integers(len(number), size=len(number)), minlength=len(number)) for _ in range(n)]).astype(np.float32)

    def by_document(table: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(owner, column, len(number)) for column in table.T], axis=1)

    truth = part.truth
    hits, said, there = (weight.astype(float) @ by_document(table * 1.0) for table in (truth * tagged, tagged, truth))
    f1 = divide(2 * hits, said + there)
    precision = np.zeros_like(f1)
    for k in range(truth.shape[1]):
        order = np.argsort(-probability[:, k], kind="stable")
        p = probability[order, k]
        last = np.append(p[1:] != p[:-1], True)
        y = truth[order, k].astype(np.float32)
        for start in range(0, n, 100):
            w = weight[start : start + 100, owner[order]]
            everything = np.cumsum(w, axis=1)[:, last]
            found = np.cumsum(w * y, axis=1)[:, last]
            gained = np.diff(found, axis=1, prepend=0)
            precision[start : start + 100, k] = divide((gained * divide(found, everything)).sum(1), found[:, -1])
    return np.column_stack([f1.mean(1), precision.mean(1), f1])


def figures(
    part: Texts, names: Sequence[str], probability: np.ndarray, tagged: np.ndarray, *, n: int, reference: np.ndarray | None = None
) -> tuple[dict[str, Any], np.ndarray]:
    """Return the figures of one contender, ready for JSON, and their resamples; ``reference`` holds those of whom it is compared with."""
    f1 = precision_recall_f1(part.truth, tagged)[2]
    point = np.array([f1.mean(), average_precision(part.truth, probability).mean(), *f1])
    draws = draw_figures(part, tagged, probability, n)
    keys = ["macro_f1", "macro_average_precision", *names]
    intervals = np.quantile(draws, [0.025, 0.975], axis=0).T
    row: dict[str, Any] = {}
    for key, value, bounds in zip(keys, point, intervals, strict=True):
        target = row if key not in names else row.setdefault("f1", {})
        target[key] = {"value": short(value), "interval": short(bounds)}
    if reference is not None:
        lost = np.quantile(draws - reference[1:], [0.025, 0.975], axis=0).T
        row["difference"] = {key: {"value": short(point[i] - reference[0, i]), "interval": short(lost[i])} for i, key in enumerate(keys[:2])}
    row |= {"n": len(part.texts), "n_documents": len(set(part.documents))}
    return row, np.concatenate([point[None], draws])


def short(value: Any) -> Any:
    """Round to four places: more would be noise."""
    return np.round(np.asarray(value, float), 4).tolist()


# --------------------------------------------------------------------------- variants


@dataclass(frozen=True)
class Variant:
    """The shipped configuration, where nothing else is said."""

    group: str
    name: str
    grams: tuple[tuple[str, int, int], ...] = CHARS
    across: bool = False  # n-grams that go on from one clause to the next
    sublinear: bool = True  # in passages
    occurrences: bool = True  # in clauses, else as in passages
    select: int = 0
    lexicon: str = "coverage"
    term_weight: float = TERM_WEIGHT  # 0: no terms among the passages
    taught: tuple[bool, ...] = (False, True)  # the model is the mean of one taught by passages and one by their strongest clauses, too
    learner: str = "svm"
    C: float = SHIPPED["C"]
    balanced: bool = False
    min_df: int = SHIPPED["min_df"]
    blocks: tuple[str, ...] = BLOCKS
    rules: tuple[str, ...] = ("one standard error",)


def variants(everything: bool) -> Iterator[Variant]:
    """Yield what is compared; what earlier runs settled (results/ablations_before.json) only where everything is asked for."""
    low, high = SHIPPED["ngram_range"]
    yield Variant("shipped", f"characters {low}-{high}, lexicon, linear SVM, clauses, context, one standard error")
    yield Variant("n-grams", "characters 1-2", grams=(("char", 1, 2),))
    yield Variant("n-grams", "across clauses too, idf of passages and terms", across=True)
    yield Variant("weighting", "clauses weighted as passages are", occurrences=False)
    yield Variant("lexicon", "none", lexicon="none", term_weight=0)
    yield Variant("lexicon", "coverage alone, no terms among the passages", term_weight=0)
    yield Variant("lexicon", "terms among the passages alone, no coverage", lexicon="none")
    yield Variant("lexicon", "terms among the passages with weight 0.03", term_weight=0.03)
    yield Variant("clauses", "taught by passages alone", taught=(False,))
    yield Variant("clauses", "taught by passages and clauses alone", taught=(True,))
    yield Variant("clauses", "no strongest clause", blocks=tuple(block for block in BLOCKS if block != "clause"))
    yield Variant("clauses", "strongest clause instead of the passage", blocks=BLOCKS[1:])
    yield Variant("context", "none", blocks=BLOCKS[:2])
    yield from (Variant("context", f"{block} alone", blocks=(*BLOCKS[:2], block)) for block in BLOCKS[2:])
    yield Variant("context", "both neighbours alone", blocks=(*BLOCKS[:2], "previous", "next"))
    yield from (Variant("context", f"all but {block}", blocks=tuple(b for b in BLOCKS if b != block)) for block in BLOCKS[2:])
    yield Variant("thresholds", "", rules=("0.5", "best F1", "best F1 on the measured text itself: an upper bound"))
    if everything:
        yield Variant("n-grams", "jieba words 1-2", grams=(("word", 1, 2),))
        yield Variant("weighting", "30,000 best by chi-squared", select=30_000)
        yield Variant("lexicon", "none, no clauses and no context", lexicon="none", term_weight=0, taught=(False,), blocks=BLOCKS[:1])
        yield Variant("lexicon", "both tiers in one", lexicon="one tier")
        yield Variant("lexicon", "coverage by the first tier alone", lexicon="first tier")
        yield Variant("lexicon", "without near-miss terms", lexicon="no near misses")
        yield Variant("lexicon", "terms weighted by learned precision, shrunk to their category's", lexicon="precision")
        yield Variant("learner", "linear SVM, balanced class weights", balanced=True)
        yield Variant("learner", "logistic regression, C 10", learner="logistic", C=10.0)


@dataclass
class Bench:
    """Texts, and the features of them that several variants share."""

    names: list[str]
    parts: dict[str, Texts]
    lexicon: Lexicon
    lexicon_file: Path
    n_resamples: int
    reference: dict[str, np.ndarray] = field(default_factory=dict)
    cache: dict[Any, Any] = field(default_factory=dict)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """Make something the first time it is asked for."""
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]

    def clauses(self, part: str) -> tuple[list[str], np.ndarray]:
        """Return the clauses of all passages of a part, and the first clause of each passage."""

        def make() -> Any:
            cut = [clauses(fold(text)) or [""] for text in self.parts[part].texts]
            return [clause for parts in cut for clause in parts], np.cumsum([0, *map(len, cut)])[:-1]

        return self.once(("clauses", part), make)

    def owner(self, part: str) -> np.ndarray:
        """Return the passage of each clause of a part."""
        found, first = self.clauses(part)
        return np.repeat(np.arange(len(first)), np.diff(first, append=len(found)))

    def texts(self, part: str) -> list[str]:
        """Return the texts of a part: its passages, its clauses, or the lexicon's terms."""
        if part in ("terms", "no terms"):
            return list(self.lexicon.terms) if part == "terms" else []
        return self.clauses(part.removesuffix(" clauses"))[0] if part.endswith(" clauses") else self.parts[part].texts

    def words(self, part: str) -> list[list[str]]:
        """Return the texts of a part as words."""
        import jieba

        jieba.setLogLevel(60)
        return self.once(("words", part), lambda: [[word for word in jieba.cut(text) if word.strip()] for text in self.texts(part)])

    def ngrams(self, variant: Variant, part: str) -> Any:
        """Return the n-grams of a part, several kinds side by side; vocabulary and idf come from what the variant trains on."""
        taught = "terms" if variant.term_weight else "no terms"

        def inputs(kind: str, part: str) -> Any:
            return self.texts(part) if kind == "char" else self.words(part)

        def fit(kind: str, low: int, high: int) -> Any:
            texts, terms = inputs(kind, "authored"), inputs(kind, taught)
            if kind == "char" and not variant.across:
                return fitted_vectorizer(texts, terms, (low, high), variant.min_df).set_params(sublinear_tf=variant.sublinear)
            vector = vectorizer((low, high), variant.min_df).set_params(sublinear_tf=variant.sublinear)
            if kind == "word":
                vector.set_params(analyzer="word", tokenizer=list, preprocessor=list, token_pattern=None)
            return vector.fit([*texts, *terms])

        def transform(gram: tuple[str, int, int]) -> Any:
            key = (gram, variant.across, variant.sublinear, variant.min_df, taught)
            vector = self.once(key, lambda: fit(*gram))
            by_occurrence = variant.occurrences and part.endswith(" clauses")
            weigh = (lambda texts: occurrences(vector, texts)) if by_occurrence else vector.transform
            return self.once((*key, by_occurrence, part), lambda: weigh(inputs(gram[0], part)))

        if not variant.grams:
            return scipy.sparse.csr_matrix((len(self.texts(part)), 0))
        return scipy.sparse.hstack([transform(gram) for gram in variant.grams], format="csr")

    def covered(self, part: str) -> Any:
        """Return how many characters of each text each term covers, shape ``(n_texts, n_terms)``."""

        def make() -> Any:
            number = {term: i for i, term in enumerate(self.lexicon.terms)}
            cells = [(row, number[term], len(term)) for row, text in enumerate(self.texts(part)) for _, term in self.lexicon.matches(fold(text))]
            rows, columns, lengths = np.array(cells, int).reshape(-1, 3).T
            return scipy.sparse.csr_matrix((lengths.astype(float), (rows, columns)), (len(self.texts(part)), len(number)))

        return self.once(("covered", part), make)

    def coverage(self, part: str) -> np.ndarray:
        """Return the lexicon's coverage of a part."""
        return self.once(("coverage", part), lambda: self.lexicon.coverage(self.texts(part)))


class StageOne:
    """Stage one of a variant, fitted on some of the authored passages and on the clauses ``chosen`` of them (n_clauses, n_categories)."""

    def __init__(self, bench: Bench, variant: Variant, rows: np.ndarray, chosen: np.ndarray | None) -> None:
        self.bench, self.variant, self.rows = bench, variant, rows
        authored = bench.parts["authored"].truth
        truth = authored[rows]
        if variant.lexicon == "precision":
            self._learn_precision()
        matrix = self.features("authored")[rows]
        terms = bench.lexicon.terms if variant.term_weight else {}
        n_grams = bench.ngrams(variant, "authored").shape[1]
        if terms:
            nothing = scipy.sparse.csr_matrix((len(terms), matrix.shape[1] - n_grams))  # that a term covers itself says nothing
            matrix = scipy.sparse.vstack([matrix, scipy.sparse.hstack([bench.ngrams(variant, "terms"), nothing])], format="csr")
            truth = np.concatenate([truth, label_matrix([() if term.category == NEAR_MISS else (term.category,) for term in terms.values()], bench.names)])
        weight = np.repeat([1.0, variant.term_weight], [len(rows), len(terms)])
        self.weights = np.zeros((matrix.shape[1], truth.shape[1]))
        self.intercepts = np.full(truth.shape[1], -1.0)
        for k in range(truth.shape[1]):
            if not truth[:, k].any():
                continue
            more, labels, weights = matrix, truth[:, k], weight
            if chosen is not None:
                owner = bench.owner("authored")
                here = np.flatnonzero(chosen[:, k] & np.isin(owner, rows))
                more = scipy.sparse.vstack([matrix, self.features("authored clauses")[here]], format="csr")
                labels = np.concatenate([labels, authored[owner[here], k]])
                weights = np.concatenate([weight, np.ones(len(here))])
            self.weights[:, k], self.intercepts[k] = self._fit(more, labels, weights, n_grams)

    def features(self, part: str) -> Any:
        """Return the n-grams and the lexicon's columns of a part."""
        return scipy.sparse.hstack([self.bench.ngrams(self.variant, part), self.lexicon(part)], format="csr")

    def scores(self, part: str) -> np.ndarray:
        """Return the scores of a part, shape ``(n_texts, n_categories)``."""
        return np.asarray(self.features(part) @ self.weights + self.intercepts)

    def _fit(self, matrix: Any, truth: np.ndarray, weight: np.ndarray, n_grams: int) -> tuple[np.ndarray, float]:
        variant = self.variant
        scale = np.ones(matrix.shape[1])
        if variant.select:
            value = np.nan_to_num(chi2(scipy.sparse.diags(weight) @ matrix[:, :n_grams], truth)[0])
            scale[:n_grams][np.argsort(-value, kind="stable")[variant.select :]] = 0
        if (scale != 1).any():
            matrix = (matrix @ scipy.sparse.diags(scale)).tocsr()
        balance = "balanced" if variant.balanced else None
        if variant.learner == "logistic":
            model: Any = LogisticRegression(C=variant.C, class_weight=balance, solver="liblinear", random_state=0)
        else:
            model = LinearSVC(C=variant.C, class_weight=balance, random_state=0)
        model.fit(matrix, truth, weight)
        return model.coef_[0] * scale, float(model.intercept_[0])

    def lexicon(self, part: str) -> Any:
        """Return the lexicon's columns of a part."""
        kind = self.variant.lexicon
        if kind == "none":
            return scipy.sparse.csr_matrix((len(self.bench.texts(part)), 0))
        if kind == "precision":
            return scipy.sparse.csr_matrix(self._weighted_coverage(part))
        coverage = self.bench.coverage(part)
        tiers = coverage.reshape(len(coverage), TIERS, -1)
        if kind == "no near misses":
            coverage = tiers[:, :, :-1].reshape(len(coverage), -1)
        if kind == "one tier":
            coverage = np.minimum(tiers.sum(1), 1)
        if kind == "first tier":
            coverage = tiers[:, 0]
        return scipy.sparse.csr_matrix(coverage)

    def _learn_precision(self) -> None:
        """Count, for each term, the passages it occurs in and those of them that carry its category."""
        bench = self.bench
        authored = bench.parts["authored"]
        number = {name: k for k, name in enumerate([*bench.names, NEAR_MISS])}
        self.column = np.array([number[term.category] for term in bench.lexicon.terms.values()])
        truth = np.column_stack([authored.truth, ~authored.truth.any(1)])
        cells = bench.covered("authored").tocoo()
        inside = np.isin(cells.row, self.rows)
        row, term = cells.row[inside], cells.col[inside]
        right = truth[row, self.column[term]].astype(float)
        number = {name: i for i, name in enumerate(dict.fromkeys(authored.documents))}
        document = np.array([number[name] for name in authored.documents])
        shape = (len(number), len(self.column))
        self.document = document
        self.seen = scipy.sparse.csr_matrix((np.ones(len(row)), (document[row], term)), shape)
        self.right = scipy.sparse.csr_matrix((right, (document[row], term)), shape)
        total = np.bincount(self.column[term], minlength=truth.shape[1])
        self.prior = (np.bincount(self.column[term], right, truth.shape[1]) + 1) / (total + 2)

    def _weighted_coverage(self, part: str) -> np.ndarray:
        cells = self.bench.covered(part).tocoo()
        seen, right = (np.asarray(table.sum(0)).ravel()[cells.col] for table in (self.seen, self.right))
        if part.startswith("authored") and len(cells.row):  # a passage's own document says nothing of its own weights
            own = self.document[cells.row if part == "authored" else self.bench.owner("authored")[cells.row]]
            seen = seen - np.asarray(self.seen[own, cells.col]).ravel()
            right = right - np.asarray(self.right[own, cells.col]).ravel()
        prior = self.prior[self.column[cells.col]]
        weight = (right + PRIOR * prior) / (seen + PRIOR) / prior
        width = len(self.prior)
        flat = np.bincount(cells.row * width + self.column[cells.col], cells.data * weight, cells.shape[0] * width)
        return np.minimum(flat.reshape(-1, width), COVERAGE_CAP) / COVERAGE_CAP


def stage_one(bench: Bench, variant: Variant) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the scores of stage one, and what the passages' clauses score: of the authored passages out of fold."""
    alike = replace(variant, group="", name="", taught=(), blocks=BLOCKS, rules=())
    plain = bench.once(alike, lambda: one_round(bench, variant, None))
    rounds = [plain] if False in variant.taught else []
    if True in variant.taught:
        values, first, owner = plain["authored clauses"], bench.clauses("authored")[1], bench.owner("authored")
        strongest = values == np.maximum.reduceat(values, first)[owner]
        rounds.append(one_round(bench, variant, strongest & (np.bincount(owner) > 1)[owner][:, None]))
    scores = {part: np.mean([found[part] for found in rounds], axis=0) for part in plain}
    return scores, {part: np.maximum.reduceat(scores[f"{part} clauses"], bench.clauses(part)[1]) for part in bench.parts}


def one_round(bench: Bench, variant: Variant, chosen: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return the scores of each part and of its clauses, those of the authored ones out of fold."""
    number = folds(bench)
    width = len(bench.names)
    scores = {name: np.zeros((len(bench.texts(name)), width)) for part in bench.parts for name in (part, f"{part} clauses")}
    of_clauses = number[bench.owner("authored")]
    for k in range(number.max() + 1):
        stage = StageOne(bench, variant, np.flatnonzero(number != k), chosen)
        for part, fold_of in (("authored", number), ("authored clauses", of_clauses)):
            scores[part][fold_of == k] = stage.scores(part)[fold_of == k]
    if "real" in bench.parts:
        stage = StageOne(bench, variant, np.arange(len(number)), chosen)
        for part in ("real", "real clauses"):
            scores[part] = stage.scores(part)
    return scores


def folds(bench: Bench) -> np.ndarray:
    """Return the fold of each authored passage."""
    documents = bench.parts["authored"].documents
    return document_folds(documents, min(SHIPPED["folds"], len(set(documents))), SHIPPED["seed"])


def probabilities(bench: Bench, variant: Variant) -> dict[str, np.ndarray]:
    """Return the probabilities of a variant: of the authored passages out of fold, of the real ones from all authored passages."""
    authored, parts, number = bench.parts["authored"], list(bench.parts), folds(bench)
    alike = replace(variant, group="", name="", blocks=BLOCKS, rules=())  # variants of stage two have the same stage one
    scores, pooled = bench.once(alike, lambda: stage_one(bench, variant))

    width = authored.truth.shape[1]
    kept = [BLOCKS.index(block) * width + k for block in variant.blocks for k in range(width)]
    seen = {}
    for part in parts:
        text = bench.parts[part]
        seen[part] = context_features(scores[part], pooled[part], text.texts, text.counts, (CONTEXT_SLOPE, CONTEXT_WINDOW))[:, kept]
    out = {part: np.zeros(bench.parts[part].truth.shape) for part in parts}
    for k in range(width):
        for part, held in [("authored", number == j) for j in range(number.max() + 1)] + [("real", None)] * ("real" in parts):
            fit = ~held if held is not None else slice(None)
            rows = held if held is not None else slice(None)
            if authored.truth[fit, k].any():
                model = LogisticRegression(C=1.0, max_iter=5000, tol=1e-6).fit(seen["authored"][fit], authored.truth[fit, k])
                out[part][rows, k] = model.predict_proba(seen[part][rows])[:, 1]
    return out


def threshold(rule: str, truth: np.ndarray, probability: np.ndarray, documents: Sequence[str]) -> float:
    """Return the threshold of one category by a rule."""
    if rule == "0.5":
        return 0.5
    if rule == "one standard error":
        return round(f1_threshold(truth, probability, documents, seed=SHIPPED["seed"]), 2)
    return best_threshold(truth, probability)


def best_threshold(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the threshold of the highest F1, half way between two scores."""
    order = np.argsort(-score, kind="stable")
    hits, p = np.cumsum(truth[order]), score[order]
    f1 = 2 * hits / (np.arange(1, len(p) + 1) + truth.sum())
    f1[:-1][p[1:] == p[:-1]] = 0
    best = int(np.argmax(f1))
    return float((p[best] + p[best + 1]) / 2) if best + 1 < len(p) else float(p[best])


def measure(bench: Bench, variant: Variant) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Return a row for each threshold rule of a variant, and the resamples of the last."""
    probability = probabilities(bench, variant)
    rows, draws = [], {}
    for rule in variant.rules:
        row: dict[str, Any] = {"group": variant.group, "name": variant.name or rule}
        for part, text in bench.parts.items():
            own = part if "itself" in rule else "authored"
            source = bench.parts[own]
            chosen = [threshold(rule, source.truth[:, k], probability[own][:, k], source.documents) for k in range(len(bench.names))]
            tagged = (probability[part] >= chosen).astype(np.int64)
            row[part], draws[part] = figures(text, bench.names, probability[part], tagged, n=bench.n_resamples, reference=bench.reference.get(part))
            row[part]["thresholds"] = short(chosen)
        rows.append(row)
    return rows, draws


def learn(bench: Bench, share: float, seed: int) -> dict[str, Any]:
    """Train on a share of the documents; every authored passage is out of fold, or of a document that was left out."""
    authored = bench.parts["authored"]
    found = list(dict.fromkeys(authored.documents))
    kept = set(np.random.default_rng(seed).permutation(found)[: max(2, round(share * len(found)))].tolist())
    inside = np.array([name in kept for name in authored.documents])
    some, rest = authored.take(np.flatnonzero(inside)), authored.take(np.flatnonzero(~inside))
    if some.truth.sum(0).min() < 2:
        return {}
    classifier = PolicyClassifier(categories=bench.names, lexicon=bench.lexicon_file, min_df=train.MIN_DF, seed=seed).fit(
        some.texts, some.truth, some.documents
    )
    classifier._matrix_labels = True
    probability = {"authored": np.zeros(authored.truth.shape)}
    probability["authored"][inside] = classifier.oof_probability_
    if rest.texts:
        probability["authored"][~inside] = classifier.predict_proba(rest.texts, rest.documents)
    if "real" in bench.parts:
        probability["real"] = classifier.predict_proba(bench.parts["real"].texts, bench.parts["real"].documents)
    row: dict[str, Any] = {"share": share, "seed": seed, "documents": len(kept), "passages": len(some.texts)}
    for part, text in bench.parts.items():
        tagged = (probability[part] >= classifier.model_.thresholds).astype(np.int64)
        row[part], _ = figures(text, bench.names, probability[part], tagged, n=bench.n_resamples)
    return row


# --------------------------------------------------------------------------- running


def open_bench(files: Sequence[str], smoke: str | None = None) -> Bench:
    """Read the labels, the lexicon and the evaluation files; a few of each for a smoke test in a folder."""
    categories = read_categories(train.ROOT / "labels" / "categories.json")
    names = [category.name for category in categories]
    lexicon = train.ROOT / "labels" / "lexicon.tsv"
    if smoke:
        lines = lexicon.read_text(encoding="utf-8").splitlines()
        lexicon = Path(smoke) / "lexicon.tsv"
        lexicon.write_text("\n".join(lines[::40]), encoding="utf-8")
    parts = {"authored": read(label_files()[1:3] if smoke else label_files(), names, 20 if smoke else 0)}
    if files:
        parts["real"] = read(files, names, 6 if smoke else 0)
    return Bench(names, parts, Lexicon(read_lexicon(lexicon, categories), names), lexicon, 20 if smoke else N_RESAMPLES)


_bench: list[Bench] = []  # one a process


def _start(bench: Bench) -> None:
    threadpool_limits(1)
    _bench[:] = [bench]


def _work(task: Any) -> Any:
    return measure(_bench[0], task)[0] if isinstance(task, Variant) else learn(_bench[0], *task)


def spread(tasks: Sequence[Any], work: Callable[[Any], Any], start: Callable[..., None], arguments: tuple[Any, ...], jobs: int) -> Iterator[Any]:
    """Do tasks in several processes, each of which calls ``start`` once; yields results in the order of the tasks."""
    if jobs == 1:
        start(*arguments)
        yield from map(work, tasks)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), start, arguments) as pool:
        yield from pool.map(work, tasks)


def draw_curve(rows: Sequence[dict[str, Any]]) -> None:
    """Draw macro-F1 by the number of training passages: the mean over seeds, each seed, and the mean interval."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4.2))
    for part, colour in (("authored", "#0072B2"), ("real", "#D55E00")):
        if part not in rows[0]:
            continue
        shares = sorted({row["share"] for row in rows})
        groups = [[row for row in rows if row["share"] == share] for share in shares]
        x = [np.mean([row["passages"] for row in group]) for group in groups]
        mean = [np.mean([row[part]["macro_f1"]["value"] for row in group]) for group in groups]
        low, high = (np.array([np.mean([row[part]["macro_f1"]["interval"][side] for row in group]) for group in groups]) for side in (0, 1))
        axes.plot(x, mean, marker="o", color=colour, label=f"{part} documents, n = {rows[0][part]['n']:,} passages")
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.scatter([row["passages"] for row in rows], [row[part]["macro_f1"]["value"] for row in rows], s=8, color=colour)
    axes.set(xscale="log", xlabel="training passages", ylabel="macro-F1", title="Learning curve, whole documents drawn at random")
    axes.set_xticks(x, [f"{round(value, -2):,.0f}" for value in x])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    train.save(figure, "learning_curve")


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print a line for each variant."""
    for row in rows:
        line = []
        for part in ("authored", "real"):
            if part in row:
                f1, difference, precision = row[part]["macro_f1"], row[part].get("difference"), row[part]["macro_average_precision"]["value"]
                line.append(f"{part} F1 {f1['value']:.3f} [{f1['interval'][0]:.3f}, {f1['interval'][1]:.3f}] AP {precision:.3f}")
                if difference:
                    low, high = difference["macro_f1"]["interval"]
                    line.append(f"{difference['macro_f1']['value']:+.3f} [{low:+.3f}, {high:+.3f}]")
        label = f"{row['group']}: {row['name']}" if "group" in row else f"{row['share']:.0%} of the documents, seed {row['seed']}"
        print(f"{label:<82}", "  ".join(line), flush=True)


def arguments(text: str) -> argparse.Namespace:
    """Read the command line that the experiments share."""
    parser = argparse.ArgumentParser(description=text.split("\n", 1)[0])
    parser.add_argument("evaluation", nargs="*", help="labelled real text, JSON Lines")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--all", action="store_true", help="ablations.py: also what earlier runs settled, and the learning curve")
    parser.add_argument("--smoke", metavar="FOLDER", help=argparse.SUPPRESS)  # a few documents, results into FOLDER: for the tests
    options = parser.parse_args()
    if options.smoke:
        train.RESULTS, options.jobs = Path(options.smoke), 1
    return options


def main() -> None:
    options = arguments(__doc__ or "")
    first, *others = list(variants(options.all))[:: 8 if options.smoke else 1]
    sources = {"labels": sha256_of([*label_files(), train.ROOT / "labels" / "lexicon.tsv"]), "files": sha256_of(options.evaluation)}
    bench = open_bench(options.evaluation, options.smoke)
    with threadpool_limits(1):
        rows, reference = measure(bench, first)
    show(rows)
    scores = {key: value for key, value in bench.cache.items() if isinstance(key, Variant)}
    bench = replace(bench, reference=reference, cache=scores)  # what the processes get
    curve: list[dict[str, Any]] = []
    shares = [(share, 0) for share in reversed(SHARES[-2:] if options.smoke else SHARES) if options.all or options.smoke]
    for tasks in (others, shares):
        for found in spread(tasks, _work, _start, (bench,), options.jobs):
            if isinstance(found, list):
                rows += found
                show(found)
            elif found:
                curve.append(found)
                show([found])
        curve.sort(key=lambda row: (row["share"], row["seed"]))
        about = {"authored": "authored passages, out of fold by document", "real": "real passages, adjudicated labels"}
        train.store("ablations", {**about, **sources, "variants": rows, "learning_curve": curve})
    if curve:
        draw_curve(curve)


if __name__ == "__main__":
    main()
