"""Measure speed: every scorer of the bundled model and its rivals in one process, interleaved, one thread each.

    python experiments/benchmark.py [--labels FILE...] [--model DIR] [--rounds N] [--out DIR]

Writes benchmark.json, benchmark.md and benchmark.png to experiments/results/. The passages are the authored ones; rivals
are trained on them too. The protocol: scores must equal scikit-learn's before anything is timed; one warm-up and then
interleaved rounds; ratios are medians of the ratios within a round, because machines are shared; the time to cut words
counts for whoever needs words; cold starts are fresh processes between runs of ``python -c pass``. A contender that is
not installed is named. Nothing here says which model is the better one.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path
from statistics import median
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # read when NumPy is imported

import numpy as np  # noqa: E402

from policyclf.compiler import CONTEXT_SLOPE, CONTEXT_WINDOW  # noqa: E402
from policyclf.fallback import context_features  # noqa: E402
from policyclf.features import Lexicon, occurrences, stack, with_vocabulary  # noqa: E402
from policyclf.labels import label_files, label_matrix, read_labels, read_lexicon  # noqa: E402
from policyclf.model import Model, load_model  # noqa: E402
from policyclf.records import TIERS  # noqa: E402
from policyclf.scorer import CONTEXT_BLOCKS, HEADER  # noqa: E402
from policyclf.text import clauses, fold  # noqa: E402

ROOT = Path(__file__).parent.parent
SENTENCE = "全市推行“一窗受理、并联审批”，企业开办半天办结。"
ODD = ["", " ", "审" * 100_000, "审批" * 300, "👍🏽 审批", "𠮷野家", "ＡＢＣ審批", "a\u00a0b", "İstanbul", "\ud800", "审\x00批"]

# What is to be reached: the faster side, the slower side, the least ratio.
TARGETS = [
    ("native", "scikit-learn, same decisions", 80),
    ("native", "usual script", 200),
    ("native", "fastText, characters, d100", 25),
    ("native", "fastText, characters, d16", 8),
    ("native", "fastText, words given, d16", 5),
    ("numpy", "usual script", 25),
]


@dataclass
class Contender:
    """Something that scores a list of passages, ``size`` of them in a round."""

    name: str
    score: Callable[[Sequence[str]], Any]
    size: int
    path: Path | None = None  # its model on disk
    start: str = ""  # a program that loads it and scores one sentence
    rates: list[float] = field(default_factory=list)  # passages a second, a value for each round


class Words:
    """The cutter of the usual script; a class of its own so that the pipeline can be stored."""

    def __call__(self, text: str) -> list[str]:
        """Cut a text."""
        import jieba

        return jieba.lcut(text)  # type: ignore[no-any-return]


class QuickWords:
    """The same with rjieba."""

    def __call__(self, text: str) -> list[str]:
        """Cut a text."""
        import rjieba

        return rjieba.cut(text)  # type: ignore[no-any-return]


class Reference:
    """The bundled model in scikit-learn: the pipeline that the compiled scorers must equal."""

    def __init__(self, model: Model) -> None:
        folder = Path(model.path)
        arrays = np.load(folder / "ngrams.npy")
        ngrams = (folder / "ngrams.txt").read_text(encoding="utf-8").split("\n")[:-1]
        options = model.meta["options"]
        self.vectorizer = with_vocabulary(ngrams, arrays[:, 0], tuple(options["ngram_range"]))
        self.weights = arrays[:, 1:].astype(float)
        self.lexicon = Lexicon(read_lexicon(folder / "lexicon.tsv", model.categories), model.names)
        k = len(model.names)
        shapes = ((2,), (TIERS * (k + 1), k), (k,), (CONTEXT_BLOCKS * k, k), (k,))
        numbers = np.frombuffer(model.compiled, "<f8", sum(map(int, map(np.prod, shapes))), HEADER.unpack_from(model.compiled)[-2])
        parts = np.split(numbers, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1])
        _, self.coverage, self.intercepts, self.context, self.context_intercepts = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))

    def ngrams_only(self, texts: Sequence[str]) -> Any:
        """TF-IDF times weights: less than the model does, and all of it inside scikit-learn."""
        return self.vectorizer.transform(texts) @ self.weights

    def scores(self, texts: Sequence[str], *, of_clauses: bool = False) -> Any:
        """The scores of each passage, or of each clause, on its own."""
        tfidf = occurrences(self.vectorizer, texts) if of_clauses else self.vectorizer.transform(texts)
        return stack(tfidf, self.lexicon.coverage(texts)) @ np.concatenate([self.weights, self.coverage]) + self.intercepts

    def decide(self, texts: Sequence[str]) -> Any:
        """The decision values of one document."""
        return self.decisions(texts, [len(texts)])

    def decisions(self, texts: Sequence[str], counts: Sequence[int]) -> Any:
        """The decision values with context."""
        parts = [clauses(fold(text)) or [""] for text in texts]
        first = np.cumsum([0, *map(len, parts[:-1])])
        strongest = np.maximum.reduceat(self.scores(list(chain.from_iterable(parts)), of_clauses=True), first)
        features = context_features(self.scores(texts), strongest, texts, counts, (CONTEXT_SLOPE, CONTEXT_WINDOW))
        return features @ self.context + self.context_intercepts


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", nargs="+", type=Path, help="label files (default: the bundled ones)")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=ROOT / "experiments" / "results")
    options = parser.parse_args(argv)
    model = load_model(options.model)
    records = read_labels(options.labels or label_files(), model.categories)
    texts = [record.text for record in records]
    documents = [[record.text for record in group] for _, group in groupby(records, key=lambda record: record.document)]
    result: dict[str, Any] = {"machine": machine(), "text": description(texts, documents), "model": {"id": model.id, "size_mb": len(model.compiled) / 1e6}}
    print(json.dumps(result, ensure_ascii=False, indent=1))
    with tempfile.TemporaryDirectory() as folder:
        scorers = {path: model.scorer(path) for path in ("native", "numpy") if path == "numpy" or importlib.util.find_spec("policyclf._native")}
        reference = Reference(model)
        result["exactness"] = exactness(reference, scorers, texts, documents)
        truth = label_matrix([record.labels for record in records], model.names)
        contenders, missing = line_up(model, scorers, reference, texts, truth, folder=Path(folder))
        result["not_installed"] = missing
        for name in missing:
            print(f"not installed: {name}")
        result["throughput"] = throughput(contenders, texts, options.rounds)
        result["latency_us"] = {c.name: latency(c) for c in contenders}
        result["cold_start"] = cold_start(contenders, options.model, Path(folder))
        result["articles"] = articles(scorers, contenders[0], documents, options.rounds, Path(folder))
        result["threads"] = threads(scorers, documents, options.rounds)
        result["growth"] = growth(scorers, texts, documents)
    result["targets"] = targets(result)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "benchmark.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    markdown = as_markdown(result)
    (options.out / "benchmark.md").write_text(markdown, encoding="utf-8")
    draw(result, options.out / "benchmark.png")
    print(markdown)


def machine() -> dict[str, Any]:
    names = [line.split(":")[1].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")]
    return {"processor": names[0] if names else platform.processor(), "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


def description(texts: Sequence[str], documents: Sequence[Sequence[str]]) -> dict[str, Any]:
    lengths = [len(text) for text in texts]
    return {
        "passages": len(texts),
        "documents": len(documents),
        "mean_characters": sum(lengths) / len(lengths),
        "bytes": sum(len(text.encode()) for text in texts),
    }


def exactness(reference: Reference, scorers: dict[str, Any], texts: Sequence[str], documents: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Compare with scikit-learn on every passage and on odd text; stops where a scorer is not exact."""
    every = [*texts, *ODD]
    counts = [*(len(document) for document in documents), *[1] * len(ODD)]
    expected = reference.scores(every), reference.decisions(every, counts)
    found = {}
    for path, scorer in scorers.items():
        got = [np.frombuffer(part, float).reshape(len(every), -1) for part in scorer.passages(every, counts)]
        largest = [float(np.abs(one - two).max()) for one, two in zip(got, expected, strict=True)]
        flipped = int(((got[1] >= 0) != (expected[1] >= 0)).sum())
        found[path] = {"largest_difference_of_scores": largest[0], "of_decisions": largest[1], "labels": int(got[1].size), "labels_that_differ": flipped}
        if largest[0] > 1e-6 or flipped:
            sys.exit(f"the {path} scorer is not exact: {found[path]}")
    return found


def line_up(model: Model, scorers: dict[str, Any], reference: Reference, texts: list[str], truth: Any, *, folder: Path) -> tuple[list[Contender], list[str]]:
    """Train the rivals; the first contender is the usual script."""
    import joblib
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    contenders, missing = [], []

    def stored(path: Path, call: str) -> str:
        """The program that loads a pipeline and scores one sentence, with the classes of this file at hand."""
        here = str(Path(__file__).parent)
        names = f"import sys, joblib; sys.path.insert(0, {here!r}); import benchmark, __main__; __main__.__dict__.update(vars(benchmark))"
        return f"{names}; joblib.load({str(path)!r}).{call}([{SENTENCE!r}])"

    cutters = (("usual script", "jieba", Words(), 1500), ("rjieba and scikit-learn", "rjieba", QuickWords(), 4000))
    for name, module, cutter, size in cutters:
        if not importlib.util.find_spec(module):
            missing.append(name)
            continue
        print(f"training: {name}")
        words = TfidfVectorizer(tokenizer=cutter, token_pattern=None, ngram_range=(1, 2))
        pipeline = make_pipeline(words, OneVsRestClassifier(LinearSVC())).fit(texts, truth)
        path = folder / f"{module}.joblib"
        joblib.dump(pipeline, path)
        contenders.append(Contender(name, pipeline.decision_function, size, path, stored(path, "decision_function")))
    path = folder / "reference.joblib"
    joblib.dump(reference, path)
    contenders.append(Contender("scikit-learn, same decisions", reference.decide, 1500, path, stored(path, "decide")))
    contenders.append(Contender("scikit-learn, n-grams alone", reference.ngrams_only, 2000))
    if importlib.util.find_spec("fasttext"):
        contenders += fast_text(texts, truth, model.names, folder)
    else:
        missing.append("fastText")
    for path_name, scorer in scorers.items():
        size = 20 * len(texts) if path_name == "native" else len(texts)
        start = f"from policyclf.tagger import load; load({model.path!r}).tag({SENTENCE!r})"
        contenders.append(Contender(path_name, lambda part, scorer=scorer: scorer.passages(part, [len(part)]), size, Path(model.path) / "scorer.bin", start))
    return contenders, missing


def fast_text(texts: list[str], truth: Any, names: Sequence[str], folder: Path) -> list[Contender]:
    import fasttext

    fasttext.FastText.eprint = lambda *_: None
    cutters: dict[str, Callable[[str], str]] = {"characters": " ".join}
    if importlib.util.find_spec("jieba"):
        import jieba

        jieba.setLogLevel(60)
        cutters["words"] = lambda text: " ".join(jieba.lcut(text))
    found = []
    for kind, cut in cutters.items():
        prepared = [cut(text).replace("\n", " ") for text in texts]
        lines = [" ".join([f"__label__{names[k]}" for k in np.flatnonzero(row)] or ["__label__none"]) for row in truth]
        source = folder / f"{kind}.txt"
        source.write_text("".join(f"{label} {text}\n" for label, text in zip(lines, prepared, strict=True)), encoding="utf-8")
        for dim, extra in ((100, {}), (16, {"bucket": 200_000})):
            print(f"training: fastText, {kind}, d{dim}")
            path = folder / f"{kind}-{dim}.bin"
            settings = {"dim": dim, "wordNgrams": 3 if kind == "characters" else 2, "loss": "ova", "thread": 1, "verbose": 0, **extra}
            # In a process of its own: a second training in one process may meet memory that fastText left unset, and ends with NaN.
            program = f"import fasttext; fasttext.train_supervised({str(source)!r}, **{settings}).save_model({str(path)!r})"
            subprocess.run([sys.executable, "-c", program], check=True)
            model = fasttext.load_model(str(path))

            def predict(lines: Sequence[str], model: Any = model) -> Any:
                return model.predict(list(lines), k=-1, threshold=0.5)

            def cut_and_predict(part: Sequence[str], cut: Callable[[str], str] = cut, predict: Any = predict) -> Any:
                return predict([cut(text).replace("\n", " ") for text in part])

            start = f"import fasttext; fasttext.load_model({str(path)!r}).predict([{cut(SENTENCE)!r}], k=-1, threshold=0.5)"
            found.append(Contender(f"fastText, {kind}, d{dim}", cut_and_predict, 4000 if kind == "characters" else 1500, path, start))
            if kind == "words":
                given = dict(zip(texts, prepared, strict=True))
                found.append(Contender(f"fastText, words given, d{dim}", Given(predict, given), 10_000))
    return found


class Given:
    """Predicts on words that were cut before the clock started."""

    def __init__(self, predict: Callable[[Sequence[str]], Any], words: dict[str, str]) -> None:
        self.predict, self.words = predict, words

    def prepare(self, texts: Sequence[str]) -> list[str]:
        """Cut the words."""
        return [self.words.get(text, text) for text in texts]

    def __call__(self, lines: Sequence[str]) -> Any:
        """Predict."""
        return self.predict(lines)


def clock(call: Callable[[], Any]) -> float:
    """Return the seconds that a call takes, garbage collection off."""
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    call()
    elapsed = time.perf_counter() - start
    gc.enable()
    return elapsed


def repeated(texts: Sequence[str], size: int) -> list[str]:
    return [texts[i % len(texts)] for i in range(size)]


def throughput(contenders: Sequence[Contender], texts: Sequence[str], rounds: int) -> dict[str, Any]:
    """Time all contenders in turn, and CPython's UTF-8 decoder as a measure of what is possible."""
    encoded = [text.encode() for text in texts]
    whole = "\n".join(texts).encode()
    n_bytes = sum(map(len, encoded))
    inputs = {}
    for contender in contenders:
        part = repeated(texts, contender.size)
        inputs[contender.name] = contender.score.prepare(part) if isinstance(contender.score, Given) else part
        contender.score(inputs[contender.name][:50])
    decode: dict[str, list[float]] = {"passage by passage": [], "in one piece": []}
    for number in range(rounds):
        for contender in contenders:
            contender.rates.append(contender.size / clock(lambda: contender.score(inputs[contender.name])))  # noqa: B023 -- called at once
        decode["passage by passage"].append(5 * n_bytes / clock(lambda: [[part.decode() for part in encoded] for _ in range(5)]))
        decode["in one piece"].append(50 * n_bytes / clock(lambda: [whole.decode() for _ in range(50)]))
        print(f"round {number + 1}: " + ", ".join(f"{c.name} {c.rates[-1]:,.0f}/s" for c in contenders))
    bytes_each = n_bytes / len(texts)
    rates = {c.name: c.rates for c in contenders}
    fast = rates.get("native", rates["numpy"])
    return {
        "rounds": rates,
        "passages_per_second": {name: median(values) for name, values in rates.items()},
        "megabytes_per_second": {name: median(values) * bytes_each / 1e6 for name, values in rates.items()},
        "native_is_faster": {name: _ratio(fast, values) for name, values in rates.items()},
        "numpy_is_faster": {name: _ratio(rates["numpy"], values) for name, values in rates.items()},
        "decode_megabytes_per_second": {name: median(values) / 1e6 for name, values in decode.items()},
        "share_of_decode": {name: _ratio([rate * bytes_each for rate in fast], values) for name, values in decode.items()},
    }


def _ratio(fast: Sequence[float], slow: Sequence[float]) -> float:
    return float(median(one / two for one, two in zip(fast, slow, strict=True)))


def latency(contender: Contender) -> float:
    """Return the median microseconds for one sentence."""
    sentence = contender.score.prepare([SENTENCE]) if isinstance(contender.score, Given) else [SENTENCE]
    contender.score(sentence)
    times = []
    until = time.perf_counter() + 0.5
    while time.perf_counter() < until:
        start = time.perf_counter()
        contender.score(sentence)
        times.append(time.perf_counter() - start)
    return median(times) * 1e6


STARTER = """
import json, os, subprocess, sys, time
jobs = json.load(sys.stdin)
times, memory = {name: [] for name, *_ in jobs}, {name: [] for name, *_ in jobs}
for _ in range(9):
    for name, command, extra in jobs:
        start = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, **extra}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            memory[name].append(usage.ru_maxrss / 1024)
        else:
            process.wait()
        times[name].append((time.perf_counter() - start) * 1e3)
        if process.returncode:
            sys.exit(f"the program of {name} failed: {command}")
json.dump([times, memory], sys.stdout)
"""


def cold_start(contenders: Sequence[Contender], model: Path, folder: Path) -> dict[str, Any]:
    """Start fresh processes in turn, nine times each: milliseconds and peak memory."""
    (folder / "one.txt").write_text(SENTENCE, encoding="utf-8")
    command = "import sys; from policyclf.cli import main; sys.exit(main())"
    programs = {"python -c pass": ["-c", "pass"]}
    programs |= {c.name: ["-c", c.start] for c in contenders if c.start}
    programs["policyclf tag"] = ["-c", command, "tag", "--model", str(model), str(folder / "one.txt")]
    sizes = {c.name: c.path.stat().st_size / 1e6 for c in contenders if c.path}
    jobs = []
    for name, arguments in programs.items():
        extra = {"PYTHONPATH": str(ROOT), **({"POLICYCLF_SCORER": name} if name in ("native", "numpy") else {})}
        extra["PYTHONDONTWRITEBYTECODE"] = ""  # the first start leaves bytecode behind, as an installation does
        jobs.append([name, [sys.executable, *arguments], extra])
    # From a small process: a child's peak memory counts that of the process it was forked from.
    done = subprocess.run([sys.executable, "-c", STARTER], input=json.dumps(jobs), capture_output=True, text=True, check=True)
    times, memory = json.loads(done.stdout)
    empty = times["python -c pass"]
    return {
        name: {
            "milliseconds": median(values),
            "of_an_empty_process": _ratio(values, empty),
            "peak_mb": median(memory[name]) if memory[name] else None,
            "model_mb": sizes.get(name),
        }
        for name, values in times.items()
    }


def articles(scorers: dict[str, Any], usual: Contender, documents: Sequence[Sequence[str]], rounds: int, folder: Path) -> dict[str, Any]:
    """Read, decode, split and score files: the native scorer 64 at a time, the usual script one by one."""
    import re

    paths = []
    for i in range(4000):
        path = folder / f"article-{i}.txt"
        path.write_bytes("\n".join(documents[i % len(documents)]).encode())
        paths.append(path)
    n_bytes = sum(path.stat().st_size for path in paths)

    def ours(scorer: Any, part: Sequence[Path]) -> None:
        for start in range(0, len(part), 64):
            scorer.articles([path.read_bytes().decode("utf-8") for path in part[start : start + 64]])

    def theirs(part: Sequence[Path]) -> None:
        for path in part:
            pieces = [piece for piece in re.split(r"(?<=[。！？；])|\n", path.read_text(encoding="utf-8")) if piece.strip()]
            usual.score(pieces)

    runs: dict[str, tuple[Callable[[], None], int]] = {name: (lambda scorer=scorer: ours(scorer, paths), len(paths)) for name, scorer in scorers.items()}
    runs["usual script"] = (lambda: theirs(paths[:100]), 100)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    ours(scorers["numpy"], paths[:64])
    for _ in range(rounds):
        for name, (run, n) in runs.items():
            rates[name].append(n / clock(run))
    return {
        "files": len(paths),
        "bytes": n_bytes,
        "rounds": rates,
        "articles_per_second": {name: median(values) for name, values in rates.items()},
        "native_is_faster": {name: _ratio(rates.get("native", rates["numpy"]), values) for name, values in rates.items()},
    }


SPIN = "import time\nt = time.perf_counter()\nfor i in range(4_000_000): pass\nprint(time.perf_counter() - t)"


def spin() -> float:
    """Return how many cores two busy processes really get."""

    def run(n: int) -> float:
        processes = [subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE, text=True) for _ in range(n)]
        return max(float(process.communicate()[0]) for process in processes)

    return 2 * run(1) / run(2)


def threads(scorers: dict[str, Any], documents: Sequence[Sequence[str]], rounds: int) -> dict[str, Any]:
    """One thread against two, each with batches of its own, until ``rounds`` rounds had two free cores or ten times as many are done."""
    if "native" not in scorers or (os.cpu_count() or 1) < 2:
        return {}
    scorer = scorers["native"]
    texts = ["\n".join(document) for document in documents]
    batches = [[texts[i % len(texts)] for i in range(start, start + 64)] for start in range(0, 12_800, 64)]
    found = []
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(scorer.articles, batches[:4]))
        for _ in range(10 * rounds):
            if sum(row["counts"] for row in found) == rounds:
                break
            cores = spin()
            one = clock(lambda: [scorer.articles(batch) for batch in batches])
            two = clock(lambda: list(pool.map(scorer.articles, batches)))
            found.append({"cores": cores, "ratio": one / two, "counts": cores >= 1.9})
    clean = [row["ratio"] for row in found if row["counts"]]
    return {"rounds": found, "ratio": median(clean) if clean else None, "ratio_of_all_rounds": median(row["ratio"] for row in found)}


def best(call: Callable[[], Any]) -> float:
    """Return the least seconds of three calls."""
    return min(clock(call) for _ in range(3))


def growth(scorers: dict[str, Any], texts: Sequence[str], documents: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Time per character by the length of a text, and per article by the number of articles: both should stay flat."""
    long = "\n".join(texts)
    found: dict[str, Any] = {}
    for name, scorer in scorers.items():
        by_length, by_count, one_passage = {}, {}, {}
        for length in (100, 1_000, 10_000, 100_000, 1_000_000):
            text = (long * (length // len(long) + 1))[:length]
            passage = text.replace("\n", "").replace("。", "，")
            repeats = max(1, 100_000 // length)
            share = 1e9 / repeats / length
            by_length[length] = share * best(lambda: [scorer.articles([text]) for _ in range(repeats)])  # noqa: B023 -- called at once
            one_passage[length] = share * best(lambda: [scorer.passages([passage], [1]) for _ in range(repeats)])  # noqa: B023
        articles = ["\n".join(document) for document in documents]
        for count in (10, 100, 1_000, 10_000):
            batch = [articles[i % len(articles)] for i in range(count)]
            by_count[count] = best(lambda: scorer.articles(batch)) / count * 1e6  # noqa: B023
        found[name] = {"ns_per_character_of_an_article": by_length, "ns_per_character_of_one_passage": one_passage, "us_per_article": by_count}
    return found


def targets(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Set what was reached beside what was to be reached."""
    speed, cold = result["throughput"], result["cold_start"]
    rows = []
    for fast, slow, least in TARGETS:
        reached = speed[f"{fast}_is_faster"].get(slow)
        rows.append({"target": f"{fast} against {slow}", "least": least, "reached": reached})
    rows.append({"target": "share of CPython's UTF-8 decoding, passage by passage", "least": 0.2, "reached": speed["share_of_decode"]["passage by passage"]})
    rows.append({"target": "articles end to end against usual script", "least": 150, "reached": result["articles"]["native_is_faster"].get("usual script")})
    rows.append({"target": "two threads against one", "least": 1.7, "reached": result["threads"].get("ratio")})
    fastest = "native" if "native" in cold else "numpy"
    rows.append({"target": "cold start of tagging against python -c pass", "most": 3, "reached": cold[fastest]["of_an_empty_process"]})
    rows.append({"target": "cold start of the command against python -c pass", "most": 6, "reached": cold["policyclf tag"]["of_an_empty_process"]})
    for row in rows:
        reached = row["reached"]
        row["met"] = None if reached is None else reached >= row["least"] if "least" in row else reached <= row["most"]
    return rows


def as_markdown(result: dict[str, Any]) -> str:
    speed, cold, text = result["throughput"], result["cold_start"], result["text"]
    lines = [
        f"{text['passages']:,} authored passages, {text['mean_characters']:.0f} characters on average; one thread; {result['machine']['processor']}, "
        f"Python {result['machine']['python']}. Medians of interleaved rounds; ratios are medians of the ratios within a round.",
        "",
        "| | passages/s | MB/s | native is faster | one sentence, µs | start, ms | × empty process | peak MB | model MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    columns = (("milliseconds", 0), ("of_an_empty_process", 1), ("peak_mb", 0), ("model_mb", 1))
    for name, rate in sorted(speed["passages_per_second"].items(), key=lambda item: item[1]):
        row = cold.get(name, {})
        cells = [
            f"{rate:,.0f}",
            f"{speed['megabytes_per_second'][name]:.1f}",
            f"{speed['native_is_faster'][name]:.1f}×",
            f"{result['latency_us'][name]:,.1f}",
            *(f"{row[key]:,.{digits}f}" if row.get(key) is not None else "" for key, digits in columns),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    command = cold["policyclf tag"]
    lines += ["", f"The whole command `policyclf tag`: {command['milliseconds']:.0f} ms, {command['of_an_empty_process']:.1f} × `python -c pass`."]
    lines += [f"Not installed: {', '.join(result['not_installed'])}."] if result["not_installed"] else []
    lines += ["", "| target | asked | reached | met |", "|---|---:|---:|---|"]
    for row in result["targets"]:
        asked = f"≥ {row['least']}" if "least" in row else f"≤ {row['most']}"
        reached = "not measured" if row["reached"] is None else f"{row['reached']:.2f}" if row["reached"] < 10 else f"{row['reached']:.0f}"
        lines.append(f"| {row['target']} | {asked} | {reached} | {'' if row['met'] is None else 'yes' if row['met'] else 'no'} |")
    return "\n".join(lines) + "\n"


def draw(result: dict[str, Any], path: Path) -> None:
    if not importlib.util.find_spec("matplotlib"):
        print("not installed: matplotlib, no plot")
        return
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (bars, lines) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(3, 2), layout="constrained")
    rates = sorted(result["throughput"]["passages_per_second"].items(), key=lambda item: item[1])
    colours = ["tab:orange" if name in ("native", "numpy") else "tab:blue" for name, _ in rates]
    bars.barh([name for name, _ in rates], [rate for _, rate in rates], color=colours)
    bars.set_xscale("log")
    bars.set_xlabel("passages a second, one thread")
    for i, (_, rate) in enumerate(rates):
        bars.text(rate, i, f" {rate:,.0f}", va="center", fontsize=8)
    bars.set_xlim(right=rates[-1][1] * 6)
    for name, found in result["growth"].items():
        for key, style in (("ns_per_character_of_an_article", "o-"), ("ns_per_character_of_one_passage", "s--")):
            lines.loglog(
                [int(n) for n in found[key]], list(found[key].values()), style, label=f"{name}, {'article' if key.endswith('article') else 'one passage'}"
            )
    lines.set_xlabel("characters")
    lines.set_ylabel("ns per character")
    lines.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
