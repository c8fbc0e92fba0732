"""Throughput and peak memory of a batch at 100, 1,000 and 10,000 articles -> results/batch.json.

    python experiments/batch.py [--labels FILE...] [--rounds 5]

Every run is a fresh process that loads the model, tags a few other articles to warm up, and then tags a folder into a
file. Sizes are interleaved within a round. Seconds are those of the run without loading, by the wall clock and of CPU in
all processes; memory is the peak resident size of the process (with several jobs also that of its largest worker). The
ratio that counts is taken within a round: machines are shared, and CPU seconds swing less than the clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from made import PASSAGES, make_articles

HERE = Path(__file__).parent
SIZES = (100, 1_000, 10_000)
RUNS = ((".jsonl", 1), (".jsonl", 2), (".csv", 1), (".xlsx", 1))

RUN = """
import json, resource, sys, time
from policyclf import load
from policyclf.batch import tag_files
folder, warm, output, jobs = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
tagger = load()
for _ in tag_files(warm, tagger=tagger): pass

def cpu():
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime

before, began = cpu(), time.perf_counter()
articles = passages = 0
for result in tag_files(folder, tagger=tagger, output=output, jobs=jobs, overwrite=True):
    articles += 1
    passages += len(result.passages)
seconds = time.perf_counter() - began
print(json.dumps({
    "articles": articles, "passages": passages, "seconds": seconds, "cpu_seconds": cpu() - before,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "worker_peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    "scorer": type(tagger.model.scorer()).__name__,
}))
"""


def run(folder: Path, warm: Path, output: Path, jobs: int) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(warm), str(output), str(jobs)], env=environment, check=True, capture_output=True, text=True
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    figures["output_mb"] = output.stat().st_size / 2**20
    output.unlink()
    return figures


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians over rounds and, for each size, the median of its ratios to the smallest within a round."""
    smallest, *_ = SIZES

    def median(size: int, value: Any) -> float:
        return float(statistics.median(value(row[str(size)]) for row in rounds))

    def ratio(size: int, value: Any) -> float:
        return float(statistics.median(value(row[str(size)]) / value(row[str(smallest)]) for row in rounds))

    def per_article(row: dict[str, Any]) -> float:
        return float(row["cpu_seconds"] / row["articles"])

    return {
        str(size): {
            "articles_per_second": median(size, lambda row: row["articles"] / row["seconds"]),
            "passages_per_second": median(size, lambda row: row["passages"] / row["seconds"]),
            "cpu_ms_per_article": 1000 * median(size, per_article),
            "peak_mb": median(size, lambda row: row["peak_mb"]),
            "time_per_article_ratio": ratio(size, per_article),
            "memory_ratio": ratio(size, lambda row: row["peak_mb"]),
        }
        for size in SIZES
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, nargs="*", default=sorted((HERE.parent / "labels").glob("*.jsonl")))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "batch.json")
    arguments = parser.parse_args()
    report: dict[str, Any] = {"passages_per_article": PASSAGES, "cores": os.cpu_count(), "python": platform.python_version(), "runs": {}}
    with tempfile.TemporaryDirectory() as place:
        folders = {size: Path(place, str(size)) for size in SIZES}
        for size, folder in folders.items():
            make_articles(folder, size, arguments.labels)
        warm = Path(place, "warm")
        make_articles(warm, 64, arguments.labels, seed=1)
        rounds: dict[str, list[dict[str, Any]]] = {f"{suffix[1:]} jobs={jobs}": [] for suffix, jobs in RUNS}
        for number in range(arguments.rounds):
            for suffix, jobs in RUNS:
                row = {str(size): run(folder, warm, Path(place, f"out{suffix}"), jobs) for size, folder in folders.items()}
                rounds[f"{suffix[1:]} jobs={jobs}"].append(row)
                print(number + 1, suffix, jobs, {size: round(figures["articles"] / figures["seconds"]) for size, figures in row.items()}, file=sys.stderr)
    for name, rows in rounds.items():
        report["scorer"] = rows[0][str(SIZES[0])]["scorer"]
        report["runs"][name] = {"summary": summary(rows), "rounds": rows}
    arguments.output.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
