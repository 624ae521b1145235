"""Intensities: normalisation of DWI and of perfusion maps, and the unit of an ADC map."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from strokerepro.errors import InputError, UsageError

Float = npt.NDArray[np.float32]
Norm = Literal["release", "whole_volume", "foreground"]
NORMS = ("release", "whole_volume", "foreground")

_KEPT_SHARE = 0.99
_BRIGHTEST_PERCENT = 99.5
# Rounding leaves a constant image with a deviation of some last digits of its value.
_CONSTANT_BELOW = 1e-6

# Typical apparent diffusion coefficient of brain tissue with some cerebrospinal fluid; the sample
# case of ISLES 2022 has a median of 0.91.
_BRAIN_ADC_UM2_PER_MS = 0.9
# The three units that ISLES 2022 mixes, as factors to 1e-3 mm2/s = um2/ms.
_ADC_FACTORS = {"mm2/s": 1e3, "1e-3 mm2/s": 1.0, "1e-6 mm2/s": 1e-3}
_ADC_PLAUSIBLE = 5.0  # the in-brain median may differ by this factor from the typical one


def normalise(volume: Float, norm: Norm, name: str) -> Float:
    """Bring a volume to zero mean and unit variance.

    ``"release"`` follows the configuration released with the paper (doi:10.1016/j.nicl.2017.06.016,
    `utils.py`; the paper, Sec. 4.1, says zero mean and unit variance only): of the voxels above 0
    the brightest 1 % are set aside, the mean of the others is subtracted where the voxel is
    above 0, and everything is divided by their standard deviation, so that a background of 0
    stays exactly 0. ``"foreground"`` does the same without setting any aside;
    ``"whole_volume"`` takes all voxels and shifts all of them.

    Parameters
    ----------
    volume
        Values of any shape.
    norm
        Which voxels the statistics are taken from.
    name
        What the volume is, for the message of an error.

    Raises
    ------
    UsageError
        Unknown `norm`.
    InputError
        No voxel is above 0, or all of them have one value.
    """
    if norm not in NORMS:
        raise UsageError.unknown("normalisation", norm, NORMS)
    foreground = volume > 0
    values = volume.ravel() if norm == "whole_volume" else volume[foreground]
    if norm == "release" and values.size:
        kept = max(1, int(_KEPT_SHARE * values.size))
        values = np.partition(values, kept - 1)[:kept]
    mean = float(values.mean(dtype=np.float64)) if values.size else 0.0
    deviation = float(values.std(dtype=np.float64)) if values.size else 0.0
    if deviation <= _CONSTANT_BELOW * abs(mean):
        raise InputError(
            f"{name} with {'one value everywhere' if values.size else 'no voxel above 0'}",
            "an image with contrast",
            "check the file, or exclude the case by moving its folder away",
        )
    shift = mean if norm == "whole_volume" else np.where(foreground, mean, 0.0)
    return ((volume - shift) / deviation).astype(np.float32)


def adc_um2_per_ms(adc: Float, brain: npt.NDArray[np.bool_], name: str) -> Float:
    """ADC map in 1e-3 mm2/s, which is um2/ms, whichever of three units it came in.

    ISLES 2022 mixes mm2/s, 1e-6 mm2/s and 1e-3 mm2/s; the headers do not say which. The median
    over the brain decides: the units are a factor of 1000 apart, and tissue is not.

    Parameters
    ----------
    adc
        Values (Z, Y, X) in any of the three units.
    brain
        Brain mask (Z, Y, X); only voxels with an ADC above 0 are looked at.
    name
        What the map is, for the message of an error.

    Raises
    ------
    InputError
        No voxel to look at, or a median that is plausible in none of the units.
    """
    values = adc[brain & (adc > 0)]
    median = float(np.median(values)) if values.size else float("nan")
    for factor in _ADC_FACTORS.values():
        ratio = median * factor / _BRAIN_ADC_UM2_PER_MS
        if 1 / _ADC_PLAUSIBLE <= ratio <= _ADC_PLAUSIBLE:
            return (adc * factor).astype(np.float32)
    raise InputError(
        f"{name} with an in-brain median of {median:.4g}",
        f"about {_BRAIN_ADC_UM2_PER_MS} in one of {', '.join(_ADC_FACTORS)}",
        "check that the file is an ADC map",
    )


def zscore(volume: Float, mask: npt.NDArray[np.bool_] | None, name: str) -> Float:
    """Bring the voxels of a mask to zero mean and unit variance.

    Parameters
    ----------
    volume
        Values of any shape.
    mask
        Voxels of the same shape that the statistics are taken from; all others become exactly 0.
        None: all voxels, and all are shifted.
    name
        What the volume is, for the message of an error.

    Raises
    ------
    InputError
        No voxel in the mask, or one value in all of them.
    """
    values = volume.ravel() if mask is None else volume[mask]
    mean = float(values.mean(dtype=np.float64)) if values.size else 0.0
    deviation = float(values.std(dtype=np.float64)) if values.size else 0.0
    if not deviation > _CONSTANT_BELOW * abs(mean):
        raise InputError(
            f"{name} with {'one value everywhere' if values.size else 'no voxel in the brain'}",
            "an image with contrast",
            "check the file, or exclude the case by moving its folder away",
        )
    scores = (volume - mean) / deviation
    return (scores if mask is None else np.where(mask, scores, 0)).astype(np.float32)


def unit_range(volume: Float, mask: npt.NDArray[np.bool_], name: str) -> Float:
    """Bring an image without negative values, such as a DWI, to 0..1 inside a mask.

    The values are divided by their 99.5th percentile inside the mask and cut off at 0 and 1. An
    affine map of all values, such as `zscore`, would leave a network's linear output without a
    fixed scale for its errors.

    Parameters
    ----------
    volume
        Values of any shape and unit.
    mask
        Voxels of the same shape that the percentile is taken from; all others become exactly 0.
    name
        What the volume is, for the message of an error.

    Raises
    ------
    InputError
        No voxel in the mask, or a percentile that is not above 0.
    """
    values = volume[mask]
    bright = float(np.percentile(values, _BRIGHTEST_PERCENT)) if values.size else float("nan")
    if not bright > 0:
        raise InputError(
            f"{name} with a {_BRIGHTEST_PERCENT}th percentile of {bright:.4g} in the brain",
            "an image that is bright somewhere",
            "check the file, or exclude the case by moving its folder away",
        )
    return np.where(mask, np.clip(volume / np.float32(bright), 0, 1), 0).astype(np.float32)
