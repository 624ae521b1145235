"""Folds by patient: the cases of one patient never stand on both sides, unless asked for.

Folds by case, and of slices within a case, show what a split leaks that parts a patient.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from strokerepro.errors import InputError, UsageError

SplitBy = Literal["patient", "case"]


@dataclass(frozen=True)
class Split:
    """Indices of cases into a cohort, each ascending; by default no patient is in two of them.

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
    return _folds(patient_ids, k, seed, "patients")


def case_folds(case_ids: Sequence[str], k: int, seed: int) -> list[Split]:
    """Cut a cohort into `k` test sets by case, although cases may share a patient.

    Two slabs of one head look alike, so that such folds overestimate; they are for showing by how
    much.

    Parameters
    ----------
    case_ids
        Name of each case.
    k, seed
        See `patient_folds`.

    Raises
    ------
    UsageError
        `k` is below two or above the number of cases.
    """
    return _folds(case_ids, k, seed, "cases")


def slice_folds(depth: int, k: int, seed: int, case_id: str) -> npt.NDArray[np.intp]:
    """Deal the slices of one case out to `k` folds, although they are neighbours.

    Parameters
    ----------
    depth
        Number of slices.
    k
        Number of folds; of a case with fewer slices some folds get none.
    seed, case_id
        Decide the order and the first fold, so that folds of many cases are about equally large.

    Returns
    -------
    ndarray
        Fold (Z,) that tests each slice, 0 to k - 1.

    Raises
    ------
    UsageError
        `k` is below two.
    """
    if k < 2:
        raise UsageError(f"{k} folds of slices", "at least two", "choose another number of folds")
    rng = np.random.default_rng([seed, *case_id.encode()])
    first = int(rng.integers(k))
    return (rng.permutation(depth) + first) % k


def _folds(unit_ids: Sequence[str], k: int, seed: int, units_name: str) -> list[Split]:
    units = sorted(set(unit_ids))
    if not 2 <= k <= len(units):
        raise UsageError(
            f"{k} folds for {len(units)} {units_name}",
            f"2 to {len(units)} folds" if len(units) > 1 else f"at least two {units_name}",
            "choose another number of folds or more cases",
        )
    order = np.random.default_rng(seed).permutation(len(units))
    groups = [{units[i] for i in part} for part in np.array_split(order, k)]
    return [
        Split(train=_cases_of(unit_ids, set(units) - group), test=_cases_of(unit_ids, group))
        for group in groups
    ]


def read_folds(path: Path, case_ids: Sequence[str], patient_ids: Sequence[str]) -> list[Split]:
    """Read folds that somebody else has drawn, such as those of a publication.

    Parameters
    ----------
    path
        A CSV file with the columns ``case`` and ``fold``, where the fold is the one that tests
        the case.
    case_ids, patient_ids
        Name and patient of each case of the cohort.

    Returns
    -------
    list of Split
        One for each fold of the file, in ascending order of their numbers.

    Raises
    ------
    InputError
        The file splits a patient, leaves a case out, names an unknown case or one twice, or is
        no such table.
    """
    fold_of = _fold_column(path, case_ids)
    first_case: dict[str, str] = {}
    for case, patient in zip(case_ids, patient_ids, strict=True):
        other = first_case.setdefault(patient, case)
        if fold_of[case] != fold_of[other]:
            raise InputError(
                f"{path.name}, which tests {other} in fold {fold_of[other]} and {case} in fold "
                f"{fold_of[case]}, both of patient {patient}",
                "all cases of a patient in one fold",
                "put them into one fold",
            )
    numbers = sorted(set(fold_of.values()))
    everybody = range(len(case_ids))
    return [
        Split(
            train=tuple(i for i in everybody if fold_of[case_ids[i]] != number),
            test=tuple(i for i in everybody if fold_of[case_ids[i]] == number),
        )
        for number in numbers
    ]


def count_folds(path: Path) -> int:
    """Count the folds of a file as `read_folds` reads it, without knowing the cohort."""
    return len({fold for _, fold in _fold_rows(path)})


def _fold_rows(path: Path) -> list[tuple[str, int]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return [(row["case"], int(row["fold"])) for row in csv.DictReader(stream)]
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(
            f"{path.name}: {error}", "the columns case and fold", "correct the file"
        ) from error


def _fold_column(path: Path, case_ids: Sequence[str]) -> Mapping[str, int]:
    rows = _fold_rows(path)
    fold_of = dict(rows)
    unknown = sorted(set(fold_of) - set(case_ids))
    absent = [case for case in case_ids if case not in fold_of]
    problem = (
        f"an unknown case {unknown[0]}" if unknown
        else f"no fold for {absent[0]}" if absent
        else "a case that is named twice" if len(rows) != len(fold_of)
        else "one fold only" if len(set(fold_of.values())) < 2
        else None
    )  # fmt: skip
    if problem:
        raise InputError(
            f"{path.name} with {problem}", "every case of the cohort once", "correct the file"
        )
    return fold_of


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
