"""Fuzz the native scorer under AddressSanitizer and UndefinedBehaviorSanitizer. Not collected by pytest.

    python tests/fuzz_native.py [seconds] [model folder]

Builds policyclf/_native.c with the sanitizers (gcc or clang), runs this file again with that build in place of the installed
one, and feeds it compiled models with bytes changed at random (mostly small ones that it compiles itself, sometimes the
bundled one) and texts of every kind. Any report of a sanitizer ends the run with its message and exit code 1.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shlex
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SANITIZERS = "address,undefined,float-divide-by-zero,float-cast-overflow"
FLAGS = f"-std=c11 -O1 -g -fPIC -shared -fno-omit-frame-pointer -fsanitize={SANITIZERS} -fno-sanitize-recover=all -DPy_LIMITED_API=0x030B0000"


def build_and_run(seconds: float, model: str) -> int:
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("clang")
    if not compiler:
        sys.exit("no C compiler found")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "_native.so"
        include = sysconfig.get_paths()["include"]
        subprocess.run([compiler, *shlex.split(FLAGS), f"-I{include}", str(ROOT / "policyclf" / "_native.c"), "-o", str(library), "-lm"], check=True)
        ask = [[compiler, f"-print-file-name={name}"] for name in ("libasan.so", "libubsan.so")]
        runtimes = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() for command in ask]
        environment = {
            **os.environ,
            "LD_PRELOAD": " ".join(runtimes),
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:allocator_may_return_null=1",  # the interpreter itself leaks
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": str(ROOT),
        }
        return subprocess.run([sys.executable, __file__, "--inside", str(library), str(seconds), model], env=environment, check=False).returncode


def inside(library: str, seconds: float, model: str) -> None:
    loader = importlib.machinery.ExtensionFileLoader("policyclf._native", library)
    spec = importlib.util.spec_from_loader("policyclf._native", loader, origin=library)
    assert spec is not None
    native = importlib.util.module_from_spec(spec)
    loader.exec_module(native)

    import numpy as np

    from policyclf.compiler import compile_scorer
    from policyclf.scorer import HEADER, SECTIONS

    sys.path.insert(0, str(Path(__file__).parent))
    from test_native import ODD, some_linear

    random = np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
    files = [compile_scorer(some_linear(*shape)) for shape in ((1, 1, 1), (5, 3, 14), (7, 2, 5), (20, 8, 64))]
    bundled = Path(model) / "scorer.bin"
    if bundled.exists():
        files.append(bundled.read_bytes())
    until, rounds, refused = time.monotonic() + seconds, 0, 0
    while time.monotonic() < until:
        data = bytearray(files[int(random.integers(len(files)) if random.random() < 0.02 else random.integers(4))])
        fields = HEADER.unpack_from(data)
        starts = [HEADER.size - 92, *fields[11 : 11 + len(SECTIONS)]]
        ends = [HEADER.size, *fields[12 : 12 + len(SECTIONS)]]
        for _ in range(random.integers(0, 6)):
            part = int(random.integers(len(starts)))
            at = int(random.integers(starts[part], ends[part]))
            if random.random() < 0.5:
                data[at] = int(random.integers(256))
            else:
                near = int(random.choice([0, 1, fields[4] - 1, fields[4], fields[5] - 1, fields[5], fields[6] - 1, fields[6], 0xFFFF, 0xFFFFFF, 0xFFFFFFFF]))
                struct.pack_into("<I", data, min(at & ~3, len(data) - 4), near)
        if random.random() < 0.05:
            del data[int(random.integers(len(data))) :]
        rounds += 1
        try:
            scorer = native.NativeScorer(bytes(data))
        except ValueError:
            refused += 1
            continue
        texts = [some_text(random, ODD) for _ in range(random.integers(0, 8))]
        scorer.articles(texts)
        cut = int(random.integers(0, len(texts) + 1))
        scorer.passages(texts, [cut, len(texts) - cut])
        for method, wrong in ((scorer.articles, ([*texts, 1],)), (scorer.passages, (texts, [len(texts) + 1])), (scorer.passages, (texts, ["1"]))):
            try:
                method(*wrong)
            except (TypeError, ValueError):
                continue
            raise AssertionError("an error was expected")
    print(f"{rounds} files, {refused} refused, no report")


def some_text(random: Any, odd: list[str]) -> str:
    kind = random.integers(4)
    if kind == 0:
        return str(random.choice(odd))
    if kind == 1:
        return "".join(map(chr, random.integers(0, 0x110000, random.integers(0, 60))))
    if kind == 2:
        return "审批人才资金一二。，\n "[int(random.integers(12))] * int(random.integers(0, 3000))
    return "".join(random.choice(list("审批人才资金一二三\ue000𠮷 。！）\n\u2028aA"), random.integers(0, 400)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], float(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(build_and_run(float(sys.argv[1]) if sys.argv[1:] else 60.0, sys.argv[2] if sys.argv[2:] else str(ROOT / "models" / "default")))
