"""Verdicts on what a claim predicts about slices that two experiments share."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd

from strokerepro.errors import InputError
from strokerepro.papers.slice_predicates import HigherOnCommonSlices
from strokerepro.report.judging import Records, judge
from strokerepro.report.statistics import paired_test
from strokerepro.report.verdicts import Outcome, judge_difference

_ALPHA = 0.05
_KEY = "slice_counts"
_Counts = dict[tuple[int, int], list[int]]  # (seed, slice) to (both, predicted, true)


@judge.register
def _(predicate: HigherOnCommonSlices, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    pairs = common_slice_dice(rows, predicate.first, predicate.second)
    test = paired_test(pairs[:, 0], pairs[:, 1], generator=np.random.default_rng(0))
    outcome = judge_difference(test, "increase", None, _ALPHA)
    text = f"dice of {predicate.first} minus {predicate.second} on the slices of both: {test}"
    return outcome, f"{text}; {test.power_note}" if outcome == "not confirmed" else text


def common_slice_dice(rows: pd.DataFrame, first: str, second: str) -> np.ndarray:
    """Dice of two methods on the slices of each test case that both were tested on.

    Parameters
    ----------
    rows
        As `strokerepro.report.method_rows` gives.
    first, second
        Methods ``run/output``.

    Returns
    -------
    ndarray
        (N, 2), a case with a lesion on such slices in each row.

    Raises
    ------
    InputError
        Rows without counts by slice.
    """
    one, other = (_counts(rows, name) for name in (first, second))
    pairs = []
    for case in sorted(one.keys() & other.keys()):
        common = sorted(one[case].keys() & other[case].keys())
        totals = [
            np.sum([table[case][place] for place in common], axis=0) for table in (one, other)
        ]
        if common and totals[0][2]:
            pairs.append([2 * both / (found + true) for both, found, true in totals])
    return np.array(pairs).reshape(-1, 2)


def _counts(rows: pd.DataFrame, method: str) -> dict[str, _Counts]:
    """Counts of each slice of each test case, over the folds that tested it."""
    chosen = rows[(rows["method"] == method) & (rows["split"] == "test")]
    if _KEY not in chosen or not all(isinstance(item, list) for item in chosen[_KEY]):
        raise InputError(
            f"records of {method} without {_KEY}",
            "the voxels of each slice of every test case",
            "run the experiment again with --force",
        )
    found: dict[str, _Counts] = defaultdict(dict)
    for case, seed, counts in zip(chosen["case_id"], chosen["seed"], chosen[_KEY], strict=True):
        found[case] |= {(int(seed), number): voxels for number, *voxels in counts}
    return found
