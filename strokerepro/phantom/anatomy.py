"""One person's head: pose and warp that pull scanner coordinates back into template space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from strokerepro.errors import InputError
from strokerepro.phantom.config import AnatomyConfig
from strokerepro.phantom.lattice import BOX_START_MM, FloatArray, Lattice, box_shape, node_points
from strokerepro.phantom.random_fields import gaussian_field


@dataclass(frozen=True)
class Grid:
    """Voxel grid of an acquisition.

    Parameters
    ----------
    shape
        Voxels along the file's axes (X, Y, Z).
    affine
        ``(4, 4)`` from voxel indices to scanner coordinates in mm, RAS+.
    """

    shape: tuple[int, int, int]
    affine: FloatArray

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distances (x, y, z) in mm between neighbouring voxel centres."""
        x, y, z = np.sqrt(np.sum(self.affine[:3, :3] ** 2, axis=0))
        return float(x), float(y), float(z)

    def points_mm(self, selected: NDArray[np.bool_], slice_offset_mm: float = 0.0) -> FloatArray:
        """Coordinates of the selected voxels, optionally displaced along the slice normal.

        Parameters
        ----------
        selected
            ``(X, Y, Z)`` mask.
        slice_offset_mm
            Displacement along the third axis.

        Returns
        -------
        ndarray
            ``(3, N)`` in mm, in the order of ``selected.nonzero()``.
        """
        index = np.stack(np.nonzero(selected)).astype(np.float64)
        index[2] += slice_offset_mm / self.spacing_mm[2]
        columns = self.affine[:3, :3]
        # Spelled out instead of a matrix product, whose rounding depends on the BLAS kernel.
        rotated = [row[0] * index[0] + row[1] * index[1] + row[2] * index[2] for row in columns]
        return np.stack(rotated) + self.affine[:3, 3:4]


@dataclass(frozen=True)
class Subject:
    """Pose and shape of one head.

    Parameters
    ----------
    matrix
        ``(3, 3)``: template offset from the pivot to scanner offset (rotation times scale).
    shift_mm
        Position of the pivot in the scanner.
    pivot_mm
        Point of template space about which the head is turned.
    warp
        Displacement ``u`` in mm, one lattice per axis: ``q = q0 + u(q0)``.
    rough_warp
        The same read linearly: several times faster, with kinks at the nodes.
    min_jacobian
        Smallest local volume factor of the warp; positive, so the warp does not fold.
    """

    matrix: FloatArray
    shift_mm: FloatArray
    pivot_mm: tuple[float, float, float]
    warp: tuple[Lattice, Lattice, Lattice]
    rough_warp: tuple[Lattice, Lattice, Lattice]
    min_jacobian: float

    def to_template(self, points_mm: FloatArray, *, rough: bool = False) -> FloatArray:
        """Template coordinates ``(3, N)`` of scanner coordinates ``(3, N)``, both in mm.

        Parameters
        ----------
        points_mm
            Scanner coordinates.
        rough
            Use the linear warp: good to a tenth of a millimetre.
        """
        inverse = np.linalg.inv(self.matrix)
        x, y, z = points_mm - self.shift_mm[:, None]
        posed = np.stack([row[0] * x + row[1] * y + row[2] * z for row in inverse])
        posed += np.asarray(self.pivot_mm)[:, None]
        warp = self.rough_warp if rough else self.warp
        return posed + np.stack([component.at(posed) for component in warp])


def draw_subject(rng: np.random.Generator, config: AnatomyConfig) -> Subject:
    """Draw a head.

    Parameters
    ----------
    rng
        Random stream.
    config
        Knobs of the anatomy.

    Returns
    -------
    Subject
        Its warp is a diffeomorphism, different in the left and the right half.

    Raises
    ------
    InputError
        When no warp in `config.max_redraws` has a Jacobian above `config.min_jacobian`.
    """
    tilt = rng.normal(0.0, config.tilt_sd_deg)
    pitch, roll, yaw = np.deg2rad(np.clip(tilt, -config.tilt_limit_deg, config.tilt_limit_deg))
    shift = rng.normal(0.0, config.shift_sd_mm)
    scale = rng.normal(config.scale_mean, config.scale_sd)
    scales = scale * (1.0 + rng.normal(0.0, config.anisotropy_sd, size=3))
    matrix = _rotation(pitch, roll, yaw) * scales[None, :]
    for _ in range(config.max_redraws):
        displacement = draw_displacement(rng, config)
        smallest = float(jacobian(displacement).min())
        if smallest > config.min_jacobian:
            smooth, rough = _lattices(displacement * config.warp_step_mm, config.warp_step_mm)
            return Subject(matrix, shift, config.pivot_mm, smooth, rough, smallest)
    raise InputError(
        f"{config.max_redraws} warps in a row with a Jacobian of {smallest:.2f} or so",
        f"one above {config.min_jacobian}",
        "lower the amplitudes warp_coarse_mm and warp_fine_mm",
    )


def _rotation(pitch: float, roll: float, yaw: float) -> FloatArray:
    cp, sp, cr, sr, cy, sy = (f(angle) for angle in (pitch, roll, yaw) for f in (np.cos, np.sin))
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, dtype=np.float64)


def draw_displacement(rng: np.random.Generator, config: AnatomyConfig) -> FloatArray:
    """Draw a warp's displacement ``(3, X, Y, Z)`` in nodes of `config.warp_step_mm`."""
    step = config.warp_step_mm
    shape = box_shape(step)
    nodes = node_points(shape, step)
    velocity = np.zeros((3, *shape))
    for component in velocity:
        for amplitude, sigma in (config.warp_coarse_mm, config.warp_fine_mm):
            component += amplitude * gaussian_field(rng, sigma).at(nodes).reshape(shape)
    return exponentiate(velocity / step, config.warp_squarings)


_Vector = tuple[Lattice, Lattice, Lattice]


def _lattices(displacement_mm: FloatArray, step_mm: float) -> tuple[_Vector, _Vector]:
    smooth_x, smooth_y, smooth_z = (
        Lattice.smooth(part, BOX_START_MM, step_mm) for part in displacement_mm
    )
    x, y, z = (Lattice(part, BOX_START_MM, step_mm) for part in displacement_mm)
    return (smooth_x, smooth_y, smooth_z), (x, y, z)


def exponentiate(velocity: FloatArray, squarings: int) -> FloatArray:
    """Displacement of the flow of a stationary velocity field after unit time.

    Scaling and squaring: ``u <- v / 2**n``, then n times ``u <- u + u(id + u)``
    (Arsigny et al., MICCAI 2006, doi:10.1007/11866565_113).

    Parameters
    ----------
    velocity
        ``(3, X, Y, Z)`` in voxels.
    squarings
        The n above.

    Returns
    -------
    ndarray
        ``(3, X, Y, Z)`` in voxels.
    """
    identity = np.indices(velocity.shape[1:], dtype=np.float64)
    displacement = velocity / 2**squarings
    for _ in range(squarings):
        moved = identity + displacement
        displacement += np.stack(
            [ndimage.map_coordinates(part, moved, order=1, mode="nearest") for part in displacement]
        )
    return np.asarray(displacement)


def jacobian(displacement: FloatArray) -> FloatArray:
    """Determinant ``(X, Y, Z)`` of ``d(x + u)/dx`` for ``u`` ``(3, X, Y, Z)`` in voxels."""
    rows = [np.stack(np.gradient(part)) for part in displacement]
    a, b, c = (row + np.eye(3)[i][:, None, None, None] for i, row in enumerate(rows))
    return np.asarray(
        a[0] * (b[1] * c[2] - b[2] * c[1])
        - a[1] * (b[0] * c[2] - b[2] * c[0])
        + a[2] * (b[0] * c[1] - b[1] * c[0])
    )
