"""Describe the labelled set: size, shares, lengths, agreement of the two codings, coverage, near-duplicates.

    python experiments/labels.py [EVALUATION.jsonl...]

Genre, region, level and year of a document come from labels/documents.tsv, where it stands there. With evaluation files
given, passages that the labelled set has in common with them are counted too; there should be none of any length.
Writes experiments/results/labels.json.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import train
from ablations import arguments
from sklearn.feature_extraction.text import CountVectorizer

from policyclf.agreement import compare_matrices
from policyclf.features import Lexicon
from policyclf.labels import NEAR_MISS, label_files, label_matrix, read_categories, read_labels, read_lexicon, sha256_of
from policyclf.text import fold

FACETS = ("genre", "region", "level", "year")
THIN = 5  # passages; a cell of the coverage table below it is worth another document
SHINGLE = 4  # characters
ALIKE = 0.7  # Jaccard similarity of shingles from which two passages are near-duplicates
SHORTEST = 12  # characters; shorter passages, most of them headings, repeat by nature
FREQUENT = 2000  # passages; a shingle in more of them tells nothing and costs much


def sizes(texts: Sequence[str]) -> dict[str, Any]:
    """Return quantiles of lengths in characters."""
    lengths = np.array([len(text) for text in texts] or [0])
    quantiles = np.quantile(lengths, [0.1, 0.25, 0.5, 0.75, 0.9])
    return {"n": len(texts), "mean": round(float(lengths.mean()), 1), **dict(zip(("p10", "p25", "median", "p75", "p90"), quantiles.tolist(), strict=True))}


def composition(truth: np.ndarray, documents: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Return how many passages and documents carry each category, and how many none or several."""
    number = truth.sum(1)
    carried = {
        name: {"passages": int(truth[:, k].sum()), "documents": len({documents[i] for i in np.flatnonzero(truth[:, k])})} for k, name in enumerate(names)
    }
    shares = {"none": float((number == 0).mean()), "several": float((number > 1).mean())}
    return {"passages": len(truth), "documents": len(set(documents)), **{key: round(value, 4) for key, value in shares.items()}, "categories": carried}


def read_codings(files: Iterable[Path], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return both codings of the passages that carry them, and the passages' documents."""
    entries = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    both = [entry for entry in entries if "coding_1" in entry and "coding_2" in entry]
    first, second = (label_matrix([entry[key] for entry in both], names) for key in ("coding_1", "coding_2"))
    return first, second, [entry["document"] for entry in both]


def read_facets(path: Path) -> dict[str, dict[str, str]]:
    """Return document -> genre, region, level, year; empty where there is no such file."""
    if not path.exists():
        return {}
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {row[0]: dict(zip(FACETS, row[1:5], strict=True)) for row in rows if row[0] != "document"}


def coverage(truth: np.ndarray, documents: Sequence[str], names: Sequence[str], facets: dict[str, dict[str, str]], terms: Sequence[set[str]]) -> dict[str, Any]:
    """Return, for each category and value of a facet, passages, documents and different instruments (lexicon terms), and the thin cells."""
    known = np.array([document in facets for document in documents])
    table: dict[str, Any] = {
        "documents_described": len({d for d in documents if d in facets}),
        "documents_not_described": len({d for d in documents if d not in facets}),
    }

    def cells(of: Callable[[str], str]) -> dict[str, Any]:
        rows: dict[str, list[int]] = defaultdict(list)
        for i in np.flatnonzero(known):
            rows[of(documents[i])].append(int(i))
        out: dict[str, Any] = {}
        for value in sorted(rows):
            inside = rows[value]
            out[value] = {"documents": len({documents[i] for i in inside}), "passages": len(inside), "categories": {}}
            for k, name in enumerate(names):
                carrying = [i for i in inside if truth[i, k]]
                instruments = {term for i in carrying for term in terms[i] if term.startswith(f"{k}:")}
                out[value]["categories"][name] = {"passages": len(carrying), "instruments": len(instruments)}
        return out

    for facet in FACETS:
        table[facet] = cells(lambda document, facet=facet: facets[document].get(facet, "") or "?")  # type: ignore[misc]
    both = Counter(
        (name, facets[documents[i]]["genre"], facets[documents[i]]["region"]) for i in np.flatnonzero(known) for k, name in enumerate(names) if truth[i, k]
    )
    table["category_genre_region"] = [{"category": c, "genre": g, "region": r, "passages": n} for (c, g, r), n in sorted(both.items())]
    table["thin"] = [
        {"facet": facet, "value": value, "category": name, "passages": cell["passages"]}
        for facet in FACETS
        for value, row in table[facet].items()
        for name, cell in row["categories"].items()
        if cell["passages"] < THIN
    ]
    return table


def instruments(truth: np.ndarray, names: Sequence[str], lexicon: Lexicon, terms: Sequence[set[str]]) -> dict[str, Any]:
    """Return, for each category, how many different terms of the lexicon occur in its passages, and how many passages tell it without one."""
    out = {}
    for k, name in enumerate(names):
        carrying = np.flatnonzero(truth[:, k])
        found = Counter(term for i in carrying for term in terms[i] if term.startswith(f"{k}:"))
        bare = sum(not any(term.startswith(f"{k}:") for term in terms[i]) for i in carrying)
        hits = [i for i in range(len(truth)) if any(term.startswith(f"{k}:") for term in terms[i])]
        out[name] = {
            "terms_in_lexicon": sum(term.category == name for term in lexicon.terms.values()),
            "different_terms": len(found),
            "different_terms_in_three_passages": sum(n >= 3 for n in found.values()),
            "passages_without_a_term": bare,
            "passages_with_a_term_that_do_not_carry_it": int(sum(not truth[i, k] for i in hits)),
        }
    last = len(names)
    out[NEAR_MISS] = {
        "terms_in_lexicon": sum(term.category == NEAR_MISS for term in lexicon.terms.values()),
        "different_terms": len({term for row in terms for term in row if term.startswith(f"{last}:")}),
    }
    return out


def near_duplicates(texts: Sequence[str], others: Sequence[str] | None = None) -> list[tuple[int, int, float]]:
    """Return (row, row, Jaccard similarity) of near-duplicates, within one list or between two, the most alike first."""
    folded = [[fold(text) for text in part] for part in ((texts,) if others is None else (texts, others))]
    long = [np.array([i for i, text in enumerate(part) if len(text) >= SHORTEST], int) for part in folded]
    if not all(len(rows) for rows in long):
        return []
    vector = CountVectorizer(analyzer="char", ngram_range=(SHINGLE, SHINGLE), binary=True, lowercase=False, dtype=np.int32)
    vector.fit([folded[p][i] for p, rows in enumerate(long) for i in rows])
    matrices = [vector.transform([folded[p][i] for i in rows]) for p, rows in enumerate(long)]
    lengths = [np.asarray(matrix.sum(1)).ravel() for matrix in matrices]
    seen = np.asarray(scipy.sparse.vstack(matrices).sum(0)).ravel()
    kept = np.flatnonzero((seen > 1) & (seen <= FREQUENT))
    left, right = matrices[0][:, kept], matrices[-1][:, kept].T.tocsc()
    pairs = []
    for start in range(0, left.shape[0], 1000):
        common = (left[start : start + 1000] @ right).tocoo()
        a, b = common.row + start, common.col
        alike = common.data / (lengths[0][a] + lengths[-1][b] - common.data)
        good = (alike >= ALIKE) & ((a < b) if others is None else True)
        pairs += list(zip(long[0][a[good]].tolist(), long[-1][b[good]].tolist(), alike[good].tolist(), strict=True))
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


def main() -> None:
    options = arguments(__doc__ or "")
    categories = read_categories(train.ROOT / "labels" / "categories.json")
    names = [category.name for category in categories]
    files = label_files()[:2] if options.smoke else label_files()
    by_file = {path.name: read_labels([path], categories) for path in files}
    records = read_labels(files, categories)
    texts, documents = [r.text for r in records], [r.document for r in records]
    truth = label_matrix([r.labels for r in records], names)
    labelled = truth.any(1)
    lexicon = Lexicon(read_lexicon(train.ROOT / "labels" / "lexicon.tsv", categories), names)
    number = {name: k for k, name in enumerate([*names, NEAR_MISS])}
    terms = [{f"{number[lexicon.terms[term].category]}:{term}" for _, term in lexicon.matches(fold(text))} for text in texts]

    result: dict[str, Any] = {
        "labels": sha256_of(files),
        **composition(truth, documents, names),
        "files": {name: composition(label_matrix([r.labels for r in part], names), [r.document for r in part], names) for name, part in by_file.items()},
        "passages_per_document": sizes_of(Counter(documents).values()),
        "lengths": {
            "all": sizes(texts),
            "labelled": sizes([text for text, yes in zip(texts, labelled, strict=True) if yes]),
            "not_labelled": sizes([text for text, yes in zip(texts, labelled, strict=True) if not yes]),
            "above_100_characters": round(float(np.mean([len(text) > 100 for text in texts])), 4),
        },
        "together": {f"{a} + {b}": int((truth[:, i] & truth[:, j]).sum()) for i, a in enumerate(names) for j, b in enumerate(names) if i < j},
        "instruments": instruments(truth, names, lexicon, terms),
        "coverage": coverage(truth, documents, names, read_facets(train.ROOT / "labels" / "documents.tsv"), terms),
    }
    first, second, coded = read_codings(files, names)
    result["coded_twice"] = len(coded)
    if coded:
        result["agreement"] = compare_matrices(first, second, names, coded)

    pairs = near_duplicates(texts)
    exact = Counter(fold(text) for text in texts if len(fold(text)) >= SHORTEST)
    result["near_duplicates"] = {
        "similarity": ALIKE,
        "shingle": SHINGLE,
        "passages_that_repeat_another_word_for_word": sum(n - 1 for n in exact.values()),
        "pairs": len(pairs),
        "pairs_of_two_documents": sum(documents[a] != documents[b] for a, b, _ in pairs),
        "pairs_with_different_labels": sum(bool((truth[a] != truth[b]).any()) for a, b, _ in pairs),
        "most_alike": [{"first": records[a].id, "second": records[b].id, "similarity": round(value, 3)} for a, b, value in pairs[:100]],
        "different_labels": [
            {"first": records[a].id, "second": records[b].id, "similarity": round(value, 3)} for a, b, value in pairs if (truth[a] != truth[b]).any()
        ][:100],
    }
    if options.evaluation:
        others = read_labels(options.evaluation, categories)
        common = near_duplicates(texts, [r.text for r in others])
        result["in_common_with_evaluation_texts"] = {
            "files": sha256_of(options.evaluation),
            "pairs": len(common),
            "passages": [{"labelled": records[a].id, "evaluation": others[b].id, "similarity": round(value, 3)} for a, b, value in common[:50]],
        }
    train.store("labels", result)
    show(result)


def sizes_of(values: Iterable[int]) -> dict[str, float]:
    """Return quantiles of numbers."""
    numbers = np.array(list(values))
    return dict(zip(("min", "p10", "median", "p90", "max"), np.quantile(numbers, [0, 0.1, 0.5, 0.9, 1]).tolist(), strict=True))


def show(result: dict[str, Any]) -> None:
    """Print the main figures."""
    print(f"{result['passages']} passages, {result['documents']} documents, {result['none']:.1%} with no category, {result['several']:.1%} with several")
    for name, row in result["categories"].items():
        found = result["instruments"][name]
        terms = f"{found['different_terms']} different terms, {found['passages_without_a_term']} passages without one"
        print(f"  {name}: {row['passages']} passages, {row['documents']} documents, {terms}")
    lengths, medians = result["lengths"], {part: result["lengths"][part]["median"] for part in ("all", "labelled", "not_labelled")}
    print(f"median length: {medians}; {lengths['above_100_characters']:.1%} above 100 characters")
    print(f"coded twice: {result['coded_twice']}")
    for name, row in result.get("agreement", {}).get("categories", {}).items():
        print(f"  {name}: kappa {row['kappa']:.3f}, alpha {row['alpha']:.3f}, Holsti {row['holsti']:.3f}, F1 {row['f1']:.3f}")
    cover, twins = result["coverage"], result["near_duplicates"]
    print(f"documents described: {cover['documents_described']}, not: {cover['documents_not_described']}; cells below {THIN} passages: {len(cover['thin'])}")
    print(f"near-duplicates: { ({key: value for key, value in twins.items() if isinstance(value, int)}) }")
    if "in_common_with_evaluation_texts" in result:
        print(f"in common with the evaluation texts: {result['in_common_with_evaluation_texts']['pairs']} pairs")


if __name__ == "__main__":
    main()
