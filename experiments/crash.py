"""Break runs in every way that happens, go on with them, and compare with the unbroken run -> results/crash.json.

    python experiments/crash.py [--labels FILE...] [--articles 2000] [--seed 0]

Every run is the command ``policyclf tag`` in a process of its own. Ten times a run of 2,000 articles is killed at a random
moment (SIGKILL) and started again, for a JSONL and a CSV output and for one and two jobs; then a torn last line, a full
disk, an interrupt, files that change, vanish or cannot be read, a zip bomb, an XML bomb in a docx, and 200 MB of text.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from made import make_articles

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-c", "import sys; from policyclf.cli import main; sys.exit(main())", "tag"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parent)}
KILLS = 10


def _hear_interrupts() -> None:
    """Undo what a shell does to the children of a command in the background: it makes them deaf to ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def tag(*arguments: str | Path, humbly: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_give_up_rights if humbly else _hear_interrupts,  # noqa: PLW1509 -- there are no threads here
    )


def _give_up_rights() -> None:
    """Let permissions hold for an administrator as well: drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (Linux)."""
    library = ctypes.CDLL(None)
    for capability in (1, 2):
        library.prctl(24, capability, 0, 0, 0)


def finish(*arguments: str | Path, humbly: bool = False) -> tuple[int, str]:
    with tag(*arguments, humbly=humbly) as process:
        _, said = process.communicate()
        return process.returncode, said


def rows(path: Path) -> list[str]:
    """Return the SHA-256 of each line of an output."""
    return [hashlib.sha256(line).hexdigest() for line in path.read_bytes().splitlines()]


def failures(path: Path) -> dict[str, str]:
    """Return the failures of an output: name of the file -> problem."""
    records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {record["source"].rsplit("/", 1)[-1]: record["error"]["problem"] for record in records if "error" in record}


def killed(folder: Path, place: Path, suffix: str, jobs: int, random_: random.Random) -> dict[str, Any]:
    """Kill a run ten times at random moments of its work, starting it again each time; compare with the unbroken run."""
    whole, output = place / f"whole{suffix}", place / f"killed{suffix}"
    journal, whole_journal = (path if suffix == ".jsonl" else path.with_name(f".{path.name}.journal.jsonl") for path in (output, whole))
    code, _ = finish(folder, "-o", whole, "--jobs", str(jobs))
    length = whole_journal.stat().st_size
    moments, lines, torn = sorted(random_.random() for _ in range(KILLS)), [], 0
    for moment in moments:
        with tag(folder, "-o", output, "--jobs", str(jobs)) as process:
            while process.poll() is None and (not journal.exists() or journal.stat().st_size < moment * length):
                time.sleep(0.001)
            time.sleep(random_.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            process.wait()
        text = journal.read_bytes()
        lines.append(text.count(b"\n"))
        torn += not text.endswith(b"\n")
    last, _ = finish(folder, "-o", output, "--jobs", str(jobs))
    same = rows(output) == rows(whole) and rows(journal) == rows(whole_journal)
    return {
        "killed_when_so_much_was_done": [round(moment, 3) for moment in moments],
        "lines_in_the_journal_then": lines,
        "torn_lines": torn,
        "exit_unbroken": code,
        "exit_resumed": last,
        "rows": len(rows(whole)),
        "same_row_for_row": same,
        "ok": same and code == last == 0,
    }


def torn_line(folder: Path, place: Path, whole: Path) -> dict[str, Any]:
    """Cut the finished output in the middle of its last line, of any line, and within a character."""
    text = whole.read_bytes()
    output = place / "torn.jsonl"
    same = []
    for cut in (len(text) - 1, len(text) - 777, len(text) // 2, 1):
        output.write_bytes(text[:cut])
        finish(folder, "-o", output)
        same.append(output.read_bytes() == text)
    return {"cuts": len(same), "ok": all(same)}


def interrupted(folder: Path, place: Path, whole: Path) -> dict[str, Any]:
    """Send ctrl-C (SIGINT) to the whole group of processes, as a terminal does."""
    output = place / "interrupted.jsonl"
    process = tag(folder, "-o", output, "--jobs", "2")
    while not output.exists() or output.stat().st_size == 0:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    valid = output.read_bytes().endswith(b"\n")
    finish(folder, "-o", output)
    same = output.read_bytes() == whole.read_bytes()
    return {"exit": process.returncode, "traceback": "Traceback" in said, "ok": process.returncode == 130 and "Traceback" not in said and valid and same}


def full_disk(folder: Path, place: Path, whole: Path) -> dict[str, Any]:
    """Write to a tmpfs of a few megabytes until it is full, then make room."""
    disk = place / "disk"
    disk.mkdir()
    size = whole.stat().st_size
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + (1 << 20)}", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        return {"skipped": "mounting is not permitted here", "ok": True}
    try:
        (disk / "filler").write_bytes(bytes(size // 2))
        code, said = finish(folder, "-o", disk / "out.jsonl")
        text = (disk / "out.jsonl").read_bytes()
        valid = text.endswith(b"\n") and whole.read_bytes().startswith(text)
        (disk / "filler").unlink()
        again, _ = finish(folder, "-o", disk / "out.jsonl")
        same = (disk / "out.jsonl").read_bytes() == whole.read_bytes()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    return {"exit": code, "said": said.strip().splitlines()[-1].replace(str(place), ""), "ok": code == 2 and again == 0 and valid and same}


def changing(folder: Path, place: Path) -> dict[str, Any]:
    """Change, remove and add files while a run is killed and resumed; a fresh run over what is there is the judge."""
    output, fresh = place / "changing.jsonl", place / "fresh.jsonl"
    files = sorted(folder.iterdir())
    process = tag(folder, "-o", output)
    while not output.exists() or output.stat().st_size == 0:
        time.sleep(0.05)
    for number, file in enumerate(files):
        if number % 97 == 5:
            file.write_text(f"第{number}篇换了内容：推行并联审批，一日办结。", encoding="utf-8")
        elif number % 97 == 50 and number > len(files) // 2:  # ahead of the run: it vanishes before it is read
            file.unlink()
    said = process.communicate()[1]
    finish(folder, "-o", output)
    finish(folder, "-o", fresh)
    gone = sum("No such file" in line for line in said.splitlines())
    return {"vanished": gone, "rows": len(rows(fresh)), "ok": rows(output) == rows(fresh) and process.returncode in (0, 1)}


def unreadable(place: Path) -> dict[str, Any]:
    """A file that may not be read."""
    folder = place / "locked"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "c.txt"):
        (folder / name).write_text("设立人才公寓，引进博士一百名。", encoding="utf-8")
    (folder / "b.txt").chmod(0)
    code, _ = finish(folder, "-o", place / "locked.jsonl", humbly=True)
    found = failures(place / "locked.jsonl")
    return {"exit": code, "failures": found, "ok": code == 1 and list(found) == ["b.txt"] and "ermission" in found["b.txt"]}


def bombs(place: Path) -> dict[str, Any]:
    """A zip that unpacks to 4 GB, and a docx whose XML expands to billions of characters, between two good files."""
    folder = place / "bombs"
    folder.mkdir()
    for name in ("a.txt", "z.txt"):
        (folder / name).write_text("对首次上市的企业给予补贴。", encoding="utf-8")
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.txt", "w", force_zip64=True) as member:
        for _ in range(4096):
            member.write(bytes(1 << 20))
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    office = "http://schemas.openxmlformats.org"
    main_part = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    xml = (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "审批">{entities}]><w:document xmlns:w="{office}/wordprocessingml/2006/main">'
        "<w:body><w:p><w:r><w:t>&a11;</w:t></w:r></w:p></w:body></w:document>"
    )
    kind = (
        f'<?xml version="1.0"?><Types xmlns="{office}/package/2006/content-types"><Override PartName="/word/document.xml" ContentType="{main_part}"/></Types>'
    )
    link = (
        f'<?xml version="1.0"?><Relationships xmlns="{office}/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>'
    )
    with zipfile.ZipFile(folder / "bomb.docx", "w") as archive:
        for name, content in (("[Content_Types].xml", kind), ("_rels/.rels", link), ("word/document.xml", xml)):
            archive.writestr(name, content)
    began = time.monotonic()
    code, _ = finish(folder, "-o", place / "bombs.jsonl")
    found = failures(place / "bombs.jsonl")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    seconds = round(time.monotonic() - began, 1)
    return {"exit": code, "failures": found, "seconds": seconds, "largest_process_mb": round(peak), "ok": code == 1 and set(found) == {"bomb.zip", "bomb.docx"}}


def giant(place: Path, articles: Sequence[Path], megabytes: int) -> dict[str, Any]:
    """One text of 200 MB."""
    text = "".join(path.read_text(encoding="utf-8") for path in articles[:500])
    path = place / "giant.txt"
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes << 20:
            file.write(text)
    began = time.monotonic()
    code, _ = finish(path, "-o", place / "giant.jsonl")
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    size = (place / "giant.jsonl").stat().st_size
    return {"megabytes": megabytes, "exit": code, "seconds": round(seconds, 1), "peak_mb": round(peak), "output_mb": round(size / 2**20), "ok": code == 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, nargs="*", default=sorted((HERE.parent / "labels").glob("*.jsonl")))
    parser.add_argument("--articles", type=int, default=2000)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "crash.json")
    arguments = parser.parse_args()
    random_ = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        folder = place / "articles"
        articles = make_articles(folder, arguments.articles, arguments.labels)
        whole = place / "whole.jsonl"
        scenes: list[tuple[str, Callable[[], dict[str, Any]]]] = [
            ("killed, jsonl", lambda: killed(folder, place, ".jsonl", 1, random_)),
            ("killed, csv, two jobs", lambda: killed(folder, place, ".csv", 2, random_)),
            ("torn line", lambda: torn_line(folder, place, whole)),
            ("interrupt", lambda: interrupted(folder, place, whole)),
            ("full disk", lambda: full_disk(folder, place, whole)),
            ("unreadable file", lambda: unreadable(place)),
            ("bombs", lambda: bombs(place)),
            ("giant text", lambda: giant(place, articles, arguments.megabytes)),
            ("files change and vanish", lambda: changing(folder, place)),
        ]
        report: dict[str, Any] = {"articles": arguments.articles, "seed": arguments.seed}
        for scene, play in scenes:
            report[scene] = play()
            print(scene, report[scene], file=sys.stderr, flush=True)
    arguments.output.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    sys.exit(not all(result["ok"] for result in report.values() if isinstance(result, dict)))


if __name__ == "__main__":
    main()
