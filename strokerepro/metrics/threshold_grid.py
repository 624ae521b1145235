"""Scores of a probability map at every pair of a threshold and a smallest component size.

The result of each pair is that of `score_case` on ``remove_small(probability > threshold, size)``,
exactly; but components are labelled once a threshold, and distances are searched once a group of
surface voxels, so that 54 pairs cost little more than a few (Sec. 3.3 of
doi:10.1016/j.compbiomed.2019.103487 searches such a grid).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from strokerepro.errors import InputError, UsageError
from strokerepro.metrics.case import binary_masks, check_spacing
from strokerepro.metrics.component_surfaces import find_component_surfaces
from strokerepro.metrics.grid_distances import group_surface, hausdorff_distances
from strokerepro.metrics.operating_point import OperatingPoint, select_operating_point
from strokerepro.metrics.surface import Spacing, bounding_box
from strokerepro.postprocess import Connectivity

__all__ = ["GridScores", "OperatingPoint", "score_grid", "select_operating_point"]

_Cells = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GridScores:
    """Scores of one case at T thresholds and S minimum sizes, each ``(T, S)`` float64.

    Attributes
    ----------
    dice, precision, recall
        As `score_case` with its policy ``nan``: NaN if the reference is empty, 0 if the
        prediction alone is.
    hd_mm, hd_vox
        Hausdorff distance in mm, and with voxels as the unit along all axes; NaN if either mask
        is empty.
    volume_ml_pred
        Predicted volume, mL.
    """

    dice: _Cells
    precision: _Cells
    recall: _Cells
    hd_mm: _Cells
    hd_vox: _Cells
    volume_ml_pred: _Cells


def score_grid(
    probability: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    spacing_mm: Spacing,
    *,
    thresholds: Sequence[float],
    min_sizes_vox: Sequence[int],
    connectivity: Connectivity = "3d6",
) -> GridScores:
    """Score a probability map at every pair of a threshold and a minimum size.

    Parameters
    ----------
    probability
        Probability of lesion, ``(Z, Y, X)``; a voxel is predicted if it exceeds the threshold.
    truth
        Binary reference of the same shape.
    spacing_mm
        Distance of neighbouring voxel centres along z, y and x, mm.
    thresholds
        T thresholds.
    min_sizes_vox
        S sizes; components of fewer voxels are removed.
    connectivity
        Which voxels form one component, as for `remove_small`.

    Returns
    -------
    GridScores
        Arrays of ``(T, S)``.

    Raises
    ------
    InputError
        If the shapes differ, the reference is not binary, a probability is not a number, or a
        spacing is not positive.
    UsageError
        If there is no threshold or no size, or the connectivity is unknown.
    """
    truth_mask = _check(probability, truth, spacing_mm, thresholds, min_sizes_vox)
    probability, truth_mask = _cropped(probability, truth_mask, min(thresholds))
    masks = [
        find_component_surfaces(probability > float(threshold), truth_mask, connectivity)
        for threshold in thresholds
    ]
    n_pred = np.array([_kept(mask.size_vox, mask.size_vox, min_sizes_vox) for mask in masks])
    n_both = np.array([_kept(mask.overlap_vox, mask.size_vox, min_sizes_vox) for mask in masks])
    n_truth = int(np.count_nonzero(truth_mask))
    undefined = np.full(n_pred.shape, np.nan)
    scores = dict.fromkeys(("dice", "precision", "recall", "hd_mm", "hd_vox"), undefined)
    if n_truth:
        # Sizes up to 1 remove nothing; equal sizes, as of mL on a coarse grid, are one column.
        rising, column = np.unique(np.maximum(min_sizes_vox, 1), return_inverse=True)
        surfaces = [group_surface(mask, rising) for mask in masks]
        hd_mm, hd_vox = (
            hausdorff_distances(surfaces, truth_mask, len(rising), unit)[:, column]
            for unit in (spacing_mm, (1.0, 1.0, 1.0))
        )
        scores = {
            "dice": 2 * n_both / (n_pred + n_truth),
            "precision": n_both / np.maximum(n_pred, 1),
            "recall": n_both / n_truth,
            "hd_mm": hd_mm,
            "hd_vox": hd_vox,
        }
    return GridScores(volume_ml_pred=n_pred * (float(np.prod(spacing_mm)) / 1000), **scores)


def _kept(
    counts: npt.NDArray[np.int64], size_vox: npt.NDArray[np.int64], min_sizes_vox: Sequence[int]
) -> list[int]:
    """Sum of `counts` over the components that stay at each minimum size."""
    return [int(counts[size_vox >= smallest].sum()) for smallest in min_sizes_vox]


def _cropped(
    probability: npt.NDArray[Any], truth: npt.NDArray[np.bool_], lowest: float
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Cut off what is neither predicted at the lowest threshold nor true."""
    either = (probability > float(lowest)) | truth
    box = bounding_box(either) if either.any() else (slice(1), slice(1), slice(1))
    return probability[box], truth[box]


def _check(
    probability: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    spacing_mm: Spacing,
    thresholds: Sequence[float],
    min_sizes_vox: Sequence[int],
) -> npt.NDArray[np.bool_]:
    if len(thresholds) == 0 or len(min_sizes_vox) == 0:
        raise UsageError(
            f"{len(thresholds)} thresholds and {len(min_sizes_vox)} minimum sizes",
            "at least one of each",
            "the paper has 9 and 6",
        )
    if np.isnan(probability).any():
        raise InputError("a probability that is not a number", "0 to 1", "check the network")
    check_spacing(spacing_mm)
    return binary_masks(probability > 0, truth)[1]
