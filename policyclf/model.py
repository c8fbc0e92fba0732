"""A trained model: a folder of plain files, without pickle, that says what it was made of.

``model.json``   format number, categories, thresholds, options, SHA-256 of the files it was trained on, metrics
``ngrams.txt``   one character n-gram a line
``ngrams.npy``   float32 of shape ``(n_ngrams, 1 + n_categories)``: inverse document frequency, then the weights
``lexicon.tsv``  term, tab, category (and a tab and 2, where the term is of the second tier)
``scorer.bin``   all of it compiled for the scorer (:mod:`policyclf.compiler`)
``README.md``    the model card

Tagging reads ``model.json`` and ``scorer.bin`` only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cached_property

from policyclf.errors import ModelError, UsageError
from policyclf.records import Category
from policyclf.scorer import open_scorer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from policyclf.compiler import Linear

FORMAT = 1


class Model:
    """What tagging needs: the categories, a threshold for each, the compiled scorer, and where it all comes from.

    ``meta`` is the rest of ``model.json``.
    """

    def __init__(
        self,
        categories: tuple[Category, ...],
        thresholds: tuple[float, ...],
        compiled: bytes | memoryview,
        meta: Mapping[str, Any],
        path: str = "",
    ) -> None:
        self.categories = categories
        self.thresholds = thresholds
        self.compiled = compiled
        self.meta = meta
        self.path = path

    @property
    def names(self) -> tuple[str, ...]:
        """The category names, in the order of every matrix and tuple that belongs to this model."""
        return tuple(category.name for category in self.categories)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that name the compiled scorer; outputs carry it."""
        return str(self.meta.get("scorer_sha256", ""))[:12]

    def scorer(self, path: str = "") -> Any:
        """Return the scorer, opened once; another one for a ``path`` (see :func:`policyclf.scorer.open_scorer`)."""
        return self._open(path) if path else self._scorer

    @cached_property
    def _scorer(self) -> Any:
        return self._open("")

    def _open(self, path: str) -> Any:
        return open_scorer(self.compiled, f"{self.path}/scorer.bin" if self.path else "model", path)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_scorer"} | {"compiled": bytes(self.compiled)}

    def thresholds_at(self, precision: float | None) -> tuple[float, ...]:
        """Return the thresholds that tag only what is at least so sure, or the usual ones for None.

        Probabilities are calibrated, so of the tags with a probability of 0.95 or more at least 95 % are right, on text
        like the training set's. A usual threshold that is higher stays. Raises :class:`UsageError` outside 0.5 to 0.99.
        """
        if precision is None:
            return self.thresholds
        if not 0.5 <= precision <= 0.99:
            raise UsageError(f"precision {precision} is out of range", way_out="from 0.50 to 0.99")
        return tuple(max(precision, threshold) for threshold in self.thresholds)


def load_model(path: str | Path) -> Model:
    """Read a model folder.

    Raises :class:`ModelError` for a folder that is missing, is no model, is of another format or is damaged.
    """
    path = os.fspath(path)
    if not os.path.isdir(path):
        raise ModelError("no such model folder", place=path, way_out="name the folder that `policyclf train -o` wrote")
    file = os.path.join(path, "model.json")
    try:
        with open(file, "rb") as stream:
            meta = json.loads(stream.read())
        compiled = _read_compiled(os.path.join(path, "scorer.bin"))
    except FileNotFoundError as error:
        raise ModelError(f"is no model: {os.path.basename(error.filename)} is missing", place=path) from error
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", place=path) from error
    except ValueError as error:
        raise ModelError("is damaged: no valid JSON", place=file) from error
    if not isinstance(meta, dict) or "format" not in meta:
        raise ModelError("is no policyclf model", place=file)
    if meta["format"] != FORMAT:
        raise ModelError(
            f"is of format {meta['format']}, this version reads {FORMAT}",
            place=file,
            way_out="install the version of policyclf that wrote it, or train again",
        )
    try:
        categories = tuple(_category(entry) for entry in meta.pop("categories"))
        thresholds = tuple(float(value) for value in meta.pop("thresholds"))
        model = Model(categories, thresholds, compiled, meta, path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"is damaged: {error}", place=file) from error
    if not len(thresholds) == len(categories) > 0:
        raise ModelError("is damaged: its thresholds do not fit its categories", place=file)
    if model.scorer().n_categories != len(categories):
        raise ModelError("is damaged: model.json and scorer.bin do not belong together", place=path)
    return model


def _read_compiled(path: str) -> bytes | memoryview:
    """Read a file in one go, on Linux into large pages: a start waits for a handful of them, not for thousands of small ones."""
    with open(path, "rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        try:
            from mmap import MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_PRIVATE, mmap

            memory = mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS)
            memory.madvise(MADV_HUGEPAGE)
        except (ImportError, OSError, ValueError):  # another system, a kernel without large pages, an empty file
            return stream.read()
        view, at = memoryview(memory), 0
        while at < size and (n := stream.readinto(view[at:])):
            at += n
        return view[:at].toreadonly()


def _category(entry: Mapping[str, Any]) -> Category:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return Category(**fields)


def save_model(model: Model, linear: Linear, path: str | Path, card: str) -> None:
    """Write a model folder, file by file and each one whole or not at all. The same model gives the same bytes."""
    import io
    from pathlib import Path

    import numpy as np

    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    meta = {
        "format": FORMAT,
        "categories": [
            {"id": c.id, "name": c.name, "english": c.english, "definition": c.definition, "include": c.include, "exclude": c.exclude} for c in model.categories
        ],
        "thresholds": model.thresholds,
        **model.meta,
    }
    arrays = io.BytesIO()
    np.save(arrays, np.column_stack([linear.idf, linear.weights]).astype(np.float32), allow_pickle=False)
    columns = [f"{name}{tier}" for tier in ("", "\t2") for name in (*model.names, "无")]
    files = {
        "ngrams.txt": "".join(f"{ngram}\n" for ngram in linear.ngrams).encode(),
        "ngrams.npy": arrays.getvalue(),
        "lexicon.tsv": "".join(f"{term}\t{columns[column]}\n" for term, column in linear.terms.items()).encode(),
        "scorer.bin": model.compiled,
        "README.md": card.encode(),
        "model.json": (json.dumps(meta, ensure_ascii=False, indent=1) + "\n").encode(),
    }
    for name, content in files.items():
        partial = path / f".{name}.part"
        partial.write_bytes(content)
        os.replace(partial, path / name)
