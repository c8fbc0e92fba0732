"""Web pages and Markdown -> Article: the main text line by line, without menus, footers and markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from policyclf.dateline import find_date, find_publisher, iso_date
from policyclf.encoding import decode
from policyclf.errors import ArticleError
from policyclf.records import Article
from policyclf.text import fold

# Where the content systems of Chinese government sites and WeChat put the text of an article, the narrowest first.
_CONTENT = (
    "js_content", "rich_media_content", "UCAP-CONTENT", "TRS_Editor", "TRS_UEDITOR", "trs_editor_view", "TRS_PreAppend", "zoom", "Zoom", "zoomcon",
    "vsb_content", "v_news_content", "ivs_content", "pages_content", "article-content", "article_content", "articleContent", "article_con",
    "artibody", "arti_content", "news_content", "content_detail", "detail-content", "con_main", "conzw", "xxgk_content", "zwxl-article", "wz_article",
)  # fmt: skip
_ENOUGH = 40  # letters that a place named so must hold to be believed; less is a frame filled by a script
_LONGEST = 300_000  # characters; what is longer is no article among menus, and trafilatura would take minutes for it
# Elements of HTML, and of trafilatura's own tree (item, lb, list, quote, row, cell, graphic).
_BLOCKS = frozenset(("address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "div", "dl", "dt", "fieldset"))
_BLOCKS |= {"figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "item", "lb", "li", "list", "main", "nav"}
_BLOCKS |= {"ol", "p", "pre", "quote", "row", "section", "summary", "table", "tbody", "tfoot", "thead", "title", "tr", "ul"}
_CELLS = frozenset(("td", "th", "cell"))
_SILENT = frozenset(("script", "style", "noscript", "template", "iframe", "object", "svg", "math", "button", "select", "textarea", "input", "graphic"))
_FRAME = frozenset(("nav", "header", "footer", "aside", "form"))

_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{2,40})|^\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{2,40})""", re.I)
_CREATED = re.compile(r"""(?:createTime|publish_time)\s*=\s*["'](\d{4}-\d{2}-\d{2})|\bct\s*=\s*["'](\d{10})["']""")
_SITE = re.compile(r"\s*(?:[_|｜丨]|\s[-–—]|[-–—]\s|--|——)\s*[^_|｜]{2,40}$")  # what a site puts behind the title of its pages
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.S | re.M)
# Names of the standard for government sites, then those of the web at large.
_STATED = {
    "title": ("articletitle", "og:title", "twitter:title"),
    "date": ("pubdate", "publishdate", "article:published_time", "og:release_date", "publish_date", "date", "dc.date", "firstpublishedtime"),
    "publisher": ("contentsource", "source", "article:author", "og:site_name", "sitename"),
}


def read_html(data: bytes, encoding: str | None, place: str) -> Article:
    """Read a web page: its main text under its title, and the title, date and publisher that it states.

    Raises :class:`ArticleError` for a page that holds no text of its own or is nested too deeply.
    """
    declared = _CHARSET.search(data, 0, 4096)
    hint = (declared[1] or declared[2]).decode("ascii") if declared else None
    page, encoding = decode(data, encoding, place, hint=hint)
    root = _parse(page, place)
    stated = _stated(root, page)
    body = _content(root)
    lines = list(_lines_of(body)) if body is not None else _extracted(root)
    if not any(map(str.isalnum, "".join(lines))):
        raise ArticleError("this page holds no text", place=place, way_out="a script may fetch it: save the page from a browser, or print it to PDF")
    # The line under the title often stands outside of the main text.
    under = _under_title(root, stated["title"])
    stated["date"] = stated["date"] or find_date(under)
    stated["publisher"] = stated["publisher"] or find_publisher(under)
    if stated["title"] and fold(stated["title"]) not in fold("".join(lines[:6])):
        lines.insert(0, stated["title"])
    return Article("\n".join(lines), encoding=encoding, **stated)


def _parse(page: str, place: str) -> Any:
    import lxml.html

    # libxml2 takes bytes, and believes the encoding given here rather than the one that the page declares.
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    root = lxml.html.document_fromstring(page.replace("\0", "").encode("utf-8"), parser=parser, ensure_head_body=True) if page.strip() else None
    if root is None:
        raise ArticleError("this page holds no text", place=place)
    if any("xcessive depth" in entry.message for entry in parser.error_log):
        raise ArticleError("this page is nested too deeply to be read whole", place=place, way_out="save its text from a browser")
    return root


def _stated(root: Any, page: str) -> dict[str, str]:
    """Return title, date and publisher as meta elements, WeChat's own places and the headline state them."""
    metas: dict[str, str] = {}
    for meta in root.iter("meta"):
        name, value = meta.get("name") or meta.get("property"), (meta.get("content") or "").strip()
        if name and value:
            metas.setdefault(name.strip().lower(), value)
    found = {field: next((metas[name] for name in names if name in metas), "") for field, names in _STATED.items()}
    found["date"] = iso_date(found["date"])
    if not found["title"]:
        headlines = [text for node in root.iter("h1", "h2") if node.get("id") == "activity-name" or node.tag == "h1" if (text := _inline(node))]
        found["title"] = headlines[0] if len(headlines) == 1 else _SITE.sub("", _inline(next(root.iter("title"), None)))
    account = root.find(".//*[@id='js_name']")
    if account is not None:
        found["publisher"] = _inline(account)
        day = iso_date(_inline(root.find(".//*[@id='publish_time']")))
        found["date"] = day or _created(page) or found["date"]
    return found


def _created(page: str) -> str:
    """Return the day that the script of a WeChat page states, in the time of Beijing."""
    from datetime import datetime, timedelta, timezone

    match = _CREATED.search(page)
    if not match:
        return ""
    return match[1] or datetime.fromtimestamp(int(match[2]), timezone(timedelta(hours=8))).date().isoformat()


def _content(root: Any) -> Any:
    """Return the element that a known content system puts the text in, or None."""
    places: dict[str, list[Any]] = {}
    for node in root.iter("div", "section", "article", "td", "span"):
        for name in {*(node.get("class") or "").split(), node.get("id")}:
            if name in _CONTENT:
                places.setdefault(name, []).append(node)
    for name in _CONTENT:
        for node in sorted(places.get(name, ()), key=lambda node: -len(node.text_content())):
            if sum(map(str.isalnum, "".join(_lines_of(node)))) >= _ENOUGH:
                return node
            break
    return None


def _under_title(root: Any, title: str) -> str:
    """Return the title and the few lines after it, where the body of a page has it in a line of its own."""
    lines = list(_lines_of(root.find("body")))
    return "\n".join(lines[lines.index(title) :][:6]) if title in lines else ""


def _extracted(root: Any) -> list[str]:
    """Return the lines of the main text of a page of any kind; of the whole page without its frame where none is found."""
    from copy import deepcopy

    rest = list(_lines_of(root.find("body"), _SILENT | _FRAME))
    if sum(map(len, rest)) > _LONGEST:
        return rest
    import trafilatura

    found: Any = trafilatura.bare_extraction(deepcopy(root), favor_recall=True, include_comments=False, include_tables=True, deduplicate=False)
    main = list(_lines_of(found.body)) if found is not None and found.body is not None else []
    # An extractor made for news drops short pages as noise: trust it only with a fair share of the page.
    return main if 5 * len("".join(main)) >= len("".join(rest)) else rest


def _lines_of(root: Any, silent: frozenset[str] = _SILENT) -> Iterator[str]:
    """Yield the lines of text under an element as a browser breaks them; the cells of a row stand in one line."""
    pieces: list[str] = []
    # An explicit stack, (element, leaving): a page may be nested deeper than Python calls.
    stack = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        tag = node.tag if isinstance(node.tag, str) else ""
        if tag in _BLOCKS:
            pieces.append("\n")
        elif tag in _CELLS:
            pieces.append("\t")
        if leaving:
            if node is not root and node.tail:
                pieces.append(re.sub(r"[ \t\r\n\f]+", " ", node.tail))
            continue
        stack.append((node, True))
        if tag and tag not in silent:
            if node.text:
                pieces.append(node.text if tag == "pre" else re.sub(r"[ \t\r\n\f]+", " ", node.text))
            stack.extend((child, False) for child in reversed(node))
    for line in "".join(pieces).split("\n"):
        # A block inside a cell breaks the line; tabs that part no two cells are noise.
        if text := re.sub(r" *\t[\t ]*", "\t", line).strip():
            yield text


def _inline(node: Any) -> str:
    return "" if node is None else " ".join("".join(node.itertext()).split())


def read_markdown(data: bytes, encoding: str | None, place: str) -> Article:
    """Read Markdown: its text without front matter and markup, line by line, and what the front matter states."""
    text, encoding = decode(data, encoding, place)
    stated = {}
    if front := _FRONT.match(text):
        text = text[front.end() :]
        for line in front[1].splitlines():
            key, _, value = line.partition(":")
            stated[key.strip().lower()] = value.strip().strip("\"'")
    lines = [_plain(line) for line in _without_comments(text).splitlines()]
    article = Article("\n".join(lines), encoding=encoding)
    heading = next((plain for line, plain in zip(text.splitlines(), lines, strict=False) if re.match(r" {0,3}#\s", line)), "")
    return article._replace(
        title=stated.get("title", "") or heading,
        date=iso_date(stated.get("date", "")),
        publisher=stated.get("source", "") or stated.get("publisher", ""),
    )


# Every repetition is bounded, so that no line, however long and odd, takes more than linear time.
_MARKUP = (
    (re.compile(r"^\s*(?:>\s?)*(?:#{1,6}\s+|[-*+]\s+(?:\[[ xX]\]\s+)?)?"), ""),
    (re.compile(r"!?\[([^\[\]]{0,300})\]\([^()]{0,1000}\)"), lambda match: "" if match[0][0] == "!" else match[1]),
    (re.compile(r"\*{2,}|_{2,}|~~|`+"), ""),
    (re.compile(r"\*(?=\S)([^*]{1,200})(?<=\S)\*"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>]{0,1000}>"), ""),
    (re.compile(r"\\([\\`*_{}\[\]()#+.!|>~-])"), r"\1"),
)


def _plain(line: str) -> str:
    """Return a line of Markdown without its markup.

    >>> _plain("## **一、**推行[秒批](https://a.b)"), _plain("| 措施 | 部门 |"), _plain("1. 推行`一网通办`")
    ('一、推行秒批', '措施 | 部门', '1. 推行一网通办')
    """
    line = line.strip()
    if line.startswith(("```", "~~~")) or not line.strip("-*_=:| \t"):  # fences, rules, underlines of headings and tables
        return ""
    if line[0] == "|":
        line = line.strip("|")
    if line[0] == "#":
        line = line.rstrip("# ")
    for pattern, replacement in _MARKUP:
        line = pattern.sub(replacement, line)
    return line.strip()


def _without_comments(text: str) -> str:
    pieces, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        pieces.append(text[at:start])
        at = end + 3
    return "".join(pieces) + text[at:]
