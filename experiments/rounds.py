"""Measure what each round of writing brought: the same training on the files that were there at its end.

    python experiments/rounds.py EVALUATION.jsonl...

After each round the model's errors on real text were read by kind (never copied, never trained on) and documents of those
kinds were written. The lexicon and the method are today's in every row, so a row shows what its text brought.
"""

from __future__ import annotations

import sys

from train import MIN_DF, store

from policyclf.evaluation import evaluate_tagger
from policyclf.labels import label_files, read_categories, read_labels, sha256_of
from policyclf.tagger import Tagger
from policyclf.train import PolicyClassifier, evaluate_fit

ROUNDS = (
    (
        "the first twelve files",
        "sentences-01 articles-02 articles-03 articles-04 articles-05 articles-06 articles-07 articles-08 articles-09 articles-10 articles-11 articles-12",
    ),
    ("whole statutes, work reports, zone reforms, long newspaper prose", "articles-w01 articles-w02 articles-w05 articles-w08 articles-w09"),
    ("obligations against relief, goals against measures, reforms of other institutions", "articles-w03 articles-w04 articles-w06 articles-w07 articles-x01"),
    (
        "tolerance, finance and talent in all readings, essays, interviews, off the point",
        "articles-w10 articles-w11 articles-w12 articles-w13 articles-w14 articles-w15",
    ),
    (
        "zone guidance, comparisons of cities, licences and lists, employment, finance from the other side, new industries",
        "articles-x02 articles-x03 articles-x04 articles-x06 articles-x08 articles-x09",
    ),
    (
        "statutes of many fields, zone regulations and features, parks' measures, customs, press conferences, lists of unlike results",
        "articles-y01 articles-y02 articles-y03 articles-y04 articles-y05 articles-y06 articles-y07 articles-y08",
    ),
    (
        "market access, dense work reports, innovation campaigns, counties and towns, the years 2012 to 2017, science, farming, bulletins",
        "articles-x05 articles-x07 articles-x10 articles-x11 articles-x12 articles-y09 articles-y10 articles-y11",
    ),
)


def main(files: list[str]) -> None:
    categories = read_categories()
    names = [category.name for category in categories]
    evaluation = read_labels(files, categories)
    known = {path.stem: path for path in label_files()}
    chosen, rows = [], []
    for what, stems in ROUNDS:
        chosen += [known[stem] for stem in stems.split()]
        records = read_labels(chosen, categories)
        classifier = PolicyClassifier(categories=names, min_df=MIN_DF, n_jobs=-1)
        classifier.fit([r.text for r in records], [r.labels for r in records], [r.document for r in records])
        rows.append(
            {
                "round": what,
                "passages": len(records),
                "documents": len({r.document for r in records}),
                "authored": evaluate_fit(classifier, records, n_resamples=200),
                "real": evaluate_tagger(Tagger(classifier.model_), evaluation),
            }
        )
        print(what, len(records), f"authored {rows[-1]['authored']['macro_f1']:.3f}, real {rows[-1]['real']['macro_f1']:.3f}")
    assert len(chosen) == len(known), "a label file belongs to no round"
    store("rounds", {"files": sha256_of(files), "rounds": rows})


if __name__ == "__main__":
    main(sys.argv[1:])
