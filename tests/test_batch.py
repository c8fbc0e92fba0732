"""Batches: order, resuming after a cut anywhere, failures as rows, reprints, full disks, interrupts."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import policyclf.batch
import policyclf.journal
import policyclf.reprint
from policyclf.batch import run_id, tag_files
from policyclf.errors import ArticleError, EncodingError, OutputError, UsageError
from policyclf.journal import Failure, Journal, from_line, marked_line, to_line
from policyclf.outputs import read_results
from policyclf.records import Article, TaggedArticle
from policyclf.reprint import Reprints, fingerprint
from policyclf.tagger import Tagger, load

ROOT = Path(__file__).parent.parent

SENTENCES = [
    "临岚市推行企业开办一网通办，执照当天就能拿到手。",
    "全区设立十亿元产业扶持基金，对首次上市的企业给予补贴。",
    "对引进的博士发放安家补助，并解决子女入学。",
    "干部在改革中出现失误，符合条件的可以免责。",
    "新区管委会实行大部制，把二十个科室合并成七个。",
    "周末的河边集市上，居民们在挑选新鲜的莲藕。",
    "去年全市粮食总产量比上年略有增长。",
    "项目从签约到开工只用了四十天。",
    "银行为小微企业提供无抵押贷款，利率下调。",
    "初次轻微违法并及时改正的，不予处罚。",
]


def article(seed: int, n: int = 12) -> str:
    return "\n".join(f"{number}、{sentence}" for number, sentence in enumerate(random.Random(seed).choices(SENTENCES, k=n)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine inputs: articles, a table, an archive with a bad member, an empty file, bytes that are no text."""
    path = tmp_path / "in"
    path.mkdir()
    for number in range(5):
        (path / f"{number}.txt").write_text(article(number), encoding="gb18030" if number == 3 else "utf-8")
    (path / "5.txt").write_bytes(b"")
    (path / "6.txt").write_bytes(bytes(range(1, 256)) * 9)
    with (path / "7.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["标题", "正文", "日期"], *([f"题{n}", article(20 + n, 3), "2024-05-06"] for n in range(4))])
    with zipfile.ZipFile(path / "8.zip", "w") as archive:
        for name, text in (("甲.txt", article(30)), ("乙.docx", "不是文档"), ("丙.txt", article(31))):
            archive.writestr(name, text)
    return path


def lines(results: Iterator[Any]) -> list[str]:
    return [to_line(result) for result in results]


def test_results_come_in_order_with_a_row_for_each_failure(folder: Path, tagger: Tagger) -> None:
    results = list(tag_files(folder, tagger=tagger))
    sources = [os.path.relpath(r.source if isinstance(r, Failure) else r.article.source, folder) for r in results]
    rows = [f"7.csv#{n}" for n in range(2, 6)]
    assert sources == ["0.txt", "1.txt", "2.txt", "3.txt", "4.txt", "5.txt", "6.txt", *rows, "8.zip/甲.txt", "8.zip/乙.docx", "8.zip/丙.txt"]
    assert [s for s, r in zip(sources, results, strict=True) if isinstance(r, Failure)] == ["5.txt", "6.txt", "8.zip/乙.docx"]
    assert all(r.problem and r.run and r.model == tagger.model.id for r in results if isinstance(r, Failure))
    assert results[7].article.date == "2024-05-06"


def test_batch_equals_one_by_one(folder: Path, tagger: Tagger) -> None:
    for result in tag_files(folder, tagger=tagger, evidence=True):
        if isinstance(result, TaggedArticle):
            alone = tagger.tag(result.article, evidence=True)._replace(run=result.run, duplicate_of=result.duplicate_of)
            assert to_line(result) == to_line(alone)  # sums in another order differ in the last bits
            assert all(result.article.text[p.start : p.end] == p.text for p in result.passages)


def test_any_number_of_jobs_gives_the_same(folder: Path, tmp_path: Path, tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policyclf.workers.BATCH_FILES", 2)
    outputs = []
    for jobs in (1, -1):
        output = tmp_path / f"{jobs}.jsonl"
        results = list(tag_files(folder, tagger=tagger, output=output, jobs=jobs))
        assert results == list(read_results(output))
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]
    assert lines(tag_files(folder, tagger=tagger, jobs=2)) == lines(tag_files(folder, tagger=tagger))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, Tagger]:
    """Six small articles, two of them reprints, with a failure between; and the output of an unbroken run."""
    tagger = load(ROOT / "models" / "default")
    folder = tmp_path_factory.mktemp("unbroken")
    for number, text in enumerate([article(1), article(2, 2), "", article(1), "Ω" * 40, article(2, 2)]):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    output = folder.parent / "unbroken.jsonl"
    assert len(list(tag_files(folder, tagger=tagger, output=output))) == 6
    return folder, output.read_bytes(), tagger


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_resume_after_a_cut_at_any_byte(unbroken: tuple[Path, bytes, Tagger], tmp_path: Path, data: st.DataObject) -> None:
    folder, whole, tagger = unbroken
    output = tmp_path / "cut.jsonl"
    output.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    results = list(tag_files(folder, tagger=tagger, output=output))
    assert output.read_bytes() == whole
    assert results == list(read_results(output))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_resume_from_any_lines_in_any_order(unbroken: tuple[Path, bytes, Tagger], tmp_path: Path, data: st.DataObject) -> None:
    folder, whole, tagger = unbroken
    output = tmp_path / "mixed.jsonl"
    rows = whole.splitlines(keepends=True)
    output.write_bytes(b"".join(data.draw(st.lists(st.sampled_from(rows), max_size=8))))
    list(tag_files(folder, tagger=tagger, output=output))
    assert output.read_bytes() == whole


def test_a_finished_run_does_nothing_again(unbroken: tuple[Path, bytes, Tagger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, whole, tagger = unbroken
    output = tmp_path / "done.jsonl"
    output.write_bytes(whole)
    asked = []
    monkeypatch.setattr(type(tagger), "tag_all", lambda self, texts, **_: asked.extend(texts) or [])
    list(tag_files(folder, tagger=tagger, output=output))
    assert not asked
    assert output.read_bytes() == whole


def test_changed_new_and_gone_files(folder: Path, tmp_path: Path, tagger: Tagger) -> None:
    output, fresh = tmp_path / "out.jsonl", tmp_path / "fresh.jsonl"
    list(tag_files(folder, tagger=tagger, output=output))
    (folder / "1.txt").write_text(article(100), encoding="utf-8")
    (folder / "10.txt").write_text(article(101), encoding="utf-8")
    (folder / "5.txt").write_text(article(102), encoding="utf-8")
    with (folder / "7.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["标题", "正文", "日期"], *([f"题{n}", article(20 + n, 3), f"2024-05-0{n % 2 + 6}"] for n in range(3))])
    list(tag_files(folder, tagger=tagger, output=output))
    list(tag_files(folder, tagger=tagger, output=fresh))
    assert output.read_bytes() == fresh.read_bytes()
    # What is gone from the folder stays in the output, where it was; a failure does not.
    (folder / "0.txt").unlink()
    (folder / "3.txt").unlink()
    (folder / "6.txt").unlink()
    shutil.move(folder / "8.zip", tmp_path / "8.zip")
    list(tag_files(folder, tagger=tagger, output=output))
    kept = [line for line in fresh.read_text(encoding="utf-8").splitlines() if "6.txt" not in line and "乙" not in line]
    assert output.read_text(encoding="utf-8").splitlines() == kept


def test_a_reprint_is_marked_anew_when_the_first_is_gone(tmp_path: Path, tagger: Tagger) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.jsonl"
    folder.mkdir()
    for name in "bc":
        (folder / f"{name}.txt").write_text(article(5), encoding="utf-8")
    first = list(tag_files(folder, tagger=tagger, output=output))
    assert [r.duplicate_of for r in first] == ["", str(folder / "b.txt")]
    (folder / "a.txt").write_text(article(5), encoding="utf-8")
    second = list(tag_files(folder, tagger=tagger, output=output))
    assert [r.duplicate_of for r in second] == ["", str(folder / "a.txt"), str(folder / "a.txt")]
    assert second == list(read_results(output))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".xlsx", ".html"])
def test_tables_come_from_a_journal_and_take_up_new_files(folder: Path, tmp_path: Path, tagger: Tagger, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    journal = tmp_path / f".out{suffix}.journal.jsonl"
    run = tag_files(folder, tagger=tagger, output=output)
    next(run)
    run.close()
    assert journal.exists()
    assert not output.exists()
    assert len(list(tag_files(folder, tagger=tagger, output=output))) == 14
    assert output.stat().st_size > 1000
    whole = tmp_path / f"whole{suffix}"
    list(tag_files(folder, tagger=tagger, output=whole))
    if suffix in (".csv", ".parquet"):  # the others may say when they were made
        assert output.read_bytes() == whole.read_bytes()
    before = output.read_bytes()
    (folder / "9.txt").write_text(article(9), encoding="utf-8")
    assert len(list(tag_files(folder, tagger=tagger, output=output))) == 15
    assert output.read_bytes() != before
    # Somebody's work in a table is not overwritten.
    later = output.stat().st_mtime + 60
    os.utime(output, (later, later))
    with pytest.raises(OutputError, match="was changed"):
        tag_files(folder, tagger=tagger, output=output)
    journal.unlink()
    with pytest.raises(OutputError, match="not known"):
        tag_files(folder, tagger=tagger, output=output)
    assert len(list(tag_files(folder, tagger=tagger, output=output, overwrite=True))) == 15


def test_outputs_are_never_mixed(folder: Path, tmp_path: Path, tagger: Tagger) -> None:
    output = tmp_path / "out.jsonl"
    list(tag_files(folder, tagger=tagger, output=output))
    before = output.read_bytes()
    for options in ({"evidence": True}, {"encoding": "utf-8"}, {"tagger": Tagger(tagger.model, precision=0.99)}):
        with pytest.raises(OutputError, match="another model or other options") as raised:
            list(tag_files(folder, output=output, **{"tagger": tagger, **options}))
        assert "--overwrite" in raised.value.way_out
    output.write_text('{"id": "1", "text": "别的文件"}\n', encoding="utf-8")
    with pytest.raises(OutputError, match=r"out\.jsonl:1.*no line"):
        list(tag_files(folder, tagger=tagger, output=output))
    assert "别的文件" in output.read_text(encoding="utf-8")
    list(tag_files(folder, tagger=tagger, output=output, overwrite=True))
    assert output.read_bytes() == before


def test_wrong_usage(folder: Path, tmp_path: Path, tagger: Tagger) -> None:
    with pytest.raises(UsageError, match="unknown format"):
        tag_files(folder, tagger=tagger, output=tmp_path / "out.doc")
    with pytest.raises(UsageError, match="jobs"):
        tag_files(folder, tagger=tagger, jobs=0)
    with pytest.raises(ArticleError, match="no such file"):
        tag_files(tmp_path / "missing", tagger=tagger)
    with pytest.raises(OutputError, match="cannot be written"):
        list(tag_files(folder, tagger=tagger, output=tmp_path / "missing" / "out.jsonl"))
    with pytest.raises(UsageError, match="encoding"):
        list(tag_files(folder, tagger=tagger, encoding="no such"))
    assert run_id(tagger) != run_id(tagger, column="正文")


def test_the_output_is_no_input(folder: Path, tagger: Tagger) -> None:
    for _ in range(2):
        results = list(tag_files(folder, tagger=tagger, output=folder / "out.jsonl"))
        assert len(results) == 14


def test_progress(folder: Path, tmp_path: Path, tagger: Tagger) -> None:
    told: list[tuple[int, int, int, float]] = []
    results = list(tag_files(folder, tagger=tagger, output=tmp_path / "o.jsonl", progress=lambda *told_now: told.append(told_now)))
    assert told[-1][:3] == (9, 9, sum(len(r.passages) for r in results if isinstance(r, TaggedArticle)))
    assert [t[0] for t in told] == sorted(t[0] for t in told)
    assert all(t[3] >= 0 for t in told)


def test_files_that_vanish_change_or_cannot_be_read(folder: Path, tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    real = policyclf.workers.read_each

    def meddle(path: str, **options: Any) -> Iterator[Any]:
        if path.endswith("2.txt"):
            yield from real(path, **options)
            Path(path).write_text("正在写入的文件，读到一半又变了。" * 9, encoding="utf-8")
        elif path.endswith("0.txt"):
            yield ArticleError("cannot be read: Permission denied", place=path)
        else:
            yield from real(path, **options)

    monkeypatch.setattr("policyclf.workers.read_each", meddle)
    run = tag_files([folder / f"{n}.txt" for n in range(5)], tagger=tagger)
    (folder / "1.txt").unlink()
    results = list(run)
    assert [isinstance(r, Failure) for r in results] == [True, True, True, False, False]
    assert "No such file" in results[1].problem
    assert "changed" in results[2].problem
    assert "again" in results[2].way_out


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="an administrator may read every file")
def test_no_permission(folder: Path, tagger: Tagger) -> None:
    (folder / "0.txt").chmod(0)
    results = list(tag_files([folder / "0.txt", folder / "1.txt"], tagger=tagger))
    assert "ermission" in results[0].problem
    assert isinstance(results[1], TaggedArticle)


def test_zip_bomb_is_a_row(folder: Path, tagger: Tagger) -> None:
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"\xe6\x94\xbf" * (1 << 25))
    results = list(tag_files([folder / "bomb.zip", folder / "1.txt"], tagger=tagger))
    assert isinstance(results[0], Failure)
    assert "bomb" in results[0].problem
    assert isinstance(results[1], TaggedArticle)


def test_an_interrupt_leaves_a_journal_that_goes_on(unbroken: tuple[Path, bytes, Tagger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, whole, tagger = unbroken
    output = tmp_path / "out.jsonl"
    monkeypatch.setattr("policyclf.workers.BATCH_FILES", 1)
    count = 0
    real = os.write

    def interrupted(handle: int, data: memoryview) -> int:
        nonlocal count
        count += 1
        if count == 3:
            real(handle, data[: len(data) // 2])
            raise KeyboardInterrupt
        return real(handle, data)

    monkeypatch.setattr("policyclf.journal.os.write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(tag_files(folder, tagger=tagger, output=output))
    assert output.read_bytes() == b"".join(whole.splitlines(keepends=True)[:2])
    list(tag_files(folder, tagger=tagger, output=output))
    assert output.read_bytes() == whole


def test_a_full_disk_simulated(unbroken: tuple[Path, bytes, Tagger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, whole, tagger = unbroken
    output = tmp_path / "out.jsonl"
    room = len(whole) // 2
    real = os.write

    def little_by_little(handle: int, data: memoryview) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(28, "No space left on device")
        written = real(handle, data[: min(len(data), room, 1000)])
        room -= written
        return written

    monkeypatch.setattr("policyclf.workers.BATCH_FILES", 1)
    monkeypatch.setattr("policyclf.journal.os.write", little_by_little)
    with pytest.raises(OutputError, match="No space") as raised:
        list(tag_files(folder, tagger=tagger, output=output))
    assert "goes on" in raised.value.way_out
    assert whole.startswith(output.read_bytes())
    assert output.read_bytes().endswith(b"\n")
    monkeypatch.undo()
    list(tag_files(folder, tagger=tagger, output=output))
    assert output.read_bytes() == whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if not mount or subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(unbroken: tuple[Path, bytes, Tagger], small_disk: Path) -> None:
    folder, whole, tagger = unbroken
    (small_disk / "filler").write_bytes(bytes(56 << 10))
    output = small_disk / "out.jsonl"
    with pytest.raises(OutputError, match="No space"):
        list(tag_files(folder, tagger=tagger, output=output))
    (small_disk / "filler").unlink()
    list(tag_files(folder, tagger=tagger, output=output))
    assert output.read_bytes() == whole


def test_a_run_keeps_others_out(unbroken: tuple[Path, bytes, Tagger], tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="no file locks on this system")
    folder, whole, tagger = unbroken
    output = tmp_path / "out.jsonl"
    run = tag_files(folder, tagger=tagger, output=output)
    next(run)
    with pytest.raises(OutputError, match="another run"):
        next(tag_files(folder, tagger=tagger, output=output))
    list(run)
    assert output.read_bytes() == whole


class Fragile(Tagger):
    """Ends its process at the sight of one article, as a library's crash would."""

    def tag_all(self, texts: Any, *, evidence: bool = False) -> list[TaggedArticle]:
        if any("临岚市" in text.text and len(text.text) < 60 for text in texts):
            os._exit(9)
        return super().tag_all(texts, evidence=evidence)


def test_a_file_that_kills_its_process_is_a_row(folder: Path, tmp_path: Path, tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policyclf.workers.BATCH_FILES", 2)
    (folder / "4.txt").write_text(SENTENCES[0], encoding="utf-8")
    results = list(tag_files(sorted(folder.glob("*.txt")), tagger=Fragile(tagger.model), output=tmp_path / "out.jsonl", jobs=2))
    assert [isinstance(r, Failure) for r in results] == [False] * 4 + [True] * 3
    assert "ended the process" in results[4].problem


class Stillborn(Tagger):
    def __setstate__(self, state: dict[str, Any]) -> None:
        os._exit(9)


def test_workers_that_cannot_start_stop_the_run(folder: Path, tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policyclf.workers.BATCH_FILES", 1)
    with pytest.raises(UsageError, match="die as they start"):
        list(tag_files(folder, tagger=Stillborn(tagger.model), jobs=2))


PROGRAM = """
import sys
from policyclf import batch, tagger, workers
workers.BATCH_FILES = 2
for _ in batch.tag_files(sys.argv[1], tagger=tagger.load(sys.argv[3]), output=sys.argv[2], jobs=int(sys.argv[4])):
    print(flush=True)
"""


def start(folder: Path, output: Path, jobs: int = 1) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM, str(folder), str(output), str(ROOT / "models" / "default"), str(jobs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})


def wait_for_rows(process: subprocess.Popen[bytes], n: int) -> None:
    assert process.stdout
    for _ in range(n):
        process.stdout.readline()


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT] if os.name == "posix" else [signal.SIGTERM])
def test_killed_and_resumed(tmp_path: Path, tagger: Tagger, stop: signal.Signals) -> None:
    folder, output, whole = tmp_path / "in", tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number:03}.txt").write_text(article(number), encoding="utf-8")
    list(tag_files(folder, tagger=tagger, output=whole))
    for rows in (1, 17):
        with start(folder, output, jobs=1 if rows == 1 else 2) as process:
            wait_for_rows(process, rows)
            process.send_signal(stop)
            assert process.wait(30) != 0
        text = output.read_bytes()
        assert text[: text.rfind(b"\n") + 1] == whole.read_bytes()[: text.rfind(b"\n") + 1]
    list(tag_files(folder, tagger=tagger, output=output))
    assert output.read_bytes() == whole.read_bytes()


def test_giant_line_and_table_stream(tmp_path: Path, tagger: Tagger) -> None:
    (tmp_path / "long.txt").write_text("推行秒批" * 200_000, encoding="utf-8")
    with (tmp_path / "many.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([SENTENCES[n % 10]] for n in range(3000))])
    run = tag_files([tmp_path / "many.csv", tmp_path / "long.txt"], tagger=tagger, output=tmp_path / "out.jsonl")
    assert next(run).article.source.endswith("#2")
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") < 100  # the rest of the table has not been tagged yet
    assert len(list(run)) == 3000


# Journal


def test_lines_come_back_as_they_were(tagger: Tagger) -> None:
    result = tagger.tag(Article("对首次上市的企业给予补贴。\n设立人才公寓。", source='怪"名\udc80.txt'), evidence=True)
    line = to_line(result)
    assert to_line(from_line(line)) == line
    marked = marked_line(line, '甲"\udc80')
    assert from_line(marked).duplicate_of == '甲"\udc80'
    assert to_line(from_line(marked)) == marked
    failure = Failure.of("a", EncodingError("x", place="a", way_out="y"), model="m", run="r")
    assert from_line(to_line(failure)) == failure
    assert json.loads(to_line(failure))["error"]["kind"] == "EncodingError"


def test_journal_syncs_and_closes_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policyclf.journal, "_SYNC_SECONDS", -1.0)
    journal = Journal(tmp_path / "j.jsonl", "run")
    starts = journal.append(['{"a":1}', '{"b":"乙\ud800"}'])
    assert [journal.line(start) for start in starts] == ['{"a":1}', '{"b":"乙\\ud800"}']
    assert journal.append([]) == []
    journal.reorder(reversed(starts))
    journal.close()
    assert (tmp_path / "j.jsonl").read_text(encoding="utf-8").startswith('{"b"')
    with pytest.raises(OutputError, match="directory"):
        Journal(tmp_path, "run")


# Reprints


def test_reprints_are_found_and_others_not() -> None:
    base = [SENTENCES[n % 10] + f"这是第{n}项安排，由牵头单位{n * 7}负责。" for n in range(30)]
    seen = Reprints()
    assert seen.first("a", fingerprint(base)) == ""
    assert seen.first("b", fingerprint(["  ".join(p) for p in base])) == "a"
    assert seen.first("c", fingerprint(["本报讯 记者报道", *base[:28], "责任编辑：某某"])) == "a"
    assert seen.first("d", fingerprint(base[15:])) == ""
    assert seen.first("e", fingerprint(["今天讲的是另外一件事，和前面的文章没有关系，只是篇幅也不短而已。" * 5])) == ""
    assert seen.first("f", fingerprint(["短句。"])) == ""
    assert seen.first("g", fingerprint(["短句。"])) == "f"
    assert seen.first("h", fingerprint([])) == seen.first("i", fingerprint([])) == ""


def test_reprints_forget_the_oldest_and_crowds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policyclf.reprint, "REMEMBERED", 40)
    monkeypatch.setattr(policyclf.reprint, "CROWDED", 3)
    monkeypatch.setattr(policyclf.reprint, "ALIKE", 1.1)
    common = "".join(f"{n}{SENTENCES[n % 10]}{n * n}" for n in range(60))  # all texts share most bands
    texts = [[common + "".join(random.Random(n).choices("甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉", k=150))] for n in range(100)]
    seen = Reprints()
    assert {seen.first(str(n), fingerprint(text)) for n, text in enumerate(texts)} == {""}
    assert seen.first("again", fingerprint(texts[99])) == "99"
    assert seen.first("long ago", fingerprint(texts[0])) == ""
    assert len(seen._old.sources) == 40
    assert sum(map(bool, seen._old._slots)) < 400  # not every article stands behind every band


def test_threads_may_run_batches_side_by_side(folder: Path, tagger: Tagger) -> None:
    expected, found = lines(tag_files(folder, tagger=tagger)), []
    threads = [threading.Thread(target=lambda: found.append(lines(tag_files(folder, tagger=tagger)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 3
