"""Write the test articles: one report of a city that does not exist, in every format and encoding.

Needs reportlab beside the readers' own libraries; run it only when an article is to change.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import docx
import openpyxl
from docx.enum.text import WD_BREAK
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from reportlab.lib.pagesizes import A5
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from policyclf.text import fold

HERE = Path(__file__).parent
TITLE, *BODY = (HERE / "report.txt").read_text(encoding="utf-8").splitlines()
TRADITIONAL = """\
臨嵐市人民政府關於推行“一次辦成”改革的報告
一、深化審批改革
市政務服務中心把327個事項併入綜合窗口，推行“秒批”和告知承諾制。企業開辦時間壓縮到半個工作日；工程許可由92天減到41天。
對一時拿不出的材料，允許容缺受理，事後補齊即可。
二、扶持實體經濟
設立規模12億元的產業引導基金，對首次上市的企業獎勵500萬元！製造業貸款由財政貼息兩個百分點，每戶每年不超過80萬元。
三、引進各類人才
博士來臨嵐工作，給予安家補貼30萬元，並優先安排子女入學。人才公寓前三年租金減半。
四、鼓勵幹部擔當
建立容錯清單，對先行先試中的失誤，符合條件的不予問責。對誣告陷害者依法追究，及時為受到誣告的幹部澄清。
全市共有46個改革項目列入今年計劃。
臨嵐市人民政府辦公室
2021年11月9日
"""
assert fold(TRADITIONAL) == fold("\n".join([TITLE, *BODY]))


def text() -> None:
    plain = "\n".join([TITLE, *BODY]) + "\n"
    for name, content, encoding in (
        ("report-bom.txt", plain, "utf-8-sig"),
        ("report-gb18030.txt", plain.replace("\n", "\r\n"), "gb18030"),
        ("report-big5.txt", TRADITIONAL.replace("\n", "\r\n"), "big5"),
        ("report-utf16-bom.txt", plain, "utf-16"),
        ("report-utf16-le.txt", plain, "utf-16-le"),
        ("report-utf16-be.txt", plain, "utf-16-be"),
        ("report-utf32.txt", plain, "utf-32"),
    ):
        (HERE / name).write_bytes(content.encode(encoding))
    (HERE / "report-wrapped.txt").write_text("\n".join(line for paragraph in [TITLE, *BODY] for line in wrapped(paragraph, 20)) + "\n", encoding="utf-8")


def wrapped(paragraph: str, width: float, measure: Callable[[str], float] = len) -> list[str]:
    """Break a paragraph at a width; no line begins with a mark."""
    lines, line = [], ""
    for char in paragraph:
        if measure(line + char) > width and char not in "，。；、！”":
            lines.append(line)
            line = ""
        line += char
    return [*lines, line]


def markdown() -> None:
    lines = ["---", f"title: {TITLE}", "date: 2021-11-09", "source: 临岚日报", "---", "", f"# {TITLE}", ""]
    for line in BODY:
        if line[1] == "、":
            line = f"## {line}"
        lines += [line.replace("“秒批”", "**“秒批”**").replace("人才公寓", "[人才公寓](https://example.org/gongyu)"), ""]
    (HERE / "report.md").write_text("\n".join(lines), encoding="utf-8")


def pages() -> None:
    menu = "<ul>" + "".join(f'<li><a href="/{i}">{name}</a></li>' for i, name in enumerate(("首页", "要闻动态", "政务公开", "政务服务", "互动交流"))) + "</ul>"
    side = "<h3>相关阅读</h3><ul>" + "".join(f'<li><a href="/r{i}.html">临岚市召开第{i}次专题会议研究部署重点工作</a></li>' for i in range(1, 7)) + "</ul>"
    foot = "<p>主办：临岚市人民政府办公室　网站标识码：0000000000　备案号00000000</p><p>版权所有　未经许可不得转载。</p>"
    paragraphs = "\n".join(f"<p>　　{line}</p>" for line in BODY)
    (HERE / "report-government.html").write_bytes(
        f"""<!DOCTYPE html>
<html><head><meta http-equiv="Content-Type" content="text/html; charset=gb2312">
<title>{TITLE}_要闻动态_临岚市人民政府门户网站</title>
<meta name="SiteName" content="临岚市人民政府门户网站"><meta name="ArticleTitle" content="{TITLE}">
<meta name="PubDate" content="2021-11-09 09:30"><meta name="ContentSource" content="临岚日报">
<style>p {{ text-indent: 2em }}</style></head>
<body><div class="header">{menu}</div><div class="position">当前位置：首页 &gt; 要闻动态</div>
<h1>{TITLE}</h1><div class="pages-date">发布时间：2021-11-09 09:30　来源：临岚日报　字体：大 中 小　打印</div>
<div class="pages_content" id="UCAP-CONTENT"><div class="TRS_Editor">{paragraphs}<script>document.write("分享到微博")</script></div></div>
<div class="related">{side}</div><div class="footer">{foot}</div></body></html>
""".encode("gb18030")
    )
    (HERE / "report.html").write_text(
        f"""<!DOCTYPE html>
<html lang="zh"><head><meta charset="utf-8"><title>{TITLE}</title>
<meta property="article:published_time" content="2021-11-09T09:30:00+08:00"></head>
<body><nav>{menu}</nav><main><article><h1>{TITLE}</h1>
{paragraphs}
</article></main><aside>{side}</aside><footer>{foot}</footer></body></html>
""",
        encoding="utf-8",
    )
    sections = "\n".join(
        f'<section><section><p style="margin: 0"><span>{line[:9]}</span><strong><span>{line[9:]}</span></strong></p></section></section>'
        if len(line) > 20
        else f"<section><p><strong>{line}</strong></p></section><p><br/></p>"
        for line in BODY
    )
    (HERE / "report-wechat.html").write_text(
        f"""<!DOCTYPE html>
<html><head><meta charset="utf-8"><meta property="og:title" content="{TITLE}"><meta property="og:site_name" content="微信公众平台"><title></title></head>
<body id="activity-detail"><div class="rich_media_area_primary"><h1 class="rich_media_title" id="activity-name">
  {TITLE}
</h1>
<div id="meta_content"><span class="rich_media_meta">原创</span><a id="js_name">
  临岚发布 </a><em id="publish_time"></em></div>
<div class="rich_media_content" id="js_content" style="visibility: hidden;">
{sections}
<p><img data-src="https://example.org/qr.png"/></p></div></div>
<div class="rich_media_tool">阅读　点赞　在看</div><script>var ct = "1636421400"; var nickname = "临岚发布";</script></body></html>
""",
        encoding="utf-8",
    )


def word() -> None:
    document = docx.Document()
    numbering = document.part.numbering_part.element
    levels = '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="chineseCounting"/><w:suff w:val="nothing"/><w:lvlText w:val="%1、"/></w:lvl>'
    numbering.insert(0, parse_xml(f'<w:abstractNum {nsdecls("w")} w:abstractNumId="90">{levels}</w:abstractNum>'))
    numbering.append(parse_xml(f'<w:num {nsdecls("w")} w:numId="90"><w:abstractNumId w:val="90"/></w:num>'))
    document.core_properties.title = "模板"
    document.core_properties.created = document.core_properties.modified = datetime(2021, 11, 9)
    document.sections[0].header.paragraphs[0].text = "临岚市政府文件（内部资料）"
    document.add_paragraph(TITLE, style="Title")
    for line in BODY:
        if line[1] == "、":
            heading = document.add_paragraph(line[2:], style="Heading 1")
            heading._p.get_or_add_pPr().append(parse_xml(f'<w:numPr {nsdecls("w")}><w:ilvl w:val="0"/><w:numId w:val="90"/></w:numPr>'))
        elif "容缺" in line:
            document.add_table(1, 1).cell(0, 0).text = line
        else:
            paragraph = document.add_paragraph()
            for at in range(0, len(line), 7):  # Word cuts a paragraph into runs wherever it was edited
                paragraph.add_run(line[at : at + 7])
            deleted = f'<w:del {nsdecls("w")} w:id="1" w:author="a"><w:r><w:delText>已删除的话。</w:delText></w:r></w:del>'
            paragraph._p.append(parse_xml(deleted))
    document.paragraphs[-1].add_run().add_break(WD_BREAK.PAGE)
    document.save(HERE / "report.docx")


def pdf() -> None:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    width, height = A5
    size, left = 15, 45
    canvas = Canvas(str(HERE / "report.pdf"), pagesize=A5, invariant=True)
    canvas.setTitle("Microsoft Word - 文档1")
    page, y = 1, height - 90

    def frame() -> None:
        canvas.setFont("STSong-Light", 9)
        canvas.drawString(left, height - 30, "临岚市人民政府公报　2021年第11期")
        canvas.drawCentredString(width / 2, 24, f"— {page} —")
        canvas.setFont("STSong-Light", size)

    frame()
    canvas.drawCentredString(width / 2, height - 65, TITLE)
    for line in BODY:
        indent = len(BODY) - BODY.index(line) > 2
        for i, part in enumerate(wrapped("　　" + line if indent else line, width - 2 * left, lambda part: stringWidth(part, "STSong-Light", size))):
            if y < 60:
                canvas.showPage()
                page, y = page + 1, height - 65
                frame()
            if indent:
                canvas.drawString(left + (2 * size if i == 0 else 0), y, part.strip())
            else:
                canvas.drawRightString(width - left, y, part)
            y -= 1.6 * size
    canvas.save()
    canvas = Canvas(str(HERE / "scanned.pdf"), pagesize=A5, invariant=True)
    from PIL import Image
    from reportlab.lib.utils import ImageReader

    canvas.drawImage(ImageReader(Image.new("L", (60, 84), 200)), 0, 0, width, height)
    canvas.save()


def tables() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["政策汇总表"])
    sheet.append(["序号", "标题", "发布日期", "来源", "城市", "正文"])
    sheet.append([1, TITLE, datetime(2021, 11, 9), "临岚日报", "临岚", "\n".join([TITLE, *BODY])])
    book.save(HERE / "report.xlsx")
    with open(HERE / "report.csv", "w", encoding="gb18030", newline="") as file:
        csv.writer(file).writerows([["标题", "日期", "来源", "全文"], [TITLE, "2021/11/9", "临岚日报", "\n".join([TITLE, *BODY])]])
    record = {"id": "a-1", "title": TITLE, "date": "2021-11-09", "source": "临岚日报", "text": "\n".join([TITLE, *BODY])}
    (HERE / "report.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")


class GbkName(zipfile.ZipInfo):
    """A name as Chinese Windows writes it: in GBK, without the sign that would say so."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def archive() -> None:
    with zipfile.ZipFile(HERE / "report.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(GbkName("临岚市/报告.txt", (2021, 11, 9, 0, 0, 0)), (HERE / "report-gb18030.txt").read_bytes())
        file.writestr(zipfile.ZipInfo("__MACOSX/._报告.txt", (2021, 11, 9, 0, 0, 0)), b"\x00\x05\x16\x07")


if __name__ == "__main__":
    for make in (text, markdown, pages, word, pdf, tables, archive):
        make()
