"""Compile a trained model into one flat file that scores without scikit-learn.

The file is little endian: magic, CRC-32 of the rest, a table of section offsets, then the sections, each at a multiple of
64 bytes. Every n-gram and every lexicon term is a path in one trie over character ids:

``pages``, ``points``  two-level table, code point -> character id (low 16 bits; 0 unknown, 0xFFFF dropped) and class flags
``edges``              open-addressing hash of the trie's edges: node << 40 | character id << 24 | child, 0 where empty
``rows``               for each node the sum of ``(idf^2, idf * weights...)`` over all n-grams on the path from the root, so
                       that one row, that of the deepest node reached, covers every n-gram that begins at a position
``values``, ``columns``  length and coverage column of the longest term on the path
``numbers``            coverage weights, intercepts, context weights: what is left to do for each passage

Scores from it equal scikit-learn's up to float32 rounding of the rows (2e-7).
"""

from __future__ import annotations

import struct
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from policyclf.errors import ModelError
from policyclf.scorer import DROPPED, HASH_MULTIPLIER, HEADER, MAGIC, N_POINTS, PAGE, SECTIONS
from policyclf.text import _FOLD, CLOSERS, HEADING_LENGTH, LINE_BREAKS, TERMINATORS, UNFINISHED

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPACE, TERMINATOR, CLOSER, LINE_BREAK, WORD, COMMA = (1 << (16 + bit) for bit in range(6))

CONTEXT_SLOPE = 2.0  # neighbours' scores enter through a logistic of this slope: beyond the margin a score says no more
CONTEXT_WINDOW = 3


class Linear(NamedTuple):
    """The numbers of a trained model that scoring needs; K is the number of categories.

    ``idf`` (n,) and ``weights`` (n, K) are float32; ``coverage_weights`` (K + 1, K), ``intercepts`` (K,),
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
    """Return the flat file of a model. ``terms`` maps a folded term to its coverage column (0 to K)."""
    n_categories = len(linear.intercepts)
    chars = sorted({char for text in (*linear.ngrams, *linear.terms) for char in text})
    ids = {char: number for number, char in enumerate(chars, 1)}
    if len(chars) >= DROPPED or n_categories > 255:
        raise ModelError("more than 65,534 different characters or 255 categories cannot be compiled")
    children: dict[tuple[int, int], int] = {}
    parents = [0] * (len(chars) + 1)
    n_first = len(chars) + 1  # node 0 is the root; the nodes of single characters have their character's id

    def node_of(text: str) -> int:
        node = ids[text[0]]
        for char in text[1:]:
            key = (node, ids[char])
            child = children.get(key)
            if child is None:
                child = children[key] = len(parents)
                parents.append(node)
            node = child
        return node

    ngram_nodes = np.array([node_of(ngram) for ngram in linear.ngrams], np.int64)
    term_nodes = [(node_of(term), term) for term in linear.terms]
    n_nodes = len(parents)
    if n_nodes >= 1 << 24:
        raise ModelError("more than 16,777,215 trie nodes cannot be compiled", way_out="raise min_df")

    width = -(-(1 + n_categories) // 4) * 4
    rows = np.zeros((n_nodes, width), np.float64)
    idf = linear.idf.astype(np.float64)
    rows[ngram_nodes, 0] = idf * idf
    rows[ngram_nodes, 1 : 1 + n_categories] = idf[:, None] * linear.weights.astype(np.float64)
    values = np.zeros(n_nodes, np.float32)
    columns = np.zeros(n_nodes, np.uint8)
    for node, term in term_nodes:
        values[node], columns[node] = len(term), linear.terms[term]
    for node in range(n_first, n_nodes):  # parents come before their children
        rows[node] += rows[parents[node]]
        if not values[node]:
            values[node], columns[node] = values[parents[node]], columns[parents[node]]

    bits = max(4, (2 * len(children) + 1).bit_length())
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
        "edges": _edge_table(children, bits),
        "rows": rows.astype("<f4"),
        "values": values.astype("<f4"),
        "columns": columns,
        "numbers": numbers.astype("<f8"),
    }
    body, offsets = bytearray(), []
    for name in SECTIONS:
        body += bytes(-(HEADER.size + len(body)) % 64)
        offsets.append(HEADER.size + len(body))
        body += sections[name].tobytes()
    offsets.append(HEADER.size + len(body))
    longest = max((len(ngram) for ngram in linear.ngrams), default=0)
    sizes = (n_categories, width, n_nodes, n_first, bits, longest, HEADING_LENGTH, CONTEXT_WINDOW)
    unsigned = HEADER.pack(MAGIC, 0, *sizes, *offsets)[12:] + body
    return MAGIC + struct.pack("<I", zlib.crc32(unsigned)) + unsigned


def _edge_table(children: Mapping[tuple[int, int], int], bits: int) -> NDArray[np.uint64]:
    table = np.zeros(1 << bits, "<u8")
    mask = (1 << bits) - 1
    slots = [0] * (1 << bits)
    for (node, char), child in children.items():
        key = node << 16 | char
        slot = (key * HASH_MULTIPLIER & 0xFFFFFFFFFFFFFFFF) >> (64 - bits)
        while slots[slot]:
            slot = slot + 1 & mask
        slots[slot] = key << 24 | child
    table[:] = slots
    return table


def _point_table(ids: Mapping[str, int]) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    numbers = np.zeros(N_POINTS, "<u4")
    classes = {TERMINATOR: TERMINATORS, CLOSER: CLOSERS, LINE_BREAK: LINE_BREAKS, COMMA: UNFINISHED}
    for point in range(N_POINTS):
        char = chr(point)
        if not _assigned(char):
            continue
        folded = _FOLD[point]
        number = DROPPED if folded is None else ids.get(chr(folded), 0)
        number |= SPACE * char.isspace() | WORD * char.isalnum()
        numbers[point] = number
    for flag, chars in classes.items():
        for char in chars:
            numbers[ord(char)] |= flag
    pages, inverse = np.unique(numbers.reshape(-1, PAGE), axis=0, return_inverse=True)
    return inverse.ravel().astype("<u2"), pages.astype("<u4").ravel()


def _assigned(char: str) -> bool:
    """Whether a code point can have an id or a class: unassigned, private and surrogate ones cannot."""
    return unicodedata.category(char) not in ("Cn", "Co", "Cs")
