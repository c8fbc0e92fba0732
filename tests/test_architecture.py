"""Rules of the house: who may import whom, and what must stay out of the quick paths."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import policyclf

PACKAGE = Path(policyclf.__file__).parent

# A module imports only from layers below its own (or, in a layer of several steps, from those before it).
LAYERS = [
    ["errors"],
    ["records"],
    ["shipped", "text", "scorer", "journal"],
    ["labels", "metrics", "encoding", "dateline", "reprint"],
    ["features", "compiler", "fallback", "model", "agreement", "container", "webpage", "word", "pdf", "article", "table"],
    ["evidence", "card", "workbook", "report", "outputs"],
    ["tagger", "train"],
    ["evaluation", "selection", "review", "bridges"],
    ["workers", "batch"],
    ["terminal"],
    ["cli"],
]
HEAVY = {
    "numpy",
    "scipy",
    "sklearn",
    "jieba",
    "datasets",
    "pandas",
    "pyarrow",
    "joblib",
    "rich",
    "docx",
    "lxml",
    "pypdfium2",
    "trafilatura",
    "openpyxl",
    "xlsxwriter",
}


def imports(path: Path) -> list[tuple[str, bool]]:
    """Return (module of policyclf, at module level and not for type checking) of every import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("policyclf."):
            found.append((str(node.module).split(".")[1], id(node) in top))
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_imports_point_downwards(path: Path) -> None:
    if path.stem.startswith("_"):
        return
    level = {module: number for number, layer in enumerate(LAYERS) for module in layer}
    assert path.stem in level, "give the new module a layer"
    for module, at_top in imports(path):
        if module.startswith("_") or not at_top:
            continue
        assert level[module] <= level[path.stem], f"{path.stem} imports {module}"


@pytest.mark.parametrize(
    ("code", "barred"),
    [
        ("import policyclf", HEAVY | {"json", "dataclasses", "policyclf.records"}),
        ("from policyclf.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass", HEAVY),
        ("import policyclf; policyclf.load().tag('推行秒批。')", HEAVY - {"numpy"}),
    ],
)
def test_quick_paths_import_no_heavy_library(code: str, barred: set[str]) -> None:
    program = f"import sys; before = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before), file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not barred & set(run.stderr.split())


def test_public_names_exist() -> None:
    for name in policyclf.__all__:
        assert getattr(policyclf, name) is not None
    assert set(policyclf.__all__) <= set(dir(policyclf))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = policyclf.nonsense


def test_no_category_name_stands_in_the_code() -> None:
    names = [category.name for category in policyclf.read_categories()]
    for path in sorted(PACKAGE.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)}
        strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        assert not [s for s in strings if s not in docs and any(name in s for name in names)], path.name
