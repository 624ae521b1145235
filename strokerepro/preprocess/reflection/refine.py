"""Robust Gauss-Newton refinement of a mirror line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from strokerepro.preprocess.reflection.geometry import Double, InPlaneImage, Reflection

_MAX_STEPS = 30
_CONVERGED_PX = 1e-3
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
        Whether the last step moved the head by less than a thousandth of a pixel.
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

    The gradient is that of the image, carried through the reflection: it is computed once, and at
    the solution, where the image equals its mirrored copy, it is that of the mirrored copy.
    Differences are weighted by Geman and McClure's function of their size in robust standard
    deviations, so that a lesion on one side, which no mirroring explains, hardly pulls.

    Parameters
    ----------
    image
        Slices (Z, Y, X), smooth at the scale of a pixel, 0 outside the head.
    start
        Where to begin; within a few pixels of the solution.
    shear
        Whether the direction of mirroring may lean from the normal.
    robust
        Weight differences as described; else all weigh alike.
    """
    gradient_y, gradient_x = torch.gradient(
        image.values,
        spacing=[torch.from_numpy(image.y_mm).float(), torch.from_numpy(image.x_mm).float()],
        dim=(1, 2),
    )
    x, y = np.meshgrid(image.x_mm, image.y_mm)
    radius_mm, px_mm = _extent(image)
    units = np.array([1 / radius_mm, 1.0, 1 / radius_mm])  # each then moves the rim by 2 mm
    unknowns = 3 if shear else 2
    floor = _NOISE_FLOOR * float(image.values.abs().max())
    reflection = start
    for step in range(1, _MAX_STEPS + 1):
        difference = image.through(reflection) - image.values
        weight = _weights(difference, floor) if robust else torch.ones_like(difference)
        moments = _moments(weight, gradient_x, gradient_y, difference)
        fields = _parameter_fields(reflection, x, y)[:unknowns] * units[:unknowns, None, None, None]
        update = _solve(moments, fields)
        reflection = _moved(reflection, update * units[:unknowns])
        if 2 * np.abs(update).sum() < _CONVERGED_PX * px_mm:
            return Refinement(reflection, True, step)
        if not np.isfinite(update).all() or np.abs(update).max() > radius_mm:
            break
    return Refinement(reflection, False, step)


def _extent(image: InPlaneImage) -> tuple[float, float]:
    """Radius of the tissue around the centre of the slice, and the pixel spacing, in mm."""
    occupied = (image.values != 0).any(dim=0).numpy()
    y, x = occupied.nonzero()
    radius = np.hypot(image.x_mm[x], image.y_mm[y]).max(initial=1.0)
    steps = [abs(p[1] - p[0]) for p in (image.x_mm, image.y_mm) if len(p) > 1]
    return float(radius), float(min(steps))


def _weights(difference: Tensor, floor: float) -> Tensor:
    # Every seventh pixel (a step that visits all columns) is enough for a median.
    sample = difference.flatten()[::7].abs()
    inside = sample[sample > 0]
    deviation = _MAD_TO_DEVIATION * float(inside.median()) if inside.numel() else 0.0
    cutoff = _CUTOFF * max(deviation, floor)
    return difference.square().mul_(cutoff**-2).add_(1).square_().reciprocal_()


def _moments(weight: Tensor, gradient_x: Tensor, gradient_y: Tensor, difference: Tensor) -> Double:
    """Sums over the slices (5, Y, X) of what the normal equations are made of."""
    weighted_x, weighted_y = weight * gradient_x, weight * gradient_y
    products = (
        weighted_x * gradient_x,
        weighted_x * gradient_y,
        weighted_y * gradient_y,
        weighted_x * difference,
        weighted_y * difference,
    )
    sums: Double = torch.stack([product.sum(dim=0) for product in products]).double().numpy()
    return sums


def _parameter_fields(reflection: Reflection, x: Double, y: Double) -> Double:
    """Derivatives (3, 2, Y, X) of mirrored positions by angle, offset and shear, mirrored back.

    The mirrored copy's change is the image's gradient at the mirrored position times the
    derivative. The gradient there is that at the pixel itself times the (self-inverse) linear
    part, which is moved to the derivative here.
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


def _solve(moments: Double, fields: Double) -> Double:
    """Gauss-Newton step (K,) from the moments (5, Y, X) and the fields (K, 2, Y, X)."""
    xx, xy, yy, x_difference, y_difference = moments
    by_x, by_y = fields[:, 0], fields[:, 1]
    times_x, times_y = xx * by_x + xy * by_y, xy * by_x + yy * by_y
    normal = np.einsum("kyx,lyx->kl", by_x, times_x) + np.einsum("kyx,lyx->kl", by_y, times_y)
    right = np.einsum("kyx,yx->k", by_x, x_difference) + np.einsum("kyx,yx->k", by_y, y_difference)
    # A direction that the image says nothing about, such as the angle of a disc, is left alone.
    update: Double = np.linalg.lstsq(normal, -right, rcond=1e-9)[0]
    return update


def _moved(reflection: Reflection, update: Double) -> Reflection:
    return Reflection(
        reflection.angle_rad + float(update[0]),
        reflection.offset_mm + float(update[1]),
        reflection.shear + (float(update[2]) if len(update) > 2 else 0.0),
    )
