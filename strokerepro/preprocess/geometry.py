"""The way from the scanner's grid to the network's and back.

Slices are averaged into blocks, slices are resampled in plane, a window is cut out: each step is
linear, so the way back is known. In-plane positions are those of voxel centres, and the two grids
share their centre.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from strokerepro.errors import InputError, UsageError

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]

_Scalar = TypeVar("_Scalar", bound=np.generic)
_Weights = Callable[[int, int, float], Float]

MaskResample = Literal["linear", "nearest"]
ThickMask = Literal["vote", "any"]

# Weights and positions are rounded, so that what lies exactly between two may come out below.
_HALF = 0.5 - 1e-6


@dataclass(frozen=True)
class Window:
    """A rectangle of a slice in pixels; it may reach beyond the slice, where images are 0."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Geometry:
    """The grid of a case, the grid of its preparation, and the maps between them.

    Attributes
    ----------
    shape
        Voxels (Z, Y, X) of the original grid.
    spacing_mm
        Original spacing (z, y, x).
    block
        How many slices are averaged into one.
    px_mm
        Pixel spacing (y, x) after resampling.
    window
        What is cut out of the resampled slice.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    block: int
    px_mm: tuple[float, float]
    window: Window

    @property
    def slice_shape(self) -> tuple[int, int]:
        """Pixels (Y, X) of a slice after resampling, before the window is cut out."""
        height, width = (
            _resampled_length(n, old, new)
            for n, old, new in zip(self.shape[1:], self.spacing_mm[1:], self.px_mm, strict=True)
        )
        return height, width

    @property
    def prepared_shape(self) -> tuple[int, int, int]:
        """Voxels (Z, Y, X) of the prepared volume."""
        return -(-self.shape[0] // self.block), self.window.height, self.window.width

    @property
    def prepared_spacing_mm(self) -> tuple[float, float, float]:
        """Spacing (z, y, x) of the prepared volume."""
        return self.block * self.spacing_mm[0], *self.px_mm

    def resample(self, volume: Float) -> Float:
        """Average blocks of slices and resample linearly in plane.

        Parameters
        ----------
        volume
            Values (Z, Y, X) on the original grid.

        Returns
        -------
        ndarray
            Values (Z', Y', X') of `slice_shape` in plane. The last block is averaged over the
            slices it has. Beyond the outermost voxel centres the outermost value holds.
        """
        self._check("original", volume.shape, self.shape)
        rows, columns = self._matrices(linear_weights, forward=True)
        return _in_plane(_block_sums(volume, self.block) / self._block_sizes(), rows, columns)

    def resample_mask(self, mask: Mask, how: MaskResample, thick: ThickMask) -> Mask:
        """Bring a mask to the prepared slices.

        Parameters
        ----------
        mask
            0 and 1 (Z, Y, X) on the original grid.
        how
            ``"linear"``: linear, then 1 where at least 0.5; ``"nearest"``.
        thick
            A pixel of a block is lesion if at least half of its slices are (``"vote"``, so that
            of two slices one is enough), or if one is (``"any"``).
        """
        self._check("original", mask.shape, self.shape)
        share = _block_sums(mask.astype(np.float32), self.block) / self._block_sizes()
        blocks = (share >= _HALF) if thick == "vote" else (share > 0)
        weights = linear_weights if how == "linear" else nearest_weights
        rows, columns = self._matrices(weights, forward=True)
        resampled = _in_plane(blocks.astype(np.float32), rows, columns)
        return (resampled >= _HALF).astype(np.uint8)

    def cut(self, volume: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
        """Cut the window out of resampled slices (Z, Y, X); outside them is 0."""
        w = self.window
        return _cut(volume, w.top, w.left, w.height, w.width)

    def restore(self, volume: Float) -> Float:
        """Bring a prepared volume, such as probabilities, back to the original grid.

        Parameters
        ----------
        volume
            Values (Z, Y, X) of `prepared_shape`.

        Returns
        -------
        ndarray
            Values (Z', Y', X') on the original grid: 0 outside the window, linear in plane, and
            the value of a block in each of its slices.

        Raises
        ------
        InputError
            The volume has another shape.
        """
        self._check("prepared", volume.shape, self.prepared_shape)
        height, width = self.slice_shape
        whole = _cut(volume, -self.window.top, -self.window.left, height, width)
        rows, columns = self._matrices(linear_weights, forward=False)
        native = _in_plane(whole, rows, columns)
        return np.repeat(native, self.block, axis=0)[: self.shape[0]]

    def _block_sizes(self) -> Float:
        starts = np.arange(0, self.shape[0], self.block)
        sizes = np.minimum(self.block, self.shape[0] - starts)
        return sizes.astype(np.float32)[:, None, None]  # (Z', 1, 1)

    def _matrices(self, weights: _Weights, *, forward: bool) -> tuple[Float, Float]:
        sides = []
        for axis in (0, 1):
            native = (self.shape[axis + 1], self.spacing_mm[axis + 1])
            prepared = (self.slice_shape[axis], self.px_mm[axis])
            source, target = (native, prepared) if forward else (prepared, native)
            sides.append(weights(source[0], target[0], target[1] / source[1]))
        return sides[0], sides[1]

    def _check(self, which: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
        if found != expected:
            raise InputError(
                f"a volume of shape {found}",
                f"{expected} (Z, Y, X), the {which} grid",
                "pass a volume on that grid",
            )


def plan_geometry(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    *,
    px_mm: float,
    block: int,
) -> Geometry:
    """Geometry whose window is the whole resampled slice.

    Raises
    ------
    UsageError
        The pixel spacing is not positive.
    """
    if not px_mm > 0:
        raise UsageError(f"px_mm {px_mm}", "a positive pixel spacing in mm", "choose another")
    empty = Window(0, 0, 0, 0)
    geometry = Geometry(shape, spacing_mm, block, (px_mm, px_mm), empty)
    height, width = geometry.slice_shape
    return Geometry(shape, spacing_mm, block, (px_mm, px_mm), Window(0, 0, height, width))


def plan_resize(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], *, size_px: int
) -> Geometry:
    """Geometry whose slices are stretched to a square of pixels, whatever their shape.

    The outer edges of the two grids coincide, as in ``interpolate(..., align_corners=False)``.

    Parameters
    ----------
    shape, spacing_mm
        Voxels (Z, Y, X) and spacing (z, y, x) of the original grid.
    size_px
        Side of the square.

    Raises
    ------
    UsageError
        A side below 1.
    """
    if size_px < 1:
        raise UsageError(f"resize_px {size_px}", "at least 1 pixel", "choose another side")
    (_, height, width), (_, y_mm, x_mm) = shape, spacing_mm
    px_mm = (height * y_mm / size_px, width * x_mm / size_px)
    return Geometry(shape, spacing_mm, 1, px_mm, Window(0, 0, size_px, size_px))


def _resampled_length(length: int, old_mm: float, new_mm: float) -> int:
    return max(1, round(length * old_mm / new_mm))


def _positions(source: int, target: int, step: float) -> npt.NDArray[np.float64]:
    """Where the target's voxel centres lie on the source's index axis; the centres coincide."""
    centred = np.arange(target, dtype=np.float64) - (target - 1) / 2
    return centred * step + (source - 1) / 2


def linear_weights(source: int, target: int, step: float) -> Float:
    """Matrix (target, source) of linear interpolation along one axis.

    Parameters
    ----------
    source, target
        Number of voxels.
    step
        Target spacing over source spacing.
    """
    position = np.clip(_positions(source, target, step), 0, source - 1)
    lower = np.minimum(np.floor(position).astype(np.intp), max(source - 2, 0))
    upper = np.minimum(lower + 1, source - 1)
    fraction = position - lower
    weights = np.zeros((target, source))
    rows = np.arange(target)
    weights[rows, lower] = 1 - fraction
    weights[rows, upper] += fraction
    return weights.astype(np.float32)


def nearest_weights(source: int, target: int, step: float) -> Float:
    """Matrix (target, source) that picks the nearest voxel, the upper one of two equally near."""
    position = np.clip(_positions(source, target, step), 0, source - 1)
    weights = np.zeros((target, source), dtype=np.float32)
    nearest = np.floor(position + (1 - _HALF)).astype(np.intp)
    weights[np.arange(target), nearest] = 1
    return weights


def _block_sums(volume: Float, block: int) -> Float:
    starts = np.arange(0, volume.shape[0], block)
    sums: Float = np.add.reduceat(volume, starts, axis=0)
    return sums


def _in_plane(volume: Float, rows: Float, columns: Float) -> Float:
    # (Y', Y) @ (Z, Y, X) @ (X, X') -> (Z, Y', X')
    return np.asarray(rows @ volume @ columns.T, dtype=np.float32)


def _cut(
    volume: npt.NDArray[_Scalar], top: int, left: int, height: int, width: int
) -> npt.NDArray[_Scalar]:
    depth, rows, columns = volume.shape
    result = np.zeros((depth, height, width), dtype=volume.dtype)
    y0, y1 = max(top, 0), min(top + height, rows)
    x0, x1 = max(left, 0), min(left + width, columns)
    if y0 < y1 and x0 < x1:
        result[:, y0 - top : y1 - top, x0 - left : x1 - left] = volume[:, y0:y1, x0:x1]
    return result
