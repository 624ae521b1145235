"""One examination in memory, and writing a volume back onto its grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from strokerepro.errors import InputError, UsageError
from strokerepro.files import atomic_path

_SUFFIXES = (".nii", ".nii.gz")
_SCANNER_CODE = 1


@dataclass(frozen=True, eq=False)
class Volume:
    """One image file.

    Attributes
    ----------
    array
        Voxel values (Z, Y, X), float32, in the orientation of the file.
    affine
        Voxel (X, Y, Z) to world coordinates in mm, (4, 4), as in the file.
    spacing_mm
        Voxel spacing (z, y, x) from the header's zooms, never from the affine: some releases have
        an identity affine while the true spacing stands in the zooms only.
    """

    array: npt.NDArray[np.float32]
    affine: npt.NDArray[np.float64]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Series:
    """Volumes at equal times apart.

    Attributes
    ----------
    array
        Voxel values (T, Z, Y, X), float32, in the orientation of the file.
    dt_s
        Time between two volumes in seconds.
    """

    array: npt.NDArray[np.float32]
    dt_s: float


@dataclass(frozen=True, eq=False)
class Case:
    """One examination.

    Attributes
    ----------
    case_id, patient_id
        Names of the examination and of its patient.
    arrays
        Per modality on the common grid, values (Z, Y, X), float32, in the orientation of the
        file. Negative values, which real DWI and ADC hold, are kept.
    affine
        Voxel (X, Y, Z) to world coordinates in mm, (4, 4), of the reference image.
    spacing_mm
        Voxel spacing (z, y, x) from the header's zooms.
    label
        Lesion mask (Z, Y, X), uint8 with 0 and 1, or None where there is none.
    side
        Side of the lesion where the data set states it.
    off_grid
        Modalities on a grid of their own, only if they were asked for.
    series
        Modalities with a time axis, on the common grid, only if they were asked for.
    """

    case_id: str
    patient_id: str
    arrays: Mapping[str, npt.NDArray[np.float32]]
    affine: npt.NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    label: npt.NDArray[np.uint8] | None = None
    side: str | None = None
    off_grid: Mapping[str, Volume] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels (Z, Y, X) of the common grid."""
        depth, height, width = next(iter(self.arrays.values())).shape
        return depth, height, width


def save_volume(path: Path, volume: npt.NDArray[Any], like: Case) -> None:
    """Write a volume as NIfTI on the grid of a case, wholly or not at all.

    Parameters
    ----------
    path
        A file that ends in ``.nii`` or ``.nii.gz``.
    volume
        Values (Z, Y, X) on the grid of `like`. Booleans are written as uint8, floating-point
        numbers as float32, integers as they are.
    like
        The case whose affine and spacing the file receives.

    Raises
    ------
    UsageError
        Another file suffix.
    InputError
        The volume is not on the grid of the case.
    """
    if not path.name.endswith(_SUFFIXES):
        raise UsageError(f"the output {path.name}", "a name in .nii or .nii.gz", "rename it")
    if volume.shape != like.shape:
        raise InputError(
            f"a volume of shape {volume.shape} for {like.case_id}",
            f"{like.shape}, the grid of the case",
            "restore the volume to the original grid first",
        )
    if volume.dtype == np.bool_:
        volume = volume.astype(np.uint8)
    elif np.issubdtype(volume.dtype, np.floating):
        volume = volume.astype(np.float32)
    image = nib.Nifti1Image(volume.transpose(2, 1, 0), like.affine, dtype=volume.dtype)
    image.set_sform(like.affine, code=_SCANNER_CODE)
    image.set_qform(None, code=0)  # with two codes set, readers differ in which one they believe
    image.header.set_zooms(like.spacing_mm[::-1])
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nib.save(image, temporary)
