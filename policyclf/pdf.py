"""PDF -> Article: lines joined again to paragraphs, page numbers and running headers left out."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from policyclf.errors import ArticleError
from policyclf.records import Article
from policyclf.text import CLOSERS, TERMINATORS, UNFINISHED

_PDFIUM = threading.Lock()  # PDFium may not be called from two threads, even for two documents

_NUMBER = re.compile(r"[-—–－·.\s]*(?:第\s*)?(?:[0-9０-９]{1,4}|[ivxlc]{1,6})\s*页?(?:\s*[/／,，]?\s*共?\s*[0-9]{1,4}\s*页?)?[-—–－·.\s]*", re.I)
_ITEM = re.compile(
    r"第[一二三四五六七八九十百零]+[章节条编]|[一二三四五六七八九十]+、|[（(][一二三四五六七八九十]+[）)]|[（(]?[0-9]{1,2}[）).．、](?![0-9])|[①-⑳●•◆■★▲]|附件|附录"
)
_UNIT = re.compile(r"(?:[!-~∶×±—]{1,40}|.)[，。；：、？！”’）》〉」』】％]*")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")  # two units of UTF-16 that PDFium gives one by one
_EDGE = 0.12  # of the height of a page, above and below: where headers and page numbers stand
_FEW = 10  # letters; a page with fewer and a picture on it is a scan
_UNREADABLE = 0.05  # share of characters without a meaning above which the fonts are to blame


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of print: its text and box in points, counted from the lower left corner; height of the page."""

    text: str
    left: float
    right: float
    bottom: float
    top: float
    page: int
    page_height: float

    @property
    def size(self) -> float:
        return max(self.top - self.bottom, 1.0)


def read_pdf(data: bytes, place: str) -> Article:
    """Read a PDF that holds text.

    Raises :class:`ArticleError` for one that is encrypted, damaged, scanned, or whose fonts do not say what they show.
    """
    with _PDFIUM:
        lines, n_pages, scanned, title = _pages(data, place)
    text = "\n".join(_joined(_without_frame(lines, n_pages)))
    if scanned * 2 >= n_pages or not any(map(str.isalnum, text)):
        problem = f"{scanned} of {n_pages} pages are pictures without text: a scanned PDF" if scanned else "this PDF holds no text"
        raise ArticleError(problem, place=place, way_out="recognise its characters first, for example: ocrmypdf -l chi_sim in.pdf out.pdf")
    unknown = sum(char in "\ufffd\ufffe\uffff" or "\ue000" <= char <= "\uf8ff" for char in text)
    if unknown > _UNREADABLE * len(text):
        problem = f"the fonts of this PDF do not say which characters they show ({unknown} of {len(text)})"
        raise ArticleError(problem, place=place, way_out="recognise its characters (ocrmypdf --force-ocr), or find another copy")
    # What is left of these are bullets of symbol fonts.
    text = re.sub("[\ufffd-\uffff]", " ", text)
    return Article(text, title=title if title and "".join(title.split()) in "".join(text[:2000].split()) else "")


def _pages(data: bytes, place: str) -> tuple[list[_Line], int, int, str]:
    """Return all lines, the number of pages, how many of these are scans, and the title that the PDF states."""
    import pypdfium2

    if b"%PDF-" not in data[:1024]:
        raise ArticleError("is no PDF", place=place, way_out="give the file the suffix of what it is")
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "assword" in str(error):
            raise ArticleError("this PDF is encrypted", place=place, way_out="save it without a password") from None
        raise ArticleError("this PDF is damaged or cut off", place=place, way_out="fetch it again") from None
    lines: list[_Line] = []
    scanned = 0
    try:
        for number in range(len(document)):
            page = document[number]
            textpage = page.get_textpage()
            found = list(_lines(textpage, number, page.get_height()))
            lines += found
            if sum(char.isalnum() for line in found for char in line.text) < _FEW:
                scanned += any(True for _ in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]))
            textpage.close()
            page.close()
        return lines, len(document), scanned, document.get_metadata_value("Title").strip()
    finally:
        document.close()


def _lines(textpage: Any, number: int, height: float) -> Iterator[_Line]:
    """Yield the lines of a page in the order in which they were written."""
    from pypdfium2 import raw

    # One by one, so that an index is that of the character's box: PDFium's own text leaves some characters out.
    text = "".join(chr(raw.FPDFText_GetUnicode(textpage, i) or 32) for i in range(textpage.count_chars()))
    for match in re.finditer(r"[^\r\n]+", text):
        inner = match.group().strip()
        if not inner:
            continue
        start = match.start() + len(match.group()) - len(match.group().lstrip())
        left, bottom, _, top = textpage.get_charbox(start, loose=True)
        _, bottom_, right, top_ = textpage.get_charbox(start + len(inner) - 1, loose=True)
        clean = _PAIR.sub(lambda pair: pair.group().encode("utf-16", "surrogatepass").decode("utf-16"), inner)
        clean = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in clean if char >= " " and char not in "\x7f\ufffe\u00ad")
        if clean:
            yield _Line(clean, left, right, min(bottom, bottom_), max(top, top_), number, height)


def _without_frame(lines: Sequence[_Line], n_pages: int) -> list[_Line]:
    """Leave out page numbers, and what stands at the same edge of at least half of the pages (two of them or more)."""

    def edge(line: _Line) -> str:
        if line.bottom > line.page_height * (1 - _EDGE):
            return "top"
        return "bottom" if line.top < line.page_height * _EDGE else ""

    def shape(line: _Line) -> tuple[str, str]:
        return edge(line), re.sub(r"[0-9\s]+", "", line.text)

    pages = Counter(key for key, _ in {(shape(line), line.page) for line in lines if edge(line)})
    running = {key for key, count in pages.items() if count >= max(2, n_pages / 2)}
    return [line for line in lines if not edge(line) or not (_NUMBER.fullmatch(line.text) or shape(line) in running)]


def _joined(lines: Sequence[_Line]) -> Iterator[str]:
    """Yield the paragraphs: a line that runs to the right edge of its column goes on in the next one."""
    if not lines:
        return
    size = median(line.size for line in lines)
    pages: dict[int, list[_Line]] = {}
    for line in lines:
        pages.setdefault(line.page, []).append(line)
    paragraph = ""
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        paragraph += line.text
        if following is not None and _goes_on(line, following, _edges(line, pages, size), size):
            # No space between Chinese characters; one between words of letters.
            paragraph += " " if line.text[-1].isascii() and following.text[0].isascii() and line.text[-1] != "-" else ""
        else:
            yield paragraph
            paragraph = ""


def _edges(line: _Line, pages: dict[int, list[_Line]], size: float) -> tuple[float, float]:
    """Return the left and right edge of the column that a line stands in, from its page and the ones beside it."""
    near = [other for page in range(line.page - 1, line.page + 2) for other in pages.get(page, ())]
    column = [other for other in near if abs(other.left - line.left) < 3 * size]
    if len(column) < 3:  # a title or a signature stands alone and is measured by the text
        column = near
    # One line that sticks out, such as an address in the margin, is not the edge of a column of many.
    rights = sorted(other.right for other in column)
    return min(other.left for other in column), rights[-1 - len(column) // 12]


def _goes_on(line: _Line, following: _Line, edges: tuple[float, float], size: float) -> bool:
    left, right = edges
    if line.text[-1] in TERMINATORS or (line.text[-1] in CLOSERS and line.text[-2:-1] and line.text[-2] in TERMINATORS):
        return False
    # What begins the next line did not fit in this one: a character, or a word or figure, and the marks that may not begin a line.
    moved = _UNIT.match(following.text)
    room = 0.6 + sum(0.55 if char.isascii() else 1.0 for char in (moved.group() if moved else " "))
    if line.right < right - max(room, 1.6) * size or abs(following.size - line.size) > 0.25 * size:
        return False
    if following.left > left + 1.2 * size and line.left < left + 1.2 * size:  # the first line of a paragraph is indented
        return False
    if following.left > left + 1.2 * size and following.left >= line.left - 0.3 * size:
        return False
    return line.text[-1] in UNFINISHED or not _ITEM.match(following.text)
