"""Score with NumPy alone: the same sums as the native core, over whole batches of passages.

One walk over all passages at once: level by level, every position that still matches takes one step down the trie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from policyclf.scorer import CONTEXT_BLOCKS, DROPPED, HASH_MULTIPLIER, HEADER, PAGE
from policyclf.text import is_heading, split

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES = {"pages": "<u2", "points": "<u4", "edges": "<u8", "rows": "<f4", "values": "<f4", "columns": "u1", "numbers": "<f8"}
_BATCH = 1 << 20  # characters walked at once: larger arrays leave the cache, smaller ones pay for more calls


class NumpyScorer:
    """Scores from a compiled model; ``data`` must have passed :func:`policyclf.scorer.check`."""

    def __init__(self, data: bytes) -> None:
        _, _, k, width, _, _, bits, longest, _, window, *offsets = HEADER.unpack_from(data)
        arrays = {
            name: np.frombuffer(data, dtype, count=(end - start) // np.dtype(dtype).itemsize, offset=start)
            for (name, dtype), start, end in zip(_DTYPES.items(), offsets, offsets[1:])
        }
        self.n_categories, self.longest, self.window = k, longest, window
        self._shift = np.uint64(64 - bits)
        self._points = arrays["points"]
        self._pages = arrays["pages"].astype(np.int64) * PAGE
        self._edges = arrays["edges"]
        self._rows = arrays["rows"].reshape(-1, width)
        self._parents = self._find_parents()
        self._values, self._columns = arrays["values"], arrays["columns"].astype(np.int64)
        numbers = arrays["numbers"]
        shapes = ((), (), (k + 1, k), (k,), (CONTEXT_BLOCKS * k, k), (k,))
        parts, at = [], 0
        for shape in shapes:
            size = int(np.prod(shape, dtype=int))
            parts.append(numbers[at : at + size].reshape(shape))
            at += size
        self._cap, self._slope, self._coverage, self._intercepts, self._context, self._context_intercepts = parts

    def _find_parents(self) -> NDArray[np.int64]:
        parents = np.zeros(len(self._rows), np.int64)
        used = self._edges[self._edges != 0]
        parents[(used & np.uint64(0xFFFFFF)).astype(np.int64)] = (used >> np.uint64(40)).astype(np.int64)
        return parents

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
        """Score passages that are already split; ``counts`` says how many stand together in each document."""
        scores = np.empty((len(texts), self.n_categories))
        start = 0
        while start < len(texts):
            end, size = start, 0
            while end < len(texts) and (end == start or size + len(texts[end]) <= _BATCH):
                size += len(texts[end]) + 1
                end += 1
            scores[start:end] = self._scores(texts[start:end])
            start = end
        return scores, self._decisions(scores, texts, counts)

    @property
    def context_shape(self) -> tuple[float, int]:
        """The slope and window of the context features."""
        return float(self._slope), self.window

    @property
    def context_weights(self) -> NDArray[np.float64]:
        """Weights of the context features, shape ``(CONTEXT_BLOCKS * n_categories, n_categories)``."""
        return self._context

    @property
    def own_weights(self) -> NDArray[np.float64]:
        """What each stage-one score adds to each decision, shape ``(n_categories, n_categories)``."""
        return self._context[: self.n_categories]

    @property
    def own_intercepts(self) -> NDArray[np.float64]:
        """The part of each decision that no word and no neighbour moves, shape ``(n_categories,)``."""
        return self._context_intercepts + self._intercepts @ self.own_weights

    def per_character(self, text: str) -> NDArray[np.float64]:
        """Take the stage-one scores of one passage apart.

        Returns shape ``(n_folded_characters, n_categories)``; its sum over characters is the score without the intercept.
        """
        chars = self._chars(text)
        n = len(chars)
        paths: list[list[int]] = []
        for start in range(n):
            path, node = [], int(chars[start])
            while node and len(path) < n - start:
                path.append(node)
                end = start + len(path)
                node = int(self._step(np.array([node]), chars[end : end + 1])[0]) if end < n else 0
            paths.append(path)
        shares = np.zeros((n, self.n_categories))
        nodes = [node for path in paths for node in path[: self.longest]]
        count = dict(zip(*(part.tolist() for part in np.unique(np.array(nodes, np.int64), return_counts=True)), strict=True))
        squares = 0.0
        for start, path in enumerate(paths):
            for depth, node in enumerate(path[: self.longest], 1):
                own = self._rows[node, : 1 + self.n_categories].astype(float) - self._rows[self._parents[node], : 1 + self.n_categories]
                frequency = 1 + np.log(count[node])
                squares += own[0] * frequency**2 / count[node]
                shares[start : start + depth] += own[1:] * frequency / count[node] / depth
        shares /= np.sqrt(squares) if squares > 0 else 1
        hits = [(start, path[-1]) for start, path in enumerate(paths) if path and self._values[path[-1]]]
        covered = np.zeros(self.n_categories + 1)
        for _, node in hits:
            covered[self._columns[node]] += self._values[node]
        for start, node in hits:
            column, length = self._columns[node], int(self._values[node])
            scale = min(covered[column], float(self._cap)) / covered[column] / float(self._cap)
            shares[start : start + length] += scale * self._coverage[column]
        return shares

    def _chars(self, text: str) -> NDArray[np.int64]:
        """Return the character ids of a text, dropped characters left out."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)
        chars = (self._points[self._pages[points >> 8] + (points & 0xFF)] & np.uint32(0xFFFF)).astype(np.int64)
        return chars[chars != DROPPED]

    def _scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        # NUL, which folding drops everywhere else, parts the passages: no walk goes across it.
        joined = "\0".join(text.replace("\0", "") for text in texts) + "\0"
        points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)
        chars = (self._points[self._pages[points >> 8] + (points & 0xFF)] & np.uint32(0xFFFF)).astype(np.int64)
        ends = points == 0
        chars[ends] = 0
        kept = chars != DROPPED
        owner = (np.cumsum(ends) - ends)[kept]
        chars = chars[kept]
        n = len(texts)

        node = chars.copy()
        live = np.flatnonzero(chars)
        levels = [(live, node[live])]
        depth = 1
        while live.size:
            live = live[live + depth < len(chars)]
            child = self._step(node[live], chars[live + depth])
            found = child != 0
            live = live[found]
            node[live] = child[found]
            depth += 1
            if depth <= self.longest:
                levels.append((live, node[live]))

        sums = np.zeros((n, 1 + self.n_categories))
        first = np.searchsorted(owner, np.arange(n))  # every passage has at least its end mark
        rows = self._rows[node, : 1 + self.n_categories].astype(np.float64)
        sums[:] = np.add.reduceat(rows, first)
        for position, reached in levels:
            self._correct_repeats(sums, owner[position], reached)
        norm = np.sqrt(np.maximum(sums[:, 0], 0))
        norm[norm == 0] = 1

        hit = np.flatnonzero(self._values[node])
        width = self.n_categories + 1
        cells = owner[hit] * width + self._columns[node[hit]]
        covered = np.bincount(cells, self._values[node[hit]], n * width).reshape(n, width)
        return sums[:, 1:] / norm[:, None] + np.minimum(covered, self._cap) / self._cap @ self._coverage + self._intercepts

    def _step(self, node: NDArray[np.int64], char: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the child of each node by a character, 0 where there is none."""
        key = (node << 16 | char).astype(np.uint64)
        slot = ((key * np.uint64(HASH_MULTIPLIER)) >> self._shift).astype(np.int64)
        child = np.zeros(len(node), np.int64)
        key[char == 0] = np.uint64(0xFFFFFFFFFF)  # an unknown character: a key that no edge has
        pending = np.arange(len(node))
        while pending.size:
            entry = self._edges[slot[pending]]
            hit = entry >> np.uint64(24) == key[pending]
            child[pending[hit]] = (entry[hit] & np.uint64(0xFFFFFF)).astype(np.int64)
            pending = pending[~hit & (entry != 0)]
            slot[pending] = slot[pending] + 1 & len(self._edges) - 1
        return child

    def _correct_repeats(self, sums: NDArray[np.float64], owner: NDArray[np.int64], node: NDArray[np.int64]) -> None:
        """Turn k-fold n-grams, counted as k so far, into sublinear 1 + log k."""
        cells, count = np.unique(owner * len(self._rows) + node, return_counts=True)
        again = count > 1
        if not again.any():
            return
        passage, node = np.divmod(cells[again], len(self._rows))
        k = count[again].astype(np.float64)
        frequency = 1 + np.log(k)
        own = self._rows[node, : 1 + self.n_categories].astype(np.float64) - self._rows[self._parents[node], : 1 + self.n_categories]
        own[:, 0] *= frequency**2 - k
        own[:, 1:] *= (frequency - k)[:, None]
        np.add.at(sums, passage, own)

    def _decisions(self, scores: NDArray[np.float64], texts: Sequence[str], counts: Sequence[int]) -> NDArray[np.float64]:
        features = context_features(scores, texts, counts, float(self._slope), self.window)
        return features @ self._context + self._context_intercepts


def context_features(scores: NDArray[np.float64], texts: Sequence[str], counts: Sequence[int], slope: float, window: int) -> NDArray[np.float64]:
    """Return what the second stage sees of each passage, shape ``(n, CONTEXT_BLOCKS * n_categories)``.

    The blocks: the passage's own scores, and the logistic of ``slope`` times the scores of the previous and the next
    passage, of up to ``window`` passages on either side (mean), of the heading above, and of the whole document (mean).
    A block is 0 where there is no such passage.
    """
    n, k = scores.shape
    squashed = 1 / (1 + np.exp(-slope * scores))
    features = np.zeros((n, CONTEXT_BLOCKS, k))
    features[:, 0] = scores
    start = 0
    for count in counts:
        part = squashed[start : start + count]
        out = features[start : start + count]
        if count:
            out[1:, 1], out[:-1, 2] = part[:-1], part[1:]
            sums = np.concatenate([np.zeros((1, k)), np.cumsum(part, axis=0)])
            at = np.arange(count)
            low, high = np.maximum(at - window, 0), np.minimum(at + window + 1, count)
            others = (high - low - 1)[:, None]
            out[:, 3] = np.where(others > 0, (sums[high] - sums[low] - part) / np.maximum(others, 1), 0)
            heading = -1
            for i in range(count):
                if heading >= 0:
                    out[i, 4] = part[heading]
                if is_heading(texts[start + i]):
                    heading = i
            out[:, 5] = sums[-1] / count
        start += count
    return features.reshape(n, CONTEXT_BLOCKS * k)
