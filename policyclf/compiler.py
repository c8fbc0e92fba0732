"""Compile a trained model into one flat file that scores without scikit-learn.

The file is little endian: magic, CRC-32 of the rest, a table of section offsets, then the sections, each at a multiple of
64 bytes. Every n-gram and every lexicon term is a path in one trie over character ids:

``pages``, ``points``  two-level table, code point -> character id (low 16 bits; 0 unknown, 0xFFFF dropped) and class flags
``bases``, ``edges``   the trie as a double array: the child of a node by a character stands at the node's base + the
                       character's id; character << 48 | row of the child << 24 | base of the child, 0 where empty. No two
                       nodes share a base, so the character alone tells whose child it is; base 0 has no children.
                       ``bases`` are those of single characters
``rows``               for each node the sum of ``(idf^2, idf * weights...)`` over all n-grams on the path from the root, so
                       that one row, that of the deepest node reached, covers every n-gram that begins at a position (no
                       n-gram goes on from one clause to the next, so the rows of a clause are its own); then
                       a code for the longest term on the path, 256 * its length + its coverage column. Nodes between the
                       ends of n-grams and terms have the row of the node above them
``numbers``            coverage weights, intercepts, context weights: what is left to do for each passage

Rows stand in the order of how common their n-grams are, so that the common ones share cache lines: first single characters,
each at its own id, the marks that part clauses at their head, then all others. Scores equal scikit-learn's up to float32 rounding of the rows (2e-7).
"""

from __future__ import annotations

import struct
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from policyclf.errors import ModelError
from policyclf.scorer import CODE_BASE, DROPPED, HEADER, MAGIC, MAX_CATEGORIES, MAX_DEPTH, MAX_LONGEST, N_POINTS, PAGE, SECTIONS
from policyclf.text import _FOLD, CLAUSE_MARKS, CLOSERS, HEADING_LENGTH, LINE_BREAKS, TERMINATORS, UNFINISHED, crosses_clauses

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPACE, TERMINATOR, CLOSER, LINE_BREAK, WORD, COMMA = (1 << (16 + bit) for bit in range(6))

CONTEXT_SLOPE = 2.0  # neighbours' scores enter through a logistic of this slope: beyond the margin a score says no more
CONTEXT_WINDOW = 3
_WINDOW = 4096  # bases looked at together


class Linear(NamedTuple):
    """The numbers of a trained model that scoring needs; K is the number of categories.

    ``idf`` (n,) and ``weights`` (n, K) are float32; ``coverage_weights`` (TIERS * (K + 1), K), ``intercepts`` (K,),
    ``context_weights`` (CONTEXT_BLOCKS * K, K) and ``context_intercepts`` (K,) are float64; ``cap`` is the coverage cap.
    """

    ngrams: Sequence[str]
    idf: NDArray[np.float32]
    weights: NDArray[np.float32]
    terms: Mapping[str, int]
    coverage_weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    context_weights: NDArray[np.float64]
    context_intercepts: NDArray[np.float64]
    cap: float


def compile_scorer(linear: Linear) -> bytes:
    """Return the flat file of a model. ``terms`` maps a folded term to its coverage column."""
    n_categories = len(linear.intercepts)
    idf = dict(zip(linear.ngrams, linear.idf.tolist(), strict=True))
    prefixes = {text[:end] for text in (*linear.ngrams, *linear.terms) for end in range(2, len(text) + 1)}
    marks = set(CLAUSE_MARKS)
    chars = marks.union(*linear.ngrams, *linear.terms)

    def rank(text: str) -> tuple[bool, bool, float, str]:
        return len(text) > 1, text not in marks, idf.get(text, np.inf), text

    nodes = {text: node for node, text in enumerate(sorted(chars | prefixes, key=rank), 1)}  # node 0 is the root
    n_nodes, n_first = len(nodes) + 1, len(chars) + 1
    longest = max(map(len, linear.ngrams), default=1)
    depth = max(map(len, linear.terms), default=1)
    if n_first > DROPPED or n_categories > MAX_CATEGORIES:
        raise ModelError(f"more than 65,534 different characters or {MAX_CATEGORIES} categories cannot be compiled")
    if n_nodes >= 1 << 24:
        raise ModelError("more than 16,777,215 trie nodes cannot be compiled", way_out="raise min_df")
    if longest > MAX_LONGEST or depth > MAX_DEPTH:
        raise ModelError(f"n-grams longer than {MAX_LONGEST} or terms longer than {MAX_DEPTH} characters cannot be compiled")

    for text in (*filter(crosses_clauses, linear.ngrams), *(term for term in linear.terms if not marks.isdisjoint(term))):
        raise ModelError(f"{text!r} goes across clauses and cannot be compiled")

    width = -(-(2 + n_categories) // 8) * 8
    rows = np.zeros((n_nodes, width), np.float64)
    ngram_nodes = np.array([nodes[ngram] for ngram in linear.ngrams], np.int64)
    squared = linear.idf.astype(np.float64)
    rows[ngram_nodes, 0] = squared * squared
    rows[ngram_nodes, 1 : 1 + n_categories] = squared[:, None] * linear.weights.astype(np.float64)
    codes = rows[:, 1 + n_categories]
    for term, column in linear.terms.items():
        codes[nodes[term]] = len(term) * CODE_BASE + column
    ids = {char: nodes[char] for char in chars}
    children: dict[int, list[tuple[int, int]]] = {}
    paths: list[list[tuple[int, int]]] = [[] for _ in range(MAX_DEPTH + 1)]
    for text, node in nodes.items():
        if len(text) > 1:
            children.setdefault(nodes[text[:-1]], []).append((ids[text[-1]], node))
            paths[len(text)].append((node, nodes[text[:-1]]))
    stem = np.arange(n_nodes)  # the longest n-gram on the path, else the first character
    is_ngram = np.zeros(n_nodes, bool)
    is_ngram[ngram_nodes] = True
    for pairs in paths[2:]:  # the short ones first: their children add to them
        below, above = np.array(pairs, np.int64).reshape(-1, 2).T
        rows[below, : 1 + n_categories] += rows[above, : 1 + n_categories]
        codes[below] = np.where(codes[below], codes[below], codes[above])
        stem[below] = np.where(is_ngram[below], below, stem[above])
    # Nodes that are no n-gram and have the same stem and code have the same row; the stem itself stands before them.
    _, first, row = np.unique(np.column_stack([stem, codes]), axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    row_of = np.argsort(order)[row.ravel()]
    rows = rows[first[order]]

    bases, edges = _double_array(children, row_of, n_first)
    pages, points = _point_table(ids)
    numbers = np.concatenate(
        [
            [linear.cap, CONTEXT_SLOPE],
            linear.coverage_weights.ravel(),
            linear.intercepts,
            linear.context_weights.ravel(),
            linear.context_intercepts,
        ]
    )
    sections: dict[str, NDArray[Any]] = {
        "pages": pages,
        "points": points,
        "bases": bases[:n_first].astype("<u4"),
        "edges": edges,
        "rows": rows.astype("<f4"),
        "numbers": numbers.astype("<f8"),
    }
    body, offsets = bytearray(), []
    for name in SECTIONS:
        body += bytes(-(HEADER.size + len(body)) % 64)
        offsets.append(HEADER.size + len(body))
        body += sections[name].tobytes()
    offsets.append(HEADER.size + len(body))
    sizes = (n_categories, width, len(rows), n_first, len(edges), longest, max(longest, depth), HEADING_LENGTH, CONTEXT_WINDOW)
    unsigned = HEADER.pack(MAGIC, 0, *sizes, *offsets)[12:] + body
    return MAGIC + struct.pack("<I", zlib.crc32(unsigned)) + unsigned


def _double_array(children: Mapping[int, list[tuple[int, int]]], row_of: NDArray[np.int64], n_first: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the base of each node and the edges, packed as the module says (double array, Aoe 1989).

    ``row_of`` says which row each node has.

    Nodes with many children are placed first, each at the first base that sends all its children to free slots; for the
    next node with as many children the search goes on from there.
    """
    n_edges = sum(map(len, children.values()))
    free = np.ones(2 * n_edges + 2 * n_first + _WINDOW, bool)
    unused = np.ones(len(free), bool)  # bases
    unused[0] = False
    bases = np.zeros(len(row_of), np.int64)
    last_size, low = 0, 1
    for node in sorted(children, key=lambda node: (-len(children[node]), node)):
        chars = np.array([char for char, _ in children[node]])
        if len(chars) != last_size:
            last_size, low = len(chars), 1
        while True:
            if low + _WINDOW + n_first > len(free):
                free, unused = (np.concatenate([part, np.ones(len(part), bool)]) for part in (free, unused))
            fits = unused[low : low + _WINDOW].copy()
            for char in chars:
                fits &= free[low + char : low + char + _WINDOW]
            first = int(fits.argmax())
            if fits[first]:
                break
            low += _WINDOW
        low += first
        bases[node] = low
        unused[low] = False
        free[low + chars] = False
    n_slots = int(bases.max()) + n_first
    if n_slots >= 1 << 24:
        raise ModelError("so many n-grams cannot be compiled", way_out="raise min_df")
    edges = np.zeros(n_slots, "<u8")
    for node, pairs in children.items():
        for char, child in pairs:
            edges[bases[node] + char] = char << 48 | int(row_of[child]) << 24 | int(bases[child])
    return bases, edges


def _point_table(ids: Mapping[str, int]) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    folded, flags = _classes()
    numbers = np.zeros(N_POINTS, "<u4")
    numbers[[ord(char) for char in ids]] = list(ids.values())
    numbers = np.where(folded < 0, DROPPED, numbers[folded]) | flags
    pages, inverse = np.unique(numbers.reshape(-1, PAGE), axis=0, return_inverse=True)
    return inverse.ravel().astype("<u2"), pages.astype("<u4").ravel()


@cache
def _classes() -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Return what each code point folds to, -1 where it is dropped, and its class flags."""
    folded = np.arange(N_POINTS)
    flags = np.zeros(N_POINTS, "<u4")
    for point in range(N_POINTS):
        char = chr(point)
        if unicodedata.category(char) not in ("Cn", "Co", "Cs"):  # unassigned, private and surrogate: as they are, no class
            target = _FOLD[point]
            folded[point] = -1 if target is None else target
            flags[point] = SPACE * char.isspace() | WORD * char.isalnum()
    for flag, chars in {TERMINATOR: TERMINATORS, CLOSER: CLOSERS, LINE_BREAK: LINE_BREAKS, COMMA: UNFINISHED}.items():
        flags[[ord(char) for char in chars]] |= flag
    return folded, flags
