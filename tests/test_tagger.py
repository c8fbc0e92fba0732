from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policyclf.errors import PolicyclfError, UsageError
from policyclf.evaluation import probabilities
from policyclf.journal import Failure, from_line, to_line
from policyclf.labels import read_categories
from policyclf.records import Article, LabelRecord, TaggedArticle
from policyclf.tagger import Tagger, load, logistic
from policyclf.text import fold, has_chinese

SENTENCE = "崂山区推出“首错免罚”清单，拨付产业扶持资金22.6亿元。"
ARTICLE = f"一、优化服务\n{SENTENCE}\n推行并联审批；引进博士34名。\n\n——\n会议强调要抓好落实。"
CASES = json.loads((Path(__file__).parent / "cases" / "tags.json").read_text(encoding="utf-8"))
chinese = st.text(st.sampled_from("审批改革人才引进资金补贴容错免责开发区管委会。；，\n Ａ１👍\ud800審"), max_size=80)


def names(tagged: TaggedArticle) -> list[list[str]]:
    return [[tag.category for tag in passage.tags] for passage in tagged.passages]


@pytest.mark.parametrize("category", read_categories(), ids=lambda category: category.id)
def test_codebook_examples(tagger: Tagger, category: object) -> None:
    """The examples that the codebook gives for a category are tagged so, and its counter-examples are not."""
    for text in category.include:  # type: ignore[attr-defined]
        assert category.name in names(tagger.tag(text))[0], text  # type: ignore[attr-defined]
    for text in category.exclude:  # type: ignore[attr-defined]
        assert category.name not in names(tagger.tag(text))[0], text  # type: ignore[attr-defined]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:12])
def test_cases(tagger: Tagger, case: dict[str, object]) -> None:
    assert names(tagger.tag(str(case["text"]))) == [case["tags"]]


def test_passages_units_and_headings(tagger: Tagger) -> None:
    tagged = tagger.tag(ARTICLE)
    assert [(p.unit, p.heading) for p in tagged.passages] == [
        ((1, 1), ""),
        ((2, 1), "一、优化服务"),
        ((3, 1), "一、优化服务"),
        ((3, 2), "一、优化服务"),
        ((4, 1), "一、优化服务"),
    ]
    assert all(ARTICLE[p.start : p.end] == p.text for p in tagged.passages)
    assert names(tagged) == [[], ["金融扶持", "容错纠错"], ["审批改革"], ["人才"], []]
    assert tagged.counts == {"审批改革": 1, "人才": 1, "金融扶持": 1, "容错纠错": 1, "功能区改革": 0}
    assert tagged.model == tagger.model.id


def test_evidence_is_whole_words_inside_the_passage(tagger: Tagger) -> None:
    passage = tagger.tag(SENTENCE, evidence=True).passages[0]
    for tag in passage.tags:
        assert tag.evidence
        assert all(SENTENCE[word.start : word.end] == word.text for word in tag.evidence)
        assert all(word.contribution > 0 for word in tag.evidence)
    assert "免罚" in "".join(word.text for tag in passage.tags if tag.category == "容错纠错" for word in tag.evidence)


@settings(max_examples=30, deadline=None)
@given(chinese, st.integers(0, 4))
def test_contributions_sum_to_the_decision(tagger: Tagger, text: str, k: int) -> None:
    if not tagger.tag(text).passages:
        return
    explanation = tagger.explain(text, tagger.categories[k])
    if not has_chinese(explanation.text):
        assert explanation.probability == 0
        return
    total = explanation.intercept + sum(word.contribution for word in explanation.evidence)
    assert total == pytest.approx(explanation.decision, abs=1e-6)
    assert explanation.probability == pytest.approx(logistic(explanation.decision), abs=1e-6)
    words = [word for word in explanation.evidence if word.start >= 0]
    assert "".join(word.text for word in words) == explanation.text


@settings(max_examples=60, deadline=None)
@given(st.lists(chinese, max_size=4))
def test_many_at_once_equal_one_by_one(tagger: Tagger, texts: list[str]) -> None:
    together = tagger.tag_all(texts)
    for text, tagged in zip(texts, together, strict=True):
        alone = tagger.tag(text)
        assert names(alone) == names(tagged)
        for a, b in zip(alone.passages, tagged.passages, strict=True):
            assert (a.start, a.end, a.text) == (b.start, b.end, b.text)
            assert a.probabilities == pytest.approx(b.probabilities, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(chinese)
def test_a_higher_precision_never_adds_a_tag(tagger: Tagger, text: str) -> None:
    usual = names(tagger.tag(text))
    for precision in (0.8, 0.95, 0.99):
        strict = names(Tagger(tagger.model, precision=precision).tag(text))
        assert all(set(fewer) <= set(more) for fewer, more in zip(strict, usual, strict=True))
        usual = strict


@settings(max_examples=40, deadline=None)
@given(chinese)
def test_both_scorers_agree(tagger: Tagger, text: str) -> None:
    results = [tagger.model.scorer(path).articles([text]) for path in ("", "numpy")]
    for kind, atol in (("counts", 0), ("spans", 0), ("scores", 1e-6), ("decisions", 1e-5)):
        i = ("counts", "spans", "scores", "decisions").index(kind)
        dtype = np.int64 if i < 2 else np.float64
        one, two = (np.frombuffer(result[i], dtype) for result in results)
        np.testing.assert_allclose(one, two, atol=atol, rtol=0)


@pytest.mark.parametrize("text", ["", "\n\n", "。。。！", "……——", "👍👍", "   ", "\ufeff", "\x00"])
def test_nothing_to_tag(tagger: Tagger, text: str) -> None:
    assert tagger.tag(text).passages == ()


@pytest.mark.parametrize("text", ["Hello, world.", "123456", "\ud800abc", "ни слова", "a" * 100_000])
def test_text_without_chinese_gets_no_tag(tagger: Tagger, text: str) -> None:
    assert not any(names(tagger.tag(text)))


@pytest.mark.parametrize(
    "text",
    [
        "推行並聯審批、容缺受理，企業開辦半天辦結。",
        "推行并联审批、容缺受理，企业开办半天办结。",
        "推 行 并 联 审 批 、 容 缺 受 理 ， 企 业 开 办 半 天 办 结 。",
        "推行并联审批､容缺受理,企业开办半天办结｡",
    ],
)
def test_traditional_spaced_and_half_width_text_is_tagged_alike(tagger: Tagger, text: str) -> None:
    assert names(tagger.tag(text)) == [["审批改革"]]


def test_a_ten_megabyte_line(tagger: Tagger) -> None:
    text = "推行并联审批，" * 1_500_000
    tagged = tagger.tag(text)
    assert [(p.start, p.end) for p in tagged.passages] == [(0, len(text))]


def test_tag_takes_text_or_article_only(tagger: Tagger) -> None:
    assert tagger.tag(Article(SENTENCE, title="标题")).article.title == "标题"
    with pytest.raises(UsageError, match="not bytes"):
        tagger.tag(SENTENCE.encode())  # type: ignore[arg-type]


def test_explain_refuses(tagger: Tagger) -> None:
    for arguments, problem in ((("好。", "没有"), "unknown category"), (("。", "人才"), "nothing to explain")):
        with pytest.raises(UsageError, match=problem):
            tagger.explain(*arguments)
    with pytest.raises(UsageError, match="no passage 7"):
        tagger.explain("好。", "人才", passage=7)


def test_precision_out_of_range(tagger: Tagger) -> None:
    for precision in (0.2, 1.0):
        with pytest.raises(UsageError, match="out of range"):
            load(precision=precision)


def test_pickles_for_worker_processes(tagger: Tagger) -> None:
    assert pickle.loads(pickle.dumps(tagger)).tag(SENTENCE) == tagger.tag(SENTENCE)


@pytest.mark.parametrize("evidence", [True, False])
def test_journal_lines_come_back(tagger: Tagger, evidence: bool) -> None:
    tagged = tagger.tag(Article(ARTICLE, source="a.txt", date="2025-01-02"), evidence=evidence)
    line = to_line(tagged)
    assert "\\u" not in line
    again = from_line(line)
    assert isinstance(again, TaggedArticle)
    assert names(again) == names(tagged)
    assert to_line(again) == line
    failure = Failure.of("b.txt", PolicyclfError("kaputt", way_out="mend it"))
    assert from_line(to_line(failure)) == failure


def test_bad_journal_line() -> None:
    for line in ("", "{", "{}", '{"passages": 3}'):
        with pytest.raises(PolicyclfError, match="is no line"):
            from_line(line, "out.jsonl:1")


def test_evaluation_uses_context(tagger: Tagger) -> None:
    texts = ARTICLE.replace("\n\n——", "").split("\n")
    together = probabilities(tagger, [LabelRecord(str(i), "one", text, ()) for i, text in enumerate(texts)])
    apart = probabilities(tagger, [LabelRecord(str(i), str(i), text, ()) for i, text in enumerate(texts)])
    assert np.abs(together - apart).max() > 1e-4


def test_logistic_does_not_overflow() -> None:
    assert (logistic(-1e9), logistic(0), logistic(1e9)) == (pytest.approx(0), 0.5, 1.0)


def test_every_format_and_encoding_gives_the_same_tags(tagger: Tagger) -> None:
    found: dict[tuple[tuple[str, tuple[str, ...]], ...], list[str]] = {}
    for path in sorted((Path(__file__).parent / "articles").glob("report*")):
        tagged = tagger.tag_file(path)
        key = tuple((fold(p.text), tuple(tag.category for tag in p.tags)) for p in tagged.passages)
        found.setdefault(key, []).append(path.name)
    assert len(found) == 1, list(found.values())
    assert len(next(iter(found.values()))) >= 18
