"""Tag many files into one output, in the order of the input, with flat memory, and go on where a run was cut off.

The output is its own journal: results are appended as they come, one line an article, to OUT.jsonl itself or, for a
table, to the hidden file .OUT.journal.jsonl beside it, from which the table is made at the end. What a journal holds of an article is taken
as done while its source, its SHA-256, the model and the options are the same; everything else is tagged again. At the end
the rows stand as an unbroken run would have left them. Rows of files that are no longer among the inputs are kept where
they stood: a run never takes away what another one found.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from policyclf.article import find_files
from policyclf.errors import ArticleError, OutputError, UsageError
from policyclf.journal import Failure, Journal, Row, from_line, marked_line, to_line
from policyclf.records import Article, TaggedArticle
from policyclf.workers import BATCH_FILES, Made, Task, Worker, fingerprint_of, in_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from policyclf.reprint import Fingerprint, Reprints
    from policyclf.tagger import Tagger

    Result = TaggedArticle | Failure
    Progress = Callable[[int, int, int, float], None]

_ELSE = "name another output, or write this one anew with --overwrite"
# Files of many articles are read as they are tagged, article by article, so that a table of any length streams.
_MANY = frozenset((".zip", ".xlsx", ".xlsm", ".csv", ".tsv", ".jsonl", ".ndjson"))


def tag_files(
    paths: str | Path | Sequence[str | Path],
    *,
    tagger: Tagger | None = None,
    output: str | Path | None = None,
    jobs: int = 1,
    encoding: str | None = None,
    column: str | None = None,
    evidence: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Iterator[TaggedArticle | Failure]:
    """Tag files, folders, globs; yield a result for each article in order, or a :class:`Failure` for what cannot be read.

    With ``output`` (.jsonl, .csv, .xlsx, .parquet or .html) the results go there as well, and the file is finished when
    the iterator is: exhaust it. A run that was cut off goes on when it is started again, and files that failed are tried
    again. What is yielded then is what the output holds: probabilities of four decimals, ``article.text`` empty.
    ``overwrite`` begins anew. ``jobs`` is the number of processes, -1 for one a core; it changes no result. ``tagger``
    is the bundled model's by default; ``encoding`` and ``column`` are as in :func:`policyclf.read_articles`.
    ``progress`` is called with files done, files in all, passages so far and files a second.

    An article whose passages repeat those of an earlier one, all or nearly all, is tagged as well and carries the
    earlier one's source in ``duplicate_of``.

    Raises :class:`ArticleError` for a path that does not exist, :class:`UsageError` for an unknown format or ``jobs``
    below 1; and, when the iterator starts or later, :class:`OutputError` for an output that belongs to another
    model or other options, was changed by someone, or cannot be written. The journal is valid then, as it is after ctrl-C.
    """
    from policyclf.tagger import load

    if jobs < 1 and jobs != -1:
        raise UsageError(f"jobs is {jobs}", way_out="1 or more, or -1 for one a core")
    files = find_files([paths] if isinstance(paths, (str, Path)) else paths)
    target = _Target(Path(output), overwrite) if output is not None else None
    if target:
        own = {os.path.realpath(target.path), os.path.realpath(target.journal)}
        files = [file for file in files if os.path.realpath(file) not in own]
    tagger = tagger or load()
    worker = Worker(
        tagger,
        run=run_id(tagger, evidence=evidence, encoding=encoding, column=column),
        evidence=evidence,
        encoding=encoding,
        column=column,
        as_lines=target is not None,
        fingerprints=len(files) > 1 or any(file.suffix.lower() in _MANY for file in files),
    )
    run = _Run([str(file) for file in files], worker, jobs, progress)
    return run.into(target) if target else run.results()


def run_id(tagger: Tagger, *, evidence: bool = False, encoding: str | None = None, column: str | None = None) -> str:
    """Return twelve hexadecimal digits that differ where the model or an option does that changes results."""
    settings = [tagger.model.id, tagger.categories, tagger.thresholds, evidence, encoding, column]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:12]


class _Target:
    """Where a run writes: the output, and the journal that it is made from, which for .jsonl is the output itself.

    The journal of a table is a hidden file beside it, and stays there, so that a table takes up new files as well as
    a .jsonl output does. Deleting it is safe: then the table is finished for good.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        from policyclf.outputs import SUFFIXES

        if path.suffix.lower() not in SUFFIXES:
            raise UsageError(f"unknown format {path.suffix or path.name!r}", place=str(path), way_out=f"name a file that ends in {', '.join(SUFFIXES)}")
        self.path = path
        self.overwrite = overwrite
        self.is_journal = path.suffix.lower() == ".jsonl"
        self.journal = path if self.is_journal else path.with_name(f".{path.name}.journal.jsonl")
        if path.exists() and not overwrite:
            # People work on in a table that they were given. What they wrote must not be lost.
            if not self.journal.exists():
                raise OutputError("exists already, and it is not known what it was made of", place=str(path), way_out=_ELSE)
            if path.stat().st_mtime > self.journal.stat().st_mtime + 2:  # seconds: the coarsest clock of a file system
                raise OutputError("was changed after it was written", place=str(path), way_out=_ELSE)

    def finished(self) -> None:
        """Note that the table is as old as its journal."""
        state = self.path.stat()
        os.utime(self.journal, ns=(state.st_atime_ns, state.st_mtime_ns))


class _Run:
    """One pass over the files."""

    def __init__(self, files: list[str], worker: Worker, jobs: int, progress: Progress | None) -> None:
        self.files = files
        self.worker = worker
        self.jobs = jobs
        self._progress = progress
        self._began = time.monotonic()
        self._passages = 0
        self._reprints: Reprints | None = None
        if worker.fingerprints:
            from policyclf.reprint import Reprints

            self._reprints = Reprints()

    def results(self) -> Iterator[Result]:
        """Yield the results without writing any."""
        for made in self._made({}):
            for item in made:
                result = item.result
                assert result is not None
                if isinstance(result, TaggedArticle) and (first := self._first(item.source, item.seen)):
                    result = result._replace(duplicate_of=first)
                yield self._told(result, item.file)
        self._tell(len(self.files))

    def into(self, target: _Target) -> Iterator[Result]:
        """Yield the results while they go into the journal, and finish the output."""
        journal = Journal(target.journal, self.worker.run, overwrite=target.overwrite)
        try:
            order = array("q")  # where the lines of the output begin in the journal, in the order of the output
            yield from self._journalled(journal, order)
            self._tell(len(self.files))
            if not target.is_journal:
                from policyclf.outputs import write

                model = self.worker.tagger.model
                journal.sync()
                lines = (from_line(journal.line(offset)) for offset in order)
                write(lines, target.path, thresholds=self.worker.tagger.thresholds, codebook=model.categories)
                target.finished()
            elif len(order) < journal.n_lines or any(first >= second for first, second in pairwise(order)):
                journal.reorder(order)
            else:
                journal.sync()
        finally:
            journal.close()

    def _journalled(self, journal: Journal, order: array[int]) -> Iterator[Result]:
        stored: dict[str, list[Row]] = {}
        for row in journal.rows:
            stored.setdefault(row.source, []).append(row)
        strays = _strays(journal.rows, self.files)
        journal.rows.clear()
        through = -1  # the last file whose rows are in order; behind them stand its strays
        for made in self._made(stored, journal):
            page = _Page()
            for item in made:
                for file in range(through, item.file):
                    if file in strays:
                        yield from self._turn(page, journal, order)
                        yield from self._stay(strays.pop(file), journal, order, file)
                        page = _Page()
                through = max(through, item.file)
                rows = stored.get(item.source, ())
                if not item.line:
                    self._keep(page, [next(row for row in reversed(rows) if row.sha256 == item.sha256 and not row.failed)], journal, item.file)
                    continue
                first = self._first(item.source, item.seen)
                line = marked_line(item.line, first) if first else item.line
                same = next((row for row in rows if row.failed and journal.line(row.offset) == line), None)
                page.add(from_line(line), item.file, line="" if same else line, offset=same.offset if same else -1)
            yield from self._turn(page, journal, order)
        for file in sorted(strays):
            yield from self._stay(strays[file], journal, order, file)

    def _stay(self, rows: Sequence[Row], journal: Journal, order: array[int], file: int) -> Iterator[Result]:
        """Take over the rows of files that are no longer among the inputs, a few at a time: there may be any number."""
        for begin in range(0, len(rows), BATCH_FILES):
            page = _Page()
            self._keep(page, rows[begin : begin + BATCH_FILES], journal, file)
            yield from self._turn(page, journal, order)

    def _keep(self, page: _Page, rows: Iterable[Row], journal: Journal, file: int) -> None:
        """Take over rows of the journal; a line is written anew where what it repeats is no longer the same article."""
        for row in rows:
            line = ""
            result = from_line(journal.line(row.offset))
            if isinstance(result, TaggedArticle) and self._reprints:
                first = self._first(row.source, fingerprint_of(result))
                if first != result.duplicate_of:
                    result = result._replace(duplicate_of=first)
                    line = to_line(result)
            page.add(result, file, line=line, offset=row.offset)

    def _turn(self, page: _Page, journal: Journal, order: array[int]) -> Iterator[Result]:
        starts = iter(journal.append([line for line in page.lines if line]))
        order.extend(next(starts) if line else offset for line, offset in zip(page.lines, page.offsets, strict=True))
        for result, file in zip(page.results, page.files, strict=True):
            yield self._told(result, file)

    def _made(self, stored: dict[str, list[Row]], journal: Journal | None = None) -> Iterator[list[Made]]:
        return in_order(self.worker, self._tasks(stored, journal), self.jobs)

    def _tasks(self, stored: dict[str, list[Row]], journal: Journal | None) -> Iterator[Task]:
        for number, file in enumerate(self.files):
            if os.path.splitext(file)[1].lower() not in _MANY:
                yield Task(number, file, tuple(row.sha256 for row in stored.get(file, ()) if not row.failed))
                continue
            for item in self.worker.read(file):
                if isinstance(item, ArticleError):
                    yield Task(number, item.place or file, failure=self.worker.failure(file, item))
                    continue
                rows = [row for row in stored.get(item.source, ()) if row.sha256 == item.sha256 and not row.failed]
                if rows and journal and _same_but_text(from_line(journal.line(rows[-1].offset)), item):
                    yield Task(number, item.source, kept=item.sha256)
                else:
                    yield Task(number, item.source, article=item)

    def _first(self, source: str, seen: Fingerprint | None) -> str:
        return self._reprints.first(source, seen) if self._reprints else ""

    def _told(self, result: Result, file: int) -> Result:
        if isinstance(result, TaggedArticle):
            self._passages += len(result.passages)
        self._tell(max(0, file))
        return result

    def _tell(self, done: int) -> None:
        if self._progress:
            self._progress(done, len(self.files), self._passages, done / max(1e-9, time.monotonic() - self._began))


class _Page:
    """Rows of the output that are settled together: each has a line to write or the offset of one that stands already."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.offsets: list[int] = []
        self.results: list[Result] = []
        self.files: list[int] = []

    def add(self, result: Result, file: int, *, line: str, offset: int) -> None:
        """Add one row."""
        self.lines.append(line)
        self.offsets.append(offset)
        self.results.append(result)
        self.files.append(file)


def _strays(rows: Sequence[Row], files: Sequence[str]) -> dict[int, list[Row]]:
    """Return the rows of files that are no input: number of the file behind which they stood (-1 for none) -> rows.

    Failures are not among them: of a file that is gone there is nothing to keep.
    """
    number = {file: n for n, file in enumerate(files)}
    strays: dict[int, list[Row]] = {}
    last: dict[str, Row] = {row.source: row for row in rows}
    behind = -1
    for row in rows:
        name = row.source
        while name and name not in number:  # table.xlsx#3 is of table.xlsx, set.zip/a.docx of set.zip
            name = name[: max(name.rfind("/"), name.rfind("#"), 0)]
        if name:
            behind = number[name]
        elif not row.failed and last[row.source] is row:
            strays.setdefault(behind, []).append(row)
    return strays


def _same_but_text(result: Result, article: Article) -> bool:
    return isinstance(result, TaggedArticle) and result.article == article._replace(text="")
