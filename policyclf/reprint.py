"""Recognise articles that repeat another one: word for word, or as a reprint with a changed head, foot or a few words.

An article is known by a hash of its folded passages and by a one-permutation MinHash of its five-character shingles
(Li, Owen and Zhang 2012), which says how large a share of the shingles two texts have in common (Jaccard). Candidates are
found by bands of that signature (locality-sensitive hashing), so each article is compared with a few others at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from policyclf.text import fold

SHINGLE = 5  # characters: two words, so that common words alone make no likeness
BINS = 64  # the estimate of a likeness of 0.8 has a standard error of 0.05
ROWS, BANDS = 6, 10  # likeness 0.9: found in 99.9 %; 0.8: 95 %; 0.5: 15 % become candidates, and are then compared
ALIKE = 0.8
SHORTEST = 100  # folded characters; a shorter text has too few shingles to be nearly the same as another
CROWDED = 32  # a band that so many articles share is boilerplate; further ones are not found by it, or time would grow with n^2
REMEMBERED = 200_000  # first articles; each costs about 1.5 kB, so the memory of a run of any length is bounded

_EMPTY = np.uint32(0xFFFFFFFF)
_PRIME = np.uint64(0x100000001B3)


class Fingerprint(NamedTuple):
    """A hash of the content, and its MinHash signature (4 * BINS bytes), which is empty for short texts."""

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
    least = np.full(BINS, _EMPTY)
    np.minimum.at(least, (hashes >> np.uint64(58)).astype(np.intp), (hashes >> np.uint64(20)).astype(np.uint32))
    return least.tobytes()


class Reprints:
    """The articles seen so far, in order; only those that repeat no other are remembered."""

    def __init__(self) -> None:
        self._exact: dict[bytes, str] = {}
        self._bands: dict[int, list[int] | int] = {}
        self._firsts: dict[int, tuple[str, Fingerprint]] = {}
        self._number = 0

    def first(self, source: str, seen: Fingerprint | None) -> str:
        """Return the source of the first article that this one repeats; otherwise remember it and return nothing."""
        if seen is None:
            return ""
        found = self._exact.get(seen.exact) or self._nearest(seen.signature)
        if not found:
            self._remember(source, seen)
        return found or ""

    def _nearest(self, signature: bytes) -> str | None:
        if not signature:
            return None
        candidates: set[int] = set()
        for key in _keys(signature):
            held = self._bands.get(key)
            if held is not None:
                candidates.update([held] if isinstance(held, int) else held)
        best: tuple[float, int] | None = None
        for number in candidates:
            likeness = _likeness(signature, self._firsts[number][1].signature)
            if likeness >= ALIKE:
                best = min(best or (0.0, 0), (-likeness, number))  # the likest, and of equals the earliest
        return self._firsts[best[1]][0] if best else None

    def _remember(self, source: str, seen: Fingerprint) -> None:
        number = self._number
        self._number += 1
        self._exact[seen.exact] = source
        self._firsts[number] = (source, seen)
        for key in _keys(seen.signature):
            held = self._bands.get(key)
            if held is None:
                self._bands[key] = number  # nearly every band has one article: no list for it
            elif isinstance(held, int):
                self._bands[key] = [held, number]
            elif len(held) < CROWDED:
                held.append(number)
        if len(self._firsts) > REMEMBERED:
            self._forget(number - REMEMBERED)

    def _forget(self, number: int) -> None:
        _, old = self._firsts.pop(number)
        del self._exact[old.exact]
        for key in _keys(old.signature):
            held = self._bands.get(key)
            if held == number or held == [number]:
                del self._bands[key]
            elif isinstance(held, list) and number in held:
                held.remove(number)


def _keys(signature: bytes) -> list[int]:
    """Return a number for each band of a signature; those of different bands differ."""
    size = 4 * ROWS
    return [
        int.from_bytes(blake2b(signature[band * size : (band + 1) * size], digest_size=7, key=bytes([band])).digest(), "little")
        for band in range(BANDS if signature else 0)
    ]


def _likeness(first: bytes, second: bytes) -> float:
    """Estimate the Jaccard likeness of two texts: the share of bins with the same least hash, bins empty in both left out."""
    a, b = np.frombuffer(first, np.uint32), np.frombuffer(second, np.uint32)
    filled = (a != _EMPTY) | (b != _EMPTY)
    return float(((a == b) & filled).sum() / max(1, filled.sum()))
