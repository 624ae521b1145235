"""Verdicts on slices that two experiments share, on counts that are checked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from strokerepro.errors import InputError
from strokerepro.metrics import dice, slice_counts
from strokerepro.papers.slice_predicates import HigherOnCommonSlices
from strokerepro.report import common_slice_dice
from strokerepro.report.judging import judge

# [slice, both, predicted, true]
WHOLE = [[0, 0, 40, 0], [1, 10, 20, 20], [2, 5, 10, 10]]
PART = [[1, 18, 20, 20]]


def test_counts_add_up_to_the_dice_of_the_case() -> None:
    """Slices keep the numbers that they have in the file."""
    rng = np.random.default_rng(0)
    pred, truth = rng.integers(0, 2, size=(2, 3, 5, 4))
    counts = slice_counts(pred, truth, (2, 5, 7))
    assert [row[0] for row in counts] == [2, 5, 7]
    _, both, found, true = np.sum(counts, axis=0)
    assert 2 * both / (found + true) == pytest.approx(dice(pred, truth))
    assert [row[0] for row in slice_counts(pred, truth)] == [0, 1, 2]


def rows(name: str, counts: Any, cases: int = 8, seed: int = 0) -> list[dict[str, Any]]:
    """Test rows of an experiment with the same counts in every case."""
    return [
        {"case_id": f"case_{k}", "method": f"{name}/out", "split": "test", "seed": seed,
         "slice_counts": counts}
        for k in range(cases)
    ]  # fmt: skip


def test_only_the_slices_of_both_count() -> None:
    """Of slice 1 the part has 36 / 40 and the whole 20 / 40; its false slice 0 is not compared."""
    table = pd.DataFrame([*rows("part", PART, cases=1), *rows("whole", WHOLE)])
    np.testing.assert_allclose(common_slice_dice(table, "part/out", "whole/out"), [[0.9, 0.5]])


def test_a_false_positive_counts_in_a_slice_that_both_hold() -> None:
    """40 false voxels in slice 0 lower 20 / 40 to 20 / 80; slices of another seed are others."""
    part = [[0, 0, 0, 0], [1, 18, 20, 20]]
    table = pd.DataFrame([*rows("part", part, 1), *rows("whole", WHOLE, 1)])
    np.testing.assert_allclose(common_slice_dice(table, "part/out", "whole/out"), [[0.9, 0.25]])
    table = pd.DataFrame([*rows("part", part, 1, seed=1), *rows("whole", WHOLE, 1)])
    assert common_slice_dice(table, "part/out", "whole/out").shape == (0, 2)


def test_a_case_without_lesion_on_common_slices_is_left_out() -> None:
    """Its Dice is not defined."""
    table = pd.DataFrame([*rows("part", [[0, 0, 3, 0]], 1), *rows("whole", WHOLE, 1)])
    assert common_slice_dice(table, "part/out", "whole/out").shape == (0, 2)


@pytest.mark.parametrize(
    ("shift", "expected"), [(6, "confirmed"), (-6, "opposite"), (0, "not confirmed")]
)
def test_the_verdict_follows_the_common_slices(shift: int, expected: str) -> None:
    """Whole cases would say the opposite: the first method is bad where only it was tested."""
    first, second = [], []
    for k, noise in enumerate((0, 1, -1, 2, -2, 1, -1, 0)):
        part = [[1, 10 + shift + noise, 20, 20], [9, 0, 500, 1]]
        first.append({**rows("part", part, 1)[0], "case_id": f"case_{k}"})
        second.append({**rows("main", [[1, 10, 20, 20]], 1)[0], "case_id": f"case_{k}"})
    table = pd.DataFrame([*first, *second])
    outcome, text = judge(HigherOnCommonSlices("part/out", "main/out"), table, {})
    assert outcome == expected
    assert "on the slices of both" in text


def test_records_without_counts_are_named() -> None:
    """An older record has none."""
    table = pd.DataFrame([*rows("part", PART), *rows("main", float("nan"))])
    with pytest.raises(InputError, match="records of main/out without slice_counts"):
        common_slice_dice(table, "part/out", "main/out")
