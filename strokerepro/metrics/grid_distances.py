"""Hausdorff distances of many masks to one reference, from the surfaces of their components.

Of the two directed distances, the one from prediction to reference needs each surface voxel once,
whatever masks it is a surface voxel of. The one from reference to prediction is the minimum over
groups of voxels that appear and disappear together, so each group is searched once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from strokerepro.metrics.component_surfaces import ComponentSurfaces
from strokerepro.metrics.surface import Spacing, surface

_Voxels = npt.NDArray[np.int64]
_Values = npt.NDArray[np.float64]


def hausdorff_distances(
    masks: Sequence[ComponentSurfaces],
    truth: npt.NDArray[np.bool_],
    min_sizes_vox: npt.NDArray[np.int64],
    spacing_mm: Spacing,
) -> _Values:
    """Measure every mask without its small components against the reference.

    Parameters
    ----------
    masks
        Components of the M masks.
    truth
        Reference, ``(Z, Y, X)``, not empty.
    min_sizes_vox
        ``(S,)`` rising minimum sizes.
    spacing_mm
        Distance of neighbouring voxel centres along z, y and x; distances have its unit.

    Returns
    -------
    ndarray
        ``(M, S)``, NaN where no component is left.
    """
    truth_points = _points(np.flatnonzero(surface(truth)), truth.shape, spacing_mm)
    everywhere = np.unique(np.concatenate([mask.voxels for mask in masks]))
    to_truth = _nearest(_points(everywhere, truth.shape, spacing_mm), truth_points)
    result = np.full((len(masks), len(min_sizes_vox)), np.nan)
    for row, mask in zip(result, masks, strict=True):
        # A voxel is on the surface for the minimum sizes first, ..., end - 1.
        first = np.searchsorted(min_sizes_vox, mask.above_vox, side="right")
        end = np.searchsorted(min_sizes_vox, mask.up_to_vox, side="right")
        pred_to_truth = np.full(len(row), -np.inf)
        truth_to_pred = np.full((len(row), len(truth_points)), np.inf)
        for start, stop in set(zip(first.tolist(), end.tolist(), strict=True)):
            if start == stop:
                continue
            group = mask.voxels[(first == start) & (end == stop)]
            farthest = to_truth[np.searchsorted(everywhere, group)].max()
            np.maximum(pred_to_truth[start:stop], farthest, out=pred_to_truth[start:stop])
            nearest = _nearest(truth_points, _points(group, truth.shape, spacing_mm))
            np.minimum(truth_to_pred[start:stop], nearest, out=truth_to_pred[start:stop])
        some = np.isfinite(pred_to_truth)
        row[some] = np.maximum(pred_to_truth, truth_to_pred.max(axis=1))[some]
    return result


def _nearest(points: _Values, targets: _Values) -> _Values:
    """Distance of each point to the nearest target."""
    tree = cKDTree(targets, compact_nodes=False, balanced_tree=False)
    distances, _ = tree.query(points)
    return np.asarray(distances, np.float64)


def _points(voxels: _Voxels, shape: tuple[int, ...], spacing_mm: Spacing) -> _Values:
    """Positions of voxels given by flat indices, ``(N, 3)``."""
    indices = np.unravel_index(voxels, shape)
    return np.stack([index * step for index, step in zip(indices, spacing_mm, strict=True)], 1)
