from __future__ import annotations

import json
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyclf.text import fold, fold_positions, is_heading, simplified, split

CASES = json.loads((Path(__file__).parent / "cases" / "split.json").read_text(encoding="utf-8"))
messy = st.text(st.sampled_from("审批改革ａＡ1。！？；!?; \n\r\t　“”）、，👍\ud800\u2028İ㈱𠮷é"), max_size=60)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_split_cases(case: dict[str, object]) -> None:
    assert [p.text for p in split(str(case["text"]))] == case["passages"]


@given(st.one_of(messy, st.text(max_size=80)))
def test_passages_slice_back_in_order_and_hold_every_letter(text: str) -> None:
    passages = list(split(text))
    assert all(text[p.start : p.end] == p.text for p in passages)
    assert all(a.end <= b.start for a, b in pairwise(passages))
    inside = {i for p in passages for i in range(p.start, p.end)}
    assert all(i in inside for i, char in enumerate(text) if char.isalnum())
    assert all(p.text == p.text.strip() and any(map(str.isalnum, p.text)) for p in passages)


@given(st.one_of(messy, st.text(max_size=80)))
def test_fold_is_one_to_one_and_idempotent(text: str) -> None:
    folded, positions = fold(text), fold_positions(text)
    assert len(folded) == len(positions)
    assert positions == sorted(set(positions))
    assert [fold(text[i]) for i in positions] == list(folded)
    assert fold(folded) == folded


def test_every_code_point_folds_to_one_or_none() -> None:
    for point in range(0x110000):
        assert len(fold(chr(point))) <= 1


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ＰＯＬＩＣＹ１２３", "policy123"),
        ("審批改革與人才", "审批改革与人才"),
        ("審 批\n改\u200b革", "审批改革"),
        ("㈱½İ", "㈱½İ"),
        ("", ""),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_simplified_table_is_single_characters() -> None:
    table = simplified()
    assert len(table) > 2500
    assert all(len(a) == len(b) == 1 and a != b for a, b in table.items())
    assert all(unicodedata.category(a).startswith("L") or unicodedata.category(a) == "So" for a in table)


@pytest.mark.parametrize(("text", "heading"), [("一、总体要求", True), ("办得快。", False), ("主要任务：", False), ("字" * 31, False), ("", False)])
def test_is_heading(text: str, heading: bool) -> None:
    assert is_heading(text) is heading


def test_splitting_is_linear_in_a_long_line() -> None:
    assert len(list(split("改革，" * 400_000 + "。"))) == 1
