"""Recognise articles that repeat another one: word for word, or as a reprint with a changed head, foot or a few words.

An article is known by a hash of its folded passages and by a one-permutation MinHash of its five-character shingles
(Li, Owen and Zhang 2012), which says how large a share of the shingles two texts have in common (Jaccard). Candidates are
found by bands of that signature (locality-sensitive hashing), so each article is compared with a few others at most.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from policyclf.text import fold

SHINGLE = 5  # characters: two words, so that common words alone make no likeness
BINS = 64  # the estimate of a likeness of 0.8 has a standard error of 0.05
ROWS, BANDS = 6, 10  # likeness 0.9: found in 99.9 %; 0.8: 95 %; 0.5: 15 % become candidates, and are then compared
ALIKE = 0.75  # a new head and foot, a paragraph cut: 0.8 and more; two articles on one matter have 0.1 to 0.3 in common
SHORTEST = 100  # folded characters; a shorter text has too few shingles to be nearly the same as another
CROWDED = 32  # a band that so many articles share is boilerplate; further ones are not found by it, or time would grow with n^2
REMEMBERED = 100_000  # first articles of a generation; two are remembered, of about 0.5 kB an article, so memory is bounded

_EMPTY = np.uint16(0xFFFF)
_PRIME = np.uint64(0x100000001B3)


class Fingerprint(NamedTuple):
    """A hash of the content, and its MinHash signature (2 * BINS bytes), which is empty for short texts."""

    exact: bytes
    signature: bytes


def fingerprint(passages: Sequence[str]) -> Fingerprint | None:
    """Return the fingerprint of an article's passages, or None where there are none."""
    if not passages:
        return None
    text = fold("".join(passages)).encode("utf-32-le", "surrogatepass")
    exact = blake2b(text, digest_size=16).digest()
    return Fingerprint(exact, _signature(text) if len(text) >= 4 * SHORTEST else b"")


def _signature(text: bytes) -> bytes:
    points = np.frombuffer(text, "<u4").astype(np.uint64)
    n = len(points) - SHINGLE + 1
    hashes = np.zeros(n, np.uint64)
    for shift in range(SHINGLE):
        hashes = hashes * _PRIME + points[shift : shift + n]
    # The finaliser of splitmix64 spreads what the polynomial left close together.
    hashes = (hashes ^ hashes >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ hashes >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    least = np.full(BINS, 0xFFFFFFFF, np.uint32)
    np.minimum.at(least, (hashes >> np.uint64(58)).astype(np.intp), (hashes >> np.uint64(20)).astype(np.uint32))
    return least.astype(np.uint16).tobytes()  # the low bits tell the minima apart as well (b-bit minwise hashing, Li and König 2010)


class Reprints:
    """The articles seen so far, in order; only those that repeat no other are remembered, and the oldest are forgotten."""

    def __init__(self) -> None:
        self._old, self._new = _Generation(), _Generation()

    def first(self, source: str, seen: Fingerprint | None) -> str:
        """Return the source of the first article that this one repeats; otherwise remember it and return nothing."""
        if seen is None:
            return ""
        keys = _keys(seen.signature)
        generations = (self._old, self._new)
        for generation in generations:
            if seen.exact in generation.exact:
                return generation.sources[generation.exact[seen.exact]]
        alike = [(-likeness, g, number) for g, generation in enumerate(generations) for likeness, number in generation.alike(seen.signature, keys)]
        if alike:
            _, g, number = min(alike)  # the likest, and of equals the earliest
            return generations[g].sources[number]
        if len(self._new.sources) >= REMEMBERED:
            self._old, self._new = self._new, _Generation()
        self._new.add(source, seen, keys)
        return ""


class _Generation:
    """Articles, numbered from 0, and where the bands of their signatures lead. Millions of small objects would cost five times as much.

    ``_slots`` is an open-addressing hash table of numbers: band key << 24 | article + 1, 0 where empty.
    """

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.exact: dict[bytes, int] = {}
        self._signatures = bytearray()
        self._slots = array("Q", bytes(8 << 10))
        self._used = 0

    def add(self, source: str, seen: Fingerprint, keys: Sequence[int]) -> None:
        """Remember an article."""
        number = len(self.sources)
        self.exact[seen.exact] = number
        self.sources.append(source)
        self._signatures += seen.signature or bytes(2 * BINS)
        for key in keys:
            if sum(1 for _ in self._behind(key)) < CROWDED:
                self._put(key << 24 | number + 1)

    def alike(self, signature: bytes, keys: Sequence[int]) -> Iterator[tuple[float, int]]:
        """Yield (likeness, number) of the articles that are nearly the same."""
        for number in {number for key in keys for number in self._behind(key)}:
            likeness = _likeness(signature, self._signatures[2 * BINS * number : 2 * BINS * (number + 1)])
            if likeness >= ALIKE:
                yield likeness, number

    def _behind(self, key: int) -> Iterator[int]:
        mask = len(self._slots) - 1
        at = key & mask
        while entry := self._slots[at]:
            if entry >> 24 == key:
                yield (entry & 0xFFFFFF) - 1
            at = at + 1 & mask

    def _put(self, entry: int) -> None:
        if 2 * self._used >= len(self._slots):
            entries, self._used = self._slots, 0
            self._slots = array("Q", bytes(16 * len(entries)))
            for old in filter(None, entries):
                self._put(old)
        mask = len(self._slots) - 1
        at = entry >> 24 & mask
        while self._slots[at]:
            at = at + 1 & mask
        self._slots[at] = entry
        self._used += 1


def _keys(signature: bytes) -> list[int]:
    """Return a number of 40 bits for each band of a signature; those of different bands differ."""
    size = 2 * ROWS
    return [
        int.from_bytes(blake2b(signature[band * size : (band + 1) * size], digest_size=5, key=bytes([band])).digest(), "little")
        for band in range(BANDS if signature else 0)
    ]


def _likeness(first: bytes | bytearray, second: bytes | bytearray) -> float:
    """Estimate the Jaccard likeness of two texts: the share of bins with the same least hash, bins empty in both left out."""
    a, b = np.frombuffer(first, np.uint16), np.frombuffer(second, np.uint16)
    filled = (a != _EMPTY) | (b != _EMPTY)
    return float(((a == b) & filled).sum() / max(1, filled.sum()))
