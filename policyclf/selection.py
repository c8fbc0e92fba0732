"""Pick the passages worth a person's time: uncertain, between two categories, unlike the training text, and some at random."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from policyclf.records import TaggedArticle, TaggedPassage
from policyclf.text import fold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from policyclf.model import Model
    from policyclf.tagger import Tagger

UNCERTAIN, CLOSE, UNLIKE, RANDOM = "不确定", "两类接近", "与训练文本不同", "随机抽查"
CELL = 32_767  # characters that an Excel cell holds
_SHARES = ((RANDOM, 0.2), (UNCERTAIN, 0.4), (CLOSE, 0.2), (UNLIKE, 0.2))
_SPREAD = 0.8  # each further passage of an article counts so much less, so that many articles are seen
_SHORTEST = 6  # folded characters: less is a heading or a crumb, and nothing to learn from


class Candidate(NamedTuple):
    """A passage by the numbers of its article and of itself; for each reason how much it speaks for a review, and in words."""

    article: int
    passage: int
    hash: str
    scores: dict[str, float]
    details: dict[str, str]


def passage_hash(text: str) -> str:
    """Return sixteen hexadecimal digits of a passage's folded text, the same for all its ways of being written."""
    return hashlib.sha256(fold(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def candidates(articles: Sequence[TaggedArticle], tagger: Tagger) -> list[Candidate]:
    """Return every passage that may be reviewed, the same passage once."""
    places: dict[str, tuple[int, int]] = {}
    for number, article in enumerate(articles):
        for index, passage in enumerate(article.passages):
            if len(fold(passage.text)) >= _SHORTEST and _writable(passage.text):
                places.setdefault(passage_hash(passage.text), (number, index))
    unknown = unknown_share(tagger.model, [articles[number].passages[index].text for number, index in places.values()])
    found = []
    for (key, (number, index)), share in zip(places.items(), unknown.tolist(), strict=True):
        passage = articles[number].passages[index]
        scores, details = _doubts(passage, tagger.categories, tagger.thresholds)
        scores[UNLIKE], details[UNLIKE] = share, f"{share:.0%} 的字组未在训练文本中出现"
        found.append(Candidate(number, index, key, scores, details))
    return found


def _doubts(passage: TaggedPassage, names: Sequence[str], thresholds: Sequence[float]) -> tuple[dict[str, float], dict[str, str]]:
    """Return how near a passage is to a threshold, and two of its categories to one another, both from 0 to 1."""
    logits = [_logit(p) for p in passage.probabilities]
    near = [(abs(logits[k] - _logit(t)), k) for k, t in enumerate(thresholds) if t < 1]
    scores, details = {}, {}
    if near:
        distance, k = min(near)
        scores[UNCERTAIN] = math.exp(-distance)
        details[UNCERTAIN] = f"{names[k]} 概率 {passage.probabilities[k]:.2f}，阈值 {thresholds[k]:.2f}"
    if len(names) > 1:
        second, first = sorted(range(len(names)), key=lambda k: logits[k])[-2:]
        # Two that are both nearly certain, or both nearly out of the question, are no riddle.
        doubt = 4 * passage.probabilities[first] * (1 - passage.probabilities[first])
        scores[CLOSE] = doubt * math.exp(logits[second] - logits[first])
        details[CLOSE] = "，".join(f"{names[k]} {passage.probabilities[k]:.2f}" for k in (first, second))
    return scores, details


def _logit(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def unknown_share(model: Model, texts: Sequence[str]) -> NDArray[Any]:
    """Return for each text the share (0 to 1) of its character n-grams of two characters and more that the model does not know."""
    import numpy as np

    from policyclf.scorer import numpy_scorer

    scorer = numpy_scorer(model.compiled)
    out = np.zeros(len(texts))
    step = 10_000
    for begin in range(0, len(texts), step):
        parts = [scorer.characters(text) for text in texts[begin : begin + step]]
        n = len(parts)
        lengths = np.array([len(part) for part in parts])
        chars = np.concatenate([piece for part in parts for piece in (part, [0])]).astype(np.int64)  # 0: no walk goes across
        owner = np.repeat(np.arange(n), lengths + 1)
        known, possible = np.zeros(n), np.zeros(n)
        levels, _ = scorer.walk(chars)
        for longer, level in enumerate(levels[1:], 1):
            known += np.bincount(owner[level != 0], minlength=n)
            possible += np.maximum(lengths - longer, 0)
        out[begin : begin + n] = 1 - known / np.maximum(possible, 1)
    return out


def pick(found: Sequence[Candidate], n: int, seed: int) -> list[tuple[Candidate, str]]:
    """Return the chosen passages with their reasons, article by article in reading order."""

    def lot(candidate: Candidate) -> bytes:
        return hashlib.sha256(f"{seed}/{candidate.hash}".encode()).digest()

    def by(reason: str) -> list[Candidate]:
        rank: dict[int, int] = {}
        weighted = []
        for candidate in sorted((c for c in found if reason in c.scores), key=lambda c: (-c.scores[reason], c.hash)):
            before = rank[candidate.article] = rank.get(candidate.article, -1) + 1
            weighted.append((-candidate.scores[reason] * _SPREAD**before, candidate.hash, candidate))
        return [candidate for _, _, candidate in sorted(weighted, key=lambda entry: entry[:2])]

    chosen: dict[str, tuple[Candidate, str]] = {}
    for reason, share in (*_SHARES, (UNCERTAIN, 1.0)):  # what one reason cannot fill, the most uncertain do
        quota = min(n, len(chosen) + max(1, round(n * share)))
        for candidate in sorted(found, key=lot) if reason == RANDOM else by(reason):
            if len(chosen) >= quota:
                break
            chosen.setdefault(candidate.hash, (candidate, reason))
    return sorted(chosen.values(), key=lambda pair: pair[0][:2])


def _writable(text: str) -> bool:
    from policyclf.table import plain

    # The last is how Excel escapes a character; what looks like one comes back as another text.
    return len(text) <= CELL and plain(text) == text and not re.search("_x[0-9A-Fa-f]{4}_", text)
