"""Agreement of two codings, person with person or person with model, and a paragraph for the methods section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from policyclf.errors import LabelError
from policyclf.labels import label_matrix
from policyclf.metrics import agreement, resample
from policyclf.records import LabelRecord

MEASURES = ("kappa", "alpha", "holsti", "f1")


def compare(first: Sequence[LabelRecord], second: Sequence[LabelRecord], names: Sequence[str]) -> dict[str, Any]:
    """Return agreement for each category, and its mean, with 95 % intervals resampled by document.

    Passages are matched by id. Raises :class:`LabelError` where the two do not code the same passages.
    """
    others = {record.id: record for record in second}
    missing = [record.id for record in first if record.id not in others]
    extra = set(others) - {record.id for record in first}
    if missing or extra:
        lost = (missing or sorted(extra))[0]
        raise LabelError(
            f"{len(missing)} passages stand only in the first coding, {len(extra)} only in the second, such as {lost!r}",
            way_out="code the same passages, with the same ids",
        )
    differing = next((record.id for record in first if record.text != others[record.id].text), None)
    if differing is not None:
        raise LabelError(f"passage {differing!r} has two different texts", way_out="code the same passages")
    a = label_matrix([record.labels for record in first], names)
    b = label_matrix([others[record.id].labels for record in first], names)
    return compare_matrices(a, b, names, [record.document for record in first])


def compare_matrices(a: Any, b: Any, names: Sequence[str], documents: Sequence[str]) -> dict[str, Any]:
    """The same for two 0/1 matrices of shape ``(n_passages, n_categories)``."""

    def figures(rows: Any) -> Any:
        measured = agreement(a[rows], b[rows])
        table = np.stack([measured[measure] for measure in MEASURES])
        return np.column_stack([table, table.mean(1)])

    point = figures(np.arange(len(a)))
    low, high = resample(documents, figures)

    def row(k: int) -> dict[str, Any]:
        entry: dict[str, Any] = {measure: float(point[m, k]) for m, measure in enumerate(MEASURES)}
        entry["intervals"] = {measure: [float(low[m, k]), float(high[m, k])] for m, measure in enumerate(MEASURES)}
        return entry

    categories = {name: {**row(k), "first": int(a[:, k].sum()), "second": int(b[:, k].sum())} for k, name in enumerate(names)}
    return {"categories": categories, "mean": row(len(names)), "n": len(a), "n_documents": len(set(documents))}


def paragraphs(report: dict[str, Any]) -> tuple[str, str]:
    """Return a paragraph for a methods section, in Chinese and in English."""
    mean, n, documents = report["mean"], report["n"], report["n_documents"]
    kappas = {name: row["kappa"] for name, row in report["categories"].items()}
    worst, best = min(kappas, key=kappas.__getitem__), max(kappas, key=kappas.__getitem__)
    low, high = mean["intervals"]["kappa"]
    chinese = (
        f"两份编码覆盖{documents}篇文本的{n}个编码单元（句）。各类别Cohen's κ的均值为{mean['kappa']:.3f}"
        f"（95%置信区间{low:.3f}–{high:.3f}，按文本重抽样），最低为“{worst}”{kappas[worst]:.3f}，最高为“{best}”{kappas[best]:.3f}；"
        f"Krippendorff's α均值为{mean['alpha']:.3f}，Holsti一致性系数均值为{mean['holsti']:.3f}。"
    )
    english = (
        f"Two codings covered {n} units (sentences) in {documents} texts. Mean Cohen's kappa over the categories was {mean['kappa']:.3f} "
        f"(95 % CI {low:.3f} to {high:.3f}, resampled by text), lowest for {worst} ({kappas[worst]:.3f}) and highest for {best} ({kappas[best]:.3f}); "
        f"mean Krippendorff's alpha was {mean['alpha']:.3f} and mean Holsti agreement {mean['holsti']:.3f}."
    )
    return chinese, english
