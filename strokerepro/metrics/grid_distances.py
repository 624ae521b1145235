"""Hausdorff distances of many masks to one reference, from the surfaces of their components.

Of the two directed distances, the one from prediction to reference is read off one distance map.
The one from reference to prediction is the minimum over groups of voxels that appear and disappear
together; it is searched only where it can exceed the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from strokerepro.metrics.component_surfaces import ComponentSurfaces
from strokerepro.metrics.surface import Spacing, surface

_Values = npt.NDArray[np.float64]
_STRIDE = 8


class SurfaceGroup(NamedTuple):
    """Surface voxels of one mask that are there at the same minimum sizes.

    Attributes
    ----------
    columns
        Part of the rising minimum sizes.
    voxels
        Flat indices, at least one.
    """

    columns: slice
    voxels: npt.NDArray[np.int64]


def group_surface(
    mask: ComponentSurfaces, min_sizes_vox: npt.NDArray[np.int64]
) -> list[SurfaceGroup]:
    """Group the surface voxels of a mask, those of the largest components first.

    Parameters
    ----------
    mask
        Components of the mask.
    min_sizes_vox
        ``(S,)`` rising minimum sizes.
    """
    start = np.searchsorted(min_sizes_vox, mask.above_vox, side="right")
    stop = np.searchsorted(min_sizes_vox, mask.up_to_vox, side="right")
    span = stop * (len(min_sizes_vox) + 1) + start
    there = np.flatnonzero(start < stop)
    present = np.flatnonzero(np.bincount(span[there]))[::-1]
    groups = []
    for value in present.tolist():
        end, first = divmod(value, len(min_sizes_vox) + 1)
        groups.append(SurfaceGroup(slice(first, end), mask.voxels[there[span[there] == value]]))
    return groups


def hausdorff_distances(
    masks: Sequence[Sequence[SurfaceGroup]],
    truth: npt.NDArray[np.bool_],
    n_sizes: int,
    spacing_mm: Spacing,
) -> _Values:
    """Measure every mask without its small components against the reference.

    Parameters
    ----------
    masks
        Surface groups of the M masks.
    truth
        Reference, ``(Z, Y, X)``, not empty.
    n_sizes
        Number S of minimum sizes.
    spacing_mm
        Distance of neighbouring voxel centres along z, y and x; distances have its unit.

    Returns
    -------
    ndarray
        ``(M, S)``, NaN where no component is left.
    """
    truth_surface = surface(truth)
    to_truth = ndimage.distance_transform_edt(~truth_surface, sampling=spacing_mm).ravel()
    truth_points = _points(np.flatnonzero(truth_surface), truth.shape, spacing_mm)
    result = np.full((len(masks), n_sizes), np.nan)
    for row, groups in zip(result, masks, strict=True):
        for group in groups:
            farthest = to_truth[group.voxels].max()
            row[group.columns] = np.fmax(row[group.columns], farthest)
        nearest = np.full((n_sizes, len(truth_points)), np.inf)
        for group in groups:
            # A point of the reference that is near enough already decides nothing any more.
            within, known = nearest[group.columns], row[group.columns, None]  # within: a view
            searched = np.flatnonzero((within > known).any(axis=0))
            if searched.size:
                points = _points(group.voxels, truth.shape, spacing_mm)
                tree = cKDTree(points, compact_nodes=False, balanced_tree=False)
                distance = _upper_bounds(tree, truth_points[searched])
                far = (np.minimum(within[:, searched], distance) > known).any(axis=0)
                distance[far], _ = tree.query(truth_points[searched[far]])
                within[:, searched] = np.minimum(within[:, searched], distance)
        row[:] = np.maximum(row, nearest.max(axis=1))  # NaN where there is no group
    return result


def _points(voxels: npt.NDArray[np.int64], shape: tuple[int, ...], spacing_mm: Spacing) -> _Values:
    """Positions of voxels given by flat indices, ``(N, 3)``."""
    indices = np.unravel_index(voxels, shape)
    return np.stack([index * step for index, step in zip(indices, spacing_mm, strict=True)], 1)


def _upper_bounds(tree: cKDTree, points: _Values) -> _Values:
    """Distances that are not exceeded: to the nearest target of one point in eight, and there.

    Surface voxels in raster order mostly stand beside each other, so these bounds settle most of
    them at an eighth of the searches.
    """
    chosen = points[::_STRIDE]
    distance = np.asarray(tree.query(chosen)[0])
    via = np.arange(len(points)) // _STRIDE
    bounds: _Values = distance[via] + np.linalg.norm(points - chosen[via], axis=1)
    return bounds
