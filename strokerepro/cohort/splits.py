"""Folds by patient: the cases of one patient never stand on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strokerepro.errors import UsageError


@dataclass(frozen=True)
class Split:
    """Indices of cases into a cohort, each ascending; no patient is in two of them.

    Attributes
    ----------
    train, test, val
        Cases to train on, to report on, and to select a model with (may be empty).
    """

    train: tuple[int, ...]
    test: tuple[int, ...]
    val: tuple[int, ...] = ()


def patient_folds(patient_ids: Sequence[str], k: int, seed: int) -> list[Split]:
    """Cut a cohort into `k` test sets by patient.

    The folds depend on the set of patients and on the seed alone, not on the order of the cases;
    their numbers of patients differ by at most one.

    Parameters
    ----------
    patient_ids
        Patient of each case.
    k
        Number of folds.
    seed
        Seed of the shuffle.

    Raises
    ------
    UsageError
        `k` is below two or above the number of patients.
    """
    patients = sorted(set(patient_ids))
    if not 2 <= k <= len(patients):
        raise UsageError(
            f"{k} folds for {len(patients)} patients",
            f"2 to {len(patients)} folds" if len(patients) > 1 else "at least two patients",
            "choose another number of folds or more cases",
        )
    order = np.random.default_rng(seed).permutation(len(patients))
    groups = [{patients[i] for i in part} for part in np.array_split(order, k)]
    return [
        Split(
            train=_cases_of(patient_ids, set(patients) - group),
            test=_cases_of(patient_ids, group),
        )
        for group in groups
    ]


def hold_out(
    split: Split, patient_ids: Sequence[str], val_fraction: float, generator: np.random.Generator
) -> Split:
    """Move patients from the training set of a split to its validation set.

    Parameters
    ----------
    split
        A split without validation set.
    patient_ids
        Patient of each case of the cohort.
    val_fraction
        Share of the training patients to move; above 0, at least one is moved.
    generator
        Source of the draw.

    Raises
    ------
    UsageError
        The share is not in [0, 1), or would leave nobody to train on.
    """
    patients = sorted({patient_ids[i] for i in split.train})
    if not 0 <= val_fraction < 1:
        raise UsageError(f"val_fraction {val_fraction}", "a share in [0, 1)", "choose another")
    moved = max(1, round(val_fraction * len(patients))) if val_fraction > 0 else 0
    if moved >= len(patients):
        raise UsageError(
            f"{moved} of {len(patients)} training patients held out for validation",
            "at least one left to train on",
            "choose a smaller share or more cases",
        )
    chosen = {patients[i] for i in generator.permutation(len(patients))[:moved]}
    return Split(
        train=tuple(i for i in split.train if patient_ids[i] not in chosen),
        test=split.test,
        val=tuple(i for i in split.train if patient_ids[i] in chosen),
    )


def _cases_of(patient_ids: Sequence[str], patients: set[str]) -> tuple[int, ...]:
    return tuple(i for i, patient in enumerate(patient_ids) if patient in patients)
