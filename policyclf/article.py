"""Files, folders and bytes -> articles. Each format has its reader; whatever fails there is an error with the file's name."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from policyclf.dateline import find_date, find_place, find_publisher, find_title
from policyclf.encoding import decode
from policyclf.errors import ArticleError, PolicyclfError, UsageError
from policyclf.records import Article
from policyclf.text import unwrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

__all__ = ["LEGACY", "SUFFIXES", "articles_of_bytes", "decode", "find_files", "read_article", "read_articles", "read_each"]

_TEXT, _MARKDOWN, _PAGE = (".txt", ".text"), (".md", ".markdown"), (".html", ".htm", ".shtml", ".xhtml")
_WORD, _EXCEL, _COMMAS, _JSON = (".docx", ".docm"), (".xlsx", ".xlsm"), (".csv", ".tsv"), (".jsonl", ".ndjson")
SUFFIXES = (*_TEXT, *_MARKDOWN, *_PAGE, *_WORD, ".pdf", *_EXCEL, *_COMMAS, *_JSON, ".zip")  # what can be read
LEGACY = {  # what people have and no free library reads well, and what to do about it
    ".doc": "open it in Word, WPS or LibreOffice and save it as .docx, or: soffice --convert-to docx FILE",
    ".wps": "open it in WPS and save it as .docx, or: soffice --convert-to docx FILE",
    ".rtf": "open it in Word, WPS or LibreOffice and save it as .docx, or: soffice --convert-to docx FILE",
    ".odt": "open it in LibreOffice and save it as .docx, or: soffice --convert-to docx FILE",
    ".xls": "open it in Excel, WPS or LibreOffice and save it as .xlsx, or: soffice --convert-to xlsx FILE",
    ".et": "open it in WPS and save it as .xlsx",
    ".ofd": "open it in an OFD reader or WPS and save it as PDF or .docx",
    ".caj": "open it in CAJViewer and print it to PDF",
    ".mht": "open it in a browser and save it as a web page, HTML only",
    ".mhtml": "open it in a browser and save it as a web page, HTML only",
    ".rar": "unpack it, or pack its files as .zip",
    ".7z": "unpack it, or pack its files as .zip",
}
FILE_LIMIT = 1 << 30  # bytes of a file that is read at once: 1 GB


def read_articles(path: str | Path, *, encoding: str | None = None, column: str | None = None) -> Iterator[Article]:
    """Yield the articles of a file: one, or as many as a table has rows and an archive has files.

    ``encoding`` overrides what the bytes look like; ``column`` names the column of a table that holds the text.
    Raises :class:`ArticleError` at the first that cannot be read; :func:`read_each` goes on behind it.
    """
    for article in read_each(path, encoding=encoding, column=column):
        if isinstance(article, ArticleError):
            raise article
        yield article


def read_article(path: str | Path, *, encoding: str | None = None, column: str | None = None) -> Article:
    """Return the article of a file that holds exactly one. Raises :class:`ArticleError` for one that holds several."""
    articles = read_articles(path, encoding=encoding, column=column)
    article = next(articles)
    if next(articles, None) is not None:
        raise ArticleError("holds several articles", place=str(path), way_out="use read_articles or tag_files")
    return article


def read_each(path: str | Path, *, encoding: str | None = None, column: str | None = None) -> Iterator[Article | ArticleError]:
    """Yield the articles of a file, and in place of one that cannot be read the error, whose ``place`` says which."""
    name = str(path)
    try:
        with open(path, "rb") as file:
            if Path(name).suffix.lower() == ".zip":  # an archive may be larger than memory
                yield from _each_member(file, name, encoding, column)
                return
            size = os.fstat(file.fileno()).st_size
            if size > FILE_LIMIT:
                yield ArticleError(f"is too large: {size:,} bytes", place=name, way_out=f"cut it into files of up to {FILE_LIMIT:,} bytes")
                return
            data = file.read()
    except OSError as error:
        yield ArticleError(f"cannot be read: {error.strerror or error}", place=name)
        return
    yield from _each(data, name, encoding, column)


def articles_of_bytes(data: bytes, name: str, *, encoding: str | None = None, column: str | None = None) -> Iterator[Article]:
    """Yield the articles of a file in memory, as :func:`read_articles` does.

    The suffix of ``name`` says what it is; a name without one, such as stdin, is judged by its bytes.
    """
    for article in _each(data, name, encoding, column):
        if isinstance(article, ArticleError):
            raise article
        yield article


def find_files(paths: Sequence[str | Path]) -> list[Path]:
    """Return the files that paths name: themselves, those in folders at any depth, those that a pattern matches.

    Folders are read in the order of names. Hidden files, lock files (~$...) and what is no format of articles are left
    out of folders and patterns; old formats stay in, so that their errors say how to convert them. A file named twice is
    returned once. Raises :class:`ArticleError` for a path that is missing or a folder in which nothing is found.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            files = _in_folder(path)
        elif path.exists() or not glob.has_magic(str(path)):
            if not path.exists():
                raise ArticleError("there is no such file or folder", place=str(path))
            files = [path]
        else:
            matches = sorted(map(Path, glob.glob(str(path), recursive=True)), key=lambda match: match.as_posix())
            files = [file for match in matches for file in (_in_folder(match) if match.is_dir() else [match] if _is_article(match.name) else [])]
        if not files:
            raise ArticleError("no file to read is there", place=str(path), way_out=f"readable are {' '.join(SUFFIXES)}")
        found.update(dict.fromkeys(files))
    return list(found)


def _in_folder(folder: Path) -> list[Path]:
    files = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        files += [Path(root, name) for name in names if _is_article(name)]
    return sorted((file for file in files if file.is_file()), key=lambda file: file.as_posix())


def _is_article(name: str) -> bool:
    return not _is_hidden(name) and Path(name).suffix.lower() in (*SUFFIXES, *LEGACY)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "~$", "__MACOSX"))


def _each(data: bytes, name: str, encoding: str | None, column: str | None) -> Iterator[Article | ArticleError]:
    suffix = Path(name).suffix.lower() or _sniffed(data)
    if suffix == ".zip":
        yield from _each_member(BytesIO(data), name, encoding, column)
        return
    try:
        if not data:
            raise ArticleError("is empty", place=name)
        if suffix in (*_EXCEL, *_COMMAS, *_JSON):
            from policyclf.container import csv_rows, excel_rows, json_rows

            lines = csv_rows if suffix in _COMMAS else json_rows
            for number, row in excel_rows(data, name, column) if suffix in _EXCEL else lines(data, name, column, encoding):
                yield _finished(row, row.text.encode("utf-8", "surrogatepass"), f"{name}#{number}", suffix) if isinstance(row, Article) else row
        else:
            yield _finished(_read(data, name, suffix, encoding), data, name, suffix)
    except ArticleError as error:
        yield error
    except PolicyclfError:
        raise
    except ImportError as error:  # not the file's fault, and the next one would fail as well
        raise UsageError(f"reading {suffix} needs a library that is not there: {error}", place=name, way_out="install policyclf anew") from error
    except Exception as error:
        # Whatever a library says of a file that it was not made for; RecursionError and MemoryError too.
        said = str(error).strip().splitlines() or [""]
        yield ArticleError(f"cannot be read as {suffix}: {type(error).__name__} {said[0][:200]}".rstrip(), place=name, way_out="it may be damaged")


def _read(data: bytes, name: str, suffix: str, encoding: str | None) -> Article:
    """Read a file of one article; text, and what the document states about itself."""
    if suffix in _TEXT:
        text, encoding = decode(data, encoding, name)
        return Article(text, encoding=encoding)
    if suffix in (*_PAGE, *_MARKDOWN):
        from policyclf.webpage import read_html, read_markdown

        return (read_html if suffix in _PAGE else read_markdown)(data, encoding, name)
    if suffix in _WORD:
        from policyclf.container import checked_office
        from policyclf.word import read_docx

        return read_docx(checked_office(data, name, "docx"))
    if suffix == ".pdf":
        from policyclf.pdf import read_pdf

        return read_pdf(data, name)
    if suffix in LEGACY:
        way_out = "it is a .docx by its bytes: rename it" if data.startswith(b"PK\x03\x04") and suffix in (".doc", ".wps") else LEGACY[suffix]
        raise ArticleError(f"{suffix} files cannot be read", place=name, way_out=way_out)
    raise ArticleError(f"{suffix} is no format of articles", place=name, way_out=f"readable are {' '.join(SUFFIXES)}")


def _each_member(file: IO[bytes], name: str, encoding: str | None, column: str | None) -> Iterator[Article | ArticleError]:
    from policyclf.container import members

    found = False
    try:
        for inner, data in members(file, name):
            path = Path(inner)
            if any(map(_is_hidden, path.parts)) or not _is_article(path.name):
                continue
            found = True
            if isinstance(data, ArticleError):
                yield data
            elif path.suffix.lower() == ".zip":
                yield ArticleError("an archive in an archive is not opened", place=f"{name}/{inner}", way_out="unpack the outer one first")
            else:
                yield from _each(data, f"{name}/{inner}", encoding, column)
        if not found:
            yield ArticleError("no file to read is in this archive", place=name, way_out=f"readable are {' '.join(SUFFIXES)}")
    except ArticleError as error:
        yield error


def _finished(article: Article, data: bytes, source: str, suffix: str) -> Article:
    """Return an article with its origin, and with what its first and last lines say where the document states nothing."""
    if not any(map(str.isalnum, article.text)):
        raise ArticleError("holds no text", place=source)
    return article._replace(
        source=source,
        title=" ".join((article.title or find_title(unwrap(article.text[:20_000]))).split()),
        date=article.date or find_date(article.text),
        place=article.place or find_place(article.text),
        publisher=article.publisher or find_publisher(article.text),
        format=suffix[1:],
        sha256=sha256(data).hexdigest(),
    )


def _sniffed(data: bytes) -> str:
    """Return the suffix that bytes without a name should have."""
    if data.startswith(b"%PDF-"):
        return ".pdf"
    if data.startswith(b"PK\x03\x04"):
        # The names of its first files stand in clear between the packed data.
        kinds = {b"word/": ".docx", b"xl/": ".xlsx"}
        return next((suffix for sign, suffix in kinds.items() if sign in data and b"[Content_Types].xml" in data), ".zip")
    return ".html" if re.match(rb"\s*(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html)\b", data[:1024], re.I) else ".txt"
