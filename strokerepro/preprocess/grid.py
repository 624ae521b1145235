"""Bring a modality with a grid of its own, such as FLAIR, to the grid of the case."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.processing import resample_from_to

from strokerepro.cohort import Case, Volume
from strokerepro.errors import InputError
from strokerepro.preprocess.geometry import Float

_SPACING_TOLERANCE = 1e-2  # relative


def resample_to_case(volume: Volume, case: Case, name: str) -> Float:
    """Resample a volume linearly in world coordinates; outside its field of view is 0.

    Images are taken to be aligned by their headers: nothing is registered here.

    Parameters
    ----------
    volume
        The image on its own grid.
    case
        The examination whose grid is the target.
    name
        Name of the modality, for the message of an error.

    Returns
    -------
    ndarray
        Values (Z, Y, X) on the grid of the case.

    Raises
    ------
    InputError
        An affine whose voxel size is not the header's spacing, so that positions are unknown.
    """
    for label, affine, spacing_mm in (
        (name, volume.affine, volume.spacing_mm),
        ("reference image", case.affine, case.spacing_mm),
    ):
        sizes_mm = voxel_sizes(affine)[::-1]
        if not np.allclose(sizes_mm, spacing_mm, rtol=_SPACING_TOLERANCE):
            raise InputError(
                f"the {label} of {case.case_id} with an affine of {np.round(sizes_mm, 3)} mm",
                f"{np.round(spacing_mm, 3)} mm (z, y, x), the spacing in its header",
                "correct the affine, or leave out the modality on another grid",
            )
    source = nib.Nifti1Image(volume.array.transpose(2, 1, 0), volume.affine)
    target = (case.shape[::-1], case.affine)
    resampled = resample_from_to(source, target, order=1, mode="constant", cval=0.0)
    values = np.asarray(resampled.dataobj, dtype=np.float32)
    return np.ascontiguousarray(values.transpose(2, 1, 0))
