"""Read and tag batches of files, in this process or in several, and hand back the results in order.

Processes, not threads: the readers of docx, html and pdf hold Python's lock (pdfium allows no threads at all), and so do
the objects and lines of results. Measured with two, texts and docx: threads 0.9 times the speed of one, processes up to 1.5
times once they have started, which takes a second. joblib's loky starts them, for it needs no guard in the caller's main module
and sees when one dies. Its executor is used rather than ``joblib.Parallel``, whose generator reads ahead without bound when
results are taken more slowly than they are made; here a few batches a process are under way at most.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from policyclf.article import read_each
from policyclf.errors import ArticleError, UsageError
from policyclf.journal import Failure, to_line
from policyclf.records import Article, NamedTuple, TaggedArticle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any

    from policyclf.reprint import Fingerprint
    from policyclf.tagger import Tagger

BATCH_BYTES = 1 << 18  # some 50 articles: the way to another process is little beside the work, and the results are a few megabytes
BATCH_FILES = 64
_AHEAD = 3  # batches a process: one at work, one waiting for it, one waiting to be taken

_worker: Worker | None = None  # in a worker process


class Task(NamedTuple):
    """One thing to do in its turn: read and tag a file, tag an article, pass on a failure or a row of the journal."""

    file: int
    source: str
    known: tuple[str, ...] = ()  # SHA-256 of contents that the journal holds results of
    article: Article | None = None
    failure: Failure | None = None
    kept: str = ""  # the SHA-256 under which the journal holds it

    @property
    def size(self) -> int:
        """About how many bytes are to be read."""
        if self.article:
            return len(self.article.text)
        try:
            return os.stat(self.source).st_size if not self.failure else 0
        except OSError:  # it has vanished, and reading it will say so
            return 0


class Made(NamedTuple):
    """What came of a task: a result, or its line where there is a journal, or nothing where the journal has it already."""

    file: int
    source: str
    sha256: str
    result: TaggedArticle | Failure | None = None
    line: str = ""
    seen: Fingerprint | None = None


class Worker:
    """Reads and tags batches of tasks. Pickles, and is sent to each process once."""

    def __init__(self, tagger: Tagger, *, run: str, evidence: bool, encoding: str | None, column: str | None, as_lines: bool, fingerprints: bool) -> None:
        self.tagger = tagger
        self.run = run
        self.evidence = evidence
        self.encoding = encoding
        self.column = column
        self.as_lines = as_lines
        self.fingerprints = fingerprints

    def __call__(self, tasks: Sequence[Task]) -> list[Made]:
        """Return what came of the tasks, in order. All their articles go through the scorer in one call."""
        found = [(task, item) for task in tasks for item in self._items(task)]
        tagged = iter(self.tagger.tag_all([item for _, item in found if isinstance(item, Article)], evidence=self.evidence))
        made = []
        for task, item in found:
            if isinstance(item, str):
                made.append(Made(task.file, task.source, item))
                continue
            result = next(tagged)._replace(run=self.run) if isinstance(item, Article) else item
            made.append(self._made(task, result))
        return made

    def failure(self, source: str, error: ArticleError, sha256: str = "") -> Failure:
        """Return the row for something that could not be read."""
        return Failure.of(error.place or source, error, sha256=sha256, model=self.tagger.model.id, run=self.run)

    def lost(self, task: Task) -> list[Made]:
        """Return the row for a task that killed the process that worked on it."""
        error = ArticleError("reading or tagging it ended the process", way_out="it may be damaged, an attack, or too large for the memory")
        return [self._made(task, self.failure(task.source, error))]

    def read(self, path: str) -> Iterator[Article | ArticleError]:
        """Yield the articles of a file and its errors; a last error where the file changed meanwhile."""
        before = _state(path)
        yield from read_each(path, encoding=self.encoding, column=self.column)
        if _state(path) != before:
            yield ArticleError("changed while it was read", place=path, way_out="run the same command again when it is complete")

    def _items(self, task: Task) -> Iterator[Article | Failure | str]:
        """Yield what is to be tagged, failures, and the SHA-256 of what the journal holds."""
        if task.kept or task.article or task.failure:
            yield task.kept or task.article or task.failure  # type: ignore[misc]
            return
        if task.known and (sha256 := _sha256(task.source)) in task.known:
            yield sha256
            return
        items = list(self.read(task.source))
        changed = [item for item in items[-1:] if isinstance(item, ArticleError)]
        for item in changed or items:  # half a file is no article
            yield self.failure(task.source, item) if isinstance(item, ArticleError) else item

    def _made(self, task: Task, result: TaggedArticle | Failure) -> Made:
        seen = None
        if isinstance(result, Failure):
            source, sha256 = result.source, result.sha256
        else:
            source, sha256 = result.article.source, result.article.sha256
            if self.fingerprints:
                seen = fingerprint_of(result)
        if self.as_lines:
            return Made(task.file, source, sha256, None, to_line(result), seen)
        return Made(task.file, source, sha256, result, "", seen)


def fingerprint_of(result: TaggedArticle) -> Fingerprint | None:
    """Return what an article is known by, see :mod:`policyclf.reprint`."""
    from policyclf.reprint import fingerprint

    return fingerprint([passage.text for passage in result.passages])


def _state(path: str) -> tuple[int, int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:  # reading it as an article will say what is wrong
        return ""
    return digest.hexdigest()


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    """Group tasks: small files together, so that a batch is worth its way to another process, large ones alone."""
    batch: list[Task] = []
    size = 0
    for task in tasks:
        own = task.size
        if batch and (size + own > BATCH_BYTES or len(batch) == BATCH_FILES):
            yield batch
            batch, size = [], 0
        batch.append(task)
        size += own
    if batch:
        yield batch


def in_order(worker: Worker, tasks: Iterable[Task], jobs: int) -> Iterator[list[Made]]:
    """Yield what comes of the tasks, in order, batch by batch. One batch alone, or one job, is done in this process."""
    batches = _batches(tasks)
    first = list(islice(batches, 2)) if jobs != 1 else []
    batches = chain(first, batches)
    if jobs == 1 or len(first) < 2:
        yield from map(worker, batches)
        return
    import joblib

    jobs = joblib.cpu_count() if jobs == -1 else jobs
    pool = _Pool(worker, jobs)
    waiting: deque[tuple[list[Task], Future[list[Made]] | None]] = deque()
    try:
        for batch in batches:
            waiting.append((batch, pool.submit(batch)))
            if len(waiting) >= _AHEAD * jobs:
                yield pool.take(waiting)
        while waiting:
            yield pool.take(waiting)
    finally:
        pool.stop()


class _Pool:
    """Worker processes that are started again when one dies."""

    def __init__(self, worker: Worker, jobs: int) -> None:
        from concurrent.futures.process import BrokenProcessPool

        self._worker = worker
        self._jobs = jobs
        self._broken = BrokenProcessPool
        self._executor = self._start()

    def _start(self) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        return ProcessPoolExecutor(self._jobs, initializer=_begin, initargs=(self._worker,))

    def stop(self) -> None:
        """End the processes, whatever they are at."""
        self._executor.shutdown(wait=True, kill_workers=True)

    def submit(self, batch: list[Task]) -> Future[list[Made]] | None:
        """Have a batch done; None where the processes are broken, which :meth:`take` mends."""
        try:
            future: Future[list[Made]] = self._executor.submit(_work, batch)
        except self._broken:
            return None
        return future

    def take(self, waiting: deque[tuple[list[Task], Future[list[Made]] | None]]) -> list[Made]:
        """Return what came of the first batch that waits.

        Where a process died, all that wait are given to new processes, and the first batch task by task: what a process
        dies of again becomes a failure of its own.
        """
        batch, future = waiting.popleft()
        try:
            if future is not None:
                return future.result()
        except self._broken:
            pass
        made: list[Made] = []
        self._restart()
        for task in batch:
            try:
                made += self._executor.submit(_work, [task]).result()
            except self._broken:
                self._restart()
                made += self._worker.lost(task)
        again = [(later, self.submit(later)) for later, _ in waiting]
        waiting.clear()
        waiting.extend(again)
        return made

    def _restart(self) -> None:
        self.stop()
        self._executor = self._start()
        try:
            self._executor.submit(_work, []).result()
        except self._broken as error:
            raise UsageError("worker processes die as they start", place="jobs", way_out="use --jobs 1") from error


def _begin(worker: Worker) -> None:
    import signal
    import threading

    global _worker  # noqa: PLW0603 -- a process has one worker, and functions sent to it reach nothing else
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C goes to every process of a terminal; the parent ends its own
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    _worker = worker


def _leave_with(parent: int) -> None:
    """End this process when its parent is gone: one that was killed could not end it. Windows keeps the number; there it waits."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _work(batch: list[Task]) -> list[Made]:
    assert _worker is not None
    return _worker(batch)
