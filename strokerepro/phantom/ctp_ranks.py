"""Ranks of the draws that decide the size of a stroke, spread evenly over the patients.

The real set is one sample of 63 patients. Its figures of volume are means of skewed quantities, so
that independent draws would give cohorts of one and the same phantom that differ by more than the
tolerance of the acceptance test. A Latin hypercube (McKay, Beckman and Conover 1979,
doi:10.1080/00401706.1979.10489755) gives every cohort each part of each distribution once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from strokerepro.phantom.random_fields import component_rng

RANKED = (
    "site",
    "retreat",
    "branch_radius",
    "collateral_depth",
    "core_flow",
    "delay",
    "reperfusion",
    "threshold",
)

Ranks = Mapping[str, float]


def draw_ranks(
    index: int, patients: int, *, seed: int, cohort: int, attempt: int = 0
) -> dict[str, float]:
    """Rank in (0, 1) of one patient in every quantity of :data:`RANKED`.

    Parameters
    ----------
    index
        Patient within the cohort, from 0.
    patients
        Patients of a whole cohort; each of as many equal parts of (0, 1) holds one of them.
    seed
        Root seed.
    cohort
        Number of the cohort of that seed, from 0.
    attempt
        Number of draws rejected before; only the first one is spread evenly.
    """
    if attempt:
        # A rejected patient's part is not tried again: it may be the cause of the rejection.
        number = cohort * patients + index
        free = component_rng(seed, "ctp", number, "ranks", attempt).random(len(RANKED))
        return dict(zip(RANKED, free.tolist(), strict=True))
    rng = component_rng(seed, "ctp", cohort, "ranks")
    parts = np.stack([rng.permutation(patients) for _ in RANKED])
    within = rng.random(parts.shape)
    ranks = (parts[:, index] + within[:, index]) / patients
    return dict(zip(RANKED, ranks.tolist(), strict=True))
