"""Verdicts on steadiness, on curves and means that are checked by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from test_judging import NOISE, record, rows

from strokerepro.errors import InputError
from strokerepro.papers.predicates import MeanAbove, Predicate
from strokerepro.papers.stability_predicates import CurveSteadier, LessSpread
from strokerepro.records import RunRecord
from strokerepro.report import method_rows, rough_pairs, roughness
from strokerepro.report.judging import judge

SMOOTH, ROUGH = [0.1, 0.2, 0.3, 0.4], [0.1, 0.4, 0.1, 0.4]


def curve(name: str, values: Sequence[float], fold: int = 0) -> RunRecord:
    """A record with one validation curve."""
    points = [[float(step), value] for step, value in enumerate(values)]
    return record(rows("out", np.full(8, 0.5)), name, fold=fold, curves={"val/dice": points})


def judged(predicate: Predicate, *records: RunRecord) -> tuple[str, str]:
    """Outcome and evidence of a predicate on some records."""
    groups: dict[str, list[RunRecord]] = {}
    for item in records:
        groups.setdefault(item.name, []).append(item)
    return judge(predicate, method_rows(groups), groups)


def test_a_steady_rise_has_no_roughness_and_a_zigzag_has() -> None:
    """Changes of +0.3, -0.3 and +0.3 have a standard deviation of 0.2 times the root of 2."""
    assert roughness(curve("main", SMOOTH), "val/dice") == pytest.approx(0, abs=1e-9)
    assert roughness(curve("main", ROUGH), "val/dice") == pytest.approx(0.2 * np.sqrt(2))


def folds(*pairs: tuple[Sequence[float], Sequence[float]]) -> list[RunRecord]:
    """Curves of ``main`` and ``bn``, one pair a fold."""
    return [
        curve(name, values, fold)
        for fold, pair in enumerate(pairs)
        for name, values in zip(("main", "bn"), pair, strict=True)
    ]


STEADIER, ROUGHER = (SMOOTH, ROUGH), (ROUGH, SMOOTH)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([STEADIER, STEADIER, STEADIER], "confirmed"),
        ([ROUGHER, ROUGHER, ROUGHER], "opposite"),
        ([STEADIER, STEADIER, ROUGHER], "not confirmed"),
        ([STEADIER, STEADIER], "not confirmed"),
        ([ROUGHER], "not confirmed"),
    ],
)
def test_a_curve_is_steadier_if_it_is_in_each_of_three_folds_at_least(
    pairs: list[tuple[list[float], list[float]]], expected: str
) -> None:
    """One fold of three that differs is enough to doubt, and two folds are too few to say."""
    found, _ = judged(CurveSteadier("main", "bn", "val/dice"), *folds(*pairs))
    assert found == expected


def test_a_fold_that_only_one_experiment_has_does_not_count() -> None:
    """Three folds in common, a fourth without its counterpart."""
    records = [*folds(STEADIER, STEADIER, STEADIER), curve("main", ROUGH, 3)]
    found, evidence = judged(CurveSteadier("main", "bn", "val/dice"), *records)
    assert found == "confirmed"
    assert "of 3 folds" in evidence


def test_curves_that_cannot_be_compared_say_why() -> None:
    """Two points have one change, and different folds nothing in common."""
    with pytest.raises(InputError, match=r"2 points of val/dice; expected at least 3"):
        roughness(curve("main", SMOOTH[:2]), "val/dice")
    with pytest.raises(InputError, match="without a common fold"):
        rough_pairs([curve("main", SMOOTH)], [curve("bn", SMOOTH, fold=1)], "val/dice")


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ((0.50, 0.52), (0.30, 0.70), "confirmed"),
        ((0.30, 0.70), (0.50, 0.52), "opposite"),
        ((0.50, 0.51), (0.51, 0.50), "not confirmed"),
    ],
)
def test_means_that_lie_closer_together_have_the_smaller_spread(
    ours: tuple[float, float], theirs: tuple[float, float], expected: str
) -> None:
    """Ranges of 0.02 and 0.40; of two equal ranges neither is smaller."""
    names = ("gn2", "gn16", "bn2", "bn16")
    records = [
        record(rows("out", np.full(8, mean) + (-1) ** place * NOISE), name)
        for place, (name, mean) in enumerate(zip(names, (*ours, *theirs), strict=True))
    ]
    methods = tuple(f"{name}/out" for name in names)
    found, evidence = judged(LessSpread(methods[:2], methods[2:], "dice"), *records)
    assert found == expected
    assert "n = 8" in evidence


@pytest.mark.parametrize(
    ("limit", "expected"), [(1.0, "confirmed"), (2.0, "opposite"), (1.5, "not confirmed")]
)
def test_a_mean_is_above_a_limit_or_below_it(limit: float, expected: str) -> None:
    """The mean is 1.5."""
    one = record(rows("out", 1.5 + NOISE, "contrast"))
    assert judged(MeanAbove("main/out", "contrast", limit), one)[0] == expected
