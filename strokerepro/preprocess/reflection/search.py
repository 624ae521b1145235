"""Coarse search for the mirror line: all angles in one batch, all shifts by one FFT each."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from strokerepro.preprocess.reflection.geometry import Double, InPlaneImage, Reflection

_ANGLE_LIMIT_DEG = 45  # beyond it the long axis of an oval head would compete with the short one
_ANGLE_STEP_DEG = 5


def search_reflection(image: InPlaneImage) -> Reflection:
    """Find the reflection without shear that correlates best with the image itself.

    Mirroring at a line with an offset is mirroring at the parallel line through the centre, then
    a shift by twice the offset along the normal. For every angle one cross-correlation therefore
    holds all offsets; it is read along the normal. Since a reflection keeps the energy of an
    image, the largest correlation is the smallest sum of squared differences.

    Parameters
    ----------
    image
        Slices at a coarse resolution, 0 outside the head.

    Returns
    -------
    Reflection
        To about half a step of 5 degrees and half a pixel.
    """
    angles = np.deg2rad(np.arange(-_ANGLE_LIMIT_DEG, _ANGLE_LIMIT_DEG + 1, _ANGLE_STEP_DEG))
    mirrored = torch.stack([image.through(Reflection(float(angle))) for angle in angles])
    correlations = _cross_correlations(image.values, mirrored)
    offsets_mm = _offsets(image)
    scores = np.stack(
        [
            _along_normal(correlation, image, Reflection(float(angle)).normal, offsets_mm)
            for correlation, angle in zip(correlations, angles, strict=True)
        ]
    )
    best_angle, best_offset = np.unravel_index(int(scores.argmax()), scores.shape)
    return Reflection(float(angles[best_angle]), float(offsets_mm[best_offset]))


def _cross_correlations(fixed: Tensor, mirrored: Tensor) -> Double:
    """Sum over slices of the circular correlation (A, Y, X) of (Z, Y, X) with (A, Z, Y, X)."""
    spectrum = (torch.fft.rfft2(fixed) * torch.fft.rfft2(mirrored).conj()).sum(dim=1)
    correlations: Double = torch.fft.irfft2(spectrum, s=fixed.shape[1:]).double().numpy()
    return correlations


def _offsets(image: InPlaneImage) -> Double:
    """Offsets (K,) half a pixel apart, whose shifts stay below half the slice."""
    steps_mm = [abs(p[1] - p[0]) for p in (image.x_mm, image.y_mm) if len(p) > 1]
    largest_mm = max(np.ptp(image.x_mm), np.ptp(image.y_mm)) / 4
    count = int(2 * largest_mm / min(steps_mm))
    return np.linspace(-largest_mm, largest_mm, 2 * count + 1)


def _along_normal(
    correlation: Double, image: InPlaneImage, normal: Double, offsets_mm: Double
) -> Double:
    """Correlation (K,) at shifts of twice the offsets along the normal."""
    step_x, step_y = (p[1] - p[0] if len(p) > 1 else 1.0 for p in (image.x_mm, image.y_mm))
    shifts = 2 * np.outer(normal / [step_x, step_y], offsets_mm)  # (2, K) in pixels, (x, y)
    values: Double = ndimage.map_coordinates(correlation, shifts[::-1], order=1, mode="grid-wrap")
    return values
