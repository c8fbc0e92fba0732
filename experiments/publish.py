"""Write every published figure into the README files from the stored results.

python experiments/publish.py            write
python experiments/publish.py --check    say which file differs; exit 1 if any does
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from policyclf.card import figure_table, with_interval

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"


def result(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))


def spread(figure: dict[str, Any]) -> str:
    """Return a figure that is stored as value and interval."""
    low, high = figure["interval"]
    return f"{figure['value']:.3f} ({low:.3f}–{high:.3f})"


def quality(chinese: bool) -> str:
    real, authored = result("evaluation"), result("training")
    at_95 = spread(real["precision_0.95"]["precision"])
    recall = spread(real["precision_0.95"]["recall"])
    if chinese:
        return f"""**真实文本**（{real["n_documents"]} 篇公开报告、法规、文件中的 {real["n"]} 句，标签经裁定，从未用于训练；括号内为按文本重抽样的 95 % 区间）：

{figure_table(real)}

期望校准误差 {with_interval(real, "calibration_error")}。`--precision 0.95` 在这批文本上的精确率为 {at_95}，召回率为 {recall}。

**撰写文本**，折外（{authored["n_documents"]} 篇，{authored["n"]} 句）：宏平均 F1 {with_interval(authored, "macro_f1")}。

其他工具，用同一训练集，在同一批真实文本上（各取默认阈值与两种折外调出的阈值中最好的一种）：

{peers(chinese)}

![精确率与召回率](experiments/results/precision_recall.png) ![可靠性](experiments/results/reliability.png)"""
    return f"""**Real text** ({real["n"]} passages of {real["n_documents"]} public reports, statutes and documents, adjudicated labels, never trained on; in brackets the
95 % interval resampled by document):

{figure_table(real)}

Expected calibration error {with_interval(real, "calibration_error")}. With `--precision 0.95` the precision on this text is {at_95}, the recall {recall}.

**Authored text**, out of fold ({authored["n"]} passages of {authored["n_documents"]} documents): macro-F1 {with_interval(authored, "macro_f1")}.

Other tools, trained on the same set, on the same real text (each at the best of its default threshold and two tuned out of fold):

{peers(chinese)}

![precision and recall](experiments/results/precision_recall.png) ![reliability](experiments/results/reliability.png)"""


def peers(chinese: bool) -> str:
    rows = []
    for contender in result("peers")["contenders"]:
        kinds = {kind: figures for kind, figures in contender["real"].items() if kind != "upper bound"}
        best = max(kinds.values(), key=lambda figures: figures["macro_f1"]["value"])
        rows.append((best["macro_f1"]["value"], contender["name"], best))
    head = "| 工具 | 宏平均 F1 | 平均精确率 |" if chinese else "| tool | macro-F1 | average precision |"
    lines = [f"| {name} | {spread(best['macro_f1'])} | {spread(best['macro_average_precision'])} |" for _, name, best in sorted(rows, key=lambda row: -row[0])]
    return "\n".join([head, "|---|---|---|", *lines])


def missing() -> str:
    return "\n".join(f"- {peer['name']}: {peer['why']}" for peer in result("peers")["missing"])


def speed(chinese: bool) -> str:
    table = (RESULTS / "benchmark.md").read_text(encoding="utf-8").strip()
    note = "`python experiments/benchmark.py` 的输出：" if chinese else "What `python experiments/benchmark.py` prints:"
    return f"{note}\n\n{table}\n\n![speed](experiments/results/benchmark.png)"


def labels(chinese: bool) -> str:
    facts = result("labels")
    rows = ["| category | passages | documents | lexicon terms that occur | Cohen's κ | Krippendorff's α | Holsti |", "|---|---|---|---|---|---|---|"]
    for name, row in facts["categories"].items():
        agreement = facts["agreement"]["categories"][name]
        kappa, alpha, holsti = (
            f"{agreement[m]:.3f} ({agreement['intervals'][m][0]:.3f}–{agreement['intervals'][m][1]:.3f})" for m in ("kappa", "alpha", "holsti")
        )
        terms = facts["instruments"][name]
        rows.append(
            f"| {name} | {row['passages']} | {row['documents']} | {terms['different_terms']} of {terms['terms_in_lexicon']} | {kappa} | {alpha} | {holsti} |"
        )
    lengths = facts["lengths"]
    return f"""**Figures** (generated from `experiments/results/labels.json`). {facts["passages"]} passages of {facts["documents"]} documents; {facts["none"]:.1%} carry no category,
{facts["several"]:.1%} several. Median length {lengths["all"]["median"]:.0f} characters, a tenth above {lengths["all"]["p90"]:.0f} (unlabelled {lengths["not_labelled"]["median"]:.0f}, labelled {lengths["labelled"]["median"]:.0f}).
Agreement of the two codings over {facts["coded_twice"]} passages, with 95 % intervals resampled by document:

{chr(10).join(rows)}"""


def rounds() -> str:
    rows = [
        "| round: text of these kinds was added | passages | documents | authored macro-F1 | real macro-F1 | real average precision |",
        "|---|---|---|---|---|---|",
    ]
    for row in result("rounds")["rounds"]:
        cells = with_interval(row["authored"], "macro_f1"), with_interval(row["real"], "macro_f1"), with_interval(row["real"], "macro_average_precision")
        rows.append(f"| {row['round']} | {row['passages']} | {row['documents']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def ablations() -> str:
    """The variants of today's model, and those of its forerunner that were not run again."""
    now, before = result("ablations")["variants"], result("ablations_before")["variants"]
    known = {(row["group"], row["name"]) for row in now}
    former = [row for row in before if row["group"] == "shipped" or (row["group"], row["name"]) not in known]
    return f"{ablation_table(now)}\n\nVariants of the former model, which had its own n-grams, term weights and lexicon, that were not run again:\n\n{ablation_table(former)}"


def ablation_table(variants: list[dict[str, Any]]) -> str:
    rows = ["| group | variant | authored macro-F1 | real macro-F1 | difference on real text | real average precision |", "|---|---|---|---|---|---|"]
    for variant in variants:
        real = variant["real"]
        difference = real.get("difference")
        apart = (
            ""
            if not difference
            else "{value:+.3f} ({low:+.3f} to {high:+.3f})".format(
                value=difference["macro_f1"]["value"], low=difference["macro_f1"]["interval"][0], high=difference["macro_f1"]["interval"][1]
            )
        )
        rows.append(
            f"| {variant['group']} | {variant['name']} | {spread(variant['authored']['macro_f1'])} | {spread(real['macro_f1'])} | {apart} | {real['macro_average_precision']['value']:.3f} |"
        )
    n = variants[0]
    return f"n = {n['authored']['n']} authored passages out of fold, {n['real']['n']} real passages; 95 % intervals resampled by document.\n\n" + "\n".join(
        rows
    )


def batch() -> str:
    facts = result("batch")
    rows = [
        "| output and workers | articles | articles/s | CPU ms an article | peak memory, MB | time an article, × that of 100 | memory, × that of 100 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, run in facts["runs"].items():
        for n, row in run["summary"].items():
            cells = f"{row['articles_per_second']:,.0f} | {row['cpu_ms_per_article']:.2f} | {row['peak_mb']:.0f} | {row['time_per_article_ratio']:.2f} | {row['memory_ratio']:.2f}"
            rows.append(f"| {name} | {int(n):,} | {cells} |")
    return f"Articles of {facts['passages_per_article']} passages, {facts['cores']} cores; medians.\n\n" + "\n".join(rows)


def scaling() -> str:
    rows = ["| passages | n-grams | processor seconds | a thousand passages, s | peak memory, MB |", "|---:|---:|---:|---:|---:|"]
    for row in result("scaling")["rows"]:
        mark = " (composed of clauses)" if row["composed_of_clauses"] else ""
        each = row["cpu_seconds"] / row["passages"] * 1000
        rows.append(f"| {row['passages']:,}{mark} | {row['n_ngrams']:,} | {row['cpu_seconds']:.0f} | {each:.1f} | {row['peak_mb']:,} |")
    return "\n".join(rows)


def crash() -> str:
    facts = result("crash")
    rows = ["| what was done to a run | outcome |", "|---|---|"]
    for name, row in facts.items():
        if isinstance(row, dict):
            good = row.get("ok", row.get("same_row_for_row"))
            detail = f", {row['rows']} rows equal the unbroken run's" if "rows" in row else ""
            rows.append(f"| {name} | {'as it should' if good else 'NOT as it should'}{detail} |")
    return f"{facts['articles']} articles.\n\n" + "\n".join(rows)


BLOCKS = {
    "README.md": {"quality": lambda: quality(False), "speed": lambda: speed(False)},
    "README.zh-CN.md": {"quality": lambda: quality(True), "speed": lambda: speed(True)},
    "labels/README.md": {"labels": lambda: labels(False)},
    "experiments/README.md": {
        "rounds": rounds, "ablations": ablations, "peers": lambda: peers(False), "missing": missing, "batch": batch, "crash": crash, "scaling": scaling,
        "speed": lambda: speed(False).replace("experiments/results", "results"),
    },
}  # fmt: skip


def written(path: str) -> tuple[str, str]:
    """Return a file as it is and as it should be."""
    old = (ROOT / path).read_text(encoding="utf-8")
    new = old
    for name, block in BLOCKS[path].items():
        marks = f"<!-- begin:{name} -->", f"<!-- end:{name} -->"
        pattern = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
        if not pattern.search(new):
            sys.exit(f"{path}: no block {name!r}")
        text = f"{marks[0]}\n{block()}\n{marks[1]}"
        new = pattern.sub(lambda _, text=text: text, new)
    return old, new


def main(arguments: list[str]) -> int:
    differing = []
    for path in BLOCKS:
        old, new = written(path)
        if old != new:
            differing.append(path)
            if "--check" not in arguments:
                (ROOT / path).write_text(new, encoding="utf-8")
    for path in differing:
        print(f"{path}: {'differs from the stored results' if '--check' in arguments else 'written'}")
    return int(bool(differing) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
