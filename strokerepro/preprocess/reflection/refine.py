"""Robust refinement of a mirror line, from Gauss and Newton's step on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from strokerepro.preprocess.reflection.geometry import Double, InPlaneImage, Reflection

_MAX_STEPS = 60
_CONVERGED_PX = 1e-3
_LARGEST_STEP_PX = 3.0
_CUTOFF = 2.0  # robust standard deviations at which a difference has a quarter of its weight
_MAD_TO_DEVIATION = 1.4826  # of a normal distribution
_NOISE_FLOOR = 1e-3  # of the image's largest value


@dataclass(frozen=True)
class Refinement:
    """Where the iteration ended.

    Attributes
    ----------
    reflection
        The last iterate.
    converged
        Whether the last step moved no point of the head by more than a thousandth of a pixel.
    steps
        Number of steps taken.
    """

    reflection: Reflection
    converged: bool
    steps: int


def refine_reflection(
    image: InPlaneImage, start: Reflection, *, shear: bool, robust: bool
) -> Refinement:
    """Minimise the differences between an image and its mirrored copy.

    The first step is Gauss and Newton's. Heads are not symmetric, and where differences stay,
    their matrix overrates the curvature, so that alone it would creep; the differences of slopes
    from step to step correct it (Broyden, Fletcher, Goldfarb, Shanno).

    Parameters
    ----------
    image
        Slices (Z, Y, X), smooth at the scale of a pixel, 0 outside the head.
    start
        Where to begin; within a few pixels of the solution.
    shear
        Whether the direction of mirroring may lean from the normal.
    robust
        Weight differences by Geman and McClure's function of their size in robust standard
        deviations at the start, so that a lesion on one side, which no mirroring explains, hardly
        pulls; else all weigh alike.
    """
    radius_mm, px_mm = _extent(image)
    # Angle, offset and shear in units that each move the rim by 2 mm.
    units = np.array([1 / radius_mm, 1.0, 1 / radius_mm])[: 3 if shear else 2]
    differences = _Differences(image, start if robust else None)
    reflection = start
    slope, curvature = differences.expand(reflection, units)
    # A direction that the image says nothing about, such as the angle of a disc, is left alone.
    inverse = np.asarray(np.linalg.pinv(curvature, 1e-9, hermitian=True), np.float64)
    for step in range(1, _MAX_STEPS + 1):
        update = -inverse @ slope
        moved_px = 2 * float(np.abs(update).sum()) / px_mm
        update *= min(1.0, _LARGEST_STEP_PX / max(moved_px, 1e-30))
        reflection = _moved(reflection, update * units)
        if moved_px < _CONVERGED_PX:
            return Refinement(reflection, True, step)
        before = slope
        slope, _ = differences.expand(reflection, units)
        inverse = _corrected(inverse, update, slope - before)
    return Refinement(reflection, False, _MAX_STEPS)


class _Differences:
    """The sum of weighted squares of mirrored copy minus image, expanded at a reflection.

    Parameters
    ----------
    image
        Slices (Z, Y, X).
    scaled_at
        Reflection that the scale of the differences is taken at, or None to weight all alike.
    """

    def __init__(self, image: InPlaneImage, scaled_at: Reflection | None) -> None:
        self._image = image
        self._x, self._y = np.meshgrid(image.x_mm, image.y_mm)
        self._gradient_y, self._gradient_x = torch.gradient(
            image.values,
            spacing=[torch.from_numpy(image.y_mm).float(), torch.from_numpy(image.x_mm).float()],
            dim=(1, 2),
        )
        self._cutoff = np.inf
        if scaled_at is not None:
            floor = _NOISE_FLOOR * float(image.values.abs().max())
            self._cutoff = _CUTOFF * max(self._deviation(scaled_at), floor)

    def _deviation(self, reflection: Reflection) -> float:
        # Every seventh pixel (a step that visits all columns) is enough for a median.
        difference = self._image.through(reflection) - self._image.values
        sizes = difference.flatten()[::7].abs()
        sizes = sizes[sizes > 0]
        return _MAD_TO_DEVIATION * float(sizes.median()) if sizes.numel() else 0.0

    def expand(self, reflection: Reflection, units: Double) -> tuple[Double, Double]:
        """Slope (K,) and Gauss-Newton curvature (K, K) by the first K unknowns in their units."""
        difference = self._image.through(reflection) - self._image.values
        weight = (difference / self._cutoff).square_().add_(1).square_().reciprocal_()
        xx, xy, yy, x_difference, y_difference = self._moments(weight, difference)
        fields = _parameter_fields(reflection, self._x, self._y)[: len(units)]
        by_x, by_y = np.moveaxis(fields * units[:, None, None, None], 1, 0)  # (K, Y, X) each
        slope = np.einsum("kyx,yx->k", by_x, x_difference)
        slope += np.einsum("kyx,yx->k", by_y, y_difference)
        curvature = np.einsum("kyx,lyx->kl", by_x, xx * by_x + xy * by_y)
        curvature += np.einsum("kyx,lyx->kl", by_y, xy * by_x + yy * by_y)
        return slope, curvature

    def _moments(self, weight: Tensor, difference: Tensor) -> Double:
        """Sums over the slices (5, Y, X) of what slope and curvature are made of."""
        weighted_x, weighted_y = weight * self._gradient_x, weight * self._gradient_y
        products = (
            weighted_x * self._gradient_x,
            weighted_x * self._gradient_y,
            weighted_y * self._gradient_y,
            weighted_x * difference,
            weighted_y * difference,
        )
        sums: Double = torch.stack([product.sum(dim=0) for product in products]).double().numpy()
        return sums


def _extent(image: InPlaneImage) -> tuple[float, float]:
    """Radius of the tissue around the centre of the slice, and the pixel spacing, in mm."""
    occupied = (image.values != 0).any(dim=0).numpy()
    y, x = occupied.nonzero()
    radius = np.hypot(image.x_mm[x], image.y_mm[y]).max(initial=1.0)
    steps = [abs(p[1] - p[0]) for p in (image.x_mm, image.y_mm) if len(p) > 1]
    return float(radius), float(min(steps))


def _parameter_fields(reflection: Reflection, x: Double, y: Double) -> Double:
    """Derivatives (3, 2, Y, X) of mirrored positions by angle, offset and shear, mirrored back.

    The mirrored copy changes by the image's gradient at the mirrored position times the
    derivative of that position. Summed over all pixels, times differences that change their sign
    under mirroring, this equals the sum of the gradient at the pixel itself times the derivative
    mirrored back: the gradient never has to be interpolated.
    """
    normal, along, direction = reflection.normal, reflection.along, reflection.direction
    linear = reflection.matrix[:, :2]
    across = normal[0] * x + normal[1] * y - reflection.offset_mm  # (Y, X)
    beside = along[0] * x + along[1] * y
    turned = along - reflection.shear * normal  # the derivative of `direction` by the angle

    def field(vector: Double, size: Double) -> Double:
        mirrored = linear @ vector
        return np.stack([mirrored[0] * size, mirrored[1] * size])

    by_angle = field(-2 * direction, beside) + field(-2 * turned, across)
    by_offset = field(2 * direction, np.ones_like(x))
    by_shear = field(-2 * along, across)
    return np.stack([by_angle, by_offset, by_shear])


def _corrected(inverse: Double, step: Double, change: Double) -> Double:
    """Inverse curvature (K, K) that explains by how much the slope has changed over a step."""
    product = float(step @ change)
    if not product > 0:  # not convex here: nothing is learnt
        return inverse
    left = np.eye(len(step)) - np.outer(step, change) / product
    corrected: Double = left @ inverse @ left.T + np.outer(step, step) / product
    return corrected


def _moved(reflection: Reflection, update: Double) -> Reflection:
    angle, offset, *shear = (float(value) for value in update)
    return Reflection(
        reflection.angle_rad + angle, reflection.offset_mm + offset, reflection.shear + sum(shear)
    )
