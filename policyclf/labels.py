"""Read labelled passages, categories and lexicon; check every line; split without cutting a document.

A labels file is JSON Lines: ``{"id", "document", "text", "labels"}`` and any further keys, the passages of one document
together in reading order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policyclf.errors import LabelError
from policyclf.records import TIERS, Category, LabelRecord, Term
from policyclf.shipped import shipped
from policyclf.text import CLAUSE_MARKS, fold

if TYPE_CHECKING:
    import datasets
    import numpy as np
    from numpy.typing import NDArray

NEAR_MISS = "无"  # in a lexicon: officialdom that looks near a category and is none
_SPLITS = ("train", "validation", "test")


def bundled(name: str) -> Path:
    """Return a folder that ships with the library: ``labels`` or ``models/default``."""
    return Path(shipped(name))


def label_files() -> list[Path]:
    """The labelled passages that ship with the library, in the order of their names."""
    return sorted(bundled("labels").glob("*.jsonl"))


def read_categories(path: str | Path | None = None) -> tuple[Category, ...]:
    """Read a codebook's categories (``categories.json``); the bundled ones where no path is given.

    Raises :class:`LabelError` for a file that is missing, no JSON, empty, or names a category twice.
    """
    path = Path(path) if path else bundled("labels") / "categories.json"
    try:
        entries = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise LabelError(f"no valid JSON: {error.msg}", place=f"{path}:{error.lineno}") from error
    if not isinstance(entries, list) or not entries:
        raise LabelError("holds no list of categories", place=str(path), way_out='write [{"id": ..., "name": ...}, ...]')
    categories = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
            raise LabelError("a category needs a name", place=f"{path}, entry {number}")
        unknown = set(entry) - {"id", "name", "english", "definition", "include", "exclude"}
        if unknown:
            raise LabelError(f"unknown key {sorted(unknown)[0]!r}", place=f"{path}, entry {number}")
        categories.append(
            Category(
                id=str(entry.get("id", entry["name"])),
                name=entry["name"],
                english=entry.get("english", ""),
                definition=entry.get("definition", ""),
                include=tuple(entry.get("include", ())),
                exclude=tuple(entry.get("exclude", ())),
            )
        )
    names = [c.name for c in categories]
    twice = {name for name in names if names.count(name) > 1 or name == NEAR_MISS}
    if twice:
        raise LabelError(f"category {twice.pop()!r} stands twice or is reserved", place=str(path))
    return tuple(categories)


def read_labels(paths: Iterable[str | Path], categories: Sequence[Category]) -> list[LabelRecord]:
    """Read and check labelled passages, in the order of files and lines.

    Raises :class:`LabelError`, with file and line, for bad JSON, a missing or ill-typed key, empty text, an unknown or
    doubled category, a repeated id, a document whose passages do not stand together, and for a set without passages.
    """
    names = {c.name for c in categories}
    records: list[LabelRecord] = []
    place_of_id: dict[str, str] = {}
    closed: set[str] = set()
    for path in paths:
        for entry, place in read_objects(path):
            record = _parse(entry, place)
            for name in record.labels:
                if name not in names:
                    known = "、".join(sorted(names))
                    raise LabelError(f"unknown category {name!r}", place=place, way_out=f"known: {known}; for others pass their categories.json")
            if record.id in place_of_id:
                raise LabelError(f"id {record.id!r} already stands at {place_of_id[record.id]}", place=place, way_out="give each passage its own id")
            place_of_id[record.id] = place
            if records and records[-1].document != record.document:
                closed.add(records[-1].document)
            if record.document in closed:
                raise LabelError(f"document {record.document!r} is torn apart", place=place, way_out="keep the passages of a document together")
            records.append(record)
    if not records:
        raise LabelError("no labelled passage found", way_out='one JSON object a line: {"id", "document", "text", "labels"}')
    return records


def read_objects(path: str | Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the objects of a JSON Lines file, each with its place; raises :class:`LabelError` for a line that is none."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise LabelError(f"no valid JSON: {error.msg} at column {error.colno}", place=place) from error
        if not isinstance(entry, dict):
            raise LabelError("no JSON object", place=place)
        yield entry, place


def _parse(entry: Mapping[str, Any], place: str) -> LabelRecord:
    values: dict[str, Any] = {}
    for key in ("id", "document", "text"):
        value = entry.get(key)
        if not isinstance(value, str) or not value.strip():
            raise LabelError(f"{key!r} is missing, empty or no string", place=place)
        values[key] = value
    labels = entry.get("labels")
    if not isinstance(labels, list) or not all(isinstance(x, str) for x in labels):
        raise LabelError("'labels' is no list of strings", place=place, way_out="write [] for none")
    if len(set(labels)) != len(labels):
        raise LabelError("a category stands twice in 'labels'", place=place)
    return LabelRecord(**values, labels=tuple(labels))


def read_lexicon(path: str | Path, categories: Sequence[Category]) -> dict[str, Term]:
    """Read a lexicon and return folded term -> :class:`policyclf.records.Term`.

    A line is term<TAB>category (or ``NEAR_MISS``), and <TAB>2 after it for a term of the second tier.
    Raises :class:`LabelError`, with file and line, for a line without a tab, an unknown category or tier, a term that folds to
    less than two characters, stands twice or has a mark of ``CLAUSE_MARKS`` in it.
    """
    names = {c.name for c in categories} | {NEAR_MISS}
    terms: dict[str, Term] = {}
    for number, line in enumerate(read_text(Path(path)).split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        term, *rest = line.strip("\r").split("\t")
        folded = fold(term)
        if not rest:
            raise LabelError("no tab between term and category", place=place)
        name, tier = rest[0], "\t".join(rest[1:]) or "1"
        if tier not in map(str, range(1, TIERS + 1)):
            raise LabelError(f"unknown tier {tier!r}", place=place, way_out=f"1 to {TIERS}, or nothing for 1")
        if name not in names:
            raise LabelError(f"unknown category {name!r}", place=place, way_out=f"known: {'、'.join(sorted(names))}")
        if len(folded) < 2:
            raise LabelError(f"term {term!r} is shorter than two characters", place=place)
        if folded in terms:
            raise LabelError(f"term {term!r} stands twice", place=place)
        if not set(CLAUSE_MARKS).isdisjoint(folded):
            raise LabelError(f"term {term!r} goes across clauses", place=place, way_out="give its parts, without the mark between them")
        terms[folded] = Term(name, int(tier))
    return terms


def label_matrix(labels: Sequence[Sequence[str]], names: Sequence[str]) -> NDArray[np.int8]:
    """Return the 0/1 matrix of shape ``(n_passages, n_categories)`` of label lists."""
    import numpy as np

    column = {name: k for k, name in enumerate(names)}
    matrix = np.zeros((len(labels), len(names)), np.int8)
    for row, passage in enumerate(labels):
        for name in passage:
            if name not in column:
                raise LabelError(f"unknown category {name!r}", place=f"passage {row}", way_out=f"known: {'、'.join(names)}")
            matrix[row, column[name]] = 1
    return matrix


def document_folds(documents: Sequence[str], n_folds: int, seed: int = 0) -> NDArray[np.intp]:
    """Return a fold number (0 to ``n_folds - 1``) for each passage, the same for all passages of a document.

    Documents are shuffled by a hash of ``seed`` and their name, so adding one moves no other, and dealt out by that hash
    alone; folds are about equal in size for a few dozen documents and more.
    Raises :class:`LabelError` where there are fewer documents than folds.
    """
    import numpy as np

    unique = list(dict.fromkeys(documents))
    if len(unique) < n_folds:
        raise LabelError(f"{len(unique)} documents cannot be split into {n_folds} folds", way_out="label more documents")
    ranked = sorted(unique, key=lambda name: _hash(seed, name))
    number = {name: rank % n_folds for rank, name in enumerate(ranked)}
    return np.array([number[name] for name in documents], np.intp)


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogatepass")).digest()


def load_labels(paths: Iterable[str | Path] | None = None, *, categories: Sequence[Category] | None = None, seed: int = 0) -> datasets.DatasetDict:
    """Return labelled passages as a ``datasets.DatasetDict`` with ``train``, ``validation`` and ``test``.

    The split (80, 10 and 10 % of the documents) never cuts a document and stays as it is when documents are added.
    Columns: ``id``, ``document``, ``text``, and ``labels``, a sequence of class labels that carries the category names.
    Without ``paths``, the set that ships with the library.
    """
    import datasets

    categories = tuple(categories) if categories else read_categories()
    records = read_labels(paths if paths is not None else label_files(), categories)
    names = [c.name for c in categories]
    features = datasets.Features(
        id=datasets.Value("string"),
        document=datasets.Value("string"),
        text=datasets.Value("string"),
        labels=datasets.List(datasets.ClassLabel(names=names)),
    )
    rows: dict[str, list[LabelRecord]] = {name: [] for name in _SPLITS}
    for record in records:
        tenth = int.from_bytes(_hash(seed, record.document)[:8], "big") % 10
        rows["train" if tenth < 8 else _SPLITS[tenth - 7]].append(record)
    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(
                {
                    "id": [r.id for r in part],
                    "document": [r.document for r in part],
                    "text": [r.text for r in part],
                    "labels": [[names.index(x) for x in r.labels] for r in part],
                },
                features=features,
            )
            for split, part in rows.items()
        }
    )


def sha256_of(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return file name -> SHA-256 of its bytes, for the record of what a model was trained on."""
    return {Path(path).name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths}


def read_text(path: str | Path) -> str:
    """Return a UTF-8 file, with or without BOM, line ends as LF; raises :class:`LabelError` with the place of what is not."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise LabelError(f"cannot be read: {error.strerror}", place=str(path)) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise LabelError("is not UTF-8", place=f"{path}:{line}", way_out="save the file as UTF-8") from error
    return text.replace("\r\n", "\n")
