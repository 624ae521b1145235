"""Template coordinates behind the pixels of one slice, sub-slice by sub-slice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokerepro.phantom.anatomy import Subject
from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.ctp_acquisition import Slab
from strokerepro.phantom.lattice import FloatArray, Lattice

# The warp varies over 7 mm and more: coordinates are computed every 2 mm, those that only place
# the layers of the head every 4 mm, and interpolated linearly between.
_FINE_MM = 2.2
_COARSE_MM = 4.4
# Further outside the brain there is neither tissue nor a vessel.
_REACH_MM = 6.0


@dataclass(frozen=True)
class Places:
    """Where one slice lies in the template.

    Parameters
    ----------
    near
        ``(X, Y)`` mask of the N pixels that can hold tissue or vessels.
    points_mm
        ``(3, S * N)`` template coordinates of their samples.
    closed_mm
        ``(S, X, Y)`` depth in the closed brain mask, negative outside.
    air
        ``(S, X, Y)`` value of the lattice of air.
    """

    near: NDArray[np.bool_]
    points_mm: FloatArray
    closed_mm: FloatArray
    air: FloatArray


def slice_places(index: int, slab: Slab, subject: Subject, atlas: Atlas, air: Lattice) -> Places:
    """Pull slice `index` of a slab back through pose and warp."""
    size = slab.grid.shape[0]
    stride = max(1, math.floor(_COARSE_MM / slab.pixel_mm))
    nodes = np.arange(0, size - 1 + stride, stride)
    closed: list[FloatArray] = []
    airy: list[FloatArray] = []
    for offset in slab.subslice_offsets_mm:
        rough = subject.to_template(_plane_mm(slab, index, nodes, nodes, offset), rough=True)
        for values, lattice in ((closed, atlas.closed_depth_mm), (airy, air)):
            coarse = lattice.at(rough).reshape(len(nodes), len(nodes))
            values.append(enlarge(coarse, stride)[:size, :size])
    depth = np.stack(closed)
    near = depth.max(axis=0) > -_REACH_MM
    points = [_points(near, index, slab, subject, float(o)) for o in slab.subslice_offsets_mm]
    return Places(near, np.concatenate(points, axis=1), depth, np.stack(airy))


def _points(
    near: NDArray[np.bool_], index: int, slab: Slab, subject: Subject, offset_mm: float
) -> FloatArray:
    """Template coordinates ``(3, N)`` of the pixels of one sub-slice."""
    if not near.any():
        return np.zeros((3, 0))
    stride = max(1, math.floor(_FINE_MM / slab.pixel_mm))
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    x, y = (np.arange(used[0], used[-1] + stride, stride) for used in (rows, columns))
    coarse = subject.to_template(_plane_mm(slab, index, x, y, offset_mm))
    planes = coarse.reshape(3, len(x), len(y))
    inside = near[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shape = inside.shape
    return np.stack([enlarge(plane, stride)[: shape[0], : shape[1]][inside] for plane in planes])


def _plane_mm(
    slab: Slab, index: int, x: NDArray[np.int64], y: NDArray[np.int64], offset_mm: float
) -> FloatArray:
    """Scanner coordinates ``(3, len(x) * len(y))`` of pixels of one sub-slice, in mm."""
    affine = slab.grid.affine  # without rotation
    columns = np.meshgrid(
        affine[0, 0] * x + affine[0, 3],
        affine[1, 1] * y + affine[1, 3],
        indexing="ij",
    )
    height = affine[2, 2] * index + affine[2, 3] + offset_mm
    return np.stack([*(column.ravel() for column in columns), np.full(x.size * y.size, height)])


def enlarge(plane: FloatArray, stride: int) -> FloatArray:
    """Linear interpolation between nodes `stride` pixels apart.

    Parameters
    ----------
    plane
        ``(I, J)`` values at the nodes.
    stride
        Pixels from node to node.

    Returns
    -------
    ndarray
        ``(stride * (I - 1) + 1, stride * (J - 1) + 1)``.
    """
    for _ in range(2):
        position = np.arange(stride * (len(plane) - 1) + 1)
        node = np.minimum(position // stride, max(len(plane) - 2, 0))
        share = ((position - node * stride) / stride)[:, None]
        after = np.minimum(node + 1, len(plane) - 1)
        plane = (plane[node] * (1.0 - share) + plane[after] * share).T
    return np.ascontiguousarray(plane)
