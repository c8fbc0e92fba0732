from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import GridSearchCV, cross_val_predict

from policyclf.errors import LabelError, ModelError
from policyclf.features import fitted_vectorizer, occurrences
from policyclf.labels import label_matrix, read_categories, sha256_of
from policyclf.model import load_model
from policyclf.records import LabelRecord
from policyclf.tagger import Tagger
from policyclf.train import PolicyClassifier, evaluate_fit, save_fit

NAMES = [category.name for category in read_categories()]


def matrix(records: list[LabelRecord]) -> np.ndarray:
    return label_matrix([r.labels for r in records], NAMES)


def test_predict_gives_names_for_names(small: PolicyClassifier) -> None:
    assert small.predict(["推行一窗受理、并联审批，企业开办半天办结。", "今天天气很好。"]) == [("审批改革",), ()]


def test_works_with_cross_val_predict_clone_and_grid_search(some_records: list[LabelRecord], small_lexicon: str) -> None:
    records = some_records[:400]
    texts, truth = np.array([r.text for r in records], object), matrix(records)
    classifier = PolicyClassifier(categories=NAMES, folds=3, min_df=1, lexicon=small_lexicon)
    assert clone(classifier).get_params() == classifier.get_params()
    tagged = cross_val_predict(classifier, texts, truth, cv=2)
    assert tagged.shape == truth.shape
    assert (tagged == truth).mean() > 0.85
    search = GridSearchCV(classifier, {"C": [0.3, 1.0]}, cv=2, scoring="f1_macro").fit(texts, truth)
    assert search.best_score_ > 0.4
    assert search.predict(texts[:3]).shape == (3, 5)


def test_compiled_scores_equal_scikit_learn(small: PolicyClassifier, some_records: list[LabelRecord]) -> None:
    odd = ["", " ", "审批" * 300, "审批审批审批", "👍🏽 审批", "𠮷野家", "ＡＢＣ審批", "a\u00a0b", "İstanbul", "\ud800", "审\x00批", "一" * 100_000]
    texts = [r.text for r in some_records] + odd
    expected = small.reference_scores(texts)
    for path in ("numpy", ""):
        scores, _ = small.model_.scorer(path).passages(texts, [1] * len(texts))
        got = np.frombuffer(scores, float).reshape(expected.shape)
        np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0)
        assert ((got > 0) == (expected > 0)).all()


def test_same_seed_same_bytes(small: PolicyClassifier, some_records: list[LabelRecord], tmp_path: Path) -> None:
    again = clone(small).set_params(n_jobs=2).fit([r.text for r in some_records], [r.labels for r in some_records], [r.document for r in some_records])
    for name, classifier in (("a", small), ("b", again)):
        save_fit(
            classifier,
            evaluate_fit(classifier, some_records, n_resamples=20),
            tmp_path / name,
            categories=read_categories(),
            sources={"labels.jsonl": "0" * 64},
        )
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["README.md", "lexicon.tsv", "model.json", "ngrams.npy", "ngrams.txt", "scorer.bin"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_n_grams_stay_within_clauses_and_idf_is_of_texts() -> None:
    vector = fitted_vectorizer(["减材料，发补贴。", "减材料；减环节"], ["减时限"], (1, 2), 1)
    ngrams = vector.get_feature_names_out().tolist()
    assert {"料,", "减时", "贴。"} <= set(ngrams)
    assert not {",发", ";减"} & set(ngrams)
    idf = dict(zip(ngrams, vector.idf_, strict=True))
    assert idf["减"] == 1  # in every text; that a term has it, too, does not count
    assert idf["时"] == pytest.approx(np.log(3) + 1)


def test_occurrences_equal_tfidf_where_nothing_repeats() -> None:
    vector = fitted_vectorizer(["减材料，发补贴。", "减环节"], [], (1, 3), 1)
    plain, repeated = ["减材料,", "", "外"], ["减材料减材料,"]
    np.testing.assert_allclose(occurrences(vector, plain).toarray(), vector.transform(plain).toarray())
    weights = occurrences(vector, repeated).toarray()[0]
    counts = CountVectorizer.transform(vector, repeated).toarray()[0]
    assert (weights**2 / np.maximum(counts, 1)).sum() == pytest.approx(1)
    place, idf = vector.vocabulary_, vector.idf_
    assert weights[place["减"]] / idf[place["减"]] == pytest.approx(2 * weights[place[","]] / idf[place[","]])


def test_context_needs_documents_and_can_be_left_out(some_records: list[LabelRecord], small_lexicon: str) -> None:
    texts, labels = [r.text for r in some_records], [r.labels for r in some_records]
    documents = [r.document for r in some_records]
    plain = PolicyClassifier(categories=NAMES, context=False, lexicon=small_lexicon).fit(texts, labels, documents)
    np.testing.assert_allclose(plain.predict_proba(texts[:20]), plain.predict_proba(texts[:20], ["x"] * 20))
    assert np.abs(plain.linear_.context_weights[2 * len(NAMES) :]).max() < 0.5  # nothing but rounding is left of the neighbours


def test_ones_own_categories_without_lexicon() -> None:
    texts = [f"{place}{act}" for place in ("甲地", "乙地", "丙地", "丁地", "戊地", "己地") for act in ("修路架桥。", "植树造林。", "开了会。")]
    labels = [(["交通"], ["生态"], [])[i % 3] for i in range(len(texts))]
    classifier = PolicyClassifier(min_df=1, folds=3).fit(texts, labels)
    assert list(classifier.classes_) == ["交通", "生态"]
    assert classifier.predict(["庚地修路架桥。", "庚地植树造林。"]) == [("交通",), ("生态",)]
    assert Tagger(classifier.model_, precision=0.99).thresholds == (0.99, 0.99)


@pytest.mark.parametrize(
    ("texts", "labels", "documents", "problem"),
    [
        ([], [], None, "no passage has a category"),
        (["甲", "乙"], [["人才"]], None, "2 passages and 1 label sets"),
        (["甲乙", "丙丁", "戊己"], [["人才"], [], []], None, "has 1 examples"),
        (["甲乙", "丙丁"], [["人才"], ["人才"]], None, "has 2 examples among 2"),
        (["甲乙"] * 4, [["人才"], [], ["人才"], []], ["a", "b", "a", "b"], "do not stand together"),
        (["甲乙"] * 4, [["人才"], [], ["人才"], []], ["a"], "1 document names"),
        (["。"] * 4, [["人才"], [], ["人才"], []], None, "nothing to learn from"),
        (["甲乙"] * 4, [["没有"], [], ["没有"], ["人才"]], None, "unknown category|has 1 examples"),
    ],
)
def test_bad_training_input(texts: list[str], labels: list[list[str]], documents: list[str] | None, problem: str) -> None:
    with pytest.raises(LabelError, match=problem):
        PolicyClassifier(min_df=5, lexicon=None).fit(texts, labels, documents)


def test_bad_label_matrix() -> None:
    with pytest.raises(LabelError, match="only 0 and 1"):
        PolicyClassifier().fit(["甲", "乙"], np.array([[2], [0]]))
    with pytest.raises(LabelError, match="2 label columns and 1 categories"):
        PolicyClassifier(categories=["甲"]).fit(["甲", "乙"], np.array([[1, 0], [0, 1]]))


@pytest.fixture
def folder(small: PolicyClassifier, some_records: list[LabelRecord], tmp_path: Path) -> Path:
    save_fit(small, evaluate_fit(small, some_records, n_resamples=5), tmp_path / "model", categories=read_categories(), sources=sha256_of([]))
    return tmp_path / "model"


def test_save_load_is_identity(small: PolicyClassifier, folder: Path) -> None:
    loaded = load_model(folder)
    assert loaded.compiled == small.model_.compiled
    assert loaded.thresholds == small.model_.thresholds
    assert loaded.categories == read_categories()
    assert "Model card" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("model.json", None, "model.json is missing"),
        ("scorer.bin", None, "scorer.bin is missing"),
        ("model.json", lambda b: b[:-5], "no valid JSON"),
        ("model.json", lambda b: b"[]", "is no policyclf model"),
        ("model.json", lambda b: b"\xff\xfe", "no valid JSON"),
        ("model.json", lambda b: b.replace(b'"format": 1', b'"format": 99'), "is of format 99, this version reads 1"),
        ("model.json", lambda b: b.replace(b'"thresholds"', b'"thresh"'), "damaged"),
        ("scorer.bin", lambda b: b[:-1], "checksum"),
        ("scorer.bin", lambda b: b[:5000] + bytes([b[5000] ^ 1]) + b[5001:], "checksum"),
        ("scorer.bin", lambda b: b"PK" + b[2:], "no compiled model of this format"),
        ("scorer.bin", lambda b: b"", "no compiled model of this format"),
    ],
)
def test_damaged_models_are_refused(folder: Path, name: str, change: object, problem: str) -> None:
    file = folder / name
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))  # type: ignore[operator]
    with pytest.raises(ModelError, match=problem):
        load_model(folder)


def test_no_model_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        load_model(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="is no model"):
        load_model(tmp_path / "empty")


def test_thresholds_that_do_not_fit(folder: Path) -> None:
    meta = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    meta["thresholds"] = meta["thresholds"][:-1]
    (folder / "model.json").write_text(json.dumps(meta), encoding="utf-8")
    with pytest.raises(ModelError, match="do not fit"):
        load_model(folder)
