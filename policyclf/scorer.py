"""The compiled model file: its format, the check that makes it safe to read, and the door to the two scorers.

Nothing here imports NumPy, so that tagging through the native core starts at once. The format is described in
:mod:`policyclf.compiler`.
"""

from __future__ import annotations

import os
import struct
import zlib

from policyclf.errors import ModelError, UsageError
from policyclf.records import TIERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from policyclf.fallback import NumpyScorer

MAGIC = b"PCLFSC03"
N_POINTS = 0x110000
PAGE = 256
DROPPED = 0xFFFF
CODE_BASE = 256  # a term's code: its length times this, plus its coverage column
MAX_CATEGORIES = CODE_BASE // TIERS - 1
MAX_LONGEST, MAX_DEPTH = 8, 64  # characters of an n-gram and of a term; they bound the work for each character of a text
SECTIONS = ("pages", "points", "bases", "edges", "rows", "numbers")
# magic, CRC-32 of what follows, then categories, row width, nodes, first node of two characters, slots for edges, longest
# n-gram, longest path, heading length, context window, and the offset of each section and of the end
HEADER = struct.Struct("<8sI9I7Q")
CONTEXT_BLOCKS = 7
N_MARKS = 6  # the first characters are the marks that part clauses


def check(data: bytes | memoryview, place: str) -> None:
    """Refuse a compiled file that is damaged; what passes has sections of the right sizes, as they were written.

    Raises :class:`ModelError`. Indices inside the sections are checked by each scorer as it loads them.
    """
    way_out = "train or download the model again"
    if len(data) < HEADER.size or data[:8] != MAGIC:
        raise ModelError("is no compiled model of this format", place=place, way_out=way_out)
    _, crc, k, width, nodes, first, slots, longest, depth, heading, window, *offsets = HEADER.unpack_from(data)
    if zlib.crc32(memoryview(data)[12:]) != crc:
        raise ModelError("is damaged: its checksum is wrong", place=place, way_out=way_out)
    sensible = (
        1 <= k <= MAX_CATEGORIES
        and k + 2 <= width < k + 10
        and width % 8 == 0
        and 0 < first <= nodes < 1 << 24
        and first <= DROPPED
        and first <= slots < 1 << 24
        and 1 <= longest <= MAX_LONGEST
        and longest <= depth <= MAX_DEPTH
        and heading <= 1 << 16
        and 1 <= window <= 64
    )
    if not sensible:
        raise ModelError("is damaged: its header makes no sense", place=place, way_out=way_out)
    sizes = {
        "pages": 2 * N_POINTS // PAGE,
        "bases": 4 * first,
        "edges": 8 * slots,
        "rows": 4 * nodes * width,
        "numbers": 8 * (2 + TIERS * (k + 1) * k + k + CONTEXT_BLOCKS * k * k + k),
    }
    found = {name: end - start for name, start, end in zip(SECTIONS, offsets[:-1], offsets[1:], strict=True)}
    ordered = offsets == sorted(offsets) and all(offset % 64 == 0 for offset in offsets[:-1])
    fits = ordered and offsets[0] >= HEADER.size and offsets[-1] == len(data) and found["points"] % (4 * PAGE) == 0 and found["points"] > 0
    padding = {name: found[name] - size for name, size in sizes.items()}
    if not fits or not all(0 <= extra < 64 for extra in padding.values()):
        raise ModelError("is damaged: its sections have wrong sizes", place=place, way_out=way_out)


def open_scorer(data: bytes | memoryview, place: str = "model", path: str = "") -> Any:
    """Return the scorer for a compiled file: the native core, or NumPy where it was not built.

    ``path`` (``"native"`` or ``"numpy"``, else the environment variable ``POLICYCLF_SCORER``) asks for one of them.
    """
    check(data, place)
    path = path or os.environ.get("POLICYCLF_SCORER", "")
    if path not in ("", "native", "numpy"):
        raise UsageError(f"no scorer {path!r}", place="POLICYCLF_SCORER", way_out="native or numpy")
    try:
        if path != "numpy":
            try:
                from policyclf._native import NativeScorer
            except ImportError as error:
                if path == "native":
                    raise UsageError("the native scorer was not built", way_out="install with a C compiler at hand") from error
            else:
                return NativeScorer(data)
        return numpy_scorer(data)
    except ValueError as error:
        raise ModelError(f"is damaged: {error}", place=place, way_out="train or download the model again") from error


def numpy_scorer(data: bytes | memoryview) -> NumpyScorer:
    """Return the NumPy scorer; raises :class:`ValueError` for an index that leads out of its section."""
    from policyclf.fallback import NumpyScorer

    return NumpyScorer(data)
