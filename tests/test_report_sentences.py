"""Sentences that are computed from records say what the records say."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from strokerepro.errors import UsageError
from strokerepro.report import (
    PairedTest,
    Verdict,
    claim_sentences,
    difference_sentences,
    last_against_best,
    paired_test,
)

VERDICTS = [
    Verdict("C1", "Large is better", "phantom: trend only", "confirmed", "by 0.2"),
    Verdict("C2", "Two are better", "not attempted", "not tested", "no record of two"),
]
NOISE = np.array([0.01, -0.01, 0.02, -0.02, 0.01, -0.01, 0.02, -0.02])  # mean 0


def shifted(mean: float) -> PairedTest:
    """Eight pairs whose difference has this mean and an SD of 0.017."""
    return paired_test(0.5 + mean + NOISE, np.full(8, 0.5), generator=np.random.default_rng(0))


def test_claims_are_told_in_the_order_asked_for():
    """With the outcome; one that was not tested says why."""
    assert claim_sentences(VERDICTS, ["C2", "C1"]).splitlines() == [
        "- C2, two are better: **not tested** (no record of two)",
        "- C1, large is better: **confirmed**",
    ]
    with pytest.raises(UsageError, match="unknown claim 'C3'"):
        claim_sentences(VERDICTS, ["C3"])


def test_differences_are_told_before_and_after_the_correction():
    """0.1 is far beyond the noise; 0.016 has p = 0.03, which three tests make 0.06; 0 is none."""
    tests = [("a", shifted(0.1)), ("b", shifted(0.016)), ("c", shifted(0.0))]
    assert 0.025 < tests[1][1].p_t < 0.05
    assert difference_sentences(tests) == (
        "Significant after Holm's correction: 1 of 3: a (+0.100). Before it alone: b (+0.016)."
    )


def test_without_any_difference_it_says_so():
    """One test without an effect, and no test at all."""
    none = "Significant after Holm's correction: 0 of 1."
    assert difference_sentences([("c", shifted(0.0))]) == none
    assert difference_sentences([]).startswith("No comparison")


def test_the_last_point_of_a_curve_is_set_beside_its_best_one():
    """Best halfway in the first fold, at the end in the second."""
    records = [
        SimpleNamespace(fold=0, curves={"val/dice": [[10, 0.5], [20, 0.7], [40, 0.6]]}),
        SimpleNamespace(fold=1, curves={"val/dice": [[10, 0.5], [40, 0.6]]}),
    ]
    assert last_against_best(records, "val/dice").splitlines() == [
        "fold 0: highest after 50% of the steps (0.700), last 0.600, 0.100 lower",
        "fold 1: highest at the end (0.600), last 0.600, 0.000 lower",
    ]
