"""The compiled scorers: native and NumPy against scikit-learn, on ordinary, odd and hostile input."""

from __future__ import annotations

import importlib.util
import struct
import sys
import threading
import time
import unicodedata
import zlib
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policyclf.compiler import CONTEXT_SLOPE, CONTEXT_WINDOW, Linear, compile_scorer
from policyclf.errors import ModelError, UsageError
from policyclf.fallback import context_features
from policyclf.records import TIERS
from policyclf.scorer import CONTEXT_BLOCKS, DROPPED, HEADER, SECTIONS, open_scorer
from policyclf.text import clauses, crosses_clauses, fold, split
from policyclf.train import PolicyClassifier

BUILT = importlib.util.find_spec("policyclf._native") is not None
native = pytest.mark.skipif(not BUILT, reason="the native scorer was not built")
PATHS = ["numpy", pytest.param("native", marks=native)]

APPROVAL = [
    "推行一窗受理、并联审批，企业开办半天办结。",
    "取消行政许可事项十二项，下放审批权限。",
    "申请人书面承诺后当场发证。",
    "材料不齐的，容缺受理。",
    "全流程网上办理，电子证照互认。",
    "审批时限压缩到28个工作日。",
    "施工许可证一次办好。",
    "行政审批局集中行使许可权。",
]
TALENT = [
    "新引进博士64名，配建人才公寓1200套。",
    "高层次人才子女入学优先安排。",
    "技工学校培养数控技师四百人。",
    "职称评审权下放到企业。",
    "设立博士后工作站三个。",
    "举办人才招聘会，引进急需人才。",
    "给予高技能人才安家补贴。",
    "院士专家服务中心揭牌。",
]
MONEY = [
    "拨付产业扶持资金22.6亿元。",
    "设立创业投资引导基金。",
    "对中小企业贷款贴息两个百分点。",
    "融资担保费率降到百分之一。",
    "上市企业奖励三百万元。",
    "银行推出信用贷款产品。",
    "减免小微企业担保费。",
    "财政资金直达企业账户。",
]
NOTHING = [
    "今天上午召开工作会议。",
    "会议由县长主持。",
    "ABC公司参观了展览馆。",
    "天气晴朗，游客很多。",
    "第一章",
    "总则",
    "会议强调，要提高站位。",
    "全县粮食总产量稳步增长。",
    "各部门要认真贯彻落实。",
]
LEXICON = "行政许可\t审批\n行政审批局\t审批\n并联审批\t审批\n人才公寓\t人才\n高层次人才\t人才\n高技能人才\t人才\n引导基金\t资金\n担保\t资金\n工作会议\t无\n"
ODD = [
    "",
    " ",
    "\n",
    "审批" * 100,
    "审批" * 300,
    "审" * 256,
    "审" * 257,
    "并联审批审批并联审批",
    "👍🏽 审批",
    "𠮷野家的人才𠮷𠮷",
    "ＡＢＣ審批",
    "行政\u00a0审\u3000批\u200b局",
    "İstanbul İ ß ﬁ",
    "\ud800审\udfff批",
    "审\x00批\x00",
    "高层次人" * 90,
    "。！？",
    "审批。" * 200,
    "".join(map(chr, range(0x2000, 0x2400))),
]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> PolicyClassifier:
    """Three categories, a lexicon with terms longer than any n-gram, documents of four passages."""
    lexicon = tmp_path_factory.mktemp("lexicon") / "lexicon.tsv"
    lexicon.write_text(LEXICON, encoding="utf-8")
    rows = [(text, [name]) for name, texts in (("审批", APPROVAL), ("人才", TALENT), ("资金", MONEY)) for text in texts] + [(text, []) for text in NOTHING]
    rows = rows[::3] + rows[1::3] + rows[2::3]
    documents = [str(i // 4) for i in range(len(rows))]
    model = PolicyClassifier(categories=["审批", "人才", "资金"], lexicon=str(lexicon), min_df=1, folds=3)
    return model.fit([text for text, _ in rows], [labels for _, labels in rows], documents)


@pytest.fixture(scope="module")
def compiled(classifier: PolicyClassifier) -> bytes:
    return classifier.model_.compiled


def table(buffer: Any, columns: int, kind: type = float) -> np.ndarray:
    """A result of either scorer as an array."""
    return np.frombuffer(buffer, kind).reshape(-1, columns)


def assert_same(classifier: PolicyClassifier, texts: list[str], counts: list[int], path: str) -> None:
    expected = classifier.reference_scores(texts) if texts else np.zeros((0, 3))
    scores, decisions = (table(part, 3) for part in classifier.model_.scorer(path).passages(texts, counts))
    np.testing.assert_allclose(scores, expected, atol=1e-6, rtol=0)
    linear = classifier.linear_
    parts = [clauses(fold(text)) or [""] for text in texts]
    strongest = np.array([classifier.reference_scores(part, clauses=True).max(0) for part in parts]).reshape(expected.shape)
    features = context_features(expected, strongest, texts, counts, (CONTEXT_SLOPE, CONTEXT_WINDOW))
    expected = features @ linear.context_weights + linear.context_intercepts
    np.testing.assert_allclose(decisions, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("path", PATHS)
def test_scores_equal_scikit_learn(classifier: PolicyClassifier, path: str) -> None:
    texts = [*APPROVAL, *TALENT, *MONEY, *NOTHING, *ODD]
    assert_same(classifier, texts, [1] * len(texts), path)
    assert_same(classifier, texts, [len(texts)], path)
    assert_same(classifier, texts, [0, 3, 0, len(texts) - 5, 2, 0], path)


SMALL = "审批人才高层次行政许可并联公寓基金担保。，；:\n \x00\u00a0aAＡ1審𠮷👍é"
PIECES = st.one_of(
    st.text(st.sampled_from(SMALL), max_size=40),
    st.text(max_size=30),
    st.text(st.characters(exclude_categories=()), max_size=20),  # lone surrogates, too
    st.tuples(st.text(st.sampled_from(SMALL), min_size=1, max_size=4), st.integers(1, 400)).map(lambda pair: pair[0] * pair[1]),
)
PASSAGES = st.lists(st.lists(PIECES, max_size=3).map("".join), max_size=6)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.mark.parametrize("path", PATHS)
@FUZZ
@given(texts=PASSAGES, cut=st.integers(0, 6))
def test_fuzzed_passages_equal_scikit_learn(classifier: PolicyClassifier, path: str, texts: list[str], cut: int) -> None:
    cut = min(cut, len(texts))
    assert_same(classifier, texts, [cut, len(texts) - cut], path)


@pytest.mark.parametrize("path", PATHS)
@FUZZ
@given(texts=PASSAGES)
def test_articles_are_split_as_text_split_does(compiled: bytes, path: str, texts: list[str]) -> None:
    scorer = open_scorer(compiled, path=path)
    counts, spans, scores, decisions = scorer.articles(texts)
    pieces = [list(split(text)) for text in texts]
    assert np.frombuffer(counts, np.int64).tolist() == [len(part) for part in pieces]
    assert table(spans, 2, np.int64).tolist() == [[p.start, p.end] for part in pieces for p in part]
    expected = scorer.passages([p.text for part in pieces for p in part], [len(part) for part in pieces])
    assert np.array_equal(table(scores, 3), table(expected[0], 3))
    assert np.array_equal(table(decisions, 3), table(expected[1], 3))


@native
def test_every_code_point_is_split_alike(compiled: bytes) -> None:
    scorer = open_scorer(compiled, path="native")
    special = [point for point in range(sys.maxunicode + 1) if unicodedata.category(chr(point)) not in ("Lo", "Cn", "Co", "Cs", "So")]
    others = [point for point in range(sys.maxunicode + 1) if unicodedata.category(chr(point)) in ("Lo", "Cn", "Co", "Cs", "So")]
    texts = ["".join(f"\n{chr(c)}\n{chr(c)}审。{chr(c)}批！？{chr(c)}）{chr(c)}" for c in special)]
    texts.append("".join(f"\n{chr(c)}" for c in others))
    _, spans, *_ = scorer.articles(texts)
    assert table(spans, 2, np.int64).tolist() == [[p.start, p.end] for text in texts for p in split(text)]


@native
@FUZZ
@given(texts=PASSAGES)
def test_both_paths_agree_beyond_float32(compiled: bytes, texts: list[str]) -> None:
    one, two = (open_scorer(compiled, path=path).articles(texts) for path in ("native", "numpy"))
    for left, right in zip(one[2:], two[2:], strict=True):
        np.testing.assert_allclose(table(left, 3), table(right, 3), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("path", PATHS)
def test_a_million_of_one_character_is_quick(classifier: PolicyClassifier, path: str) -> None:
    start = time.perf_counter()
    for text in ("审" * 1_000_000, "审批" * 100_000):
        scores, _ = classifier.model_.scorer(path).passages([text], [1])
        np.testing.assert_allclose(table(scores, 3), classifier.reference_scores([text]), atol=1e-6, rtol=0)
    assert time.perf_counter() - start < 20


def some_linear(n_categories: int, longest: int, depth: int, seed: int = 0) -> Linear:
    """A model with random weights."""
    random = np.random.default_rng(seed)

    def words(n: int, length: int, marks: str = "") -> list[str]:
        return sorted({"".join(random.choice(list("审批人才资金一二\ue000𠮷" + marks), random.integers(1, length + 1))) for _ in range(n)})

    ngrams = [ngram for ngram in words(400, longest, ",;。") if not crosses_clauses(ngram)]
    terms = {term: int(random.integers(0, TIERS * (n_categories + 1))) for term in words(30, depth) if len(term) > 1}
    k = n_categories
    return Linear(
        ngrams=ngrams,
        idf=random.uniform(1, 9, len(ngrams)).astype(np.float32),
        weights=random.normal(size=(len(ngrams), k)).astype(np.float32),
        terms=terms,
        coverage_weights=random.normal(size=(TIERS * (k + 1), k)),
        intercepts=random.normal(size=k),
        context_weights=random.normal(size=(CONTEXT_BLOCKS * k, k)),
        context_intercepts=random.normal(size=k),
        cap=12.0,
    )


@native
@pytest.mark.parametrize(("n_categories", "longest", "depth"), [(1, 1, 1), (2, 1, 5), (6, 2, 2), (7, 3, 9), (14, 4, 3), (15, 3, 40), (127, 8, 2)])
def test_any_number_of_categories_and_any_length_of_n_gram(n_categories: int, longest: int, depth: int) -> None:
    data = compile_scorer(some_linear(n_categories, longest, depth))
    random = np.random.default_rng(1)
    texts = ["".join(random.choice(list("审批人才资金一二三\ue000𠮷 。，,"), random.integers(0, 80))) for _ in range(100)] + ["审批人才" * 200]
    one, two = (open_scorer(data, path=path).articles(texts) for path in ("native", "numpy"))
    assert bytes(one[0]) == two[0].tobytes()
    for left, right in zip(one[2:], two[2:], strict=True):
        np.testing.assert_allclose(table(left, n_categories), table(right, n_categories), atol=1e-9, rtol=1e-9)


def test_what_goes_across_clauses_is_refused() -> None:
    linear = some_linear(2, 2, 2)
    with pytest.raises(ModelError, match="across"):
        compile_scorer(linear._replace(ngrams=[",审", *linear.ngrams[1:]]))
    with pytest.raises(ModelError, match="across"):
        compile_scorer(linear._replace(terms={"审,批": 0}))


def test_private_characters_of_the_training_texts_are_known() -> None:
    linear = some_linear(2, 2, 2)
    assert any("\ue000" in ngram for ngram in linear.ngrams)
    scores, _ = open_scorer(compile_scorer(linear), path="numpy").passages(["\ue000", ""], [1, 1])
    assert not np.array_equal(scores[0], scores[1])


@pytest.mark.parametrize("path", PATHS)
def test_empty_and_wrong_arguments(compiled: bytes, path: str) -> None:
    scorer = open_scorer(compiled, path=path)
    assert [len(part) for part in scorer.articles([])] == [0, 0, 0, 0]
    assert [len(part) for part in scorer.passages([], [])] == [0, 0]
    assert np.frombuffer(scorer.articles(("", "。"))[0], np.int64).tolist() == [0, 0]
    for wrong in ([1], [None], [b"bytes"], ["right", 2.0]):
        with pytest.raises((TypeError, AttributeError)):
            scorer.articles(wrong)
        with pytest.raises((TypeError, AttributeError)):
            scorer.passages(wrong, [len(wrong)])
    with pytest.raises(TypeError):
        scorer.articles(5)
    for counts in ([1], [3], [-1, 3], [2, 1], []):
        with pytest.raises(ValueError, match="add up"):
            scorer.passages(["一", "二"], counts)
    assert scorer.n_categories == 3


@native
def test_the_native_scorer_takes_a_buffer_that_may_change_later(compiled: bytes) -> None:
    from policyclf._native import NativeScorer

    expected = NativeScorer(compiled).passages(MONEY, [len(MONEY)])
    for data in (bytearray(compiled), array("B", compiled)):
        scorer = NativeScorer(data)
        memoryview(data)[:] = bytes(len(compiled))
        assert scorer.passages(MONEY, [len(MONEY)]) == expected
    for wrong in ("text", None):
        with pytest.raises(TypeError):
            NativeScorer(wrong)  # type: ignore[arg-type]
    for short in (b"", compiled[:8], compiled[:100], compiled[:-1000]):
        with pytest.raises(ValueError, match=r"it|its"):
            NativeScorer(short)


@native
def test_the_gil_is_released(compiled: bytes) -> None:
    scorer = open_scorer(compiled, path="native")
    ticks, stop = [0], threading.Event()

    def tick() -> None:
        while not stop.wait(0.001):
            ticks[0] += 1

    thread = threading.Thread(target=tick)
    thread.start()
    text = "推行一窗受理、并联审批，企业开办半天办结。\n" * 200_000
    before, start = ticks[0], time.perf_counter()
    scorer.articles([text])
    gone, elapsed = ticks[0] - before, time.perf_counter() - start
    stop.set()
    thread.join()
    assert gone > elapsed * 100


def reseal(data: bytearray) -> bytes:
    """Make a damaged file pass its checksum."""
    data[8:12] = struct.pack("<I", zlib.crc32(memoryview(data)[12:]))
    return bytes(data)


def section(data: bytes, name: str) -> int:
    return int(HEADER.unpack_from(data)[11 + SECTIONS.index(name)])


HOSTILE = {
    "page": ("pages", 2 * 0x50, "<H", 0xFFFF),
    "point": ("points", 0, "<I", DROPPED - 1),
    "base": ("bases", 4, "<I", 0xFFFFFF),
    "child": ("edges", 0, "<Q", 1 << 48 | 0xFFFFFF << 24),
    "no child": ("edges", 0, "<Q", 1 << 48 | 1),
    "no character": ("edges", 0, "<Q", 500 << 24),
    "wrong character": ("edges", 0, "<Q", 0xFFFF << 48 | 500 << 24),
    "base of a child": ("edges", 0, "<Q", 1 << 48 | 500 << 24 | 0xFFFFFF),
    "not a number": ("rows", 64, "<f", float("nan")),
    "infinity": ("rows", 64, "<f", float("inf")),
    "column": ("rows", 4 * 4, "<f", 255.0),
    "negative length": ("rows", 4 * 4, "<f", -256.0),
    "cap": ("numbers", 0, "<d", 0.0),
    "huge weight": ("numbers", 80, "<d", 1e300),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused(compiled: bytes, path: str, case: str) -> None:
    name, offset, kind, value = HOSTILE[case]
    data = bytearray(compiled)
    struct.pack_into(kind, data, section(compiled, name) + offset, value)
    with pytest.raises(ModelError, match="damaged"):
        open_scorer(reseal(data), path=path)


@pytest.mark.parametrize("field", range(2, 18))
def test_a_hostile_header_is_refused(compiled: bytes, field: int) -> None:
    for value in (0, 1 << 30):
        fields = list(HEADER.unpack_from(compiled))
        fields[field] = value
        data = bytearray(compiled)
        HEADER.pack_into(data, 0, *fields)
        if (field, value) == (9, 0):  # a heading may have no length at all
            continue
        with pytest.raises(ModelError, match="damaged"):
            open_scorer(reseal(data))
        if BUILT:
            from policyclf._native import NativeScorer

            with pytest.raises(ValueError, match="its"):
                NativeScorer(bytes(data))


def test_a_flipped_bit_is_noticed(compiled: bytes) -> None:
    data = bytearray(compiled)
    data[len(data) // 2] ^= 4
    with pytest.raises(ModelError, match="checksum"):
        open_scorer(bytes(data))


def character_id(data: bytes, point: int) -> int:
    page = struct.unpack_from("<H", data, section(data, "pages") + 2 * (point >> 8))[0]
    return int(struct.unpack_from("<I", data, section(data, "points") + 4 * (page << 8 | point & 0xFF))[0]) & 0xFFFF


@pytest.mark.parametrize("path", PATHS)
def test_a_trie_that_runs_in_circles_ends(compiled: bytes, path: str) -> None:
    """Every slot an edge to the same node and base: each walk goes on to the longest path and no further."""
    fields = HEADER.unpack_from(compiled)
    first, slots = fields[5], fields[6]
    data = bytearray(compiled)
    edges = np.frombuffer(data, "<u8", slots, section(compiled, "edges"))
    edges[:] = np.uint64(1 << 48 | first << 24 | 1)
    np.frombuffer(data, "<u4", first, section(compiled, "bases"))[:] = 1
    first_char = next(chr(point) for point in range(sys.maxunicode) if character_id(compiled, point) == 1)
    scorer = open_scorer(reseal(data), path=path)
    scorer.passages([first_char * 100_000, "审批人才" * 1000], [2])


@pytest.mark.parametrize("path", PATHS)
def test_damage_that_is_not_noticed_does_no_harm(compiled: bytes, path: str) -> None:
    random = np.random.default_rng(0)
    texts = [*APPROVAL, *ODD]
    starts = [section(compiled, name) for name in SECTIONS]
    for _ in range(60):
        data = bytearray(compiled)
        for _ in range(random.integers(1, 4)):
            low = HEADER.size - 56 if random.random() < 0.2 else random.choice(starts)
            data[min(low + int(random.exponential(2000)), len(data) - 1)] = int(random.integers(0, 256))
        try:
            scorer = open_scorer(reseal(data), path=path)
        except ModelError:
            continue
        counts, *_ = scorer.articles(texts)
        assert len(np.frombuffer(counts, np.int64)) == len(texts)
        scorer.passages(texts, [len(texts)])


def test_the_path_is_chosen_by_the_environment(compiled: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLICYCLF_SCORER", raising=False)
    usual = type(open_scorer(compiled)).__name__
    assert usual == ("NativeScorer" if BUILT else "NumpyScorer")
    monkeypatch.setenv("POLICYCLF_SCORER", "numpy")
    assert type(open_scorer(compiled)).__name__ == "NumpyScorer"
    monkeypatch.setenv("POLICYCLF_SCORER", "abacus")
    with pytest.raises(UsageError, match="abacus"):
        open_scorer(compiled)


def test_without_the_native_scorer(compiled: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLICYCLF_SCORER", raising=False)
    monkeypatch.setitem(sys.modules, "policyclf._native", None)
    assert type(open_scorer(compiled)).__name__ == "NumpyScorer"
    monkeypatch.setenv("POLICYCLF_SCORER", "native")
    with pytest.raises(UsageError, match="not built"):
        open_scorer(compiled)


def test_too_long_to_compile() -> None:
    linear = some_linear(2, 2, 2)
    with pytest.raises(ModelError, match="longer"):
        compile_scorer(linear._replace(terms={"审" * 65: 0}))


def test_compiled_bytes_are_the_same_every_time() -> None:
    assert compile_scorer(some_linear(3, 3, 6)) == compile_scorer(some_linear(3, 3, 6))


def test_the_stub_names_what_there_is() -> None:
    stub = (Path(__file__).parent.parent / "policyclf" / "_native.pyi").read_text(encoding="utf-8")
    if BUILT:
        from policyclf._native import NativeScorer

        for name in ("n_categories", "articles", "passages"):
            assert name in stub
            assert hasattr(NativeScorer, name)
