"""Reflections of a slice, and sampling images through them.

In-plane coordinates are in mm from the centre of the slice, (x, y) along the axes of the array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reflection:
    """Mirroring a plane at a line: the in-plane affine maps that undo themselves.

    A point `p` goes to ``p - 2 (n.p - offset) d`` with the line's unit normal `n` at `angle_rad`,
    its direction `t`, and ``d = n + shear t``. Without shear it is a rigid reflection.

    Attributes
    ----------
    angle_rad
        From the x axis to the line's normal; 0 mirrors left and right.
    offset_mm
        Of the line from the centre of the slice, along its normal.
    shear
        By how much the direction of mirroring leans from the normal.
    """

    angle_rad: float = 0.0
    offset_mm: float = 0.0
    shear: float = 0.0

    @property
    def normal(self) -> Double:
        """Unit normal of the line, (x, y)."""
        return np.array([np.cos(self.angle_rad), np.sin(self.angle_rad)])

    @property
    def along(self) -> Double:
        """Unit direction of the line, (x, y)."""
        return np.array([-np.sin(self.angle_rad), np.cos(self.angle_rad)])

    @property
    def direction(self) -> Double:
        """Direction `d` in which points are mirrored, (x, y)."""
        return np.asarray(self.normal + self.shear * self.along)

    @property
    def matrix(self) -> Double:
        """Linear part (2, 2) and shift (2,) in mm as one matrix (2, 3), for points (x, y)."""
        linear = np.eye(2) - 2 * np.outer(self.direction, self.normal)
        return np.column_stack([linear, 2 * self.offset_mm * self.direction])


@dataclass(frozen=True)
class InPlaneImage:
    """Slices on one grid with the positions of their pixels.

    Attributes
    ----------
    values
        (N, Y, X) float32.
    x_mm, y_mm
        Positions of the columns (X,) and rows (Y,), evenly spaced, float64.
    """

    values: Tensor
    x_mm: Double
    y_mm: Double

    @classmethod
    def of(cls, volume: Float, spacing_yx_mm: tuple[float, float]) -> InPlaneImage:
        """Slices (..., Y, X) centred on their middle; the leading axes become one."""
        height, width = volume.shape[-2:]
        y_mm, x_mm = (
            (np.arange(n) - (n - 1) / 2) * mm
            for n, mm in zip((height, width), spacing_yx_mm, strict=True)
        )
        slices = np.ascontiguousarray(volume.reshape(-1, height, width), dtype=np.float32)
        return cls(torch.from_numpy(slices), x_mm, y_mm)

    def shrunk(self, factor: int) -> InPlaneImage:
        """Means over blocks of factor x factor pixels; an incomplete last block counts zeros."""
        if factor == 1:
            return self
        height, width = self.values.shape[1:]
        padded = torch.nn.functional.pad(self.values, (0, -width % factor, 0, -height % factor))
        pooled = torch.nn.functional.avg_pool2d(padded[None], factor)[0]
        x_mm, y_mm = (
            positions[0] + _step(positions) * (factor * np.arange(n) + (factor - 1) / 2)
            for positions, n in ((self.x_mm, pooled.shape[2]), (self.y_mm, pooled.shape[1]))
        )
        return InPlaneImage(pooled, x_mm, y_mm)

    def mean_slice(self) -> InPlaneImage:
        """The mean over the slices as the only slice."""
        return InPlaneImage(self.values.mean(dim=0, keepdim=True), self.x_mm, self.y_mm)

    def cropped(self) -> InPlaneImage:
        """The smallest rectangle that holds all pixels that differ from 0."""
        occupied = (self.values != 0).any(dim=0).numpy()
        rows, columns = (np.flatnonzero(occupied.any(axis=axis)) for axis in (1, 0))
        y, x = (slice(ends[0], ends[-1] + 1) for ends in (rows, columns))
        return InPlaneImage(self.values[:, y, x].contiguous(), self.x_mm[x], self.y_mm[y])

    def through(self, reflection: Reflection) -> Tensor:
        """Linear interpolation at the mirrored position of every pixel; 0 outside the slice."""
        matrix = reflection.matrix
        x, y = self.x_mm[None, :], self.y_mm[:, None]
        grid = np.empty((len(self.y_mm), len(self.x_mm), 2), np.float32)
        for axis, positions in enumerate((self.x_mm, self.y_mm)):
            mirrored_mm = matrix[axis, 0] * x + matrix[axis, 1] * y + matrix[axis, 2]
            index = (mirrored_mm - positions[0]) / _step(positions)
            grid[..., axis] = (2 * index + 1) / len(positions) - 1
        return torch.nn.functional.grid_sample(
            self.values[None], torch.from_numpy(grid)[None], align_corners=False
        )[0]


def reflect(volume: Float, reflection: Reflection, spacing_yx_mm: tuple[float, float]) -> Float:
    """Mirror every slice, by linear interpolation; what comes from outside the slice is 0.

    Parameters
    ----------
    volume
        Values (..., Y, X).
    reflection
        Where each pixel takes its value from.
    spacing_yx_mm
        Pixel spacing (y, x).

    Returns
    -------
    ndarray
        Mirrored values of the same shape, float32.
    """
    mirrored = InPlaneImage.of(volume, spacing_yx_mm).through(reflection)
    return mirrored.numpy().reshape(volume.shape)


def _step(positions: Double) -> float:
    # A single row or column has no spacing; any will do, since index 0 is where it is.
    return float(positions[1] - positions[0]) if len(positions) > 1 else 1.0
