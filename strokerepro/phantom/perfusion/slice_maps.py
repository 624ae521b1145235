"""Perfusion maps of one slice, from its stored frames as a workstation has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strokerepro.errors import InputError
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.perfusion.config import MapConfig
from strokerepro.phantom.perfusion.deconvolution import PerfusionMaps, deconvolve
from strokerepro.phantom.perfusion.smoothing import gaussian_weights, smooth_plane

BoolArray = NDArray[np.bool_]


def slice_maps(
    series: NDArray[np.int16],
    arterial_hu: FloatArray,
    dt_s: float,
    brain: BoolArray,
    px_mm: float,
    config: MapConfig,
) -> PerfusionMaps:
    """Subtract the baseline, smooth, leave out fluid, deconvolve, leave out vessels.

    Parameters
    ----------
    series
        ``(T, Y, X)`` HU.
    arterial_hu
        ``(T,)`` arterial enhancement above its baseline.
    dt_s
        Time between frames.
    brain
        ``(Y, X)`` mask; nothing outside enters the maps.
    px_mm
        Pixel.
    config
        Smoothing, truncation and masks.

    Returns
    -------
    PerfusionMaps
        Maps of shape ``(Y, X)``, 0 outside the brain, in fluid and in vessels.

    Raises
    ------
    InputError
        When series and mask disagree in shape, or the curves cannot be deconvolved, see
        :func:`~strokerepro.phantom.perfusion.deconvolution.deconvolve`.
    """
    frames, mask = np.asarray(series), np.asarray(brain, dtype=bool)
    if frames.ndim != 3 or frames.shape[1:] != mask.shape:
        raise InputError(
            f"a series {frames.shape} and a brain mask {mask.shape}",
            "shapes (T, Y, X) and (Y, X)",
            "give frames and mask of the same slice",
        )
    box = _bounding_box(mask)
    weights = gaussian_weights(config.smoothing_mm / px_mm)
    curves, tissue = _tissue_curves(frames[:, *box], mask[box], weights, config)
    maps = deconvolve(curves, arterial_hu, dt_s, threshold=config.threshold)
    kept = maps.cbv_ml_100g <= config.vessel_above_ml_100g
    voxels = np.flatnonzero(_embedded(tissue, box, mask.shape))[kept]

    def filled(values: FloatArray) -> FloatArray:
        plane = np.zeros(mask.shape)
        plane.reshape(-1)[voxels] = values[kept]
        return plane

    return PerfusionMaps(
        filled(maps.cbf_ml_100g_min),
        filled(maps.cbv_ml_100g),
        filled(maps.mtt_s),
        filled(maps.tmax_s),
    )


def baseline_frames(curve_hu: FloatArray, rise_share: float) -> int:
    """Number of frames before the bolus arrives, at least 1.

    Going back from the peak, the first frame that is not above the baseline by more than
    `rise_share` of the peak is the last of them.

    Parameters
    ----------
    curve_hu
        ``(T,)`` mean attenuation of the slice.
    rise_share
        Share of the enhancement from the first frame to the peak.
    """
    peak = int(np.argmax(curve_hu))
    level = curve_hu[0] + rise_share * (curve_hu[peak] - curve_hu[0])
    low = np.flatnonzero(curve_hu[:peak] <= level)
    return int(low[-1]) + 1 if len(low) else 1


def _tissue_curves(
    frames: NDArray[np.int16], mask: BoolArray, weights: FloatArray, config: MapConfig
) -> tuple[FloatArray, BoolArray]:
    """Smoothed enhancement ``(T, N)`` of the voxels of brain tissue, and their mask."""
    if not mask.any():
        return np.zeros((len(frames), 0)), mask
    count = baseline_frames(np.mean(frames[:, mask], axis=1, dtype=np.float64), config.rise_share)
    baseline = np.asarray(np.mean(frames[:count], axis=0, dtype=np.float64))
    tissue = mask & (_normalised(baseline, mask, weights) >= config.csf_below_hu)
    curves = np.empty((len(frames), int(np.count_nonzero(tissue))))
    if curves.size:
        coverage = smooth_plane(tissue.astype(np.float64), weights)[tissue]
        for curve, frame in zip(curves, frames, strict=True):
            smoothed = smooth_plane(np.where(tissue, frame - baseline, 0.0), weights)
            np.divide(smoothed[tissue], coverage, out=curve)
    return curves, tissue


def _normalised(plane: FloatArray, mask: BoolArray, weights: FloatArray) -> FloatArray:
    """Gaussian mean over the mask only; 0 outside it."""
    total = smooth_plane(np.where(mask, plane, 0.0), weights)
    coverage = smooth_plane(mask.astype(np.float64), weights)
    return np.divide(total, coverage, out=np.zeros_like(total), where=mask)


def _bounding_box(mask: BoolArray) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _embedded(part: BoolArray, box: tuple[slice, slice], shape: tuple[int, ...]) -> BoolArray:
    whole = np.zeros(shape, dtype=bool)
    whole[box] = part
    return whole
