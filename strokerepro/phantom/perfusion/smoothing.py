"""Gaussian kernels of images in a plane, with weights that are the same on every machine."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from strokerepro.phantom.lattice import FloatArray

_REACH_SIGMA = 3.5


def gaussian_weights(sigma_px: float) -> FloatArray:
    """Sampled Gaussian of sum 1, cut at 3.5 standard deviations; odd length."""
    reach = max(1, math.ceil(_REACH_SIGMA * sigma_px))
    # One exponential at a time: the array version differs in its last bit between processors.
    half = [math.exp(-0.5 * (step / sigma_px) ** 2) for step in range(reach + 1)]
    total = half[0] + 2.0 * math.fsum(half[1:])
    return np.asarray([*half[:0:-1], *half]) / total


def smooth_plane(plane: FloatArray, weights: FloatArray) -> FloatArray:
    """Filter ``(Y, X)`` along both axes; beyond the border all is 0."""
    rows = ndimage.correlate1d(plane, weights, axis=0, mode="constant")
    return np.asarray(ndimage.correlate1d(rows, weights, axis=1, mode="constant"))
