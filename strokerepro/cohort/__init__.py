"""Cases on disk -> `Case`; folds by patient; volumes back to disk."""

from strokerepro.cohort.case import Case, Series, Volume, save_volume
from strokerepro.cohort.loading import Cohort, load_cohort, read_case_dir
from strokerepro.cohort.nifti import read_volume
from strokerepro.cohort.reading import read_case
from strokerepro.cohort.splits import (
    Split,
    SplitBy,
    case_folds,
    count_folds,
    hold_out,
    patient_folds,
    read_folds,
    slice_folds,
)

__all__ = [
    "Case",
    "Cohort",
    "Series",
    "Split",
    "SplitBy",
    "Volume",
    "case_folds",
    "count_folds",
    "hold_out",
    "load_cohort",
    "patient_folds",
    "read_case",
    "read_case_dir",
    "read_folds",
    "read_volume",
    "save_volume",
    "slice_folds",
]
