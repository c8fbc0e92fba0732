from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from policyclf import metrics
from policyclf.agreement import compare, compare_matrices, paragraphs
from policyclf.errors import LabelError
from policyclf.records import LabelRecord

matrices = st.integers(2, 40).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 1), min_size=2 * n, max_size=2 * n).map(lambda v: np.array(v).reshape(-1, 2))] * 2)
)


@given(matrices)
def test_precision_recall_f1_equal_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, tagged = pair
    expected = reference.precision_recall_fscore_support(truth, tagged, zero_division=0)[:3]
    np.testing.assert_allclose(metrics.precision_recall_f1(truth, tagged), expected)


@given(matrices, st.integers(0, 5))
def test_average_precision_equals_scikit_learn(pair: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    truth, other = pair
    probability = np.round((other + np.random.default_rng(seed).random(truth.shape)) / 2, 1)  # rounded, so that there are ties
    for k in range(2):
        expected = reference.average_precision_score(truth[:, k], probability[:, k]) if truth[:, k].any() else 0.0
        assert metrics.average_precision(truth, probability)[k] == pytest.approx(expected)


@given(matrices)
def test_kappa_equals_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    got = metrics.agreement(first, second)
    for k in range(2):
        if len({*first[:, k], *second[:, k]}) > 1:
            assert got["kappa"][k] == pytest.approx(reference.cohen_kappa_score(first[:, k], second[:, k]))
        else:
            assert got["kappa"][k] == got["alpha"][k] == 1
        assert got["holsti"][k] == pytest.approx((first[:, k] == second[:, k]).mean())


def test_alpha_against_a_count_by_hand() -> None:
    # Krippendorff's computing guide, binary data without gaps, 10 units: alpha = 0.095
    first = np.array([[0], [1], [0], [0], [0], [0], [0], [0], [1], [0]])
    second = np.array([[1], [1], [1], [0], [0], [1], [0], [0], [0], [0]])
    assert metrics.agreement(first, second)["alpha"][0] == pytest.approx(0.095, abs=5e-4)


def test_calibration_error_by_hand() -> None:
    truth = np.array([[1], [0], [1], [0]])
    assert metrics.calibration_error(truth, np.array([[1.0], [0.0], [1.0], [0.0]]))[0] == 0
    assert metrics.calibration_error(truth, np.full((4, 1), 0.7))[0] == pytest.approx(0.2)


def test_reliability_leaves_empty_bins_out() -> None:
    rows = metrics.reliability(np.array([[1, 0]]), np.array([[0.95, 0.05]]))
    assert [(row["n"], row["share"]) for row in rows] == [(1, 0.0), (1, 1.0)]


def test_interval_is_resampled_by_document() -> None:
    # One document holds everything: passage by passage the interval would be narrow, by document it spans all.
    documents = ["a"] * 50 + ["b"] * 50
    values = np.array([1.0] * 50 + [0.0] * 50)
    low, high = metrics.resample(documents, lambda rows: values[rows].mean(), n=200)
    assert (low, high) == (0.0, 1.0)


def test_evaluate_has_every_figure_and_is_deterministic() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, (60, 2))
    probability = np.clip(truth * 0.6 + random.random((60, 2)) * 0.4, 0, 1)
    documents = [f"d{i // 6}" for i in range(60)]
    first = metrics.evaluate(truth, probability, [0.5, 0.5], ["甲", "乙"], documents, n_resamples=50)
    assert first == metrics.evaluate(truth, probability, [0.5, 0.5], ["甲", "乙"], documents, n_resamples=50)
    assert first["macro_f1"] == pytest.approx(reference.f1_score(truth, probability >= 0.5, average="macro"))
    assert first["micro_f1"] == pytest.approx(reference.f1_score(truth, probability >= 0.5, average="micro"))
    assert (first["n"], first["n_documents"]) == (60, 10)
    for row in first["categories"].values():
        for kind, (low, high) in row["intervals"].items():
            assert low <= row[kind] + 1e-9
            assert row[kind] <= high + 1e-9 or kind == "calibration_error"


def test_f1_threshold_is_the_middle_of_the_best() -> None:
    probability = np.concatenate([np.linspace(0.6, 0.99, 50), np.linspace(0.01, 0.3, 150)])
    truth = np.concatenate([np.ones(50, int), np.zeros(150, int)])
    documents = [str(i % 20) for i in range(200)]
    assert metrics.f1_threshold(truth, probability, documents) == pytest.approx(0.45, abs=0.03)


def test_risk_coverage_ends_at_all_decisions() -> None:
    curve = metrics.risk_coverage(np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.1], [0.6, 0.8]]))
    assert curve[-1] == {"coverage": 1.0, "risk": 0.25}
    assert curve[0]["risk"] == 0


def record(i: int, *labels: str, text: str = "") -> LabelRecord:
    return LabelRecord(f"p{i}", f"d{i // 2}", text or f"第{i}句", labels)


def test_compare_two_codings() -> None:
    first = [record(0, "甲"), record(1), record(2, "乙"), record(3)]
    second = [record(3), record(2, "乙"), record(1), record(0, "甲")]
    report = compare(first, second, ["甲", "乙"])
    assert report["mean"]["kappa"] == 1
    assert report["categories"]["甲"]["first"] == 1
    chinese, english = paragraphs(report)
    assert "κ的均值为1.000" in chinese
    assert "kappa over the categories was 1.000" in english


def test_compare_refuses_different_passages() -> None:
    with pytest.raises(LabelError, match="stand only in the first"):
        compare([record(0), record(1)], [record(0)], ["甲"])
    with pytest.raises(LabelError, match="two different texts"):
        compare([record(0)], [record(0, text="别的")], ["甲"])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_agreement_is_symmetric_but_for_f1s_name(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.integers(0, 2, (2, 30, 2))
    documents = [str(i // 5) for i in range(30)]
    one, two = (compare_matrices(*pair, ["甲", "乙"], documents) for pair in ((a, b), (b, a)))
    for measure in ("kappa", "alpha", "holsti", "f1"):
        assert one["mean"][measure] == pytest.approx(two["mean"][measure])
