from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ("ablations", "peers", "labels")
PEERS = ("fasttext", "vowpalwabbit", "spacy", "cleanlab")

# What is not in the test environment must be named by the script and needed by none of the others.
BARE = f"""
import runpy, sys
from importlib import util
find = util.find_spec
util.find_spec = lambda name, *rest: None if name in {PEERS} else find(name, *rest)
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run each experiment on a few documents and return what it stored."""

    def run(name: str) -> Any:
        folder = tmp_path_factory.mktemp(name)
        command = [sys.executable, "-c", BARE, (ROOT / "experiments" / f"{name}.py").as_posix(), "--smoke", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    with ThreadPoolExecutor(len(SCRIPTS)) as pool:
        return dict(zip(SCRIPTS, pool.map(run, SCRIPTS), strict=True))


def test_the_shipped_variant_is_what_the_library_trains(results: dict[str, Any]) -> None:
    shipped = results["ablations"]["variants"][0]["authored"]
    whole = next(row for row in results["ablations"]["learning_curve"] if row["share"] == 1.0)["authored"]
    assert shipped["macro_f1"] == whole["macro_f1"]
    assert shipped["macro_average_precision"] == whole["macro_average_precision"]


def test_variants_differ_from_the_shipped_one_by_a_paired_interval(results: dict[str, Any]) -> None:
    for row in results["ablations"]["variants"][1:]:
        difference = row["authored"]["difference"]["macro_f1"]
        assert difference["interval"][0] <= difference["interval"][1]
        assert row["authored"]["n"] > row["authored"]["n_documents"] > 1


def test_peers_that_are_not_installed_are_named(results: dict[str, Any]) -> None:
    peers = results["peers"]
    assert {row["name"] for row in peers["missing"]} >= {"fastText, characters", "spaCy textcat_multilabel, characters", "model2vec"}
    assert all(row["why"] for row in peers["missing"])
    assert next(row["name"] for row in peers["contenders"] if not row.get("own")).startswith("keywords")
    assert all(len(words) == 15 for words in peers["keywords"].values())


def test_labels_are_described(results: dict[str, Any]) -> None:
    labels = results["labels"]
    assert labels["passages"] == sum(row["passages"] for row in labels["files"].values())
    assert set(labels["instruments"]) > set(labels["categories"])
