"""What else a researcher could use, trained on the same passages and measured on the same texts.

    python experiments/peers.py [EVALUATION.jsonl...]

Each contender gets its own threshold (``default``) and two for each category from its out-of-fold scores on the authored
documents (``best F1`` and this library's rule, ``one standard error``); what the best possible threshold on the evaluation
text itself would give (``upper bound``) stands beside them. Peers that are not installed are named in the result with the
reason. Annif needs other versions of its libraries than this one: install it into an environment of its own and name its
command, ``ANNIF=.../bin/annif python experiments/peers.py``. Writes experiments/results/peers.json and peers.png.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import train
from ablations import Bench, Texts, arguments, best_threshold, figures, open_bench, spread
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from policyclf.evaluation import probabilities
from policyclf.labels import document_folds, label_files, read_labels, sha256_of
from policyclf.metrics import f1_threshold
from policyclf.records import TIERS
from policyclf.tagger import load
from policyclf.text import fold
from policyclf.train import PolicyClassifier

Score = Callable[[Sequence[str], Sequence[list[str]]], np.ndarray]  # texts, the same as words -> (n_texts, n_categories)
OWN = "policyclf"
DICTIONARY = "this library's lexicon as a dictionary"
DEFAULT, BEST, CAUTIOUS, BOUND = "default", "best F1", "one standard error", "upper bound"

# What a researcher would search for, written down from the codebook before any result was seen.
KEYWORDS = {
    "审批改革": "审批 放管服 简政放权 一窗 一网通办 最多跑一次 一次办好 告知承诺 容缺受理 证照分离 政务服务 行政许可 企业开办 施工许可 并联",
    "人才": "人才 引才 引智 院士 博士 职称 落户 留学 工匠 技能 企业家 专家工作站 创新团队 校企合作 产业工人",
    "金融扶持": "补贴 补助 奖励 贴息 基金 贷款 融资 担保 专项资金 减税 免申即享 政策兑现 上市 风险补偿 股权投资",
    "容错纠错": "容错 纠错 澄清正名 三个区分开来 免责 宽容失败 担当者担当 诬告 包容审慎 首违不罚 首错免罚 免罚 轻微违法 柔性执法 信用修复",
    "功能区改革": "管委会 功能区 体制改革 体制机制 去行政化 市场化运营 全员聘任 竞聘 大部制 扁平化 绩效薪酬 剥离社会 平台公司 法定机构 赋权",
}

NOT_RUN = {
    "SetFit, BGE and other encoders": "need a pretrained encoder, which is a download of its own and a graphics card to be quick",
    "model2vec": "needs a pretrained table of static embeddings",
    "Chinese BERT, ChpoBERT": "need pretrained weights; published figures for the nearest task stand in the notes",
    "manifestoberta, CAP Babel Machine": "their categories are others, and they do not read Chinese",
    "Climate Policy Radar's classifiers": "no package; bound to their own infrastructure and concepts",
    "Snorkel, skweak": "labelling functions without labels; Snorkel has no multi-label model; the dictionaries below are such functions",
    "small-text": "active learning around other classifiers, not a classifier of its own",
    "THUCTC, LibShortText, TextGrocery": "Java, or Python 2; the recipe of THUCTC is rebuilt below",
    "spaCy's pretrained pipelines": "need a model download; its text classifier is trained from blank below",
}


@dataclass(frozen=True)
class Peer:
    """A contender: how to fit it, what it is installed as, and its own threshold."""

    name: str
    fit: Callable[[Bench, Texts, list[list[str]]], Score]
    default: float
    package: str = ""
    module: str = ""
    note: str = ""

    def missing(self) -> str:
        """Say why the peer cannot run here, or nothing."""
        if self.package == "annif":
            return "" if annif() else "not installed (an environment of its own; name its command in ANNIF)"
        if self.module and importlib.util.find_spec(self.module) is None:
            return f"not installed (pip install {self.package})"
        return ""

    def version(self) -> str:
        """Return the version of what is installed."""
        if self.package == "annif":
            return subprocess.run([annif(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
        return importlib.metadata.version(self.package or "scikit-learn")


# --------------------------------------------------------------------------- dictionaries


def fit_keywords(bench: Bench, some: Texts, words: list[list[str]]) -> Score:
    """Count the keywords of each category that occur."""
    lists = [KEYWORDS[name].split() for name in bench.names]
    return lambda texts, words: np.array([[sum(word in fold(text) for word in own) for own in lists] for text in texts], float)


def fit_lexicon(bench: Bench, some: Texts, words: list[list[str]]) -> Score:
    """Count the characters that the lexicon's terms of each category cover."""
    return lambda texts, words: bench.lexicon.coverage(texts).reshape(len(texts), TIERS, -1).sum(1)[:, : len(bench.names)]


# --------------------------------------------------------------------------- scikit-learn


def fit_each(pipeline: Pipeline, *, segmented: bool = True) -> Callable[[Bench, Texts, list[list[str]]], Score]:
    """Return how to fit one copy of a pipeline for each category: the vectoriser once, the classifier each time."""

    def fit(bench: Bench, some: Texts, words: list[list[str]]) -> Score:
        from sklearn.base import clone

        head = [clone(step) for _, step in pipeline.steps[:-1]]
        first = head[0].fit(join(some.texts, words))
        matrix = first.transform(join(some.texts, words))
        tails: list[Any] = []
        for k in range(some.truth.shape[1]):
            tail = make_pipeline(*[clone(step) for step in head[1:]], clone(pipeline.steps[-1][1])) if some.truth[:, k].any() else None
            tails.append(tail.fit(matrix, some.truth[:, k]) if tail is not None else None)

        def score(texts: Sequence[str], words: Sequence[list[str]]) -> np.ndarray:
            seen = first.transform(join(texts, words))
            return np.column_stack([one(tail, seen) for tail in tails])

        return score

    def join(texts: Sequence[str], words: Sequence[list[str]]) -> list[str]:
        return [" ".join(part) for part in words] if segmented else list(texts)

    def one(tail: Any, matrix: Any) -> np.ndarray:
        if tail is None:
            return np.full(matrix.shape[0], -1.0)
        return tail.decision_function(matrix) if hasattr(tail, "decision_function") else tail.predict_proba(matrix)[:, 1]

    return fit


class Cleaned(BaseEstimator):  # type: ignore[misc]
    """Logistic regression by cleanlab: passages that look mislabelled are left out of the last fit."""

    def fit(self, matrix: Any, truth: np.ndarray) -> Cleaned:
        """Fit on a matrix of features and one category."""
        from cleanlab.classification import CleanLearning

        self.model_ = CleanLearning(LogisticRegression(max_iter=1000), seed=0, cv_n_folds=3, verbose=False, find_label_issues_kwargs={"n_jobs": 1})
        self.model_.fit(matrix, truth.astype(np.int64))
        return self

    def predict_proba(self, matrix: Any) -> np.ndarray:
        """Return probabilities, shape ``(n_texts, 2)``."""
        return np.asarray(self.model_.predict_proba(matrix))


# --------------------------------------------------------------------------- fastText, Vowpal Wabbit, spaCy


def tokens(texts: Sequence[str], words: Sequence[list[str]], kind: str) -> list[list[str]]:
    """Return characters or words, without white space."""
    cut = [list(fold(text)) for text in texts] if kind == "characters" else list(words)
    return [[token for token in part if token.strip()] or ["。"] for part in cut]


FASTTEXT_GRID = [{"lr": 0.5, "epoch": 10, "wordNgrams": 2}, {"lr": 0.2, "epoch": 25, "wordNgrams": 2}, {"lr": 0.2, "epoch": 50, "wordNgrams": 3}]


def fit_fasttext(kind: str, best: dict[str, Any]) -> Callable[[Bench, Texts, list[list[str]]], Score]:
    """Return how to fit fastText, one-vs-all; the options are chosen once, on a fifth of the documents."""

    def learn(some: Texts, words: list[list[str]], options: dict[str, Any]) -> Score:
        import fasttext

        width = some.truth.shape[1]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "train.txt"
            lines = [
                " ".join(f"__label__{k}" for k in (np.flatnonzero(row) if row.any() else [width])) + " " + " ".join(part)
                for row, part in zip(some.truth, tokens(some.texts, words, kind), strict=True)
            ]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            model = fasttext.train_supervised(str(path), loss="ova", dim=50, minCount=2, bucket=200_000, thread=1, seed=0, verbose=0, **options)

        def score(texts: Sequence[str], words: Sequence[list[str]]) -> np.ndarray:
            table = np.zeros((len(texts), width + 1))
            for row, part in enumerate(tokens(texts, words, kind)):
                for value, label in model.f.predict(" ".join(part) + "\n", -1, 0.0, "strict"):  # the wrapper fails with NumPy 2
                    table[row, int(label.removeprefix("__label__"))] = value
            return table[:, :width]

        return score

    def fit(bench: Bench, some: Texts, words: list[list[str]]) -> Score:
        if not best:
            from policyclf.metrics import average_precision

            held = document_folds(some.documents, 5, 1) == 0
            inside, outside = np.flatnonzero(~held), np.flatnonzero(held)
            test = some.take(outside)

            def quality(options: dict[str, Any]) -> float:
                score = learn(some.take(inside), [words[i] for i in inside], options)
                return float(average_precision(test.truth, score(test.texts, [words[i] for i in outside])).mean())

            best.update(max(FASTTEXT_GRID, key=quality))
        return learn(some, words, best)

    return fit


def fit_vowpal(kind: str) -> Callable[[Bench, Texts, list[list[str]]], Score]:
    """Return how to fit Vowpal Wabbit, one logistic model for each category."""

    def fit(bench: Bench, some: Texts, words: list[list[str]]) -> Score:
        from vowpalwabbit import Workspace

        def line(part: list[str]) -> str:
            return "|w " + " ".join(part).replace(":", "\uff1a").replace("|", "\uff5c")

        folder = tempfile.TemporaryDirectory()
        data, cache = Path(folder.name) / "train.txt", Path(folder.name) / "cache"
        lines = [line(part) for part in tokens(some.texts, words, kind)]
        grams = 3 if kind == "characters" else 2
        for k in range(some.truth.shape[1]):
            data.write_text("".join(f"{1 if yes else -1} {text}\n" for yes, text in zip(some.truth[:, k], lines, strict=True)), encoding="utf-8")
            learning = f"-b 22 --loss_function logistic --link logistic --ngram w{grams} --passes 10 --holdout_off -k -c --cache_file {cache}"
            model = Workspace(f"--data {data} {learning} -f {folder.name}/{k} --quiet")
            model.finish()

        def score(texts: Sequence[str], words: Sequence[list[str]]) -> np.ndarray:
            seen = [line(part) for part in tokens(texts, words, kind)]
            columns = []
            for k in range(some.truth.shape[1]):
                model = Workspace(f"-i {folder.name}/{k} -t --quiet")
                columns.append([model.predict(text) for text in seen])
                model.finish()
            return np.array(columns).T

        return score

    return fit


def fit_spacy(kind: str) -> Callable[[Bench, Texts, list[list[str]]], Score]:
    """Return how to fit spaCy's bag-of-words text classifier from blank."""

    def fit(bench: Bench, some: Texts, words: list[list[str]]) -> Score:
        import spacy
        from spacy.tokens import Doc
        from spacy.training import Example
        from spacy.util import fix_random_seed, minibatch

        fix_random_seed(0)
        nlp = spacy.blank("zh")
        size = 3 if kind == "characters" else 2
        model = {"@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": False, "ngram_size": size, "no_output_layer": False}
        pipe = nlp.add_pipe("textcat_multilabel", config={"model": model})

        def read(texts: Sequence[str], words: Sequence[list[str]]) -> list[Any]:
            return [Doc(nlp.vocab, words=part) for part in tokens(texts, words, kind)]

        labels = [f"{k}" for k in range(some.truth.shape[1])]
        pairs = zip(read(some.texts, words), some.truth.astype(float).tolist(), strict=True)
        examples = [Example.from_dict(doc, {"cats": dict(zip(labels, row, strict=True))}) for doc, row in pairs]
        optimiser = nlp.initialize(lambda: examples)
        shuffle = random.Random(0)
        for _ in range(5):  # more epochs lower the average precision on held-out documents
            shuffle.shuffle(examples)
            for batch in minibatch(examples, size=64):
                nlp.update(batch, sgd=optimiser, drop=0.2)
        order = [pipe.labels.index(label) for label in labels]
        return lambda texts, words: np.asarray(pipe.predict(read(texts, words)))[:, order]

    return fit


# --------------------------------------------------------------------------- Annif


def annif() -> str:
    """Return Annif's command, or nothing."""
    return os.environ.get("ANNIF") or shutil.which("annif") or ""


def fit_annif(backend: str, options: str) -> Callable[[Bench, Texts, list[list[str]]], Score]:
    """Return how to fit a backend of Annif on words set apart by spaces.

    Annif skips texts without a subject, so those get one that says so; its SVC learns one subject a text, so a text with
    two stands there twice. Its tokeniser asks for a package of NLTK data; an empty one will do, as every text is one sentence.
    """

    def fit(bench: Bench, some: Texts, words: list[list[str]]) -> Score:
        place = tempfile.TemporaryDirectory()
        folder = Path(place.name)
        punkt = folder / "nltk" / "tokenizers" / "punkt_tab" / "english"
        punkt.mkdir(parents=True)
        for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
            (punkt / name).touch()
        width = some.truth.shape[1]
        uris = [f"http://example.org/{k}" for k in range(width + 1)]
        (folder / "subjects.csv").write_text("uri,label_en\n" + "".join(f"{uri},{k}\n" for k, uri in enumerate(uris)), encoding="utf-8")
        (folder / "projects.cfg").write_text(
            f"[p]\nname=p\nlanguage=en\nbackend={backend}\nanalyzer=simple(token_min_length=1)\nvocab=v\nlimit={width + 1}\n{options}\n", encoding="utf-8"
        )
        environment = {**os.environ, "NLTK_DATA": str(folder / "nltk"), "ANNIF_DATADIR": str(folder / "data")}

        def run(*command: str) -> None:
            done = subprocess.run([annif(), *command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"annif {' '.join(command)}: {done.stderr[-500:]}")

        with (folder / "train.tsv").open("w", encoding="utf-8") as out:
            for row, part in zip(some.truth, tokens(some.texts, words, "words"), strict=True):
                subjects = [uris[k] for k in (np.flatnonzero(row) if row.any() else [width])]
                together = [subjects] if backend != "svc" else [[subject] for subject in subjects]
                out.writelines(f"{' '.join(part)}\t{' '.join(f'<{subject}>' for subject in group)}\n" for group in together)
        run("load-vocab", "v", "subjects.csv")
        run("train", "p", "train.tsv", "--jobs", "1")

        def score(texts: Sequence[str], words: Sequence[list[str]]) -> np.ndarray:
            assert place  # the folder goes when nothing needs it
            (folder / "test.tsv").write_text("".join(" ".join(part) + "\n" for part in tokens(texts, words, "words")), encoding="utf-8")
            run("index", "p", "test.tsv", "-O", "out.jsonl", "-I", "-f", "-t", "0", "-l", f"{width + 1}")
            table = np.zeros((len(texts), width + 1))
            for row, line in enumerate((folder / "out.jsonl").read_text(encoding="utf-8").splitlines()):
                for found in json.loads(line)["results"]:
                    table[row, uris.index(found["uri"])] = found["score"]
            return table[:, :width]

        return score

    return fit


# --------------------------------------------------------------------------- the field


def peers() -> list[Peer]:
    """Return every contender, this library left out."""
    logistic, svm, balanced = LogisticRegression(max_iter=1000), LinearSVC(random_state=0), LinearSVC(class_weight="balanced", random_state=0)
    usual = TfidfVectorizer()
    strong = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    thuctc = make_pipeline(CountVectorizer(analyzer="char", ngram_range=(2, 2)), SelectKBest(chi2, k=5000), TfidfTransformer(), svm)
    return [
        Peer("keywords, 15 a category", fit_keywords, 1, note="a category is tagged where one of its keywords occurs"),
        Peer(DICTIONARY, fit_lexicon, 1e-9, note="a category is tagged where one of its terms occurs"),
        Peer("TF-IDF + logistic regression, not segmented", fit_each(make_pipeline(usual, logistic), segmented=False), 0, note="a clause is a token"),
        Peer("jieba + TF-IDF + logistic regression", fit_each(make_pipeline(usual, logistic)), 0, note="the usual script, defaults"),
        Peer("jieba + TF-IDF + linear SVM", fit_each(make_pipeline(usual, svm)), 0, note="the usual script, defaults"),
        Peer("jieba + word 1-2-grams + balanced linear SVM", fit_each(make_pipeline(strong, balanced)), 0, note="the usual script, tuned by hand"),
        Peer("jieba + counts + complement naive Bayes", fit_each(make_pipeline(CountVectorizer(), ComplementNB())), 0.5, note="defaults"),
        Peer("THUCTC's recipe: character bigrams, chi-squared, SVM", fit_each(thuctc, segmented=False), 0, note="rebuilt in scikit-learn, 5,000 features"),
        Peer("cleanlab CleanLearning, jieba + logistic regression", fit_each(make_pipeline(usual, Cleaned())), 0.5, "cleanlab", "cleanlab"),
        Peer("fastText, characters", fit_fasttext("characters", {}), 0.5, "fasttext-wheel", "fasttext", "one-vs-all, small grid of options"),
        Peer("fastText, jieba words", fit_fasttext("words", {}), 0.5, "fasttext-wheel", "fasttext", "one-vs-all, small grid of options"),
        Peer("Vowpal Wabbit, characters 1-3", fit_vowpal("characters"), 0.5, "vowpalwabbit", "vowpalwabbit", "logistic, 10 passes"),
        Peer("Vowpal Wabbit, jieba words 1-2", fit_vowpal("words"), 0.5, "vowpalwabbit", "vowpalwabbit", "logistic, 10 passes"),
        Peer("spaCy textcat_multilabel, characters", fit_spacy("characters"), 0.5, "spacy", "spacy", "bag of words, blank zh, 5 epochs"),
        Peer("spaCy textcat_multilabel, jieba words", fit_spacy("words"), 0.5, "spacy", "spacy", "bag of words, blank zh, 5 epochs"),
        Peer("Annif svc", fit_annif("svc", "ngram=2\nmin_df=2"), 0.5, "annif", note="jieba words set apart by spaces, token_min_length=1"),
        Peer("Annif tfidf", fit_annif("tfidf", ""), 0.5, "annif", note="jieba words set apart by spaces, token_min_length=1"),
        Peer("Annif omikuji", fit_annif("omikuji", "ngram=2\nmin_df=2"), 0.5, "annif", note="jieba words set apart by spaces, token_min_length=1"),
    ]  # fmt: skip


def scores(bench: Bench, peer: Peer) -> dict[str, np.ndarray]:
    """Return a peer's scores: of the authored passages out of fold, of the real ones from all authored passages."""
    authored = bench.parts["authored"]
    number = document_folds(authored.documents, 5, 0)
    table = {part: np.zeros(text.truth.shape) for part, text in bench.parts.items()}

    def fill(fit_rows: np.ndarray, part: str, rows: np.ndarray) -> None:
        taught, asked, text = bench.words("authored"), bench.words(part), bench.parts[part]
        score = peer.fit(bench, authored.take(fit_rows), [taught[i] for i in fit_rows])
        table[part][rows] = score([text.texts[i] for i in rows], [asked[i] for i in rows])

    for k in range(5):
        fill(np.flatnonzero(number != k), "authored", np.flatnonzero(number == k))
    if "real" in table:
        fill(np.arange(len(number)), "real", np.arange(len(bench.parts["real"].texts)))
    return table


def calibrated(authored: Texts, score: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn scores of any scale into probabilities (Platt 1999), fitted on the authored ones."""
    out = [np.zeros(score.shape), np.zeros(other.shape)]
    for k in range(score.shape[1]):
        spread_of = score[:, k].std() or 1.0
        model = LogisticRegression(C=1e3).fit(score[:, [k]] / spread_of, authored.truth[:, k])
        for table, values in zip(out, (score, other), strict=True):
            table[:, k] = model.predict_proba(values[:, [k]] / spread_of)[:, 1]
    return out[0], out[1]


def judge(bench: Bench, table: dict[str, np.ndarray], default: float | Sequence[float]) -> dict[str, Any]:
    """Return the figures of a contender at each threshold."""
    authored = bench.parts["authored"]
    columns = range(len(bench.names))
    row: dict[str, Any] = {}
    for part, text in bench.parts.items():
        ours, theirs = calibrated(authored, table["authored"], table[part])
        rules = {
            DEFAULT: (table[part], np.broadcast_to(default, len(bench.names))),
            BEST: (table[part], np.array([best_threshold(authored.truth[:, k], table["authored"][:, k]) for k in columns])),
            CAUTIOUS: (theirs, np.array([f1_threshold(authored.truth[:, k], ours[:, k], authored.documents) for k in columns])),
            BOUND: (table[part], np.array([best_threshold(text.truth[:, k], table[part][:, k]) for k in columns])),
        }
        row[part] = {}
        for rule, (values, chosen) in rules.items():
            tagged = (values >= chosen).astype(np.int64)
            row[part][rule], _ = figures(text, bench.names, table[part], tagged, n=bench.n_resamples, reference=bench.reference.get(part))
    return row


def measure_own(bench: Bench, files: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Return the figures of this library, retrained, without context, and as shipped, and the resamples of the first."""
    authored = bench.parts["authored"]
    rows, reference = [], {}
    for name, context in ((f"{OWN}, retrained", True), (f"{OWN}, retrained, each passage alone", False)):
        classifier = PolicyClassifier(categories=bench.names, lexicon=bench.lexicon_file, min_df=train.MIN_DF, context=context)
        classifier.fit(authored.texts, authored.truth, authored.documents)
        chosen = np.array(classifier.model_.thresholds)
        row: dict[str, Any] = {"name": name, "own": True}
        for part, text in bench.parts.items():
            probability = classifier.oof_probability_ if part == "authored" else classifier.predict_proba(text.texts, text.documents)
            row[part] = {}
            found, draws = figures(text, bench.names, probability, (probability >= chosen).astype(np.int64), n=bench.n_resamples, reference=reference.get(part))
            row[part][DEFAULT] = found
            reference.setdefault(part, draws)
            bound = np.array([best_threshold(text.truth[:, k], probability[:, k]) for k in range(len(bench.names))])
            row[part][BOUND], _ = figures(
                text, bench.names, probability, (probability >= bound).astype(np.int64), n=bench.n_resamples, reference=reference[part]
            )
        rows.append(row)
    if "real" in bench.parts and (train.ROOT / "models" / "default" / "model.json").exists():
        tagger = load(train.ROOT / "models" / "default")
        wanted = set(bench.parts["real"].documents)
        records = [record for record in read_labels(files, tagger.model.categories) if record.document in wanted]
        probability = probabilities(tagger, records)
        tagged = (probability >= np.array(tagger.thresholds)).astype(np.int64)
        found, _ = figures(bench.parts["real"], bench.names, probability, tagged, n=bench.n_resamples, reference=reference["real"])
        current = tagger.model.meta.get("sources") == sources()
        note = "trained on the present labels" if current else "trained on an earlier state of the labels"
        rows.append({"name": f"{OWN}, as shipped", "own": True, "note": note, "model": tagger.model.id, "real": {DEFAULT: found}})
    return rows, reference


def sources() -> dict[str, str]:
    """Return the SHA-256 of everything that models are trained on."""
    return sha256_of([*label_files(), train.ROOT / "labels" / "lexicon.tsv", train.ROOT / "labels" / "categories.json"])


def strongest(row: dict[str, Any], part: str) -> str:
    """Return the best of the thresholds found without the measured text; to choose among them by it favours the peers."""
    return max((rule for rule in row[part] if rule != BOUND), key=lambda rule: row[part][rule]["macro_f1"]["value"])


def lead(row: dict[str, Any], part: str) -> dict[str, Any]:
    """Return by how much this library is ahead of a contender at the contender's strongest threshold."""
    rule = strongest(row, part)
    found = row[part][rule]["difference"]["macro_f1"]
    return {"of": row["name"], "threshold": rule, "value": -found["value"], "interval": [-bound for bound in reversed(found["interval"])]}


def draw(rows: Sequence[dict[str, Any]], part: str) -> None:
    """Draw macro-F1 of every contender with its interval, and the upper bound as a mark."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    rows = sorted((row for row in rows if part in row), key=lambda row: row[part][strongest(row, part)]["macro_f1"]["value"])
    figure, axes = plt.subplots(figsize=(9, 0.32 * len(rows) + 1.4))
    for y, row in enumerate(rows):
        f1 = row[part][strongest(row, part)]["macro_f1"]
        colour = "#0072B2" if row.get("own") else "#A6CBE3" if row["name"] == DICTIONARY else "#BBBBBB"
        axes.barh(y, f1["value"], color=colour, height=0.7)
        axes.plot(f1["interval"], [y, y], color="black", linewidth=1)
        axes.text(0.01, y, f"{f1['value']:.2f}", va="center", fontsize=8, color="white" if row.get("own") else "black")
        if BOUND in row[part]:
            axes.plot(row[part][BOUND]["macro_f1"]["value"], y, marker="|", color="#D55E00", markersize=9)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
    n = rows[0][part][strongest(rows[0], part)]["n"]
    kind = "real" if part == "real" else "authored"
    axes.set(xlim=(0, 1), xlabel=f"macro-F1, {n:,} {kind} passages\nline: 95 % interval by document; orange: best possible threshold")
    train.save(figure, "peers")


_bench: list[Bench] = []  # one a process


def _start(bench: Bench) -> None:
    threadpool_limits(1)
    _bench[:] = [bench]


def _work(place: int) -> dict[str, Any]:
    peer = peers()[place]
    row: dict[str, Any] = {"name": peer.name, "note": peer.note, "installed": f"{peer.package or 'scikit-learn'} {peer.version()}"}
    try:
        table = scores(_bench[0], peer)
    except Exception as error:  # a peer that fails is named with its reason, and the others run on
        return {"name": peer.name, "failed": f"{type(error).__name__}: {error}"[:300]}
    return {**row, **judge(_bench[0], table, peer.default)}


def show(row: dict[str, Any]) -> None:
    """Print a line for a contender."""
    line = []
    for part in ("authored", "real"):
        if part in row:
            rule = strongest(row, part)
            f1 = row[part][rule]["macro_f1"]
            line.append(f"{part} F1 {f1['value']:.3f} [{f1['interval'][0]:.3f}, {f1['interval'][1]:.3f}] ({rule})")
            line.append(" ".join(f"{other} {row[part][other]['macro_f1']['value']:.3f}" for other in row[part] if other != rule))
            line.append(f"AP {row[part][rule]['macro_average_precision']['value']:.3f}")
    print(f"{row['name']:<58}", row.get("failed", ""), "  ".join(line), flush=True)


def main() -> None:
    options = arguments(__doc__ or "")
    bench = open_bench(options.evaluation, options.smoke)
    digests = {"labels": sources(), "files": sha256_of(options.evaluation)}
    with threadpool_limits(1):
        rows, reference = measure_own(bench, options.evaluation)
    for row in rows:
        show(row)
    bench = replace(bench, reference=reference, cache={})
    missing = [{"name": peer.name, "why": why} for peer in peers() if (why := peer.missing())]
    present = [place for place, peer in enumerate(peers()) if not peer.missing()]
    if options.smoke:
        present = [place for place in present if not peers()[place].package][::2]
    present.sort(key=lambda place: not peers()[place].module)  # the slow ones first
    found = {}
    for place, row in zip(present, spread(present, _work, _start, (bench,), options.jobs), strict=True):
        found[place] = row
        show(row)
    rows += [found[place] for place in sorted(found) if "failed" not in found[place]]
    missing += [{"name": row["name"], "why": row["failed"]} for row in found.values() if "failed" in row]
    missing += [{"name": name, "why": why} for name, why in NOT_RUN.items()]
    for gap in missing:
        print(f"not run: {gap['name']}: {gap['why']}")
    part = "real" if options.evaluation else "authored"
    ahead = [lead(row, part) for row in rows if not row.get("own")]
    ahead.sort(key=lambda row: row["value"])
    for row in ahead[:3]:
        print(f"ahead of {row['of']} ({row['threshold']}) by {row['value']:.3f} {row['interval']} macro-F1 on the {part} texts")
    train.store(
        "peers",
        {
            "authored": "authored passages, out of fold by document",
            "real": "real passages, adjudicated labels",
            "difference": f"to {OWN}, retrained",
            **digests,
            "keywords": {name: words.split() for name, words in KEYWORDS.items()},
            "ahead": ahead,
            "contenders": rows,
            "missing": missing,
        },
    )
    draw(rows, part)


if __name__ == "__main__":
    main()
