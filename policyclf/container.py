"""Files that hold many articles: zip archives, and tables with a column of text. Nothing is unpacked to disk."""

from __future__ import annotations

import csv
import json
import sys
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime
from io import BytesIO, StringIO
from typing import IO, Any

from policyclf.dateline import iso_date
from policyclf.encoding import decode
from policyclf.errors import ArticleError, EncodingError
from policyclf.records import Article

MEMBER_LIMIT = 1 << 29  # bytes of one file in an archive, unpacked: 512 MB
TOTAL_LIMIT = 1 << 34  # of all of them: 16 GB, one in memory at a time
_BOMB_SIZE, _BOMB_RATIO = 1 << 26, 200  # text packs 3 to 20 times, Office's XML up to 100 times

TEXT_COLUMNS = (
    "text",
    "正文",
    "内容",
    "全文",
    "文本",
    "原文",
    "content",
    "passage",
    "body",
    "article",
    "文章",
    "政策内容",
    "政策文本",
    "段落",
    "句子",
    "sentence",
)
_OTHER_COLUMNS = {
    "title": ("title", "标题", "题目", "政策名称", "文件名称", "名称", "headline"),
    "date": ("date", "日期", "发布日期", "发布时间", "发文日期", "成文日期", "时间", "pubdate", "published", "publish_date", "publish_time"),
    "publisher": ("source", "来源", "publisher", "发布机构", "发文机关", "发文单位", "发布单位", "媒体", "media"),
    "place": ("place", "地区", "地点", "城市", "省份", "city", "province", "region"),
}
_HEADER_ROWS = 5  # a sheet may have its own title above the names of the columns

Row = tuple[str, "Article | ArticleError"]


def members(file: IO[bytes], place: str) -> Iterator[tuple[str, bytes | ArticleError]]:
    """Yield (name, bytes) of the files in a zip archive in its order; an error in place of the bytes that cannot be had.

    Raises :class:`ArticleError` for what is no zip archive, and for one that would unpack to more than is sane.
    """
    with open_zip(file, place) as archive:
        for info in archive.infolist():
            name = _name(info)
            if info.is_dir():
                continue
            try:
                yield name, _unpacked(archive, info, f"{place}/{name}")
            except ArticleError as error:
                yield name, error


def open_zip(file: IO[bytes], place: str) -> zipfile.ZipFile:
    """Open a zip archive and refuse one that is a bomb by what it says of itself; more than that zipfile never unpacks."""
    packed = file.seek(0, 2)
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError) as error:
        raise ArticleError(f"is no zip archive or cut off: {error}", place=place, way_out="fetch it again, or give it the suffix of what it is") from None
    total = sum(info.file_size for info in archive.infolist())
    if total > TOTAL_LIMIT or (total > _BOMB_SIZE and total > _BOMB_RATIO * packed):
        archive.close()
        problem = f"would unpack from {packed:,} to {total:,} bytes: a zip bomb"
        raise ArticleError(problem, place=place, way_out="unpack it yourself if you trust it")
    return archive


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> bytes:
    if info.flag_bits & 1:
        raise ArticleError("is encrypted in its archive", place=place, way_out="unpack the archive with its password first")
    if info.file_size > MEMBER_LIMIT:
        raise ArticleError(f"is too large in its archive: {info.file_size:,} bytes", place=place, way_out="unpack the archive first")
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise ArticleError(f"is damaged in its archive: {error}", place=place, way_out="fetch the archive again") from None
    except (NotImplementedError, RuntimeError) as error:
        raise ArticleError(f"is packed in a way that cannot be read: {error}", place=place, way_out="unpack the archive first") from None


def _name(info: zipfile.ZipInfo) -> str:
    """Return the name of a member; archives made on Chinese Windows have it in GBK, and zipfile takes that for code page 437."""
    name = info.filename
    if not info.flag_bits & 0x800:
        with suppress(UnicodeEncodeError, EncodingError):
            name = decode(info.orig_filename.split("\0")[0].encode("cp437"))[0]
    return name.replace("\\", "/")


def checked_office(data: bytes, place: str, kind: str) -> BytesIO:
    """Return an Office document as a file, unless it is none, is encrypted, or unpacks or expands without end."""
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise ArticleError(f"is encrypted or of the old format, no .{kind}", place=place, way_out=f"open it and save it as .{kind} without a password")
    file = BytesIO(data)
    with open_zip(file, place) as archive:
        for info in archive.infolist():
            if info.filename.endswith((".xml", ".rels", ".vml")):
                part = _unpacked(archive, info, f"{place}/{info.filename}")
                # The standard forbids a document type in any part, and only there can entities be declared.
                if any(sign in part for word in ("<!DOCTYPE", "<!ENTITY") for sign in (word.encode(), word.encode("utf-16-le"), word.encode("utf-16-be"))):
                    raise ArticleError(f"{info.filename} declares a document type, as only an attack does", place=place, way_out="do not open it")
    file.seek(0)
    return file


def excel_rows(data: bytes, place: str, column: str | None) -> Iterator[Row]:
    """Yield (number of the row, article) of an Excel workbook, from every sheet that has the text column."""
    import openpyxl

    file = checked_office(data, place, "xlsx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on styles and validations, which do not matter here
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    missing: ArticleError | None = None
    found = False
    try:
        for number, sheet in enumerate(book.worksheets):
            sheet.reset_dimensions()  # some programs state them wrongly, and rows would be cut
            prefix = f"{sheet.title}!" if number else ""
            try:
                for row in _articles(enumerate(sheet.iter_rows(values_only=True), 1), place, column, prefix):
                    found = True
                    yield row
            except ArticleError as error:
                missing = missing or error
    finally:
        book.close()
    if not found:
        raise missing or ArticleError("holds no row", place=place)


def csv_rows(data: bytes, place: str, column: str | None, encoding: str | None) -> Iterator[Row]:
    """Yield (number of the row, article) of a CSV file, parted by commas, semicolons or tabs; the names of the columns are row 1."""
    text, encoding = decode(data, encoding, place)
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # an article is longer than the default of 128 KB
    first = text.split("\n", 1)[0]
    delimiter = max(",\t;", key=first.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = _guarded(reader, place)
    for number, article in _articles(rows, place, column, ""):
        yield number, _with_encoding(article, encoding)


def _guarded(reader: Any, place: str) -> Iterator[tuple[int, Sequence[Any]]]:
    number = 0
    try:
        for number, row in enumerate(reader, 1):
            yield number, row
    except csv.Error as error:
        way_out = "put a text that holds quotes or line breaks into quotes, and double the quotes in it"
        raise ArticleError(f"is no valid CSV: {error}", place=f"{place}#{number + 1}", way_out=way_out) from None


def json_rows(data: bytes, place: str, column: str | None, encoding: str | None) -> Iterator[Row]:
    """Yield (number of the line, article) of a JSON Lines file."""
    text, encoding = decode(data, encoding, place)
    names: dict[str, int] = {}
    found = False
    for number, line in enumerate(StringIO(text, newline=None), 1):
        if not line.strip():
            continue
        found = True
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield str(number), ArticleError(f"is no valid JSON: {error}", place=f"{place}#{number}")
            continue
        if not isinstance(record, dict):
            yield str(number), ArticleError("is no JSON object", place=f"{place}#{number}", way_out='one {"text": ...} a line')
            continue
        names = _columns(list(record), column)
        if "text" not in names:
            yield str(number), _no_column(list(record), column, f"{place}#{number}")
        else:
            yield str(number), _with_encoding(_article(list(record.values()), names, f"{place}#{number}"), encoding)
    if not found:
        raise ArticleError("holds no record", place=place)


def _articles(rows: Iterable[tuple[int, Sequence[Any]]], place: str, column: str | None, prefix: str) -> Iterator[Row]:
    names: dict[str, int] = {}
    heads: list[Sequence[Any]] = []
    width = 0
    found = False
    for number, row in rows:
        if all(cell is None or not str(cell).strip() for cell in row):
            continue
        if not names:
            names = _columns(row, column)
            if "text" not in names:
                heads.append(row)
                names = {}
                if len(heads) == _HEADER_ROWS:
                    break
            width = len(row)
            continue
        found = True
        where = f"{prefix}{number}"
        if len(row) > width and any(cell not in (None, "") for cell in row[width:]):
            problem = f"has {len(row)} cells under {width} names of columns"
            yield where, ArticleError(problem, place=f"{place}#{where}", way_out="put a text that holds the delimiter into quotes")
        else:
            yield where, _article(row, names, f"{place}#{where}")
    if not names:
        raise _no_column(heads[0], column, place) if heads else ArticleError("holds no row", place=place)
    if not found:
        raise ArticleError("holds no row below the names of its columns", place=place)


def _columns(names: Sequence[Any], column: str | None) -> dict[str, int]:
    """Return field -> number of the column, for the text and what else an article has."""
    plain = [unicodedata.normalize("NFKC", str(name)).strip().lower() if name is not None else "" for name in names]
    wanted = {"text": (unicodedata.normalize("NFKC", column).strip().lower(),) if column is not None else TEXT_COLUMNS, **_OTHER_COLUMNS}
    found: dict[str, int] = {}
    for field, known in wanted.items():
        at = next((plain.index(name) for name in known if name in plain), None)
        if at is not None and at not in found.values():
            found[field] = at
    return found


def _no_column(names: Sequence[Any], column: str | None, place: str) -> ArticleError:
    problem = f"has no column {column!r}" if column is not None else "has no column that is known to hold the text"
    listed = "、".join(str(name)[:20] for name in names[:20] if name is not None)
    return ArticleError(problem, place=place, way_out=f"name one with --column; it has: {listed}")


def _article(row: Sequence[Any], names: dict[str, int], place: str) -> Article | ArticleError:
    def cell(field: str) -> str:
        at = names.get(field)
        return _cell(row[at]) if at is not None and at < len(row) else ""

    text = cell("text")
    if not any(map(str.isalnum, text)):
        return ArticleError("holds no text in its text column", place=place)
    day = cell("date")
    # A year, or a year and month, is a date as well; what reads as none is left out.
    short = day if day.replace("-", "").isdecimal() and len(day) in (4, 7) else ""
    return Article(text, title=cell("title").strip(), date=iso_date(day) or short, publisher=cell("publisher").strip(), place=cell("place").strip())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.strftime("%Y-%m-%d")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if not isinstance(value, list | dict) else json.dumps(value, ensure_ascii=False)


def _with_encoding(article: Article | ArticleError, encoding: str) -> Article | ArticleError:

    return article._replace(encoding=encoding) if isinstance(article, Article) else article
