"""Values on a regular lattice of template space, read at arbitrary points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float64]

# The box of the MNI152 templates (197 x 233 x 189 voxels of 1 mm): first and last voxel centre.
BOX_START_MM = (-98.0, -134.0, -72.0)
BOX_END_MM = (98.0, 98.0, 116.0)


@dataclass(frozen=True)
class Lattice:
    """Values at ``origin_mm + step_mm * (i, j, k)``.

    Parameters
    ----------
    values
        ``(I, J, K)``; spline coefficients when `order` is 3, see :meth:`smooth`.
    origin_mm
        Position of ``values[0, 0, 0]``.
    step_mm
        Distance of neighbours, equal along the three axes.
    order
        Degree of the interpolating spline, 1 or 3.
    scale
        Factor applied after interpolation, so that integer storage can stand for fractions.
    """

    values: NDArray[np.number[Any]]
    origin_mm: tuple[float, float, float]
    step_mm: float
    order: Literal[1, 3] = 1
    scale: float = 1.0

    @classmethod
    def smooth(
        cls, values: FloatArray, origin_mm: tuple[float, float, float], step_mm: float
    ) -> Lattice:
        """Lattice read by cubic splines, twice continuously differentiable: no kinks."""
        coefficients = ndimage.spline_filter(values, order=3, mode="nearest")
        return cls(coefficients, origin_mm, step_mm, order=3)

    def at(self, points_mm: FloatArray) -> FloatArray:
        """Interpolated values at `points_mm`; outside the lattice the edge value holds.

        Parameters
        ----------
        points_mm
            ``(3, N)`` coordinates in mm.

        Returns
        -------
        ndarray
            ``(N,)`` float64.
        """
        origin = np.asarray(self.origin_mm)[:, None]
        sampled = ndimage.map_coordinates(
            self.values,
            np.asarray((points_mm - origin) / self.step_mm),
            output=np.float64,
            order=self.order,
            mode="nearest",
            prefilter=False,
        )
        return np.asarray(sampled * self.scale)


def box_shape(step_mm: float) -> tuple[int, int, int]:
    """Nodes per axis of the coarsest lattice of `step_mm` that covers the template box."""
    extent = np.subtract(BOX_END_MM, BOX_START_MM)
    i, j, k = (int(n) + 1 for n in np.ceil(extent / step_mm - 1e-9))
    return i, j, k


def node_points(shape: tuple[int, int, int], step_mm: float) -> FloatArray:
    """Coordinates ``(3, I*J*K)`` in mm of the nodes of a lattice that starts at the box."""
    index = np.indices(shape, dtype=np.float64).reshape(3, -1)
    return np.asarray(np.asarray(BOX_START_MM)[:, None] + step_mm * index)
