"""Bytes -> text, strictly: the encoding is the one in which the bytes read as Chinese, and damage is an error.

Validity alone decides nothing: most Big5 bytes are valid GB18030, and almost any even number of bytes is valid UTF-16. So
each encoding reads a sample, and the plainest Chinese wins.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from policyclf.errors import ArticleError, EncodingError, UsageError
from policyclf.text import simplified

TRIED = ("utf-8", "gb18030", "big5hkscs", "cp950", "utf-16-le", "utf-16-be")  # of two that read alike, the earlier one is taken

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
# Old names for which everybody writes the wider encoding.
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "big5": "big5hkscs"}

_MAGIC = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a zip archive or Office document"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.doc, .xls, .wps)"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\x00", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\x1f\x8b\x08", "gzip data"),
    (b"BZh9", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"{\\rtf", "an RTF document"),
    (b"PAR1", "a Parquet table"),
    (b"ID3\x03", "an MP3 recording"),
    (b"OggS\x00", "a recording"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
)

_SAMPLE = 1 << 16  # bytes to judge by, from the first that is not ASCII
_CERTAIN = 4  # so many characters of three bytes and valid UTF-8 all through do not come by chance
_PLAUSIBLE = 0.5  # mean weight of a character; Chinese has 1.5 to 3, other languages and wrong encodings less than 0.3
_VALID = 2.6  # what being valid UTF-8 adds to that: "café" is no Big5
_HINTED = 1.0  # what a page's own word adds
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_TRIPLE = re.compile(rb"[\xe0-\xef][\x80-\xbf]{2}")

# The characters that Chinese text, and policy text above all, is mostly made of; their traditional forms count the same.
_FREQUENT = frozenset(
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经"
    "十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形"
    "相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展"
    "五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战"
    "先回则任取据处队南给色光门即保治北造百规热领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打白"
    "教速花带安场身车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温传土许步群广石记需段研界拉林律叫且"
    "究观越织装影算低持音众书布复容儿须际商非验连断深难近矿千周委素技备半办青省列习响约支般史感劳便团往酸历市克何除消构府称太准精值"
    "号率族维划选标写存候毛亲快效斯院查江型眼王按格养易置派层片始却专状育厂京识适属圆包火住调满县局照参红细引听该铁价严首底液官德随"
    "病苏失尔死讲配女黄推显谈罪神艺呢席含企望密批营项防举球英氧势告李台落木帮轮破亚师围注远字材排供河态封另施减树溶怎止案言士均武固"
    "叶鱼波视仅费紧爱左章早朝害续轻服试食充兵源判护司足某练差致板田降黑犯负击范继兴似余坚曲输修故城夫够送笔船占右财吃富春职觉汉画功"
    "巴跟虽杂飞检吸助升阳互初创抗考投坏策古径换未跑留钢曾端责站简述钱副尽帝射草冲承独令限阿宣环双请超微让控州良轴找否纪益依优顶础载"
    "倒房突坐粉敌略客袁冷胜绝析块剂测丝协诉念陈仍罗盐友洋错苦夜刑移频逐靠混母短皮终聚汽村云哪既距卫停烈央察烧迅境若印洲刻括激孔搞甚"
    "室待核校散侵吧甲游久菜味旧模湖货损预阻毫普稳乙妈植息扩银语挥酒守拿序纸医缺雨吗针刘啊急唱误训愿审附获茶鲜粮斤孩脱硫肥善龙演父渐"
    "血欢械掌歌沙刚攻谓盾讨晚粒乱燃矛乎杀药宁鲁贵钟煤读班伯香介迫句丰培握兰担弦蛋沉假穿执答乐谁顺烟缩征脸喜松脚困异免背星福买染井概"
    "扶贫镇乡园惠税贷款融资补贴励奖吸引培养才聘引智库监督督查纠错容激励担当试点示范推广简化流程窗口网办秒批证照秒报事项清单负面承诺"
    "惩戒信用诚待遇落户津贴住房租购医疗险养老学校托幼残障就业创业孵化器基金债券股权上市担保抵押质押风险补偿贴息减免缓缴退税降费成本"
    "港澳湾侨琴圳珠穗深沪苏浙闽粤桂琼渝蜀滇黔陕甘宁疆藏蒙冀晋鲁豫皖赣鄂湘辽吉黑津京"
)
_PUNCTUATION = frozenset("，。、；：？！“”‘’（）《》【】〔〕—…·％　﹝﹞「」『』〈〉－～．／①②③④⑤⑥⑦⑧⑨⑩０１２３４５６７８９")


def decode(data: bytes, encoding: str | None = None, place: str = "", *, hint: str | None = None) -> tuple[str, str]:
    """Return the text of some bytes and the name of the encoding that it was in, which Python knows under that name.

    A byte order mark decides; else UTF-8, GB18030, Big5 (with the Hong Kong characters) and UTF-16 are tried, and
    ``hint``, which a page says of itself, counts for one of them without deciding. ``encoding`` overrides everything. No
    bytes are no text, in UTF-8. Raises :class:`EncodingError` for bytes that are damaged or plausible in no encoding,
    :class:`ArticleError` for a picture or program, :class:`UsageError` for an encoding that nobody knows.

    >>> decode("推行“秒批”改革".encode("gbk"))
    ('推行“秒批”改革', 'gb18030')
    """
    if encoding is not None:
        chosen = known(encoding)
        if chosen is None:
            raise UsageError(f"unknown encoding {encoding!r}", place=place, way_out="for example utf-8, gb18030, big5, utf-16")
        return _strict(data, chosen, place, given=True), chosen
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            raise ArticleError(f"is {kind}, not text", place=place, way_out="give the file the suffix of what it is")
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _strict(data, name, place), name
    if len(_TRIPLE.findall(data, 0, _SAMPLE)) >= _CERTAIN or not data:
        try:
            return _checked(data.decode("utf-8"), data, "utf-8", place), "utf-8"
        except UnicodeDecodeError as error:
            valid = data[: min(error.start, _SAMPLE)]
            if len(_TRIPLE.findall(valid)) >= _CERTAIN and _weight(codecs.getincrementaldecoder("utf-8")().decode(valid)) > 0:
                raise _damaged(error, "utf-8", place) from None
    hint = known(hint) if hint else None
    verdicts = sorted(_verdicts(data, hint), key=lambda verdict: -verdict[0])
    failure: EncodingError | None = None
    for weight, name in verdicts:
        if weight < _PLAUSIBLE:
            break
        try:
            return _strict(data, name, place), name
        except EncodingError as error:  # fine in the sample and broken further on: the first such error says most
            failure = failure or error
    raise failure or _implausible(data, hint, place)


def known(encoding: str) -> str | None:
    """Return Python's name of an encoding (the wider one where an old name stands for it), or None.

    >>> known("GB2312"), known("Big5"), known("hex"), known("klingon")
    ('gb18030', 'big5hkscs', None, None)
    """
    try:
        name = codecs.lookup(encoding.strip()).name
        "a".encode(name)  # codecs such as hex and zlib change bytes into bytes
    except (LookupError, ValueError, TypeError):
        return None
    return _WIDER.get(name, name)


def _verdicts(data: bytes, hint: str | None) -> Iterator[tuple[float, str]]:
    """Yield the mean weight of the characters for each encoding in which the sample is valid."""
    first = next((match.start() for match in re.finditer(rb"[\x80-\xff\0]", data)), 0)
    for name in TRIED if hint is None or hint in TRIED else (*TRIED, hint):
        wide = name.startswith("utf-16")
        if wide and len(data) % 2:
            continue
        # From a little before, for in UTF-16 the bytes before it may be Chinese as well.
        start = max(0, first - first % 2 - 1024)
        sample = data[start : start + _SAMPLE]
        try:
            text = codecs.getincrementaldecoder(name)("strict").decode(sample, final=start + _SAMPLE >= len(data))
        except (UnicodeError, LookupError):
            continue
        yield _weight(text) + _VALID * (name == "utf-8" and not sample.isascii()) + _HINTED * (name == hint), name


def _weight(text: str) -> float:
    """Return how much a text looks like Chinese: the mean over its characters, ASCII counting for no more than half."""
    if "\0" in text:
        return -9.0
    controls = len(_CONTROL.findall(text))
    beyond = [char for char in text if char > "\x7f"]
    if not beyond:
        return 0.0 if controls else 2.2  # Chinese in UTF-16 may be all ASCII bytes; English in UTF-8 is no Chinese in UTF-16
    plain = min(len(text) - len(beyond), len(beyond))
    weights = _weights()
    return (sum(map(weights.__getitem__, beyond)) + 0.6 * plain - 6 * controls) / (len(beyond) + plain + controls)


class _Weights(dict[str, float]):
    """Character -> weight, filled as characters are met."""

    def __missing__(self, char: str) -> float:
        self[char] = weight = _weigh(char)
        return weight


@cache
def _weights() -> _Weights:
    return _Weights()


def _weigh(char: str) -> float:
    plain = simplified().get(char, char)
    if plain in _FREQUENT:
        return 3.0
    if char in _PUNCTUATION:
        return 2.0
    if "\u4e00" <= plain <= "\u9fff":
        # GB 2312 has the 3,755 characters in daily use in its rows 16 to 55 and the rest after them; so has Big5 with its 5,401.
        if b"\xb0" <= plain.encode("gb2312", "ignore") < b"\xd8":
            return 1.0
        return 0.0 if b"\xa4" <= char.encode("big5", "ignore") < b"\xc7" else -1.5
    if "\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uff5e":
        return 0.0
    if unicodedata.category(char) in ("Co", "Cn", "Cs", "Cc"):
        return -6.0
    return -2.0


def _strict(data: bytes, name: str, place: str, *, given: bool = False) -> str:
    try:
        text = data.decode(name)
    except UnicodeDecodeError as error:
        raise _damaged(error, name, place) from None
    except UnicodeError as error:
        raise EncodingError(f"is no {name}: {error}", place=place, way_out="name another --encoding") from None
    return _checked(text, data, name, place, given=given).removeprefix("\ufeff")


def _checked(text: str, data: bytes, name: str, place: str, *, given: bool = False) -> str:
    """Return a decoded text, unless it is none."""
    nul = text.find("\0")
    if nul >= 0:
        offset = len(text[:nul].encode(name))
        raise EncodingError(f"is no text: read as {name} it has a NUL at byte {offset} of {len(data)}", place=place, way_out="name its --encoding")
    first = _CONTROL.search(text)
    if first and sum(1 for _ in _CONTROL.finditer(text)) * 100 > len(text):
        raise EncodingError(f"is no text: read as {name} it is full of control characters, the first at character {first.start()}", place=place)
    if not given and "\ufffd" in text:
        # Valid, but an earlier program has put it in place of what it could not read.
        problem = f"was damaged before: it has the replacement character U+FFFD at character {text.index(chr(0xFFFD))}"
        raise EncodingError(problem, place=place, way_out=f"fetch the original, or take it as it is with --encoding {name}")
    return text


def _damaged(error: UnicodeDecodeError, name: str, place: str) -> EncodingError:
    problem = f"is no valid {name} at byte {error.start} of {len(error.object)} ({error.object[error.start : error.start + 4].hex(' ')})"
    return EncodingError(problem, place=place, way_out="the file is damaged or cut off there, or name its --encoding")


def _implausible(data: bytes, hint: str | None, place: str) -> EncodingError:
    first = next((match.start() for match in re.finditer(rb"[^\t\n\x0b\x0c\r\x1b\x20-\x7e]", data)), 0)
    tried = ", ".join(dict.fromkeys((*TRIED, hint) if hint else TRIED))
    problem = f"reads as Chinese in none of {tried}; first byte beyond ASCII at {first} of {len(data)}"
    return EncodingError(problem, place=place, way_out="name its --encoding, for example --encoding shift_jis")
