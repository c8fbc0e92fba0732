"""Do batches in several processes and hand back the results in order, whatever becomes of a process.

Processes, not threads: the readers of docx, html and pdf hold Python's lock (pdfium allows no threads at all), and so do
the objects and lines of results; only the scoring itself would gain. joblib's loky starts them, for it needs no guard in
the caller's main module and sees when one dies. Its executor is used rather than ``joblib.Parallel``, whose generator reads ahead
without bound when results are taken more slowly than they are made; here a few batches a process are under way at most.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from policyclf.errors import UsageError

if TYPE_CHECKING:
    from policyclf.batch import Made, Worker, _Task

BATCH_BYTES = 1 << 18  # about 100 articles: half a second of one process at most, and a few megabytes of results
BATCH_FILES = 64
_AHEAD = 3  # batches a process: one at work, one waiting for it, one waiting to be taken

_worker: Worker | None = None  # in a worker process


def in_order(worker: Worker, batches: Iterable[list[_Task]], jobs: int) -> Iterator[list[Made]]:
    """Yield what comes of each batch, in order. One batch alone, or one job, is done in this process."""
    batches = iter(batches)
    first = list(islice(batches, 2)) if jobs != 1 else []
    batches = chain(first, batches)
    if jobs == 1 or len(first) < 2:
        yield from map(worker, batches)
        return
    import joblib

    jobs = joblib.cpu_count() if jobs == -1 else jobs
    pool = _Pool(worker, jobs)
    waiting: deque[tuple[list[_Task], Future[list[Made]] | None]] = deque()
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
        self._worker = worker
        self._jobs = jobs
        self._executor = self._start()

    def _start(self) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        return ProcessPoolExecutor(self._jobs, initializer=_begin, initargs=(self._worker,))

    def stop(self) -> None:
        """End the processes, whatever they are at."""
        self._executor.shutdown(wait=True, kill_workers=True)

    def submit(self, batch: list[_Task]) -> Future[list[Made]] | None:
        """Have a batch done; None where the processes are broken, which :meth:`take` mends."""
        try:
            future: Future[list[Made]] = self._executor.submit(_work, batch)
        except BrokenProcessPool:
            return None
        return future

    def take(self, waiting: deque[tuple[list[_Task], Future[list[Made]] | None]]) -> list[Made]:
        """Return what came of the first batch that waits.

        Where a process died, all that wait are given to new processes, and the first batch task by task: what a process
        dies of again becomes a failure of its own.
        """
        batch, future = waiting.popleft()
        try:
            if future is not None:
                return future.result()
        except BrokenProcessPool:
            pass
        made: list[Made] = []
        self._restart()
        for task in batch:
            try:
                made += self._executor.submit(_work, [task]).result()
            except BrokenProcessPool:
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
        except BrokenProcessPool as error:
            raise UsageError("worker processes die as they start", place="jobs", way_out="use --jobs 1") from error


def _begin(worker: Worker) -> None:
    global _worker  # noqa: PLW0603 -- a process has one worker, and functions sent to it reach nothing else
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C goes to every process of a terminal; the parent ends its own
    _worker = worker


def _work(batch: list[_Task]) -> list[Made]:
    assert _worker is not None
    return _worker(batch)
