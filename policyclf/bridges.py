"""Labelled passages in the formats of other tools, and back: doccano, Label Studio, Prodigy, fastText, datasets, tables.

Export, then import, gives the same records: ids and documents travel in the fields that each format leaves to its user.
fastText has no such fields, and no white space of its own, so from there come texts and labels only (see ``_from_fasttext``).
Nothing is skipped on import: an entry without a decision, an unknown category, a broken line is an error with its place.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from policyclf.errors import LabelError, OutputError, UsageError
from policyclf.labels import read_labels, read_objects, read_text
from policyclf.outputs import write_whole
from policyclf.records import Category, LabelRecord
from policyclf.review import NONE, yes_or_no

if TYPE_CHECKING:
    import datasets

FORMATS = ("policyclf", "doccano", "labelstudio", "prodigy", "fasttext", "table", "datasets")

_SPACE = "▁"  # stands for a space in fastText's lines, where spaces part the words
_GUARDED = re.compile(r"'*[=+\-@\t\r]")  # what a spreadsheet takes for a formula, and the same behind a guard
_SEPARATORS = re.compile(r"[、;；,，|\n]+")
_CELL = 32_767
_COLUMNS = {  # what people call them; the first is what we write
    "id": ("id", "编号", "序号", "句子编号"),
    "document": ("document", "文档", "文件", "文章", "篇名"),
    "text": ("text", "正文", "段落原文", "段落", "句子", "内容", "文本", "sentence", "content", "passage"),
    "labels": ("labels", "类别", "标签", "分类", "label", "category", "categories"),
}


class _Entry(NamedTuple):
    """What an import found: empty ``id`` or ``document`` where the file says nothing of them."""

    id: str
    document: str
    text: str
    labels: tuple[str, ...]
    place: str


def export_labels(records: Iterable[LabelRecord], path: str | Path, format: str, categories: Sequence[Category]) -> None:
    """Write labelled passages in a format of :data:`FORMATS`; the file appears whole or not at all.

    ``table`` is .csv or .xlsx by the ending of ``path``; ``datasets`` makes a folder for ``datasets.load_from_disk``.
    Raises :class:`UsageError` for an unknown format, :class:`LabelError` for a label that is no category or a text that
    the format cannot hold, :class:`OutputError` where writing fails.
    """
    path, names = Path(path), [category.name for category in categories]
    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}", way_out="、".join(FORMATS))
    records = list(records)
    for record in records:
        _check(record.labels, names, f"record {record.id}")
    if format == "datasets":
        _write_folder(to_dataset(records, categories), path)
    elif format == "table":
        write_whole(path, _table_bytes(records, names, path))
    else:
        writers: dict[str, Callable[[list[LabelRecord], list[str]], str]] = {
            "policyclf": _policyclf, "doccano": _doccano, "labelstudio": _labelstudio, "prodigy": _prodigy, "fasttext": _fasttext,
        }  # fmt: skip
        try:
            write_whole(path, writers[format](records, names).encode())
        except UnicodeEncodeError as error:
            raise LabelError(f"a lone surrogate cannot be written as {format}", place=str(path)) from error


def import_labels(path: str | Path, format: str, categories: Sequence[Category]) -> list[LabelRecord]:
    """Read labelled passages in a format of :data:`FORMATS`; passages of one document are brought together.

    Where the file names no documents each passage is one of its own, and where it has no ids they are made of the file's
    name and the number of the entry. Raises :class:`UsageError` for an unknown format, :class:`LabelError` with file and
    line (entry, cell) for anything that is not in order.
    """
    path = Path(path)
    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}", way_out="、".join(FORMATS))
    if format == "policyclf":
        return read_labels([path], categories)
    names = [category.name for category in categories]
    if format == "datasets":
        import datasets

        try:
            found = datasets.load_from_disk(str(path))
        except (OSError, ValueError) as error:
            raise LabelError(f"is no saved dataset: {error}", place=str(path)) from error
        return from_dataset(found, categories, place=str(path))
    readers: dict[str, Callable[[Path, list[str]], Iterator[_Entry]]] = {
        "doccano": _from_doccano, "labelstudio": _from_labelstudio, "prodigy": _from_prodigy, "fasttext": _from_fasttext, "table": _from_table,
    }  # fmt: skip
    return _records(readers[format](path, names), names, path.stem, str(path))


def to_dataset(records: Iterable[LabelRecord], categories: Sequence[Category]) -> datasets.Dataset:
    """Return a ``datasets.Dataset`` with ``id``, ``document``, ``text`` and ``labels``, a list of class labels with names."""
    import datasets

    names = [category.name for category in categories]
    labels = datasets.List(datasets.ClassLabel(names=names))
    features = datasets.Features(id=datasets.Value("string"), document=datasets.Value("string"), text=datasets.Value("string"), labels=labels)
    records = list(records)
    columns = {
        "id": [r.id for r in records],
        "document": [r.document for r in records],
        "text": [r.text for r in records],
        "labels": [[names.index(x) for x in _check(r.labels, names, f"record {r.id}")] for r in records],
    }
    try:
        return datasets.Dataset.from_dict(columns, features=features)
    except UnicodeEncodeError as error:
        raise LabelError("a lone surrogate cannot be held by a dataset") from error


def from_dataset(dataset: Any, categories: Sequence[Category], *, place: str = "dataset") -> list[LabelRecord]:
    """Return the records of a ``Dataset`` (or of all parts of a ``DatasetDict``) with ``text`` and ``labels``, as names or class labels."""
    names = [category.name for category in categories]
    parts = dataset.items() if hasattr(dataset, "items") else [("", dataset)]

    def entries() -> Iterator[_Entry]:
        for part, data in parts:
            known = getattr(getattr(data.features.get("labels"), "feature", None), "names", None)
            for number, row in enumerate(data, 1):
                where = f"{place}, {part + ' ' if part else ''}row {number}"
                labels = row.get("labels")
                if not isinstance(labels, list):
                    raise LabelError("has no list of labels", place=where)
                named = tuple(known[x] if known and isinstance(x, int) else str(x) for x in labels)
                yield _Entry(str(row.get("id") or ""), str(row.get("document") or ""), _string(row, "text", where), named, where)

    return _records(entries(), names, "row", place)


# Writing: records -> the text of a file


def _policyclf(records: list[LabelRecord], names: list[str]) -> str:
    return _lines({"id": r.id, "document": r.document, "text": r.text, "labels": list(r.labels)} for r in records)


def _doccano(records: list[LabelRecord], names: list[str]) -> str:
    """One object a line; doccano gives each text an ``id`` of its own and keeps further keys beside it."""
    return _lines({"text": r.text, "label": list(r.labels), "passage_id": r.id, "document": r.document} for r in records)


def _labelstudio(records: list[LabelRecord], names: list[str]) -> str:
    """One list of tasks, for a project with ``<Choices name="label" toName="text" choice="multiple">``."""

    def task(number: int, record: LabelRecord) -> dict[str, Any]:
        choices = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": list(record.labels)}}
        data = {"text": record.text, "passage_id": record.id, "document": record.document}
        return {"id": number, "data": data, "annotations": [{"result": [choices] if record.labels else []}]}

    return "[" + ",\n".join(_json(task(number, record)) for number, record in enumerate(records, 1)) + "]\n"


def _prodigy(records: list[LabelRecord], names: list[str]) -> str:
    """One object a line, as the interface ``choice`` leaves it with several answers allowed."""
    options = [{"id": name, "text": name} for name in names]
    return _lines(
        {"text": r.text, "options": options, "accept": list(r.labels), "answer": "accept", "meta": {"id": r.id, "document": r.document}} for r in records
    )


def _fasttext(records: list[LabelRecord], names: list[str]) -> str:
    """``__label__NAME`` for each label, then the characters, parted by spaces, so that n-grams of words are n-grams of characters."""
    marks = _marks(names)
    lines = []
    for record in records:
        words = [_SPACE if char.isspace() else char for char in record.text]
        lines.append(" ".join([*(marks[name] for name in record.labels), *words]) + "\n")
    return "".join(lines)


def _marks(names: Sequence[str]) -> dict[str, str]:
    marks = {name: "__label__" + re.sub(r"\s", "_", name) for name in names}
    if len(set(marks.values())) < len(marks):
        raise LabelError("two categories have the same name in fastText, which has no spaces in names")
    return marks


def _table_bytes(records: list[LabelRecord], names: list[str], path: Path) -> bytes:
    """One row a passage: id, document, text, and a column of 0 and 1 for each category."""
    rows = [["id", "document", "text", *names]]
    rows += [[r.id, r.document, r.text, *("1" if name in r.labels else "0" for name in names)] for r in records]
    suffix = path.suffix.lower()
    if suffix == ".csv":
        out = io.StringIO(newline="")
        csv.writer(out).writerows([[f"'{cell}" if _GUARDED.match(cell) else cell for cell in row] for row in rows])
        try:
            return out.getvalue().encode("utf-8-sig")
        except UnicodeEncodeError as error:
            raise LabelError("a lone surrogate cannot be written to a table", place=str(path)) from error
    if suffix != ".xlsx":
        raise UsageError(f"unknown kind of table {suffix!r}", place=str(path), way_out="name a file that ends in .csv or .xlsx")
    for row in rows:
        if any(len(cell) > _CELL or re.search("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]", cell) for cell in row):
            raise LabelError("a text is too long for an Excel cell, or holds control characters", place=f"record {row[0]}", way_out="write .csv")
    import openpyxl
    from openpyxl.cell import WriteOnlyCell

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("labels")
    for number, row in enumerate(rows):
        cells: list[Any] = []
        for k, text in enumerate(row):
            cell = WriteOnlyCell(sheet, value=int(text) if number and k > 2 else text)
            if isinstance(cell.value, str):
                cell.data_type = "s"  # or text that begins with = would be a formula
            cells.append(cell)
        sheet.append(cells)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


# Reading: a file -> entries


def _from_doccano(path: Path, names: list[str]) -> Iterator[_Entry]:
    for entry, place in read_objects(path):
        labels = entry.get("label", entry.get("labels"))
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise LabelError("'label' is no list of strings", place=place, way_out="export a project for text classification as JSONL")
        text = _string(entry, "text" if "text" in entry else "data", place)
        yield _Entry(str(entry.get("passage_id") or entry.get("id") or ""), str(entry.get("document") or ""), text, tuple(labels), place)


def _from_labelstudio(path: Path, names: list[str]) -> Iterator[_Entry]:
    try:
        tasks = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise LabelError(f"no valid JSON: {error.msg}", place=f"{path}:{error.lineno}") from error
    if not isinstance(tasks, list):
        raise LabelError("is no list of tasks", place=str(path), way_out="export the project as JSON")
    for number, task in enumerate(tasks, 1):
        place = f"{path}, task {number}"
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict) or not isinstance(task.get("annotations"), list):
            raise LabelError("is no task with data and annotations", place=place, way_out="export the project as JSON, not JSON-MIN")
        done = [a for a in task["annotations"] if isinstance(a, dict) and not a.get("was_cancelled")]
        if not done:
            raise LabelError("has no annotation", place=place, way_out="finish it, or export annotated tasks only")
        decisions = {frozenset(labels): labels for labels in (_choices(annotation, place) for annotation in done)}
        if len(decisions) > 1:
            raise LabelError("was annotated twice, and differently", place=place, way_out="settle it in Label Studio")
        data = task["data"]
        text = _string(data, "text", place)
        yield _Entry(str(data.get("passage_id") or ""), str(data.get("document") or ""), text, next(iter(decisions.values())), place)


def _choices(annotation: dict[str, Any], place: str) -> tuple[str, ...]:
    found: list[str] = []
    for result in annotation.get("result", ()):
        if result.get("type") == "choices":
            choices = result.get("value", {}).get("choices")
            if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
                raise LabelError("its choices are no list of strings", place=place)
            found += choices
    return tuple(found)


def _from_prodigy(path: Path, names: list[str]) -> Iterator[_Entry]:
    for entry, place in read_objects(path):
        accept, meta = entry.get("accept"), entry.get("meta") or {}
        if entry.get("answer") != "accept":
            raise LabelError(f"was answered {entry.get('answer')!r}", place=place, way_out="export accepted answers only: prodigy db-out --answer accept")
        if not isinstance(accept, list) or not all(isinstance(label, str) for label in accept) or not isinstance(meta, dict):
            raise LabelError("'accept' is no list of strings", place=place, way_out="export a dataset made with several choices")
        yield _Entry(str(meta.get("id") or ""), str(meta.get("document") or ""), _string(entry, "text", place), tuple(accept), place)


def _from_fasttext(path: Path, names: list[str]) -> Iterator[_Entry]:
    """Texts and labels. Characters or words are put together again, with a space between two words in Latin letters."""
    known = {mark: name for name, mark in _marks(names).items()}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        words = line.split()
        if not words:
            continue
        place = f"{path}:{number}"
        labels = [word for word in words if word.startswith("__label__") and len(word) > len("__label__")]
        for label in labels:
            if label not in known:
                raise LabelError(f"unknown category {label!r}", place=place, way_out=f"known: {'、'.join(known)}")
        words = [word for word in words if word not in known]
        text = "".join(
            f" {word}" if k and len(word) > 1 and len(words[k - 1]) > 1 and word.isascii() and words[k - 1].isascii() else word for k, word in enumerate(words)
        ).replace(_SPACE, " ")
        yield _Entry("", "", text, tuple(known[label] for label in labels), place)


def _from_table(path: Path, names: list[str]) -> Iterator[_Entry]:
    """Rows of a .csv or .xlsx with a column of labels (joined by 、；;，, or |), or a column of yes and no for each category."""
    rows = _rows(path)
    head, _ = next(rows, ([], None))
    header = [name.strip() for name in head]
    at: dict[str, int] = {}
    for key, known in _COLUMNS.items():
        found = [k for k, name in enumerate(header) if name.lower() in known and name not in names]
        if len(found) > 1:
            raise LabelError(f"several columns may hold the {key}: {'、'.join(header[k] for k in found)}", place=str(path), way_out="rename the others")
        at |= {key: found[0]} if found else {}
    flags = {name: header.index(name) for name in names if name in header}
    if "text" not in at or not ("labels" in at or flags):
        way_out = f"name them {_COLUMNS['text'][0]} and {_COLUMNS['labels'][0]}, or give each category a column"
        raise LabelError(f"needs a column of text and one of labels; it has: {'、'.join(header)}", place=str(path), way_out=way_out)
    if flags and len(flags) < len(names) and "labels" not in at:
        raise LabelError(f"has no column for {next(name for name in names if name not in flags)!r}", place=str(path))
    for row, place in rows:
        cells = [*row, *[""] * (len(header) - len(row))]
        if not any(cell.strip() for cell in cells):
            continue
        where = place(at["text"])
        flagged = tuple(name for name, k in flags.items() if yes_or_no(cells[k], place(k)))
        labels = flagged
        if "labels" in at:
            labels = _split_labels(cells[at["labels"]], names, place(at["labels"]))
            if flags and set(flagged) != {name for name in labels if name in flags}:
                raise LabelError("the column of labels and those of the categories differ", place=place(at["labels"]), way_out="keep one of the two")
        identity, document, text = (cells[at[key]] if key in at else "" for key in ("id", "document", "text"))
        yield _Entry(identity, document, text, labels, where)


def _split_labels(cell: str, names: Sequence[str], place: str) -> tuple[str, ...]:
    cell = cell.strip()
    if cell in names or cell in ("", NONE):
        return (cell,) if cell in names else ()
    return _check(tuple(part.strip() for part in _SEPARATORS.split(cell) if part.strip()), names, place)


def _rows(path: Path) -> Iterator[tuple[list[str], Callable[[int], str]]]:
    """Yield the rows of a table as text, each with a function that names the place of one of its cells."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        from policyclf.encoding import decode

        text, _ = decode(_bytes(path), place=str(path))
        delimiter = max(",\t;", key=text.split("\n", 1)[0].count)
        csv.field_size_limit(1 << 30)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            for number, row in enumerate(reader, 1):
                cells = [cell[1:] if cell.startswith("'") and _GUARDED.match(cell) else cell for cell in row]
                yield cells, lambda k, number=number: f"{path}, row {number}, column {k + 1}"  # type: ignore[misc]
        except csv.Error as error:
            raise LabelError(f"is no valid CSV: {error}", place=f"{path}:{reader.line_num}") from error
        return
    if suffix != ".xlsx":
        raise UsageError(f"unknown kind of table {suffix!r}", place=str(path), way_out="name a file that ends in .csv or .xlsx")
    import openpyxl
    from openpyxl.utils import get_column_letter

    from policyclf.container import checked_office

    book = openpyxl.load_workbook(checked_office(_bytes(path), str(path), "xlsx"), read_only=True, data_only=True)
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # some programs state them wrongly, and rows would be cut
        for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
            place = lambda k, number=number: f"{path}, {sheet.title}!{get_column_letter(k + 1)}{number}"  # noqa: E731
            yield [_cell(value) for value in row], place
    finally:
        book.close()


def _cell(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # Excel has no whole numbers: an id of 12 comes as 12.0
    return "" if value is None else str(value)


# What all of them need


def _records(entries: Iterable[_Entry], names: Sequence[str], stem: str, place: str) -> list[LabelRecord]:
    """Check entries and return their records, those of a document together, in the order in which documents first appear."""
    documents: dict[str, list[LabelRecord]] = {}
    place_of_id: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        if not entry.text.strip():
            raise LabelError("the text is empty", place=entry.place)
        identity = entry.id or f"{stem}-{number}"
        if identity in place_of_id:
            raise LabelError(f"id {identity!r} already stands at {place_of_id[identity]}", place=entry.place, way_out="give each passage its own id")
        place_of_id[identity] = entry.place
        record = LabelRecord(identity, entry.document or identity, entry.text, _check(entry.labels, names, entry.place))
        documents.setdefault(record.document, []).append(record)
    if not documents:
        raise LabelError("no labelled passage found", place=place)
    return [record for records in documents.values() for record in records]


def _check(labels: tuple[str, ...], names: Sequence[str], place: str) -> tuple[str, ...]:
    for label in labels:
        if label not in names:
            raise LabelError(f"unknown category {label!r}", place=place, way_out=f"known: {'、'.join(names)}; for others pass their categories.json")
        if labels.count(label) > 1:
            raise LabelError(f"category {label!r} stands twice", place=place)
    return labels


def _string(entry: dict[str, Any], key: str, place: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise LabelError(f"{key!r} is missing or no string", place=place)
    return value


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate: JSON can say it in ASCII only
        return json.dumps(value)
    return text


def _lines(entries: Iterable[dict[str, Any]]) -> str:
    return "".join(_json(entry) + "\n" for entry in entries)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LabelError(f"cannot be read: {error.strerror}", place=str(path)) from error


def _write_folder(dataset: datasets.Dataset, path: Path) -> None:
    if path.exists():
        raise OutputError("exists already", place=str(path), way_out="name a new folder")
    draft = path.with_name(f".{path.name}.part")
    try:
        dataset.save_to_disk(str(draft))
        os.replace(draft, path)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", place=str(path), way_out="make room, or write to another place") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
