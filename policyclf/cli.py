"""The command line: the only place that prints and exits.

Exit status: 0 all done, 1 some inputs failed (and which, on stderr), 2 wrong usage or an error that stopped the run,
130 interrupted. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

from policyclf import __version__
from policyclf.errors import PolicyclfError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from policyclf.journal import Failure
    from policyclf.records import TaggedArticle

    Result = TaggedArticle | Failure


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a console in GBK or C must not break on Chinese; a lone surrogate is shown escaped
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except PolicyclfError as error:
        print(f"policyclf: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the pipe has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("policyclf: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="policyclf", description="Tag every passage of Chinese policy text with the policy measures that it states.")
    parser.add_argument("--version", action="version", version=f"policyclf {__version__}")
    commands = parser.add_subparsers(prog="policyclf", title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    tag = command("tag", _tag, "Tag articles: a table on a terminal, JSON lines into a pipe, or a file with -o.")
    _add_inputs(tag)
    tag.add_argument("-o", "--output", metavar="OUT", help="write OUT.jsonl, .csv, .xlsx, .parquet or .html; a run that was cut off goes on")
    tag.add_argument("--overwrite", action="store_true", help="write OUT anew even where it holds another run")
    tag.add_argument("--evidence", action=argparse.BooleanOptionalAction, help="give the words that made each tag (default: on a terminal, in xlsx and html)")

    train = command("train", _train, "Train a model on labelled passages.")
    train.add_argument("labels", nargs="+", metavar="LABELS.jsonl")
    train.add_argument("-o", "--output", required=True, metavar="MODEL_DIR")
    train.add_argument("--categories", metavar="FILE", help="categories.json of your own codebook (default: the bundled one)")
    train.add_argument("--lexicon", metavar="FILE", help="term<TAB>category a line, or 'none' (default: the bundled one, for its own categories)")
    train.add_argument("--reviewed", action="append", default=[], metavar="REVIEW.xlsx", help="add the decisions of a reviewed sheet")
    train.add_argument("--seed", type=int, default=0)

    evaluate = command("evaluate", _evaluate, "Compare a model's tags with labels; each document is tagged as one article.")
    evaluate.add_argument("labels", nargs="+", metavar="LABELS.jsonl")
    _add_model(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    explain = command("explain", _explain, "Show which words made the decision on each passage.")
    explain.add_argument("text", help="a text, or - for stdin")
    explain.add_argument("--category", help="explain this category (default: the tags, or the most probable category)")
    _add_model(explain)

    info = command("info", _info, "Describe a model and this installation.")
    info.add_argument("model", nargs="?", metavar="MODEL_DIR")
    info.add_argument("--json", action="store_true", help="print one JSON object")

    agreement = command("agreement", _agreement, "Compare two codings of the same passages: kappa, alpha, Holsti and F1.")
    agreement.add_argument("first", metavar="A.jsonl")
    agreement.add_argument("second", metavar="B.jsonl")
    agreement.add_argument("--categories", metavar="FILE", help="categories.json of your own codebook (default: the bundled one)")
    agreement.add_argument("--json", action="store_true", help="print one JSON object")

    review = command("review", _review, "Pick the passages worth a person's time into an Excel sheet.")
    _add_inputs(review)
    review.add_argument("-o", "--output", required=True, metavar="REVIEW.xlsx")
    review.add_argument("-n", type=int, default=200, help="how many passages (default 200)")

    convert = command("convert", _convert, "Turn labelled passages into another tool's format, or back.")
    convert.add_argument("source", metavar="IN")
    convert.add_argument("target", metavar="OUT")
    convert.add_argument("--from", dest="from_", default="policyclf", metavar="FORMAT", help="policyclf, doccano, labelstudio, prodigy, fasttext or table")
    convert.add_argument("--to", default="policyclf", metavar="FORMAT")
    convert.add_argument("--categories", metavar="FILE", help="categories.json of your own codebook (default: the bundled one)")
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file, folder, glob, or - for stdin")
    _add_model(parser)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="workers (default 1)")
    parser.add_argument("--encoding", help="read files in this encoding instead of finding it out")
    parser.add_argument("--column", help="the text column of xlsx, csv and jsonl files")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="DIR", help="model folder (default: the bundled model)")
    parser.add_argument("--precision", type=float, metavar="P", help="tag only what is at least so sure, 0.50 to 0.99")


def _tag(arguments: argparse.Namespace) -> int:
    from policyclf.tagger import load

    terminal = sys.stdout.isatty() and not arguments.output
    evidence = arguments.evidence
    if evidence is None:
        evidence = terminal or str(arguments.output or "").lower().endswith((".xlsx", ".html"))
    tagger = load(arguments.model, precision=arguments.precision)
    if arguments.output:
        return _tag_into_file(arguments, tagger, evidence)
    failed = False
    for result in _tagged(arguments, tagger, evidence):
        failed |= _is_failure(result)
        if _is_failure(result):
            _say_failure(result)
        if terminal:
            from policyclf.terminal import show

            show(result)
        else:
            from policyclf.journal import to_line

            print(to_line(result), flush=True)
    return int(failed)


def _tag_into_file(arguments: argparse.Namespace, tagger: Any, evidence: bool) -> int:
    from policyclf.batch import tag_files
    from policyclf.terminal import Progress

    if "-" in arguments.paths:
        from policyclf.outputs import write

        everything = list(_tagged(arguments, tagger, evidence))
        write(everything, arguments.output)
        return _summary(everything, arguments.output)
    with Progress() as progress:
        results = tag_files(
            arguments.paths,
            tagger=tagger,
            output=arguments.output,
            jobs=arguments.jobs,
            encoding=arguments.encoding,
            column=arguments.column,
            evidence=evidence,
            overwrite=arguments.overwrite,
            progress=progress.update,
        )
        return _summary(results, arguments.output)


def _tagged(arguments: argparse.Namespace, tagger: Any, evidence: bool) -> Iterable[Result]:
    """Yield the results of all inputs, stdin among them, in order."""
    for path in arguments.paths:
        if path == "-":
            from policyclf.article import articles_of_bytes
            from policyclf.journal import Failure

            try:
                for article in articles_of_bytes(sys.stdin.buffer.read(), "stdin", encoding=arguments.encoding, column=arguments.column):
                    yield tagger.tag(article, evidence=evidence)
            except PolicyclfError as error:
                yield Failure.of("stdin", error, model=tagger.model.id)
        else:
            from policyclf.batch import tag_files

            yield from tag_files([path], tagger=tagger, jobs=arguments.jobs, encoding=arguments.encoding, column=arguments.column, evidence=evidence)


def _summary(results: Iterable[Result], output: str) -> int:
    done = failed = passages = tagged = 0
    for result in results:
        if _is_failure(result):
            failed += 1
            _say_failure(result)
        else:
            done += 1
            passages += len(result.passages)  # type: ignore[union-attr]
            tagged += sum(bool(passage.tags) for passage in result.passages)  # type: ignore[union-attr]
    print(f"{output}: {done} articles, {passages} passages, {tagged} of them tagged" + (f", {failed} inputs failed" if failed else ""), file=sys.stderr)
    return int(failed > 0)


def _is_failure(result: Result) -> bool:
    return hasattr(result, "problem")


def _say_failure(failure: Any) -> None:
    print(f"policyclf: {failure.source}: {failure.problem}" + (f" ({failure.way_out})" if failure.way_out else ""), file=sys.stderr)


def _train(arguments: argparse.Namespace) -> int:
    from policyclf.labels import read_categories, read_labels, sha256_of
    from policyclf.terminal import Steps
    from policyclf.train import PolicyClassifier, evaluate_fit, save_fit

    categories = read_categories(arguments.categories)
    records = read_labels(arguments.labels, categories)
    if arguments.reviewed:
        from policyclf.review import agreement_with_model, merge_reviewed, read_review

        for path in arguments.reviewed:
            reviewed = read_review(path)
            records = merge_reviewed(records, reviewed)
            print(f"{path}: {len(reviewed)} reviewed passages; agreement with the model:", file=sys.stderr)
            for name, row in agreement_with_model(reviewed).items():
                print(f"  {name}  kappa {row['kappa']:.3f}  n {row['n']}", file=sys.stderr)
    lexicon = None if arguments.lexicon == "none" else arguments.lexicon or "default"
    names = [category.name for category in categories]
    classifier = PolicyClassifier(categories=names, lexicon=lexicon, seed=arguments.seed)
    with Steps() as steps:
        classifier.fit([r.text for r in records], [r.labels for r in records], [r.document for r in records], progress=steps.say)
        steps.say("measuring out of fold")
        figures = evaluate_fit(classifier, records)
    save_fit(classifier, figures, arguments.output, categories=categories, sources=sha256_of([*arguments.labels, *arguments.reviewed]))
    from policyclf.terminal import show_figures

    show_figures(figures, f"out of fold, {figures['n']} passages of {figures['n_documents']} documents")
    print(f"{arguments.output}: model written", file=sys.stderr)
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    import json

    from policyclf.evaluation import evaluate_tagger
    from policyclf.labels import read_labels
    from policyclf.tagger import load

    tagger = load(arguments.model, precision=arguments.precision)
    figures = evaluate_tagger(tagger, read_labels(arguments.labels, tagger.model.categories))
    if arguments.json:
        print(json.dumps(figures, ensure_ascii=False, indent=1))
    else:
        from policyclf.terminal import show_figures

        show_figures(figures, f"{figures['n']} passages of {figures['n_documents']} documents")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    from policyclf.tagger import load
    from policyclf.terminal import show_explanation

    text = arguments.text
    if text == "-":
        from policyclf.article import decode

        text, _ = decode(sys.stdin.buffer.read(), place="stdin")
    tagger = load(arguments.model, precision=arguments.precision)
    tagged = tagger.tag(text)
    if not tagged.passages:
        raise UsageError("nothing to explain: the text holds no sentence")
    for number, passage in enumerate(tagged.passages):
        likeliest = max(zip(passage.probabilities, tagged.categories, strict=True))[1]
        chosen = [arguments.category] if arguments.category else [tag.category for tag in passage.tags] or [likeliest]
        for category in chosen:
            show_explanation(tagger.explain(text, category, passage=number))
    return 0


def _info(arguments: argparse.Namespace) -> int:
    import json

    from policyclf.tagger import load

    model = load(arguments.model).model
    scorer = "native" if type(model.scorer()).__name__ == "NativeScorer" else "numpy"
    facts = {
        "policyclf": __version__,
        "scorer": scorer,
        "model": model.path,
        "id": model.id,
        "categories": list(model.names),
        "thresholds": dict(zip(model.names, model.thresholds, strict=True)),
        **{key: model.meta[key] for key in ("n_passages", "n_documents", "n_ngrams", "n_terms", "seed", "sources") if key in model.meta},
    }
    if arguments.json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
    else:
        for key, value in facts.items():
            if key == "sources":
                value = f"{len(value)} files, SHA-256 in model.json"
            elif isinstance(value, dict):
                value = "、".join(f"{name} {number}" for name, number in value.items())
            elif isinstance(value, list):
                value = "、".join(value)
            print(f"{key:12} {value}")
    return 0


def _agreement(arguments: argparse.Namespace) -> int:
    import json

    from policyclf.agreement import compare, paragraphs
    from policyclf.labels import read_categories, read_labels
    from policyclf.terminal import show_agreement

    categories = read_categories(arguments.categories)
    report = compare(read_labels([arguments.first], categories), read_labels([arguments.second], categories), [c.name for c in categories])
    if arguments.json:
        print(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        show_agreement(report)
        print("\n".join(("", *paragraphs(report))))
    return 0


def _review(arguments: argparse.Namespace) -> int:
    from policyclf.batch import tag_files
    from policyclf.journal import Failure
    from policyclf.review import write_review
    from policyclf.tagger import load

    tagger = load(arguments.model, precision=arguments.precision)
    results = list(tag_files(arguments.paths, tagger=tagger, jobs=arguments.jobs, encoding=arguments.encoding, column=arguments.column, evidence=True))
    failures = [result for result in results if isinstance(result, Failure)]
    for failure in failures:
        _say_failure(failure)
    picked = write_review([result for result in results if not isinstance(result, Failure)], arguments.output, tagger=tagger, n=arguments.n)
    print(f"{arguments.output}: {picked} passages to review", file=sys.stderr)
    return int(bool(failures))


def _convert(arguments: argparse.Namespace) -> int:
    from policyclf.bridges import export_labels, import_labels
    from policyclf.labels import read_categories

    categories = read_categories(arguments.categories)
    records = import_labels(arguments.source, arguments.from_, categories)
    export_labels(records, arguments.target, arguments.to, categories)
    print(f"{arguments.target}: {len(records)} passages", file=sys.stderr)
    return 0
