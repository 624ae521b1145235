"""Scan of one slice of a perfusion series: quantum noise, and whole HU."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from strokerepro.errors import UsageError
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.perfusion.arterial_input import measured_input
from strokerepro.phantom.perfusion.config import ScanConfig
from strokerepro.phantom.perfusion.slice_maps import slice_maps
from strokerepro.phantom.perfusion.smoothing import gaussian_weights

__all__ = ["acquire_slice", "draw_noise_hu", "measured_input", "pixel_noise_hu", "slice_maps"]


def draw_noise_hu(rng: np.random.Generator, config: ScanConfig) -> float:
    """Draw the noise SD of one examination, at the reference voxel (1 x 1 x 5 mm)."""
    median, log_sd = config.noise_hu
    return median * math.exp(rng.normal(0.0, log_sd))


def pixel_noise_hu(noise_hu: float, px_mm: float, thickness_mm: float, config: ScanConfig) -> float:
    """Noise SD of a pixel, without the radial factor.

    Parameters
    ----------
    noise_hu
        SD at the reference voxel.
    px_mm, thickness_mm
        Pixel and slice thickness.
    config
        Reference voxel and exponents. Neighbouring pixels are correlated: the SD falls less than
        by the pixel's side.
    """
    reference_px_mm, reference_thickness_mm = config.reference_voxel_mm
    in_plane = math.pow(px_mm / reference_px_mm, config.pixel_exponent)
    across = math.pow(thickness_mm / reference_thickness_mm, config.thickness_exponent)
    return noise_hu * in_plane * across


def acquire_slice(
    rng: np.random.Generator,
    baseline_hu: FloatArray,
    enhancement_hu: FloatArray,
    *,
    px_mm: float,
    thickness_mm: float,
    depth_mm: FloatArray,
    config: ScanConfig,
    noise_hu: float | None = None,
) -> NDArray[np.int16]:
    """Add noise to every frame and round to whole HU.

    Parameters
    ----------
    rng
        Random stream.
    baseline_hu
        ``(Y, X)`` attenuation without contrast.
    enhancement_hu
        ``(T, Y, X)`` contrast; a single frame of zeros gives a plain CT.
    px_mm, thickness_mm
        Pixel and slice thickness.
    depth_mm
        ``(Y, X)`` distance to the surface, positive inside: the noise grows with it.
    config
        Noise and number range.
    noise_hu
        Noise SD of this examination at the reference voxel, as :func:`draw_noise_hu` gives it; the
        median of `config` when left out.

    Returns
    -------
    ndarray
        ``(T, Y, X)`` int16 HU.

    Raises
    ------
    UsageError
        When the shapes disagree.
    """
    plane = np.shape(baseline_hu)
    if np.shape(enhancement_hu)[1:] != plane or np.shape(depth_mm) != plane:
        raise UsageError(
            f"planes {plane}, {np.shape(enhancement_hu)[1:]} and {np.shape(depth_mm)}",
            "a baseline, frames and depths of one shape",
            "give arrays of the same slice",
        )
    at_reference = config.noise_hu[0] if noise_hu is None else noise_hu
    sd = pixel_noise_hu(at_reference, px_mm, thickness_mm, config) * _radial(depth_mm, config)
    weights = gaussian_weights(config.correlation_mm / px_mm)
    # Divided by the SD that the kernel leaves of white noise.
    unit_weights = weights / math.sqrt(math.fsum(weights**2))
    frames = np.empty(np.shape(enhancement_hu), dtype=np.int16)
    for frame, contrast in zip(frames, enhancement_hu, strict=True):
        noise = _correlated_noise(rng, plane, unit_weights)
        noise *= sd
        noise += baseline_hu
        noise += contrast
        frame[...] = np.clip(np.rint(noise, out=noise), *config.range_hu, out=noise)
    return frames


def _radial(depth_mm: FloatArray, config: ScanConfig) -> FloatArray:
    surface, centre = config.radial_factor
    share = np.clip(np.asarray(depth_mm) / config.radial_depth_mm, 0.0, 1.0)
    return np.asarray(surface + (centre - surface) * share)


def _correlated_noise(
    rng: np.random.Generator, plane: tuple[int, ...], unit_weights: FloatArray
) -> FloatArray:
    """Noise of variance 1, correlated in the plane, wrapped at its border."""
    # Single precision where it is drawn: half the time, and far finer than a whole HU.
    white = rng.standard_normal(plane, dtype=np.float32)
    rows = ndimage.correlate1d(white, unit_weights, axis=0, output=np.float64, mode="wrap")
    return np.asarray(ndimage.correlate1d(rows, unit_weights, axis=1, mode="wrap"))
