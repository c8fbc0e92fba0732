"""The compiled model file: its format, the check that makes it safe to read, and the door to the two scorers.

Nothing here imports NumPy, so that tagging through the native core starts at once. The format is described in
:mod:`policyclf.compiler`.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

from policyclf.errors import ModelError, UsageError

if TYPE_CHECKING:
    from policyclf.fallback import NumpyScorer

MAGIC = b"PCLFSC01"
N_POINTS = 0x110000
PAGE = 256
DROPPED = 0xFFFF
HASH_MULTIPLIER = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, Knuth's multiplicative hashing
SECTIONS = ("pages", "points", "edges", "rows", "values", "columns", "numbers")
# magic, CRC-32 of what follows, then categories, row width, nodes, first nodes, hash bits, longest n-gram, heading length,
# context window, and the offset of each section and of the end
HEADER = struct.Struct("<8sI8I8Q")
CONTEXT_BLOCKS = 6


def check(data: bytes, place: str) -> None:
    """Refuse a compiled file that is damaged; what passes has sections of the right sizes, as they were written.

    Raises :class:`ModelError`. Indices inside the sections are checked by each scorer as it loads them.
    """
    way_out = "train or download the model again"
    if len(data) < HEADER.size or data[:8] != MAGIC:
        raise ModelError("is no compiled model of this format", place=place, way_out=way_out)
    _, crc, k, width, nodes, first, bits, longest, _, window, *offsets = HEADER.unpack_from(data)
    if zlib.crc32(memoryview(data)[12:]) != crc:
        raise ModelError("is damaged: its checksum is wrong", place=place, way_out=way_out)
    sizes = {
        "pages": 2 * N_POINTS // PAGE,
        "edges": 8 << bits if 4 <= bits <= 32 else -1,
        "rows": 4 * nodes * width,
        "values": 4 * nodes,
        "columns": nodes,
        "numbers": 8 * (2 + (k + 1) * k + k + CONTEXT_BLOCKS * k * k + k),
    }
    found = {name: end - start for name, start, end in zip(SECTIONS, offsets, offsets[1:])}
    ordered = offsets == sorted(offsets) and all(offset % 64 == 0 for offset in offsets[:-1])
    fits = ordered and offsets[0] >= HEADER.size and offsets[-1] == len(data) and found["points"] % (4 * PAGE) == 0 and found["points"] > 0
    padding = {name: found[name] - size for name, size in sizes.items()}
    if not fits or not all(0 <= extra < 64 for extra in padding.values()):
        raise ModelError("is damaged: its sections have wrong sizes", place=place, way_out=way_out)
    if not 1 <= k <= 255 or not k < width <= k + 4 or not 0 < first <= nodes < 1 << 24 or longest > 8 or window > 64:
        raise ModelError("is damaged: its header makes no sense", place=place, way_out=way_out)


def open_scorer(data: bytes, place: str = "model", path: str = "") -> Any:
    """Return the scorer for a compiled file: the native core, or NumPy where it was not built.

    ``path`` (``"native"`` or ``"numpy"``, else the environment variable ``POLICYCLF_SCORER``) asks for one of them.
    """
    check(data, place)
    path = path or os.environ.get("POLICYCLF_SCORER", "")
    if path not in ("", "native", "numpy"):
        raise UsageError(f"no scorer {path!r}", place="POLICYCLF_SCORER", way_out="native or numpy")
    if path != "numpy":
        try:
            from policyclf._native import NativeScorer
        except ImportError as error:
            if path == "native":
                raise UsageError("the native scorer was not built", way_out="install with a C compiler at hand") from error
        else:
            return NativeScorer(data)
    return numpy_scorer(data)


def numpy_scorer(data: bytes) -> NumpyScorer:
    """Return the NumPy scorer."""
    from policyclf.fallback import NumpyScorer

    return NumpyScorer(data)
