"""The components of a mask with their surfaces, whichever of the small ones are removed.

A face neighbour of a voxel belongs to its own component, to another one (only if components end
with their slice), or to no component. Removing all components below a size therefore uncovers a
voxel exactly if the smallest of these neighbours goes while the voxel's own component stays: each
voxel is a surface voxel for one interval of minimum sizes, which is found once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from strokerepro.postprocess import Connectivity, label_components


class ComponentSurfaces(NamedTuple):
    """Components of one mask, and the voxels that can be on a surface.

    Attributes
    ----------
    size_vox
        ``(N,)`` voxels of each component.
    overlap_vox
        ``(N,)`` voxels of each component inside the reference.
    voxels
        ``(M,)`` flat indices of the voxels that are on the surface for some minimum size.
    above_vox, up_to_vox
        ``(M,)`` each of them is on the surface if ``above_vox < minimum size <= up_to_vox``.
    """

    size_vox: npt.NDArray[np.int64]
    overlap_vox: npt.NDArray[np.int64]
    voxels: npt.NDArray[np.int64]
    above_vox: npt.NDArray[np.int64]
    up_to_vox: npt.NDArray[np.int64]


def find_component_surfaces(
    mask: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_], connectivity: Connectivity
) -> ComponentSurfaces:
    """Label a mask ``(Z, Y, X)`` and find the intervals of its surface voxels.

    Beyond the edge of the volume is background.
    """
    labels, n_components = label_components(mask, connectivity)
    inside = np.flatnonzero(labels)
    owner = labels.ravel()[inside]
    size = np.bincount(owner, minlength=n_components + 1)
    overlap = np.bincount(owner[truth.ravel()[inside]], minlength=n_components + 1)
    smallest = _smallest_neighbour(labels, size, inside)
    own = size[owner]
    on_surface = smallest < own
    return ComponentSurfaces(
        size_vox=size[1:],
        overlap_vox=overlap[1:],
        voxels=inside[on_surface],
        above_vox=smallest[on_surface],
        up_to_vox=own[on_surface],
    )


def _smallest_neighbour(
    labels: npt.NDArray[np.int32], size: npt.NDArray[np.int64], inside: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Size of the smallest component across the six faces of each voxel, 0 for background."""
    padded = np.pad(labels, 1)
    z, y, x = np.unravel_index(inside, labels.shape)
    flat = padded.ravel()
    centre = np.ravel_multi_index((z + 1, y + 1, x + 1), padded.shape)
    row = padded.shape[2]
    slab = padded.shape[1] * row
    smallest = np.full(inside.shape, size.max(initial=0))
    for step in (-slab, slab, -row, row, -1, 1):
        np.minimum(smallest, size[flat[centre + step]], out=smallest)
    return smallest
