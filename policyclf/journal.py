"""Tagged articles as JSON lines, and back: one line an article, or an error in its place.

The line is all that the other outputs are made from, so a run can be cut off, resumed and turned into any table.
:class:`Journal` is the file of such lines that a run leaves behind at every moment.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from policyclf.errors import OutputError, PolicyclfError
from policyclf.records import Article, Evidence, NamedTuple, Tag, TaggedArticle, TaggedPassage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FIELDS = ("source", "sha256", "format", "encoding", "title", "date", "place", "publisher")
_SYNC_SECONDS = 5.0  # a power cut costs so much work at most; syncing every batch would cost more than tagging it


class Failure(NamedTuple):
    """An article that could not be tagged: where it is, what is wrong and what to do about it."""

    source: str
    problem: str
    way_out: str = ""
    kind: str = "ArticleError"
    sha256: str = ""
    model: str = ""
    run: str = ""

    @classmethod
    def of(cls, source: str, error: PolicyclfError, *, sha256: str = "", model: str = "", run: str = "") -> Failure:
        """Make a failure of an error of this library."""
        return cls(source, error.problem, error.way_out, type(error).__name__, sha256, model, run)


def to_line(result: TaggedArticle | Failure) -> str:
    """Return one line of JSON, without the line break, Chinese as Chinese."""
    return json.dumps(to_record(result), ensure_ascii=False, separators=(",", ":"))


def to_record(result: TaggedArticle | Failure) -> dict[str, Any]:
    """Return a result as plain dicts and lists; probabilities have four decimals, evidence is left out where there is none."""
    if isinstance(result, Failure):
        error = {"kind": result.kind, "problem": result.problem, "way_out": result.way_out}
        return {"source": result.source, "sha256": result.sha256, "model": result.model, "run": result.run, "error": error}
    record: dict[str, Any] = {name: getattr(result.article, name) for name in _FIELDS}
    record["model"] = result.model
    record["run"] = result.run
    record["categories"] = list(result.categories)
    record["passages"] = [_passage_record(passage) for passage in result.passages]
    if result.duplicate_of:
        record["duplicate_of"] = result.duplicate_of  # stands last, see marked_line
    return record


def marked_line(line: str, duplicate_of: str) -> str:
    """Return a line that has no ``duplicate_of`` with one, without the cost of reading the line."""
    return f'{line[:-1]},"duplicate_of":{json.dumps(duplicate_of, ensure_ascii=False)}}}'


def from_line(line: str, place: str = "") -> TaggedArticle | Failure:
    """Return the result that a line holds; the article's text is not in it and comes back empty.

    Raises :class:`OutputError` for a line that is none.
    """
    try:
        return from_record(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError("is no line that `policyclf tag` wrote", place=place, way_out="name a JSONL file made by `policyclf tag`") from error


def from_record(record: dict[str, Any]) -> TaggedArticle | Failure:
    """Return the result of a record made by :func:`to_record`."""
    if "error" in record:
        error = record["error"]
        return Failure(record["source"], error["problem"], error["way_out"], error["kind"], record["sha256"], record["model"], record.get("run", ""))
    article = Article("", **{name: record[name] for name in _FIELDS})
    passages = tuple(_passage(entry) for entry in record["passages"])
    return TaggedArticle(article, passages, tuple(record["categories"]), record["model"], record.get("run", ""), record.get("duplicate_of", ""))


def _passage_record(passage: TaggedPassage) -> dict[str, Any]:
    return {
        "unit": "-".join(map(str, passage.unit)),
        "start": passage.start,
        "end": passage.end,
        "heading": passage.heading,
        "text": passage.text,
        "tags": [_tag_record(tag) for tag in passage.tags],
        "probabilities": [round(value, 4) for value in passage.probabilities],
    }


def _tag_record(tag: Tag) -> dict[str, Any]:
    record: dict[str, Any] = {"category": tag.category, "probability": round(tag.probability, 4)}
    if tag.evidence:
        record["evidence"] = [{"text": e.text, "start": e.start, "end": e.end, "contribution": round(e.contribution, 3)} for e in tag.evidence]
    return record


def _passage(entry: dict[str, Any]) -> TaggedPassage:
    tags = tuple(Tag(tag["category"], tag["probability"], tuple(Evidence(**word) for word in tag.get("evidence", ()))) for tag in entry["tags"])
    paragraph, sentence = entry["unit"].split("-")
    return TaggedPassage(entry["start"], entry["end"], entry["text"], tags, tuple(entry["probabilities"]), (int(paragraph), int(sentence)), entry["heading"])


class Row(NamedTuple):
    """Where a line of a journal begins, and what it is about; ``failed`` where it is a :class:`Failure`."""

    offset: int
    source: str
    sha256: str
    failed: bool


class Journal:
    """A file of results that grows line by line, whole after every :meth:`append`, and can be gone on with after a crash.

    Opening an existing file cuts off a torn last line and reads where each line begins (``rows``, in the order of the
    file). Another process that has the same journal open is kept out where the system can do so.

    Raises :class:`OutputError` for a file with any line that no run wrote, or that another ``run`` (another model or other
    options) wrote; with ``overwrite`` the file begins anew instead. Every method raises it when writing fails, with all
    lines of former calls safe in the file.
    """

    def __init__(self, path: str | Path, run: str, *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.rows: list[Row] = []
        self.n_lines = 0
        try:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._lock()
            if overwrite:
                os.ftruncate(self._handle, 0)
            self._reader = open(self.path, "rb")  # noqa: SIM115 -- closed by close()
        except BaseException:
            os.close(self._handle)
            raise
        self._synced = time.monotonic()
        try:
            self._end = self._read(run)
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows has no such lock; there the user has to see to it
            return
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):  # other errors: a file system without locks
                raise OutputError("another run is writing it", place=str(self.path), way_out="wait for it, or name another output") from error

    def _read(self, run: str) -> int:
        end = 0
        for number, line in enumerate(self._reader, 1):
            if not line.endswith(b"\n"):
                break
            place = f"{self.path}:{number}"
            try:
                record = json.loads(line)
                source, sha256, found, failed = record["source"], record["sha256"], record["run"], "error" in record
            except (ValueError, KeyError, TypeError) as error:
                way_out = "name another output, or write this one anew with --overwrite"
                raise OutputError("is no line that `policyclf tag` wrote", place=place, way_out=way_out) from error
            if found != run:
                raise OutputError(
                    "holds results of another model or other options", place=place, way_out="name another output, or write this one anew with --overwrite"
                )
            self.rows.append(Row(end, source, sha256, failed))
            end += len(line)
        os.ftruncate(self._handle, end)
        self.n_lines = len(self.rows)
        return end

    def append(self, lines: Sequence[str]) -> list[int]:
        """Write lines at the end and return where each begins."""
        encoded = [encode(line) for line in lines]
        starts = []
        end = self._end
        for piece in encoded:
            starts.append(end)
            end += len(piece)
        data = memoryview(b"".join(encoded))
        try:
            os.lseek(self._handle, self._end, os.SEEK_SET)
            while data:
                data = data[os.write(self._handle, data) :]
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                self.sync()
        except BaseException as error:  # an interrupt as well must not leave half a line in the middle
            os.ftruncate(self._handle, self._end)
            if isinstance(error, OSError):
                raise self._failed(error) from error
            raise
        self._end = end
        self.n_lines += len(lines)
        return starts

    def line(self, offset: int) -> str:
        """Return the line that begins at an offset, without its line break."""
        self._reader.seek(offset)
        return self._reader.readline()[:-1].decode()

    def sync(self) -> None:
        """Have everything on the disk."""
        os.fsync(self._handle)
        self._synced = time.monotonic()

    def reorder(self, offsets: Iterable[int]) -> None:
        """Replace the file by its lines at these offsets, in this order; closes the journal."""
        draft = self.path.with_name(f".{self.path.name}.part")
        try:
            with open(draft, "wb") as file:
                for offset in offsets:
                    self._reader.seek(offset)
                    file.write(self._reader.readline())
                file.flush()
                os.fsync(file.fileno())
            self.close()  # an open file cannot be replaced on Windows
            os.replace(draft, self.path)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            draft.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if not self._reader.closed:
            self._reader.close()
            os.close(self._handle)

    def _failed(self, error: OSError) -> OutputError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        way_out = "make room and run the same command again: it goes on where it stopped" if full else "write to another place"
        return OutputError(f"cannot be written: {error.strerror}", place=str(self.path), way_out=way_out)


def encode(line: str) -> bytes:
    """Return the bytes of a line with its line break; a lone surrogate becomes JSON's own escape for it."""
    return (line + "\n").encode("utf-8", "backslashreplace")
