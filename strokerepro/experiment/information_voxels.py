"""Brain voxels of simulated CT-perfusion cases as rows of features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from strokerepro.cohort import Case
from strokerepro.experiment.ctp_acceptance import measure_case
from strokerepro.phantom.ctp import CtpCase
from strokerepro.preprocess import brain_mask, relative_cbf

SCALES_MM = (0.0, 3.0, 8.0)  # in-plane Gaussian sigma; 0 is the image itself
_NORMAL_TMAX_BELOW_S = 4.0  # as in the threshold rule

Float = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Voxels:
    """Brain voxels of one case.

    Attributes
    ----------
    patient
        Number of the patient.
    features
        Per image, the values (N, features) of the brain voxels.
    lesion
        Whether they are lesion (N,).
    measured
        Volumes and overlaps of the case, as `measure_case` gives them.
    """

    patient: int
    features: Mapping[str, Float]
    lesion: npt.NDArray[np.bool_]
    measured: Mapping[str, Any]


def case_in_memory(number: int, made: CtpCase) -> Case:
    """Turn a generated case into one as the loader gives it, without files.

    Parameters
    ----------
    number
        Number of the case.
    made
        Its volumes (X, Y, Z).
    """
    volumes: dict[str, npt.NDArray[Any]] = {
        "ct": made.ct,
        "cbf": made.cbf,
        "cbv": made.cbv,
        "mtt": made.mtt_s,
        "tmax": made.tmax_s,
        "dwi": made.dwi,
    }
    x_mm, y_mm, z_mm = made.grid.spacing_mm
    return Case(
        case_id=f"case_{number}",
        patient_id=str(made.facts["patient"]),
        arrays={name: np.asarray(v.transpose(2, 1, 0), np.float32) for name, v in volumes.items()},
        affine=np.eye(4),
        spacing_mm=(z_mm, y_mm, x_mm),
        label=made.label.transpose(2, 1, 0),
    )


def brain_voxels(number: int, made: CtpCase) -> Voxels:
    """Features of all voxels in which the perfusion maps are defined.

    Flow, volume and transit time are relative to normal tissue, Tmax is in s, CT is in HU from
    the median of the brain, DWI relative to it; each is given at `SCALES_MM`. Lesion voxels in
    fluid and vessels, where the maps have no value, are left out of every image alike.

    Parameters
    ----------
    number
        Number of the case.
    made
        Its volumes.
    """
    case = case_in_memory(number, made)
    assert case.label is not None  # set just above
    brain, arrays = brain_mask(case), case.arrays
    normal = brain & (arrays["tmax"] < _NORMAL_TMAX_BELOW_S)
    images = {
        "maps": [
            relative_cbf(arrays["cbf"], arrays["tmax"], brain),
            relative_cbf(arrays["cbv"], arrays["tmax"], brain),
            arrays["mtt"] / np.float32(np.median(arrays["mtt"][normal])),
            arrays["tmax"],
        ],
        "ct": [arrays["ct"] - np.float32(np.median(arrays["ct"][brain]))],
        "dwi": [arrays["dwi"] / np.float32(np.median(arrays["dwi"][brain]))],
    }
    pixel_mm = case.spacing_mm[1]
    features = {
        name: np.stack([values for image in stack for values in _scales(image, brain, pixel_mm)], 1)
        for name, stack in images.items()
    }
    lesion = case.label[brain] > 0
    return Voxels(int(made.facts["patient"]), features, lesion, measure_case(case))


def _scales(image: Float, brain: npt.NDArray[np.bool_], pixel_mm: float) -> list[Float]:
    """Values (N,) in the brain at each scale, smoothed over the brain only."""
    values = [image[brain]]
    inside = np.where(brain, image, 0).astype(np.float32)
    for scale_mm in SCALES_MM[1:]:
        sigma = (0.0, scale_mm / pixel_mm, scale_mm / pixel_mm)
        total = ndimage.gaussian_filter(inside, sigma)
        coverage = ndimage.gaussian_filter(brain.astype(np.float32), sigma)
        values.append(total[brain] / coverage[brain])
    return values
