"""What an article says of itself in its first and last lines: title, date, place, publisher; empty when unsure."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

from policyclf.text import CLOSERS, TERMINATORS, UNFINISHED

TITLE_LENGTH = 80  # a longer first line is a paragraph
_HEAD = 12  # lines in which a dateline may stand: title, subtitle, number, source, date, editor
_TAIL = 6  # lines in which a signature and its date may stand
_EDGE = 20_000  # characters at either end that are looked at; a line beyond is none
_ASIDE = 100  # a longer line is text, and a date in it is the date of something else

_HAN = "[\u4e00-\u9fff]"
_DIGITS = {**dict(zip("〇一二三四五六七八九", range(10), strict=True)), **dict.fromkeys("○零ОOo0Ｏ◯", 0)}
_YEAR = f"(?:(?:19|20)[0-9]{{2}}|[一二][{''.join(_DIGITS)}]{{3}})"
_DATES = (
    re.compile(r"(?<![0-9])((?:19|20)[0-9]{2})\s*([-/.年])\s*(0?[1-9]|1[0-2])\s*(?:\2|月)\s*([12][0-9]|3[01]|0?[1-9])(?![0-9])\s*日?"),
    re.compile(rf"([一二][{''.join(_DIGITS)}]{{3}})年([一二三四五六七八九十]{{1,2}})月([一二三四五六七八九十廿]{{1,3}})日"),
)
_LABELLED = re.compile(r"(?:(?:发布|發布|发文|成文|印发|更新|公布|刊发|上传)?(?:日期|时间|時間)|日期)\s*[:：]\s*(.{0,30})")
_SOURCE = re.compile(r"(?:(?:信息|文章|稿件|内容|資料|新闻)?(?:来源|來源|稿源)|发布机构|發布機構|发文机关|发文单位|发布单位)\s*[:：]\s*([^\s|｜丨:：]{2,40})")
_WIRE = re.compile(
    rf"^[（(【\[]?(?:新华社|中新社|中新网|人民网|新华网|央视网|央广网|本报|本网|本刊|{_HAN}{{2,6}}(?:日报|晚报|新闻网|在线|社|网))?(?:记者)?\s*"
    rf"({_HAN}{{2,8}}?)\s*(?:(?:[0-9]{{4}}年)?[0-9]{{1,2}}月)?[0-9]{{1,2}}日\s*(?:电|電|讯|訊)"
)
_ISSUER = re.compile(
    rf"^(?:中共)?({_HAN}{{1,12}}?(?:特别行政区|自治区|自治州|自治县|新区|省|市|州|盟|县|縣|旗|区|區))"
    r"(?:人民政府|人民代表大会|人大常委会|委员会|委办公室|政府|人民政府办公厅|人民政府办公室)"
)
# A line above the title that is none: number of the document, attachment, class of secrecy, label, navigation.
_ABOVE = re.compile(
    r"^(?:.{0,20}[〔\[【（(][0-9]{4}[〕\]】）)]\s*第?[0-9]+号?|附件[0-9一二三四五六七八九十]*[:：]?|.{1,12}文件|.{0,8}[:：].*|[-—=*#·\s0-9]+|.*>.*)$"
)
# A newspaper's name beside a date: 临岚日报 2021年11月09日
_MASTHEAD = re.compile(rf"^{_HAN}{{2,12}}(?:报|网|社|杂志|周刊|电视台|客户端)$")
_NUMBERED = re.compile(r"^(?:第?[一二三四五六七八九十]+[、章节条編编]|[（(][一二三四五六七八九十0-9]+[）)]|[0-9]+\s*[.．、])")


def iso_date(text: str) -> str:
    """Return the first date in a text as YYYY-MM-DD, or "" where there is none.

    >>> iso_date("发布时间：2021年11月9日 10:30"), iso_date("二〇二一年十一月二十九日"), iso_date("2021.13.1")
    ('2021-11-09', '2021-11-29', '')
    """
    text = unicodedata.normalize("NFKC", text)
    found = []
    for pattern in _DATES:
        for match in pattern.finditer(text):
            year, month, day = match.groups() if pattern is not _DATES[0] else (match[1], match[3], match[4])
            try:
                found.append((match.start(), date(_number(year), _number(month), _number(day)).isoformat()))
            except ValueError:  # the 31st of June
                continue
    return min(found)[1] if found else ""


def _number(text: str) -> int:
    """Return the value of 2021, 二〇二一, 十一 or 二十九."""
    if text.isdecimal():
        return int(text)
    if "十" not in text and "廿" not in text:
        return int("".join(str(_DIGITS[char]) for char in text))
    tens, ones = re.split("[十廿]", text, maxsplit=1)
    return (20 if "廿" in text else 10 * (_DIGITS[tens] if tens else 1)) + (_DIGITS[ones] if ones else 0)


def find_title(text: str) -> str:
    r"""Return the first line where it reads as a title and more follows, two lines where it goes on in the second.

    >>> find_title("临府〔2021〕3号\n关于推行“秒批”的通知\n各镇人民政府：\n现通知如下。")
    '关于推行“秒批”的通知'
    >>> find_title("现将有关事项通知如下。\n第一条")
    ''
    """
    lines = _lines(text[:_EDGE])
    for i, line in enumerate(lines[:5]):
        if _ABOVE.match(line) and not (i == 0 and line.endswith("》")):
            continue
        following = lines[i + 1 : i + 2]
        if not following or _NUMBERED.match(line) or not _is_title(line):
            return ""
        if line.endswith(("关于", "关于印发", "的", "和", "與", "与", "、")) and _is_title(following[0]) and len(lines) > i + 2:
            return line + following[0]
        return line
    return ""


def find_date(text: str) -> str:
    r"""Return the day of an article: labelled, or in a short line at its head, or alone in a line at its end.

    >>> find_date("关于推行“秒批”的通知\n2021-11-09 10:21 来源：临岚日报\n自2022年1月1日起施行。")
    '2021-11-09'
    """
    lines = _lines(text[:_EDGE])[:_HEAD]
    for line in lines:
        labelled = _LABELLED.search(line)
        if labelled and len(line) <= _ASIDE and (day := iso_date(labelled[1])):
            return day
    for line in lines:
        if len(line) <= _ASIDE and line[-1] not in TERMINATORS + UNFINISHED and (day := iso_date(line)):
            rest = _without_dates(line)
            if _MASTHEAD.match(rest) or not _is_title(rest):
                return day
    for line in reversed(_lines(text[-_EDGE:])[-_TAIL:]):
        if (day := iso_date(line)) and len(_without_dates(line)) <= 4:
            return day
    return ""


def find_publisher(text: str) -> str:
    r"""Return what stands behind 来源： in the first or last lines, or the newspaper beside the date at the head.

    >>> find_publisher("关于推行“秒批”的通知\n2021-11-09 来源：临岚日报 作者：某某")
    '临岚日报'
    """
    lines = _lines(text[:_EDGE])[:_HEAD] + _lines(text[-_EDGE:])[-_TAIL:]
    for line in lines:
        match = _SOURCE.search(line)
        if match and len(line) <= _ASIDE:
            return match[1].strip("，,。；;）)】]")
    for line in lines[:_HEAD]:
        if iso_date(line) and _MASTHEAD.match(rest := _without_dates(line)):
            return rest
    return ""


def find_place(text: str) -> str:
    r"""Return the place of the dateline (新华社临岚11月9日电), or the one whose government the title names.

    >>> find_place("推行“秒批”\n本报临岚11月9日讯（记者某某）今天"), find_place("临岚市人民政府关于推行“秒批”的通知\n各镇")
    ('临岚', '临岚市')
    """
    lines = _lines(text[:_EDGE])[:_HEAD]
    for pattern in (_WIRE, _ISSUER):
        for line in lines if pattern is _WIRE else lines[:3]:
            if match := pattern.match(line):
                return match[1]
    return ""


def _lines(text: str) -> list[str]:
    # Cut short: a long line is only known to be long, and no expression meets a line of a million spaces.
    return [line.strip()[: 2 * _ASIDE] for line in text.splitlines() if line.strip()]


def _is_title(line: str) -> bool:
    return 4 <= len(line) <= TITLE_LENGTH and line[-1] not in TERMINATORS + UNFINISHED and len(re.findall(_HAN, line)) >= 4 and not _credit(line)


def _credit(line: str) -> bool:
    """Whether a line only says who wrote it and when."""
    return bool(_SOURCE.search(line) or _LABELLED.search(line) or len(_without_dates(line).strip(CLOSERS + "（(【")) < 4)


def _without_dates(line: str) -> str:
    line = unicodedata.normalize("NFKC", line)
    for pattern in _DATES:
        line = pattern.sub("", line)
    return line.strip()
