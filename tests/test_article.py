from __future__ import annotations

import io
import json
import threading
import zipfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyclf.article import LEGACY, articles_of_bytes, decode, find_files, read_article, read_articles, read_each
from policyclf.dateline import find_date, find_place, find_publisher, find_title, iso_date
from policyclf.errors import ArticleError, EncodingError, UsageError
from policyclf.records import Article
from policyclf.text import fold, simplified, split, unwrap

ARTICLES = Path(__file__).parent / "articles"
REPORT = (ARTICLES / "report.txt").read_text(encoding="utf-8")
REPORTS = sorted(path for path in ARTICLES.glob("report*"))
SENTENCE = "推行“秒批”和告知承诺制，企业开办时间压缩到半个工作日。"


def passages(article: Article) -> list[str]:
    return [fold(passage.text) for passage in split(unwrap(article.text))]


def archive(files: dict[str, bytes], **options: object) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return file.getvalue()


def one(data: bytes | str, name: str, **options: str) -> Article:
    (article,) = articles_of_bytes(data.encode() if isinstance(data, str) else data, name, **options)
    return article


# Every format and encoding


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.name)
def test_every_format_gives_the_same_passages(path):
    article = read_article(path)
    assert passages(article) == passages(Article(REPORT))
    assert fold(article.title) == fold(REPORT.splitlines()[0])
    assert article.date == "2021-11-09"
    assert fold(article.place).startswith("临岚")
    assert article.format == path.suffix[1:] or path.suffix == ".zip"
    assert article.source.startswith(str(path))


@pytest.mark.parametrize("path", [path for path in REPORTS if path.suffix == ".txt"], ids=lambda path: path.name)
def test_the_text_of_a_text_file_is_the_decoded_original(path):
    data = path.read_bytes()
    article = read_article(path)
    assert article.text == data.decode(article.encoding)
    assert article.sha256 == sha256(data).hexdigest()


def test_what_documents_state_is_kept():
    assert read_article(ARTICLES / "report-government.html").publisher == "临岚日报"
    assert read_article(ARTICLES / "report-wechat.html").publisher == "临岚发布"
    assert read_article(ARTICLES / "report.xlsx").place == "临岚"


def test_sources_name_member_and_row():
    assert read_article(ARTICLES / "report.zip").source.endswith("report.zip/临岚市/报告.txt")
    assert read_article(ARTICLES / "report.xlsx").source.endswith("report.xlsx#3")
    assert read_article(ARTICLES / "report.csv").source.endswith("report.csv#2")


# Encodings

COMMON = [bytes([row, cell]).decode("gb2312") for row in range(0xB0, 0xD7) for cell in range(0xA1, 0xFF)]  # GB 2312 level 1
TRADITIONAL = {plain: old for old, plain in reversed(simplified().items())}
COMMON_BIG5 = [char for char in (TRADITIONAL.get(char, char) for char in COMMON) if char.encode("big5", "ignore")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@given(text=st.text(st.sampled_from(COMMON), min_size=20, max_size=60))
def test_common_chinese_comes_back(encoding, text):
    assert decode(text.encode(encoding))[0] == text


@given(text=st.text(st.sampled_from(COMMON_BIG5), min_size=20, max_size=60))
def test_common_traditional_chinese_comes_back(text):
    assert decode(text.encode("big5")) == (text, "big5hkscs")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("headline", ["优化营商环境条例发布", "人才公寓租金减半", "2021年工作要点", "联通", "AI产业园今日开园"])
def test_a_headline_is_enough(headline, encoding):
    assert decode(headline.encode(encoding))[0] == headline


@pytest.mark.parametrize("headline", ["優化營商環境條例發布", "人才公寓租金減半", "臨嵐市推行容錯機制"])
def test_a_traditional_headline_is_enough(headline):
    assert decode(headline.encode("big5"))[0] == headline


@pytest.mark.parametrize("text", ["hello world\n", "café", "Bush hid the facts", "Привет, мир", "これは日本語です。", "", "a"])
def test_valid_utf_8_of_other_languages_stays_utf_8(text):
    assert decode(text.encode()) == (text, "utf-8")


@pytest.mark.parametrize(
    ("text", "encoding"), [("Été à Noël, où est la bibliothèque", "latin-1"), ("これは日本語の文章です。政策。", "shift_jis"), ("Это политика", "cp1251")]
)
def test_other_languages_in_old_encodings_are_errors_until_named(text, encoding):
    with pytest.raises(EncodingError, match="--encoding"):
        decode(text.encode(encoding))
    assert decode(text.encode(encoding), encoding)[0] == text


def test_damage_is_an_error_with_its_offset():
    for encoding in ("utf-8", "gb18030"):
        data = (SENTENCE * 9_000).encode(encoding)
        offset = len((SENTENCE * 5_000).encode(encoding))
        with pytest.raises(EncodingError, match=f"no valid {encoding} at byte {offset} "):
            decode(data[:offset] + b"\xff" + data[offset:], place="a.txt")
    with pytest.raises(EncodingError, match="at byte 15 of 17"):
        decode("优化营商环境".encode()[:-1])


def test_text_that_was_damaged_before_is_an_error_until_its_encoding_is_named():
    data = f"{SENTENCE}\ufffd".encode()
    with pytest.raises(EncodingError, match=r"U\+FFFD at character 28"):
        decode(data)
    assert decode(data, "utf-8") == (data.decode(), "utf-8")


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n", b"\x7fELF\x02\x01", b"MZ\x90\x00\x03", b"\xff\xd8\xff\xe0", SENTENCE.encode() + b"\0", bytes(range(1, 32)) * 9, bytes(100)]
)
def test_what_is_no_text_is_an_error(data):
    with pytest.raises(ArticleError, match=r"not text|no text|none of"):
        decode(data, place="a.txt")


@given(st.binary(max_size=300))
def test_decode_never_replaces_and_never_fails_otherwise(data):
    try:
        text, encoding = decode(data)
    except ArticleError:
        return
    assert "\ufffd" not in text
    assert text == data.decode(encoding).removeprefix("\ufeff")


def test_an_unknown_encoding_is_wrong_usage():
    for name in ("klingon", "hex", "rot13", ""):
        with pytest.raises(UsageError, match="unknown encoding"):
            decode(b"a", name)
    with pytest.raises(EncodingError, match="no valid utf-8 at byte 0"):
        decode("改革".encode("gbk"), "utf-8")
    assert decode("改革".encode("gbk"), "GB2312") == ("改革", "gb18030")


def test_a_page_that_names_the_wrong_encoding_is_read_all_the_same():
    page = f"<html><head><meta charset='gb2312'></head><body><p>{SENTENCE * 3}</p></body></html>"
    assert one(page.encode("utf-8"), "a.html").encoding == "utf-8"
    assert one(page.encode("gbk"), "a.html").encoding == "gb18030"
    foreign = page.replace("gb2312", "shift_jis").replace(SENTENCE, "これは日本語の文章です。政策を発表した。")
    assert "日本語" in one(foreign.encode("shift_jis"), "a.html").text


# Pages


def test_a_page_keeps_rows_lists_and_breaks_and_drops_scripts():
    items = "".join(f"<tr><td>{i}</td><td>{SENTENCE}</td></tr>" for i in range(3))
    page = "<html><body><div id='zoom'>上行<br>下行<script>var 甲='不要';</script><ul><li>一项</li><li>二项</li></ul>"
    page += f"<table>{items}</table></div>菜单</body></html>"
    assert one(page, "a.html").text.splitlines() == ["上行", "下行", "一项", "二项", *(f"{i}\t{SENTENCE}" for i in range(3))]


def test_a_page_without_text_is_an_error():
    with pytest.raises(ArticleError, match=r"a\.html: this page holds no text"):
        one("<html><body><div id='app'></div><script>render('文章')</script></body></html>", "a.html")


def test_a_page_nested_deeply_is_read_whole_or_refused():
    deep = "<div>" * 50_000 + SENTENCE * 5 + "</div>" * 50_000
    page = f"<html><body>{deep}</body></html>"
    with suppress(ArticleError):
        assert SENTENCE in one(page, "a.html").text
        return
    with pytest.raises(ArticleError, match="nested too deeply"):
        one(page, "a.html")


def test_markdown_loses_its_markup_only():
    text = "# 标题在此\n\n1. **推行**[秒批](https://e.org/a_b)\n> 引文\n\n| 措施 | 部门 |\n|---|---|\n| 减税 | 税务局 |\n\n```\n3 * 4 * 5_6\n```\n"
    assert [line for line in one(text, "a.md").text.splitlines() if line] == ["标题在此", "1. 推行秒批", "引文", "措施 | 部门", "减税 | 税务局", "3 * 4 * 5_6"]


# Word


def document(body: str, numbering: str = "", styles: str = "") -> bytes:
    import docx
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    new = docx.Document()
    new._body.clear_content()
    for part, xml in ((new.element.body, body), (new.part.numbering_part.element, numbering), (new.styles.element, styles)):
        for node in parse_xml(f"<w:body {nsdecls('w')}>{xml}</w:body>"):
            if node.tag.endswith("abstractNum"):
                part.insert(0, node)
            else:
                part.append(node)
    file = io.BytesIO()
    new.save(file)
    return file.getvalue()


def paragraph(text: str, level: int | None = None, num: int = 80, style: str = "") -> str:
    numbered = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{num}"/></w:numPr>' if level is not None else ""
    styled = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{styled}{numbered}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def level(at: int, kind: str, text: str, more: str = "") -> str:
    return f'<w:lvl w:ilvl="{at}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/>{more}<w:lvlText w:val="{text}"/></w:lvl>'


NUMBERING = (
    f'<w:abstractNum w:abstractNumId="80">{level(0, "chineseCountingThousand", "第%1章")}{level(1, "japaneseCounting", "（%2）")}{level(2, "decimal", "%3.")}'
    f"{level(3, 'decimal', '%1.%4', '<w:isLgl/>')}{level(4, 'bullet', '●')}</w:abstractNum>"
    '<w:num w:numId="80"><w:abstractNumId w:val="80"/></w:num>'
    '<w:num w:numId="81"><w:abstractNumId w:val="80"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride></w:num>'
)


def test_word_numbers_are_counted():
    shape = [("甲", 0), ("乙", 1), ("丙", 1), ("丁", 2), ("戊", 0), ("己", 1), ("庚", 3), ("辛", 4), ("壬", None)]
    data = document("".join(paragraph(*item) for item in shape) + paragraph("癸", 0, 81) + paragraph("子", 0, 81), NUMBERING)
    assert one(data, "a.docx").text.splitlines() == [
        "第一章 甲", "（一）乙", "（二）丙", "1. 丁", "第二章 戊", "（一）己", "2.1 庚", "辛", "壬", "第一章 癸", "第二章 子",
    ]  # fmt: skip


def test_word_numbers_of_styles_are_counted():
    styles = (
        '<w:style w:type="paragraph" w:styleId="H"><w:name w:val="heading x"/><w:pPr><w:numPr><w:numId w:val="80"/></w:numPr></w:pPr></w:style>'
        '<w:style w:type="paragraph" w:styleId="K"><w:name w:val="heading y"/><w:basedOn w:val="H"/></w:style>'
    )
    data = document(paragraph("甲甲", style="H") + paragraph("乙乙", style="K") + paragraph("丙丙", 0, 0, "H"), NUMBERING, styles)
    assert one(data, "a.docx").text.splitlines() == ["第一章 甲甲", "第二章 乙乙", "丙丙"]


def test_word_tables_controls_and_changes():
    cell = "<w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"
    body = (
        "<w:sdt><w:sdtContent>" + paragraph("控件内") + "</w:sdtContent></w:sdt>"
        "<w:tbl><w:tr>" + cell.format("措施") + cell.format("部门") + "</w:tr></w:tbl>"
        "<w:p><w:ins w:id='1' w:author='a'><w:r><w:t>新增</w:t></w:r></w:ins><w:del w:id='2' w:author='a'><w:r><w:delText>旧文</w:delText></w:r></w:del>"
        "<w:hyperlink><w:r><w:t>链接</w:t></w:r></w:hyperlink><w:r><w:instrText>PAGE</w:instrText><w:br/><w:t>换行</w:t></w:r></w:p>"
    )
    assert one(document(body), "a.docx").text.splitlines() == ["控件内", "措施\t部门", "新增链接", "换行"]


# Tables

TABLE = f'编号,标题,日期,正文\n1,甲,2021/3/5,{SENTENCE}\n2,乙,2021,"第一行，\n第二行"\n'


@pytest.mark.parametrize("change", [lambda text: text, lambda text: text.replace(",", "\t"), lambda text: text.replace(",", ";"), lambda text: "\ufeff" + text])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_each_row_is_an_article(change, encoding):
    rows = list(articles_of_bytes(change(TABLE).encode(encoding, "ignore"), "t.csv"))
    assert [(row.source, row.title, row.date) for row in rows] == [("t.csv#2", "甲", "2021-03-05"), ("t.csv#3", "乙", "2021")]
    assert [row.text for row in rows] == [SENTENCE, "第一行，\n第二行"]
    assert rows[0].sha256 == sha256(SENTENCE.encode()).hexdigest()


def test_a_column_is_chosen_by_name():
    assert one(f"摘要,要点\n无,{SENTENCE}\n", "t.csv", column="要点").text == SENTENCE
    with pytest.raises(ArticleError, match="--column; it has: 摘要、要点"):
        one(f"摘要,要点\n无,{SENTENCE}\n", "t.csv")
    with pytest.raises(ArticleError, match="no column '没有'"):
        one(TABLE, "t.csv", column="没有")


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("text,n\n推行改革,提速,1\n", "t.csv", "has 3 cells under 2"),
        ('text\n"推行改革\n', "t.csv", "no valid CSV"),
        ("text,n\n,1\n", "t.csv", "t.csv#2: holds no text"),
        ("text\n", "t.csv", "no row below"),
        ('{"text": "推行"\n', "t.jsonl", "t.jsonl#1: is no valid JSON"),
        ('["推行"]\n', "t.jsonl", "no JSON object"),
        ("\n", "t.jsonl", "holds no record"),
        ("", "t.txt", "t.txt: is empty"),
        (" \n", "t.txt", "holds no text"),
        ("x", "t.exe", "no format of articles"),
        ("x", "t.pdf", "is no PDF"),
        ("x", "t.docx", "no zip archive"),
        ("x", "t.xlsx", "no zip archive"),
        ("x", "t.zip", "no zip archive"),
        *[("x", f"t{suffix}", "cannot be read") for suffix in LEGACY],
    ],
)
def test_errors_name_the_file_and_the_problem(text, name, said):
    with pytest.raises(ArticleError, match=said) as caught:
        list(articles_of_bytes(text.encode(), name))
    assert str(caught.value).startswith(name)


def test_one_bad_row_does_not_hide_the_others(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text(f"{json.dumps({'text': SENTENCE})}\n{{\n{json.dumps({'正文': '乙乙'})}\n", encoding="utf-8")
    results = list(read_each(file))
    assert [type(result) for result in results] == [Article, ArticleError, Article]
    with pytest.raises(ArticleError, match="#2"):
        list(read_articles(file))
    with pytest.raises(ArticleError):
        read_article(file)


def test_a_long_cell_and_every_sheet(tmp_path):
    import openpyxl

    assert len(one(f"text\n{'推行改革' * 100_000}\n", "t.csv").text) == 400_000
    book = openpyxl.Workbook()
    book.active.append(["text"])
    book.active.append([SENTENCE])
    book.create_sheet("说明").append(["随便"])
    second = book.create_sheet("二")
    second.append(["内容"])
    second.append([None])
    second.append(["减税降费"])
    book.save(tmp_path / "t.xlsx")
    assert [(row.source[len(str(tmp_path)) + 1 :], row.text) for row in read_articles(tmp_path / "t.xlsx")] == [
        ("t.xlsx#2", SENTENCE),
        ("t.xlsx#二!3", "减税降费"),
    ]


# Archives and attacks


def test_an_archive_holds_files_of_every_format(tmp_path):
    names = [path for path in REPORTS if path.suffix != ".zip"]
    data = archive({f"政策/{path.name}": path.read_bytes() for path in names} | {"a/.hidden.txt": b"x", "a/~$b.docx": b"x", "c.png": b"x", "旧.doc": b"x"})
    (tmp_path / "z.zip").write_bytes(data)
    results = list(read_each(tmp_path / "z.zip"))
    assert [type(result) for result in results] == [Article] * len(names) + [ArticleError]
    assert all(passages(result) == passages(Article(REPORT)) for result in results[:-1])
    assert results[0].source == f"{tmp_path / 'z.zip'}/政策/{names[0].name}"
    assert results[0].sha256 == sha256(names[0].read_bytes()).hexdigest()


def test_an_archive_that_is_a_bomb_or_empty_or_nested_is_refused():
    with pytest.raises(ArticleError, match="zip bomb"):
        one(archive({"a.txt": b"\n" * 100_000_000}), "b.zip")
    with pytest.raises(ArticleError, match="no file to read"):
        one(archive({"a.png": b"x"}), "b.zip")
    with pytest.raises(ArticleError, match="archive in an archive"):
        one(archive({"a.zip": archive({"a.txt": b"x"})}), "b.zip")
    data = bytearray(archive({"a.txt": SENTENCE.encode()}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ArticleError, match=r"b\.zip/a\.txt: is encrypted"):
        one(bytes(data), "b.zip")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_with_an_xml_bomb_is_refused(encoding):
    entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    bomb = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE b [<!ENTITY l0 "lol">{entities}]><b>&l9;</b>'.encode(encoding)
    for name, part in (("report.docx", "word/document.xml"), ("report.xlsx", "xl/worksheets/sheet1.xml")):
        with zipfile.ZipFile(ARTICLES / name) as file:
            parts = {member: file.read(member) for member in file.namelist()}
        with pytest.raises(ArticleError, match="document type"):
            one(archive(parts | {part: bomb}), name)


@pytest.mark.parametrize("path", [path for path in REPORTS if path.suffix in (".docx", ".pdf", ".xlsx", ".zip")], ids=lambda path: path.name)
def test_a_file_cut_off_anywhere_is_an_error_with_its_name(path):
    data = path.read_bytes()
    for end in (5, 100, len(data) // 2, len(data) - 40):
        if path.suffix == ".pdf" and end > 100:  # PDFium mends what it can
            continue
        with pytest.raises(ArticleError, match=path.name):
            list(articles_of_bytes(data[:end], path.name))


def test_pdf_that_cannot_be_read_says_why():
    with pytest.raises(ArticleError, match=r"scanned PDF.*ocrmypdf"):
        read_article(ARTICLES / "scanned.pdf")
    encrypted = (
        (ARTICLES / "report.pdf")
        .read_bytes()
        .replace(b"trailer\n<<", b"trailer\n<</Encrypt<</Filter/Standard/V 1/R 2/P -4/O<" + b"00" * 32 + b">/U<" + b"00" * 32 + b">>>")
    )
    with pytest.raises(ArticleError, match="encrypted"):
        one(encrypted, "a.pdf")


def test_pdf_from_many_threads():
    data = (ARTICLES / "report.pdf").read_bytes()
    read: list[Article] = []
    threads = [threading.Thread(target=lambda: read.append(one(data, "a.pdf"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(read)) == 1
    assert len(read) == 8


def test_a_line_of_ten_megabytes():
    text = "推行改革，" * 700_000
    assert one(text, "a.txt").text == text
    assert one(text.encode("gbk"), "a.txt").text == text


# Standard input, files and folders


def test_a_name_without_suffix_is_judged_by_its_bytes():
    for name in ("report.txt", "report-big5.txt", "report.docx", "report.xlsx", "report.zip", "report.pdf", "report.html"):
        article = one((ARTICLES / name).read_bytes(), "stdin")
        assert passages(article) == passages(Article(REPORT)), name
        assert article.source.startswith("stdin")


def test_files_are_found_in_order_and_once(tmp_path):
    for name in ("b/2.txt", "b/1.DOCX", "a.pdf", "b/c/旧.doc", "b/x.png", ".git/a.txt", "b/~$1.docx", "b/.a.txt", "z.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")

    def names(*paths: str) -> list[str]:
        return [file.relative_to(tmp_path).as_posix() for file in find_files([str(tmp_path / path) for path in paths])]

    assert names("") == ["a.pdf", "b/1.DOCX", "b/2.txt", "b/c/旧.doc"]
    assert names("b/2.txt", "", "z.log") == ["b/2.txt", "a.pdf", "b/1.DOCX", "b/c/旧.doc", "z.log"]
    assert names("**/*.txt") == ["b/2.txt"]
    assert names("b/*") == ["b/1.DOCX", "b/2.txt", "b/c/旧.doc"]
    for path in ("missing", "missing*.txt", ".git/empty"):
        with pytest.raises(ArticleError, match=r"no such file|no file to read"):
            names(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArticleError, match="no file to read"):
        names("empty")


def test_a_file_with_a_bracket_in_its_name_is_no_pattern(tmp_path):
    (tmp_path / "临府[2021]3号.txt").write_text("x", encoding="utf-8")
    assert len(find_files([tmp_path / "临府[2021]3号.txt"])) == 1


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path):
    (error,) = read_each(tmp_path / "missing.txt")
    assert isinstance(error, ArticleError)
    assert "No such file" in str(error)
    (error,) = read_each(tmp_path)
    assert isinstance(error, ArticleError)


# Datelines


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2021年11月09日", "2021-11-09"), ("2021-11-9 10:20", "2021-11-09"), ("２０２１年１１月９日", "2021-11-09"), ("2021/11/09", "2021-11-09"),
        ("2021.1.2", "2021-01-02"),
        ("二〇二一年十一月九日", "2021-11-09"), ("二○二一年十月二十一日", "2021-10-21"), ("二零二一年一月三十日", "2021-01-30"),
        ("2021年 11月 9日", "2021-11-09"),
        ("2021年13月1日", ""), ("2021年6月31日", ""), ("1234567-11-09", ""), ("版本2021.1.2.3", "2021-01-02"), ("2021年", ""), ("", ""),
    ],
)  # fmt: skip
def test_days(text, day):
    assert iso_date(text) == day


def test_datelines_are_read_and_nothing_is_guessed():
    head = "临岚推行“秒批”改革\n2021-11-09 10:21　来源：临岚日报　作者：某某\n"
    assert (find_title(head + SENTENCE), find_date(head + SENTENCE), find_publisher(head + SENTENCE)) == ("临岚推行“秒批”改革", "2021-11-09", "临岚日报")
    assert find_place("新华社临岚11月9日电（记者某某）") == "临岚"
    assert find_place("（本报临岚2021年11月9日讯）") == "临岚"
    prose = f"{SENTENCE}自2022年1月1日起施行，来源广泛。\n各县区抓好落实，2021年3月1日前上报进展情况，不得延误。\n"
    assert [find(prose) for find in (find_title, find_date, find_place, find_publisher)] == ["", "", "", ""]
    assert [find("") for find in (find_title, find_date, find_place, find_publisher)] == ["", "", "", ""]


# Hard-wrapped text


def test_lines_cut_at_a_width_are_joined_and_offsets_stay():
    text = (ARTICLES / "report-wrapped.txt").read_text(encoding="utf-8")
    joined = unwrap(text)
    assert len(joined) == len(text)
    assert all(old == new or (old == "\n" and new == " ") for old, new in zip(text, joined, strict=True))
    assert unwrap(text.replace("\n", "\r\n")) == joined.replace("\n", "\r\n").replace(" ", "  ")


@given(st.text(st.sampled_from("改革推行人才，。；\n\r　 1一、a（）"), max_size=400))
def test_unwrap_only_turns_breaks_into_spaces(text):
    joined = unwrap(text)
    assert len(joined) == len(text)
    assert all(old == new or (old in "\r\n" and new == " ") for old, new in zip(text, joined, strict=True))


def test_lists_verse_and_plain_articles_stay_as_they_are():
    titles = "".join(f"关于印发临岚市人才公寓管理办法第{i}号修改单的通知\n" for i in range(10, 40))
    short = "推行容缺受理。\n减税降费。\n" * 20
    for text in (REPORT, titles, short, SENTENCE * 9, "\n" * 99, ""):
        assert unwrap(text) == text


def test_a_newspapers_name_beside_the_date() -> None:
    article = read_article(ARTICLES / "demo.txt")
    assert (article.title, article.date, article.publisher) == ("临岚市开发区改革一年观察", "2025-06-18", "临岚日报")
