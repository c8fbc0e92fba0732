r"""Results as files: JSON lines, CSV, Excel, Parquet or an HTML report, chosen by the name's ending.

Results are taken one by one and once only, so that a hundred thousand articles need the memory of one. A file appears
whole or not at all: it is made in a hidden folder beside its place and moved there at the end.

No row is lost. In every table an input that failed has a row with ``error`` filled, and an article without passages has
a row without passage. Characters that a format cannot hold (control characters, lone surrogates) stand as visible
escapes such as ``\x00`` or ``\ud800`` in tables; JSON lines and the report keep them.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from policyclf.errors import OutputError, UsageError
from policyclf.journal import Failure, from_line, to_line
from policyclf.records import Category, TaggedArticle, TaggedPassage
from policyclf.table import Result, duplicate_of, joined_categories, joined_evidence, numbered, plain, unit, word, year

SUFFIXES = (".jsonl", ".csv", ".xlsx", ".parquet", ".html")
LANGUAGES = ("zh", "en")
ROW_GROUP = 20_000  # rows of a Parquet row group: some megabytes, the size that readers like
ROW_GROUP_TEXT = 1 << 24  # or as many characters of text, so that long passages do not fill the memory
FORMULA_START = "=+-@\t\r\n＝＋－＠'"  # what a spreadsheet may take for a formula; ' because it is the guard itself


def write(
    results: Iterable[Result] | Result,
    path: str | Path,
    *,
    language: str = "zh",
    only_tagged: bool = False,
    thresholds: Sequence[float] | None = None,
    codebook: Sequence[Category] = (),
) -> None:
    """Write results to a file whose ending says the format: .jsonl, .csv, .xlsx, .parquet or .html.

    ``results`` are iterated once; a single result will do as well. An existing file is replaced only when the new one is
    complete. ``language`` (``"zh"`` or ``"en"``) is that of the column names and of the report. With ``only_tagged`` the
    tables hold only passages with a category (counts and shares stay those of the whole article). ``thresholds`` (one a
    category, :attr:`Tagger.thresholds`) and ``codebook`` (for English names and definitions) are shown by the report;
    without thresholds its chips name none.

    Raises :class:`UsageError` for another ending or language, :class:`OutputError` where the file cannot be written or
    the articles of a table were tagged with different categories; errors of ``results`` itself pass through.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"unknown format {suffix or path.name!r}", place=str(path), way_out=f"name a file that ends in {', '.join(SUFFIXES)}")
    if language not in LANGUAGES:
        raise UsageError(f"unknown language {language!r}", way_out="zh or en")
    if only_tagged and suffix in (".jsonl", ".html"):
        raise UsageError(f"a {suffix} file holds all passages", way_out="leave only_tagged out, or write .csv, .xlsx or .parquet")
    if isinstance(results, (TaggedArticle, Failure)):
        results = [results]
    if suffix == ".jsonl":
        _replace(path, _lines, results)
    elif suffix == ".csv":
        _replace(path, _csv, results, language=language, only_tagged=only_tagged)
    elif suffix == ".parquet":
        _replace(path, _parquet, results, only_tagged=only_tagged)
    elif suffix == ".xlsx":
        from policyclf.workbook import write_workbook

        _replace(path, write_workbook, results, language=language, only_tagged=only_tagged)
    else:
        from policyclf.report import write_report

        _replace(path, write_report, results, language=language, thresholds=thresholds, codebook=codebook)


def read_results(path: str | Path) -> Iterator[Result]:
    """Read the results of a JSONL file one by one; the articles' texts are not in it and come back empty.

    Raises :class:`OutputError` with file and line for what is no such file, is damaged or was cut off.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                place = f"{path}:{number}"
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise OutputError("is not UTF-8", place=place, way_out="name a JSONL file made by `policyclf tag`") from error
                yield from_line(text, place)
    except OSError as error:
        raise OutputError(f"cannot be read: {error.strerror}", place=str(path), way_out="name a JSONL file made by `policyclf tag`") from error


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all; raises :class:`OutputError`."""
    _replace(Path(path), lambda _, file: file.write(content), ())


class _SourceError(Exception):
    """Carries an error of ``results`` past the handlers of write errors."""


def _replace(path: Path, fill: Callable[..., None], results: Iterable[Result], **options: Any) -> None:
    """Let ``fill`` write a new file and put it in the place of ``path``; whatever goes wrong, the old one stays.

    The hidden folder lies beside the target because only a move within one file system is atomic, and because
    temporary files of the Excel writer then need no room elsewhere.
    """
    place = Path(os.path.realpath(path))  # a link goes on pointing to where it points
    if place.is_dir():
        raise OutputError("is a folder", place=str(path), way_out="name a file in it")
    try:
        folder = Path(tempfile.mkdtemp(prefix=".policyclf-", dir=place.parent))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        draft = folder / "draft"
        with open(draft, "xb") as file:
            fill(_reading(results), file, **options)
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            shutil.copymode(place, draft)
        os.replace(draft, place)
        _sync_folder(place.parent)
    except _SourceError as error:
        raise error.args[0] from error.args[0].__cause__
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _reading(results: Iterable[Result]) -> Iterator[Result]:
    """Pass results on; their own trouble with files must not look like trouble with the output."""
    source = iter(results)
    while True:
        try:
            result = next(source)
        except StopIteration:
            return
        except OSError as error:
            raise _SourceError(error) from error
        yield result


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere folders cannot be opened
        with suppress(OSError):  # some network file systems cannot do it; the file itself is safe
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _cannot_write(path: Path, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        way_out = "make room, or write to another disk"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        way_out = "make the folder first"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        way_out = "close the program that has the file open, or write to a folder of your own"
    else:
        way_out = "write to another place"
    return OutputError(f"cannot be written: {error.strerror or error}; an older file there is untouched", place=str(path), way_out=way_out)


def _lines(results: Iterable[Result], file: IO[bytes]) -> None:
    for result in results:
        # Within a JSON string the escape that Python puts for a lone surrogate is JSON's own.
        file.write((to_line(result) + "\n").encode("utf-8", "backslashreplace"))


def _csv(results: Iterable[Result], file: IO[bytes], *, language: str, only_tagged: bool) -> None:
    """One row a passage; each category has a column of 0 and 1 and one of probabilities.

    The unit number stands in three columns, because a spreadsheet that opens a CSV file takes 3-2-1 for a date.
    """
    categories, stream = numbered(results)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")  # Excel knows UTF-8 by its BOM only
    # Strings in quotes, numbers without: a spreadsheet that cuts at ; must not find a formula behind one.
    rows = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)

    def strings(*cells: str) -> list[str]:
        return [guarded(plain(cell)) for cell in cells]

    probability = word("probability", language)
    rows.writerow(
        strings(
            *(
                word(key, language)
                for key in ("article", "paragraph", "sentence", "source", "title", "date", "year", "place", "publisher", "heading", "text", "category")
            ),
            *categories,
            *(f"{name}_{probability}" for name in categories),
            *(word(key, language) for key in ("evidence", "start", "end", "encoding", "format", "duplicate_of", "model", "error", "way_out")),
        )
    )
    for number, result in stream:
        if isinstance(result, Failure):
            nothing = [""] * (2 * len(categories))
            rows.writerow(
                [number, "", "", *strings(result.source), *[""] * 8, *nothing, *[""] * 6, *strings(result.model, result.problem or result.kind, result.way_out)]
            )
            continue
        article = result.article
        before = strings(article.source, article.title, article.date, year(article.date), article.place, article.publisher)
        after = strings(article.encoding, article.format, duplicate_of(result), result.model, "", "")
        for passage in _rows_of(result, only_tagged):
            if passage is None:
                rows.writerow([number, "", "", *before, "", "", "", *[""] * (2 * len(categories)), "", "", "", *after])
                continue
            names = {tag.category for tag in passage.tags}
            rows.writerow(
                [
                    number,
                    *passage.unit,
                    *before,
                    *strings(passage.heading, passage.text, joined_categories(passage, language)),
                    *(int(name in names) for name in categories),
                    *(round(value, 4) for value in passage.probabilities),
                    *strings(joined_evidence(passage, language)),
                    passage.start,
                    passage.end,
                    *after,
                ]
            )
    text.flush()
    text.detach()  # the file is closed by whom it belongs to


def guarded(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: a leading ``'`` is set before what looks like one.

    Taking one leading ``'`` away gives the text back.

    >>> guarded("=1+1"), guarded("全文")
    ("'=1+1", '全文')
    """
    return f"'{text}" if text and text[0] in FORMULA_START else text


def _rows_of(result: TaggedArticle, only_tagged: bool) -> Iterator[TaggedPassage | None]:
    """Yield the passages that a table shows, or None once for an article that has no passage at all."""
    if not result.passages:
        yield None
    for passage in result.passages:
        if passage.tags or not only_tagged:
            yield passage


def _parquet(results: Iterable[Result], file: IO[bytes], *, only_tagged: bool) -> None:
    """One row a passage, names in English; ``probability_...`` has a column a category, ``tags`` holds all of a tag."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    categories, stream = numbered(results)
    strings = ("source", "title", "date", "place", "publisher", "encoding", "format", "sha256")
    evidence = pa.struct([("text", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("contribution", pa.float32())])
    tag = pa.struct([("category", pa.string()), ("probability", pa.float32()), ("evidence", pa.list_(evidence))])
    schema = pa.schema(
        [
            ("unit", pa.string()),
            ("article", pa.int32()),
            *((name, pa.string()) for name in strings),
            *((name, pa.string()) for name in ("duplicate_of", "model", "heading", "text")),
            *((name, pa.int64()) for name in ("start", "end")),
            ("categories", pa.list_(pa.string())),
            ("tags", pa.list_(tag)),
            *((f"probability_{name}", pa.float32()) for name in categories),
            ("error", pa.string()),
            ("way_out", pa.string()),
        ]
    )
    rows: list[dict[str, Any]] = []
    length = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for number, result in stream:
            if isinstance(result, Failure):
                rows.append(
                    {
                        "article": number,
                        **{name: plain(getattr(result, name)) for name in ("source", "sha256", "model", "way_out")},
                        "error": plain(result.problem or result.kind),
                    }
                )
                continue
            common: dict[str, Any] = {name: plain(getattr(result.article, name)) for name in strings}
            common |= {"article": number, "model": plain(result.model), "duplicate_of": plain(duplicate_of(result))}
            for passage in _rows_of(result, only_tagged):
                rows.append(common if passage is None else common | _parquet_row(number, passage, categories))
                length += len(passage.text) if passage else 0
                if len(rows) >= ROW_GROUP or length >= ROW_GROUP_TEXT:
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    rows, length = [], 0
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema))


def _parquet_row(number: int, passage: TaggedPassage, categories: Sequence[str]) -> dict[str, Any]:
    return {
        "unit": unit(number, passage),
        "heading": plain(passage.heading),
        "text": plain(passage.text),
        "start": passage.start,
        "end": passage.end,
        "categories": [tag.category for tag in passage.tags],
        "tags": [
            {
                "category": tag.category,
                "probability": round(tag.probability, 4),
                "evidence": [{"text": plain(e.text), "start": e.start, "end": e.end, "contribution": round(e.contribution, 3)} for e in tag.evidence],
            }
            for tag in passage.tags
        ],
        **{f"probability_{name}": round(value, 4) for name, value in zip(categories, passage.probabilities, strict=True)},
    }
