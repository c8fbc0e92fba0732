"""Articles made of labelled passages in any number, for experiments that need many: the same seed gives the same files."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

PASSAGES = 40  # of an article: about 2,000 characters, as long as a report in a newspaper


def make_articles(folder: Path, n: int, labels: Sequence[Path], *, seed: int = 0) -> list[Path]:
    """Write ``n`` articles of passages drawn from label files into a folder and return their paths."""
    passages = [json.loads(line)["text"] for path in labels for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(n):
        # Each article has a generator of its own, so that the first hundred of ten thousand are the hundred.
        chosen = random.Random(f"{seed}/{number}").choices(passages, k=PASSAGES)
        path = folder / f"{number:06}.txt"
        path.write_text("\n".join(chosen) + "\n", encoding="utf-8")
        paths.append(path)
    return paths
