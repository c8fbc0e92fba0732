"""The command line as a user meets it: what it prints, where, and how it ends."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from policyclf import cli, terminal
from policyclf.journal import Failure
from policyclf.labels import label_files
from policyclf.tagger import Tagger

ARTICLES = Path(__file__).parent / "articles"
DEMO = ARTICLES / "demo.txt"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        status = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return call


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


@pytest.fixture
def labelled(write_jsonl: Callable[..., Path]) -> Path:
    """The first documents of a bundled file, as somebody's own labels."""
    return write_jsonl(label_files()[1].read_text(encoding="utf-8").splitlines()[:300])


def test_tag_into_a_pipe_writes_lines_of_json_with_chinese_as_chinese(run: Run) -> None:
    status, out, err = run("tag", DEMO)
    assert (status, err) == (0, "")
    record = json.loads(out)
    assert "管委会" in out
    assert record["publisher"] == "临岚日报"
    tags = {tag["category"] for passage in record["passages"] for tag in passage["tags"]}
    assert tags == set(record["categories"])
    assert "evidence" not in out


def test_tag_with_evidence(run: Run) -> None:
    _, out, _ = run("tag", "--evidence", DEMO)
    words = [word for p in json.loads(out)["passages"] for tag in p["tags"] for word in tag["evidence"]]
    assert any("免责" in word["text"] for word in words)


def test_tag_stdin(run: Run, stdin: Callable[[bytes], None]) -> None:
    stdin("推行并联审批，企业开办半天办结。".encode("gb18030"))
    status, out, _ = run("tag", "-")
    assert status == 0
    assert json.loads(out)["encoding"] == "gb18030"
    stdin(b"\x89PNG\r\n\x1a\n\0\0\0")
    status, out, err = run("tag", "-")
    assert status == 1
    assert "stdin" in err
    assert json.loads(out)["error"]


def test_tag_stdin_into_a_file(run: Run, stdin: Callable[[bytes], None], tmp_path: Path) -> None:
    stdin("推行并联审批。".encode())
    status, out, err = run("tag", "-", "-o", tmp_path / "out.csv")
    assert (status, out) == (0, "")
    assert "1 articles, 1 passages, 1 of them tagged" in err
    assert "并联审批" in (tmp_path / "out.csv").read_text(encoding="utf-8-sig")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "xlsx", "parquet", "html"])
def test_tag_a_folder_into_a_file(run: Run, tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_bytes(DEMO.read_bytes())
    (folder / "b.txt").write_bytes("对首次轻微违法的不予处罚。".encode("gbk"))
    (folder / "empty.txt").write_bytes(b"")
    target = tmp_path / f"out.{suffix}"
    status, out, err = run("tag", folder, "-o", target)
    assert (status, out) == (1, "")
    assert "empty.txt" in err
    assert "2 articles" in err
    assert "1 inputs failed" in err
    before = target.read_bytes()
    status, _, _ = run("tag", folder, "-o", target)  # finished: nothing to do but to try the failure again
    assert status == 1
    if suffix in ("jsonl", "csv", "html"):
        assert target.read_bytes() == before


def test_another_run_is_not_mixed_in(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    assert run("tag", DEMO, "-o", target)[0] == 0
    status, _, err = run("tag", DEMO, "-o", target, "--precision", "0.95")
    assert status == 2
    assert "--overwrite" in err
    assert run("tag", DEMO, "-o", target, "--precision", "0.95", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("tag", "none.txt"), "none.txt"),
        (("tag", DEMO, "--model", "nowhere"), "no such model folder"),
        (("tag", DEMO, "--precision", "2"), "out of range"),
        (("tag", DEMO, "-o", "out.doc"), "unknown format"),
        (("tag", DEMO, "--encoding", "klingon"), "klingon"),
        (("evaluate", "none.jsonl"), "cannot be read"),
        (("explain", "。"), "no sentence"),
        (("explain", "好。", "--category", "没有"), "unknown category"),
        (("info", "nowhere"), "no such model folder"),
        (("train", "none.jsonl", "-o", "m"), "cannot be read"),
        (("agreement", "a.jsonl", "b.jsonl"), "cannot be read"),
        (("convert", "a.jsonl", "b.jsonl", "--from", "klingon"), "klingon"),
    ],
)
def test_wrong_use_ends_with_two_and_says_why(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[object, ...], problem: str) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert problem in err
    assert err.startswith("policyclf: ")


def test_bad_labels_name_file_and_line(run: Run, write_jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path = write_jsonl([{"id": "a", "document": "a", "text": "好。", "labels": ["没有"]}])
    for command in (("evaluate", path), ("train", path, "-o", tmp_path / "model")):
        status, _, err = run(*command)
        assert status == 2
        assert f"{path}:1: unknown category '没有'" in err
    assert not (tmp_path / "model").exists()


def test_unknown_command_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status in ((["nonsense"], 2), ([], 2), (["--help"], 0), (["tag", "--help"], 0), (["--version"], 0)):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == status
    assert "policyclf 0." in capsys.readouterr().out


def test_train_evaluate_info_and_tag_with_ones_own_model(run: Run, labelled: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    status, out, err = run("train", labelled, "-o", model, "--seed", 3)
    assert status == 0
    assert "macro" in out
    assert "model written" in err
    facts = json.loads(run("info", model, "--json")[1])
    assert facts["seed"] == 3
    assert facts["n_passages"] == 300
    assert "files, SHA-256" in run("info", model)[1]
    status, out, _ = run("evaluate", labelled, "--model", model, "--json")
    figures = json.loads(out)
    assert status == 0
    assert {"macro_f1", "micro_f1", "categories", "n"} <= set(figures)
    assert {"precision", "recall", "f1", "support", "threshold"} <= set(figures["categories"]["人才"])
    assert "macro" in run("evaluate", labelled, "--model", model)[1]
    assert run("tag", DEMO, "--model", model)[0] == 0


def test_train_with_ones_own_categories(run: Run, write_jsonl: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "categories.json").write_text('[{"name": "交通"}, {"name": "生态"}]', encoding="utf-8")
    acts = (("修路架桥。", ["交通"]), ("植树造林。", ["生态"]), ("开了大会。", []))
    rows = [{"id": f"{d}-{i}", "document": f"d{d}", "text": f"第{d}镇{act}", "labels": labels} for d in range(12) for i, (act, labels) in enumerate(acts)]
    path = write_jsonl(rows)
    arguments = ("train", path, "-o", tmp_path / "model", "--categories", tmp_path / "categories.json", "--lexicon", "none")
    assert run(*arguments)[0] == 0
    (tmp_path / "a.txt").write_text("我们修路架桥。", encoding="utf-8")
    record = json.loads(run("tag", tmp_path / "a.txt", "--model", tmp_path / "model")[1])
    assert [tag["category"] for tag in record["passages"][0]["tags"]] == ["交通"]


def test_review_and_train_with_the_reviewed_sheet(run: Run, labelled: Path, tmp_path: Path) -> None:
    import openpyxl

    sheet = tmp_path / "review.xlsx"
    status, _, err = run("review", DEMO, "-o", sheet, "-n", 5)
    assert status == 0
    assert "passages to review" in err
    book = openpyxl.load_workbook(sheet)
    page = next(page for page in book if any("无" in [cell.value for cell in row] for row in page.iter_rows(max_row=3)))
    header = next(row for row in page.iter_rows(max_row=3) if "无" in [cell.value for cell in row])
    column = next(cell.column for cell in header if cell.value == "无")
    for row in range(header[0].row + 1, page.max_row + 1):
        page.cell(row, column, 1)
    book.save(sheet)
    status, _, err = run("train", labelled, "-o", tmp_path / "model", "--reviewed", sheet)
    assert status == 0
    assert "5 reviewed passages" in err
    assert json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))["n_passages"] == 305


def test_explain(run: Run, stdin: Callable[[bytes], None]) -> None:
    status, out, _ = run("explain", "首次轻微违法的，只提醒、不罚款。今天天气很好。")
    assert status == 0
    assert "容错纠错" in out
    assert "截距" in out
    assert out.count("决策值") == 2
    stdin("引进博士三名。".encode())
    assert "人才" in run("explain", "-", "--category", "人才")[1]


def test_agreement(run: Run, labelled: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    rows = [json.loads(line) for line in labelled.read_text(encoding="utf-8").splitlines()]
    for row in rows[:20]:
        row["labels"] = []
    other.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    status, out, _ = run("agreement", labelled, other)
    assert status == 0
    assert "两份编码覆盖" in out
    assert "Two codings covered 300 units" in out
    report = json.loads(run("agreement", labelled, other, "--json")[1])
    assert 0 < report["mean"]["kappa"] < 1


def test_convert_there_and_back(run: Run, labelled: Path, tmp_path: Path) -> None:
    assert run("convert", labelled, tmp_path / "d.jsonl", "--to", "doccano")[0] == 0
    assert run("convert", tmp_path / "d.jsonl", tmp_path / "back.jsonl", "--from", "doccano")[0] == 0
    keys = ("id", "document", "text", "labels")
    paths = (labelled, tmp_path / "back.jsonl")
    first, again = ([{key: json.loads(line)[key] for key in keys} for line in path.read_text(encoding="utf-8").splitlines()] for path in paths)
    assert first == again


def test_on_a_terminal_a_table_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    (tmp_path / "plain.txt").write_text("今天天气很好，大家都很高兴。", encoding="utf-8")
    (tmp_path / "empty.txt").write_bytes(b"")
    status, out, err = run("tag", DEMO, tmp_path / "plain.txt", tmp_path / "empty.txt")
    assert status == 1
    assert "临岚市开发区改革一年观察" in out
    assert re.search(r"28 句，\d+ 句有标签", out)
    assert "1 句，0 句有标签" in out
    assert "empty.txt" in err


def test_the_table_marks_evidence_in_the_categorys_colour(tagger: Tagger) -> None:
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    terminal.show(tagger.tag("首次轻微违法的，只提醒、不罚款。", evidence=True), console)
    terminal.show(Failure("x", "kaputt"), console)
    page = console.export_html(inline_styles=True)
    assert "text-decoration: underline" in page
    assert terminal.colour(tagger.categories, "容错纠错").lower() in page


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for bar in (terminal.Progress(), terminal.Steps()):
        bar._bar.disable = False
        with bar:
            if isinstance(bar, terminal.Progress):
                bar.update(1, 2, 40, 3.5)
            else:
                bar.say("fitting")


def test_interrupt_and_closed_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def raising(error: type[BaseException]) -> Callable[[Any], int]:
        def command(arguments: Any) -> int:
            raise error

        return command

    monkeypatch.setattr(cli, "_info", raising(KeyboardInterrupt))
    assert cli.main(["info"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    paths = " ".join([str(DEMO)] * 40)
    command = f'"{sys.executable}" -c "import sys; from policyclf.cli import main; sys.exit(main(sys.argv[1:]))" tag {paths} | head -c 10'
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert run.stdout == '{"source":'
    assert "Traceback" not in run.stderr
