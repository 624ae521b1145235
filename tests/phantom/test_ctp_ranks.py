"""Ranks of the draws that decide the size of a stroke."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.phantom.ctp_ranks import RANKED, draw_ranks


@given(patients=st.integers(1, 80), seed=st.integers(0, 10**6), cohort=st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_each_part_of_each_distribution_has_one_patient(
    patients: int, seed: int, cohort: int
) -> None:
    """Of n patients one lies in every n-th of (0, 1), in every quantity."""
    ranks = [draw_ranks(i, patients, seed=seed, cohort=cohort) for i in range(patients)]
    for name in RANKED:
        parts = sorted(int(rank[name] * patients) for rank in ranks)
        assert parts == list(range(patients))


def test_quantities_are_ranked_independently_of_each_other() -> None:
    """Over many cohorts the ranks of two quantities are not correlated."""
    ranks = [draw_ranks(i, 63, seed=1, cohort=c) for c in range(10) for i in range(63)]
    table = np.array([[rank[name] for name in RANKED] for rank in ranks])
    correlation = np.corrcoef(table, rowvar=False)
    assert np.abs(correlation - np.eye(len(RANKED))).max() < 0.15


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2, "cohort": 0},
        {"seed": 1, "cohort": 1},
        {"seed": 1, "cohort": 0, "attempt": 1},
        {"seed": 1, "cohort": 0, "attempt": 2},
    ],
)
def test_seed_cohort_and_attempt_change_every_rank(other: dict[str, int]) -> None:
    """No rank is shared by two draws."""
    base = draw_ranks(5, 63, seed=1, cohort=0)
    changed = draw_ranks(5, 63, **other)
    assert all(base[name] != changed[name] for name in RANKED)


def test_a_rank_is_never_on_the_edge() -> None:
    """Quantiles of unbounded distributions are asked for: ranks lie strictly inside (0, 1)."""
    for attempt in range(3):
        for index in range(63):
            ranks = draw_ranks(index, 63, seed=0, cohort=0, attempt=attempt)
            assert all(0.0 < rank < 1.0 for rank in ranks.values())
