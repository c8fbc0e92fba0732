"""Score with NumPy alone: the same sums as the native core, over whole batches of passages.

One walk over all passages at once: level by level, every position that still matches takes one step down the trie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from policyclf.records import TIERS
from policyclf.scorer import CODE_BASE, CONTEXT_BLOCKS, DROPPED, HEADER, N_MARKS, PAGE
from policyclf.text import clauses, fold, is_heading, split

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES = {"pages": "<u2", "points": "<u4", "bases": "<u4", "edges": "<u8", "rows": "<f4", "numbers": "<f8"}
_LARGEST = np.float32(1e30)  # no number of a model is larger: sums and products of sane ones never overflow
_BATCH = 1 << 15  # characters walked at once: larger arrays leave the cache, smaller ones pay for more calls


class NumpyScorer:
    """Scores from a compiled model; ``data`` must have passed :func:`policyclf.scorer.check`."""

    def __init__(self, data: bytes | memoryview) -> None:
        _, _, k, width, nodes, self._first, slots, longest, depth, _, window, *offsets = HEADER.unpack_from(data)
        sizes = {"bases": self._first, "edges": slots, "rows": nodes * width}
        arrays = {
            name: np.frombuffer(data, dtype, sizes.get(name, (end - start) // np.dtype(dtype).itemsize), start)
            for (name, dtype), start, end in zip(_DTYPES.items(), offsets[:-1], offsets[1:], strict=True)
        }
        self.n_categories, self.longest, self.window, self._depth = k, longest, window, depth
        self._points = arrays["points"]
        self._pages = arrays["pages"].astype(np.int64) * PAGE
        self._edges = arrays["edges"].astype(np.int64)
        self._bases = arrays["bases"].astype(np.int64)
        self._rows = arrays["rows"].reshape(-1, width)
        self._check(arrays["numbers"])
        codes = self._rows[:, 1 + k].astype(np.int64)
        self._values, self._columns = codes // CODE_BASE, codes % CODE_BASE
        numbers = arrays["numbers"]
        shapes = ((), (), (TIERS * (k + 1), k), (k,), (CONTEXT_BLOCKS * k, k), (k,))
        parts, at = [], 0
        for shape in shapes:
            size = int(np.prod(shape, dtype=int))
            parts.append(numbers[at : at + size].reshape(shape))
            at += size
        self._cap, self._slope, self._coverage, self._intercepts, self._context, self._context_intercepts = parts

    def _check(self, numbers: NDArray[np.float64]) -> None:
        """Refuse what would lead out of a section or overflow, as the native core does."""
        chars = self._points & np.uint32(0xFFFF)
        edges = self._edges[self._edges != 0]
        char, child = edges >> 48 & 0xFFFF, edges >> 24 & 0xFFFFFF
        most = len(self._edges) - self._first  # a base + any character is a slot
        codes = self._rows[:, 1 + self.n_categories]
        if (self._pages >= len(self._points)).any() or ((chars >= self._first) & (chars != DROPPED)).any():
            raise ValueError("a code point leads nowhere")
        if (char == 0).any() or (char >= self._first).any() or (child == 0).any() or (child >= len(self._rows)).any():
            raise ValueError("an edge leads nowhere")
        if (self._bases > most).any() or (edges & 0xFFFFFF > most).any():
            raise ValueError("an edge leads nowhere")
        if not (np.abs(self._rows) < _LARGEST).all() or not (np.abs(numbers) < _LARGEST).all() or not numbers[0] > 0:
            raise ValueError("a weight is no number")
        if (codes < 0).any() or (codes >= CODE_BASE * CODE_BASE).any() or (codes % CODE_BASE >= TIERS * (self.n_categories + 1)).any():
            raise ValueError("a term belongs to no category")

    def articles(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Split and score whole articles.

        Returns the number of passages of each text, their (start, end) of shape ``(n, 2)``, the scores of each passage
        on its own and the decision values with context, both of shape ``(n, n_categories)``.
        """
        pieces = [list(split(text)) for text in texts]
        counts = np.array([len(part) for part in pieces], np.int64)
        spans = np.array([(p.start, p.end) for part in pieces for p in part], np.int64).reshape(-1, 2)
        return counts, spans, *self.passages([p.text for part in pieces for p in part], counts.tolist())

    def passages(self, texts: Sequence[str], counts: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Score passages that are already split; ``counts`` says how many stand together in each document.

        Raises :class:`ValueError` where the counts do not add up to the number of passages.
        """
        if any(count < 0 for count in counts) or sum(counts) != len(texts):
            raise ValueError("the counts do not add up to the number of passages")
        scores, strongest = np.empty((2, len(texts), self.n_categories))
        sizes = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
        start = 0
        while start < len(texts):
            done = sizes[start - 1] if start else 0
            end = max(start + 1, int(sizes.searchsorted(done + _BATCH, "right")))
            scores[start:end], strongest[start:end] = self._scores(texts[start:end])
            start = end
        features = context_features(scores, strongest, texts, counts, self.context_shape)
        return scores, features @ self._context + self._context_intercepts

    def clauses(self, text: str) -> tuple[list[str], NDArray[np.float64]]:
        """Return the folded clauses of a passage and the score of each on its own, shape ``(n_clauses, n_categories)``."""
        parts = clauses(fold(text)) or [""]
        return parts, self._scores(parts)[1]

    @property
    def context_shape(self) -> tuple[float, int]:
        """The slope and window of the context features."""
        return float(self._slope), self.window

    @property
    def context_weights(self) -> NDArray[np.float64]:
        """Weights of the context features, shape ``(CONTEXT_BLOCKS * n_categories, n_categories)``."""
        return self._context

    @property
    def own_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What each score of a passage, and each of its strongest clause, adds to each decision: two of ``(n_categories, n_categories)``."""
        return self._context[: self.n_categories], self._context[self.n_categories : 2 * self.n_categories]

    @property
    def own_intercepts(self) -> NDArray[np.float64]:
        """The part of each decision that no word and no neighbour moves, shape ``(n_categories,)``."""
        passage, clause = self.own_weights
        return self._context_intercepts + self._intercepts @ (passage + clause)

    def per_character(self, text: str, *, clause: bool = False) -> NDArray[np.float64]:
        """Take the stage-one scores of one passage, or of one clause, apart.

        Returns shape ``(n_folded_characters, n_categories)``; its sum over characters is the score without the intercept.
        """
        chars = self.characters(text)
        levels, deepest = self.walk(chars)
        shares = np.zeros((len(chars), self.n_categories))
        squares = 0.0
        above = np.zeros_like(chars)
        for length, level in enumerate(levels, 1):
            places = np.flatnonzero(level != above)  # where n-grams of this length begin
            places = places[level[places] != 0]
            own = self._rows[level[places], : 1 + self.n_categories].astype(float) - self._rows[above[places], : 1 + self.n_categories]
            count = weight = np.ones(len(places))  # of each occurrence
            if not clause:
                _, inverse, counts = np.unique(level[places], return_inverse=True, return_counts=True)
                count = counts[inverse.ravel()].astype(np.float64)
                weight = (1 + np.log(count)) / count
            squares += (own[:, 0] * weight**2 * count).sum()
            for start, share in zip(places, own[:, 1:] * (weight / length)[:, None], strict=True):
                shares[start : start + length] += share
            above = level
        shares /= np.sqrt(squares) if squares > 0 else 1
        hits = [(int(start), deepest[start]) for start in np.flatnonzero(self._values[deepest])]
        covered = np.zeros(len(self._coverage))
        for _, node in hits:
            covered[self._columns[node]] += self._values[node]
        for start, node in hits:
            column, length = self._columns[node], int(self._values[node])
            scale = min(covered[column], float(self._cap)) / covered[column] / float(self._cap)
            shares[start : start + length] += scale * self._coverage[column]
        return shares

    def characters(self, text: str) -> NDArray[np.int64]:
        """Return the character ids of a text, dropped characters left out."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)
        chars = self._look_up(points)
        kept: NDArray[np.int64] = chars[chars != DROPPED]
        return kept

    def _look_up(self, points: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._points.take(self._pages.take(points >> 8) + (points & 0xFF)).astype(np.int64) & 0xFFFF

    def _scores(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the scores of each passage and, for each category, that of its strongest clause."""
        # NUL, which folding drops everywhere else, parts the passages: no walk goes across it.
        joined = "\0".join(texts) + "\0"
        if joined.count("\0") > len(texts):
            joined = "\0".join(text.replace("\0", "") for text in texts) + "\0"
        points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)
        chars = self._look_up(points)
        ends = np.flatnonzero(points == 0)
        chars[ends] = 0
        kept = chars != DROPPED
        ends = np.cumsum(kept)[ends]  # of each passage among the characters that are kept, its end mark included
        chars = chars.take(np.flatnonzero(kept))
        starts = np.concatenate([[0], ends[:-1]])

        # A clause begins where a passage does, and after a mark that neither another mark nor the end of the passage follows.
        mark = (chars > 0) & (chars <= N_MARKS)
        begins = np.zeros(len(chars) + 1, bool)
        begins[1:-1] = mark[:-1] & ~mark[1:]
        begins[ends - 1] = False
        begins[starts] = begins[-1] = True
        bounds = np.flatnonzero(begins)
        owner = np.repeat(np.arange(len(texts)), ends - starts)
        clause = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        first = clause[starts]  # of the clauses of each passage

        levels, node = self.walk(chars)
        # float64 sums of float32 rows; no n-gram goes on from one clause to the next
        parts = np.add.reduceat(self._rows.take(node, axis=0).astype(np.float64), bounds[:-1], axis=0)[:, : 1 + self.n_categories]
        sums = np.add.reduceat(parts, first, axis=0)
        again = np.flatnonzero(chars)
        above = np.zeros_like(chars)
        for level in levels:  # an n-gram repeats only where the shorter one does
            again = self._correct_repeats(sums, owner, level, above, again.take(np.flatnonzero(level.take(again))))
            above = level

        hit = np.flatnonzero(self._values.take(node))
        term, width = node.take(hit), len(self._coverage)
        cells = clause.take(hit) * width + self._columns.take(term)
        covered = np.bincount(cells, self._values.take(term), len(parts) * width).reshape(-1, width).astype(np.float64)
        return self._finish(sums, np.add.reduceat(covered, first, axis=0)), np.maximum.reduceat(self._finish(parts, covered), first, axis=0)

    def _finish(self, sums: NDArray[np.float64], covered: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn sums over n-grams and covered characters into scores."""
        norm = np.sqrt(np.maximum(sums[:, 0], 0))
        norm[norm == 0] = 1
        return np.asarray(sums[:, 1:] / norm[:, None] + np.minimum(covered, self._cap) / self._cap @ self._coverage + self._intercepts)

    def walk(self, chars: NDArray[np.int64]) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
        """Return the node of the n-gram of each length that begins at each position, 0 where there is none, and the deepest node."""
        padded = np.concatenate([chars, np.zeros(self._depth, np.int64)])
        padded[padded == 0] = -1  # the character of no edge, not of an empty one either
        levels, deepest = [chars], chars.copy()
        live, base = np.arange(len(chars)), self._bases.take(chars)
        for depth in range(1, self._depth):
            char = padded.take(live + depth)
            entry = self._edges.take(base + char)
            found = np.flatnonzero(entry >> 48 & 0xFFFF == char)  # indices are quicker to take by than a mask
            live, entry = live.take(found), entry.take(found)
            child = entry >> 24 & 0xFFFFFF
            deepest[live] = child
            if depth < self.longest:
                levels.append(np.zeros_like(chars))
                levels[-1][live] = child
            base = entry & 0xFFFFFF
            leads_on = np.flatnonzero(base)
            live, base = live.take(leads_on), base.take(leads_on)
            if not live.size and depth >= self.longest - 1:
                break
        return levels, deepest

    def _correct_repeats(
        self, sums: NDArray[np.float64], owner: NDArray[np.int64], nodes: NDArray[np.int64], above: NDArray[np.int64], positions: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Turn k-fold n-grams, counted as k so far, into sublinear 1 + log k; return the positions of such n-grams.

        ``nodes`` are those of one length at each position, ``above`` those of the length below.
        """
        if not positions.size:
            return positions
        bits = int(positions[-1]).bit_length()  # passage, node and position, sorted as one number
        keys = np.sort((owner.take(positions) * len(self._rows) + nodes.take(positions) << bits) | positions)
        cells = keys >> bits
        same = np.flatnonzero(cells[1:] == cells[:-1])
        if not same.size:
            return same
        begins = np.flatnonzero(np.diff(same, prepend=-2) > 1)  # where among them the runs of equal ones begin
        passage, node = np.divmod(cells[same[begins]], len(self._rows))
        shorter = above[keys[same[begins]] & (1 << bits) - 1]
        k = np.diff(begins, append=len(same)) + 1.0
        frequency = 1 + np.log(k)
        own = self._rows.take(node, axis=0).astype(np.float64)
        own -= self._rows.take(shorter, axis=0)
        own[:, 0] *= frequency**2 - k
        own[:, 1:] *= (frequency - k)[:, None]
        first = np.flatnonzero(np.diff(passage, prepend=-1))  # of the n-grams of each passage
        sums[passage[first]] += np.add.reduceat(own, first, axis=0)[:, : sums.shape[1]]
        again = np.zeros(len(keys), bool)
        again[same] = again[same + 1] = True
        return np.sort(keys.take(np.flatnonzero(again)) & (1 << bits) - 1)


def context_features(
    scores: NDArray[np.float64], strongest: NDArray[np.float64], texts: Sequence[str], counts: Sequence[int], shape: tuple[float, int]
) -> NDArray[np.float64]:
    """Return what the second stage sees of each passage, shape ``(n, CONTEXT_BLOCKS * n_categories)``.

    ``shape`` is the slope and the window of the model.

    The blocks: the passage's own scores and those of its strongest clauses, and the logistic of ``slope`` times the scores of the previous and the next
    passage, of up to ``window`` passages on either side (mean), of the heading above, and of the whole document (mean).
    A block is 0 where there is no such passage.
    """
    n, k = scores.shape
    slope, window = shape
    with np.errstate(over="ignore"):  # a score far below the margin: the logistic is 0
        squashed = 1 / (1 + np.exp(-slope * scores))
    features = np.zeros((n, CONTEXT_BLOCKS, k))
    features[:, 0], features[:, 1] = scores, strongest
    lengths = np.array([count for count in counts if count], np.intp)
    if not n:
        return features.reshape(n, CONTEXT_BLOCKS * k)
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)  # of each passage, the first of its document
    last = first + np.repeat(lengths, lengths) - 1
    at = np.arange(n)
    neighbours = np.zeros(n)
    for distance in range(1, window + 1):
        for there in (at - distance, at + distance):
            near = np.flatnonzero((there >= first) & (there <= last))
            features[near, 4] += squashed.take(there.take(near), axis=0)
            neighbours[near] += 1
    features[:, 4] /= np.maximum(neighbours, 1)[:, None]
    features[1:, 2] = np.where((at > first)[1:, None], squashed[:-1], 0)
    features[:-1, 3] = np.where((at < last)[:-1, None], squashed[1:], 0)
    # The heading above: the last one before this passage, where it is of the same document.
    headings = np.maximum.accumulate(np.where([is_heading(text) for text in texts], at, -1))
    above = np.concatenate([[-1], headings[:-1]])
    inside = above >= first
    features[inside, 5] = squashed[above[inside]]
    starts = np.cumsum(lengths) - lengths
    features[:, 6] = np.repeat(np.add.reduceat(squashed, starts, axis=0) / lengths[:, None], lengths, axis=0)
    return features.reshape(n, CONTEXT_BLOCKS * k)
