"""Where the files that ship with the library lie."""

from __future__ import annotations

import os


def shipped(name: str) -> str:
    """Return the path of a folder that ships with the library: ``labels`` or ``models/default``.

    In an installed wheel it lies inside the package, in a checkout beside it.
    """
    package = os.path.dirname(os.path.abspath(__file__))
    inside = os.path.join(package, "_bundled", *name.split("/"))
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(package), *name.split("/"))
