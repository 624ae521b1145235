"""Which cases, or slices of cases, a job trains on and which it is tested on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from strokerepro.cohort import Cohort, Split, SplitBy, hold_out, read_folds
from strokerepro.errors import UsageError
from strokerepro.experiment.jobs import Job
from strokerepro.preprocess import PreparedCase, slice_parts


def job_split(cohort: Cohort, job: Job) -> Split:
    """Split of a job; with ``validate_on="outer"`` the test cases are the validation cases too.

    Settings may have ``split_by``: folds are of patients unless they ask for folds of cases, or
    for folds of slices, in which every case stands on both sides.

    Raises
    ------
    UsageError
        Folds of slices with patients held out for validation; a file of folds, which are of
        patients, for settings that ask for others.
    """
    settings = job.recipe.settings
    # Some papers stop training on, and tune on, the very cases they report.
    outer = getattr(settings, "validate_on", "inner") == "outer"
    val_fraction = 0.0 if outer else settings.val_fraction
    seed = cohort.manifest.folds.seed
    by: SplitBy = getattr(settings, "split_by", "patient")
    if job.fold_file is not None:
        if by != "patient":
            raise UsageError(
                f"split_by {by} with --fold-file",
                "split_by patient: the file says what a fold is",
                "leave one of the two out",
            )
        folds = read_folds(job.fold_file, cohort.case_ids, cohort.patient_ids)
        generator = np.random.default_rng([seed, job.fold])
        split = hold_out(folds[job.fold], cohort.patient_ids, val_fraction, generator)
    elif not _by_slice(job):
        split = cohort.split(job.fold, job.n_folds, val_fraction, seed, by)
    elif outer:
        everybody = tuple(range(len(cohort)))
        split = Split(train=everybody, test=everybody)
    else:
        raise UsageError(
            "split_by slice with validate_on inner", "validate_on outer", "change one of the two"
        )
    return dataclasses.replace(split, val=split.test) if outer else split


def part_to_train(prepared: Iterable[PreparedCase], job: Job, cohort: Cohort) -> list[PreparedCase]:
    """What of the training cases is trained on: all, or the slices that the fold leaves."""
    return _parts(prepared, job, cohort, 0)


def part_to_test(prepared: Iterable[PreparedCase], job: Job, cohort: Cohort) -> list[PreparedCase]:
    """What of the test cases is tested: all, or the fold's slices of cases that have such."""
    return _parts(prepared, job, cohort, 1)


def _parts(
    prepared: Iterable[PreparedCase], job: Job, cohort: Cohort, side: int
) -> list[PreparedCase]:
    if not _by_slice(job):
        return list(prepared)
    seed = cohort.manifest.folds.seed
    parts = (slice_parts(case, job.fold, job.n_folds, seed)[side] for case in prepared)
    return [part for part in parts if part is not None]


def _by_slice(job: Job) -> bool:
    return getattr(job.recipe.settings, "split_by", "") == "slice"
