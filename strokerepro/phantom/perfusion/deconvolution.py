"""Perfusion maps by block-circulant deconvolution with a truncated singular spectrum.

The matrix of a convolution that is padded to twice its length and wrapped around is circulant. Its
singular values are the moduli of the arterial input's Fourier coefficients, so that truncating its
singular value decomposition means leaving out frequencies: two real FFTs do for every voxel what
the explicit decomposition does, without a matrix. Wrapping makes the result independent of the
delay between artery and tissue (Wu et al. 2003, 10.1002/mrm.10522).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from strokerepro.errors import InputError
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.perfusion.units import (
    BRAIN_DENSITY_G_ML,
    FLOW_UNIT,
    HAEMATOCRIT_FACTOR,
    VOLUME_UNIT,
)

# Voxels transformed together: their curves and spectra fit into the cache.
_BLOCK = 256
_FLOW_SCALE = FLOW_UNIT * HAEMATOCRIT_FACTOR / BRAIN_DENSITY_G_ML
_VOLUME_SCALE = VOLUME_UNIT * HAEMATOCRIT_FACTOR / BRAIN_DENSITY_G_ML


@dataclass(frozen=True)
class PerfusionMaps:
    """Four maps of one shape, ``(N,)`` or ``(Y, X)``, all 0 or more.

    Parameters
    ----------
    cbf_ml_100g_min
        Flow: peak of the residue function.
    cbv_ml_100g
        Blood volume: area of the tissue curve over that of the arterial curve.
    mtt_s
        Mean transit time ``60 CBV / CBF``; 0 without flow.
    tmax_s
        Delay of the peak of the residue function.
    """

    cbf_ml_100g_min: FloatArray
    cbv_ml_100g: FloatArray
    mtt_s: FloatArray
    tmax_s: FloatArray


def deconvolve(
    tissue_hu: FloatArray, arterial_hu: FloatArray, dt_s: float, *, threshold: float = 0.10
) -> PerfusionMaps:
    """Perfusion of N voxels.

    Truncation lowers the peak of the residue function and puts it late. Without noise, over the
    phantom's arterial inputs and 60 s, flow comes out at 0.44 to 0.64 of the truth for a transit
    time of 3.8 s (grey matter) and at 0.7 to 0.9 for 9 s; Tmax exceeds the delay by 2.1 to 2.8 s
    and by 3.1 to 4.3 s. Delays shift Tmax one to one. Blood volume lacks what has not left the
    tissue when the scan ends: up to 12 % at 3.8 s, up to 37 % at 20 s and a delay of 10 s.

    Parameters
    ----------
    tissue_hu
        ``(T, N)`` enhancement above the baseline.
    arterial_hu
        ``(T,)`` enhancement of the artery at the same times.
    dt_s
        Time between frames.
    threshold
        Singular values below this share of the largest are left out.

    Returns
    -------
    PerfusionMaps
        Maps of shape ``(N,)``. A negative blood volume, which is noise, is given as 0, and so is a
        peak at a negative delay.

    Raises
    ------
    InputError
        For fewer than two time points, shapes that disagree, a time step that is not positive,
        values that are not finite, or an arterial curve without contrast.
    """
    tissue, arterial = _checked(tissue_hu, arterial_hu, dt_s, threshold)
    voxels = tissue.shape[1]
    cbf, tmax_s = np.empty(voxels), np.empty(voxels)
    transfer = _inverse_transfer(arterial, dt_s, threshold)
    for start in range(0, voxels, _BLOCK):
        part = slice(start, start + _BLOCK)
        peak, index = _peaks(_residues(tissue[:, part], transfer))
        cbf[part] = np.maximum(peak, 0.0)
        tmax_s[part] = np.where(peak > 0.0, dt_s * index, 0.0)
    cbv = np.maximum(_VOLUME_SCALE * np.sum(tissue, axis=0) / np.sum(arterial), 0.0)
    mtt_s = np.divide(60.0 * cbv, cbf, out=np.zeros(voxels), where=cbf > 0.0)
    return PerfusionMaps(cbf, cbv, mtt_s, tmax_s)


def residue_functions(
    tissue_hu: FloatArray, arterial_hu: FloatArray, dt_s: float, *, threshold: float = 0.10
) -> FloatArray:
    """Flow-scaled residue functions ``CBF R(t)`` of N voxels.

    Parameters
    ----------
    tissue_hu, arterial_hu, dt_s, threshold
        As for :func:`deconvolve`.

    Returns
    -------
    ndarray
        ``(2T, N)`` in ml/100 g/min at the delays ``0, dt, 2 dt, ...``; the second half holds the
        negative delays, the last row being ``-dt``.

    Raises
    ------
    InputError
        As for :func:`deconvolve`.
    """
    tissue, arterial = _checked(tissue_hu, arterial_hu, dt_s, threshold)
    return _residues(tissue, _inverse_transfer(arterial, dt_s, threshold))


def _inverse_transfer(
    arterial: FloatArray, dt_s: float, threshold: float
) -> NDArray[np.complex128]:
    """Inverse of the singular values that are kept, 0 for the others; ``(T + 1,)`` complex."""
    spectrum = fft.rfft(arterial, 2 * len(arterial)) * dt_s
    size = np.abs(spectrum)
    kept = size >= threshold * np.max(size)
    inverse: NDArray[np.complex128] = np.zeros_like(spectrum)
    np.divide(_FLOW_SCALE, spectrum, out=inverse, where=kept)
    return inverse


def _residues(tissue: FloatArray, transfer: NDArray[np.complex128]) -> FloatArray:
    length = 2 * len(tissue)
    spectrum = fft.rfft(tissue, length, axis=0)
    spectrum *= transfer[:, None]
    return np.asarray(fft.irfft(spectrum, length, axis=0, overwrite_x=True))


def _peaks(residues: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Value of the largest sample and vertex of the parabola through it, as an index of 0 or more.

    The circle is cut in its middle: an index of T or more is a negative delay, given as 0.
    """
    length = len(residues)
    top = np.argmax(residues, axis=0)
    voxel = np.arange(residues.shape[1])
    before, peak, after = (residues[(top + step) % length, voxel] for step in (-1, 0, 1))
    bend = before - 2.0 * peak + after
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros_like(peak), where=bend < 0.0)
    vertex = np.where(top < length // 2, top + shift, 0.0)
    return peak, np.maximum(vertex, 0.0)


def _checked(
    tissue_hu: FloatArray, arterial_hu: FloatArray, dt_s: float, threshold: float
) -> tuple[FloatArray, FloatArray]:
    tissue = np.asarray(tissue_hu, dtype=np.float64)
    arterial = np.asarray(arterial_hu, dtype=np.float64)
    if tissue.ndim != 2 or arterial.ndim != 1 or len(tissue) != len(arterial):
        raise InputError(
            f"tissue curves {tissue.shape} and an arterial curve {arterial.shape}",
            "shapes (T, N) and (T,)",
            "sample both at the same frames",
        )
    if len(arterial) < 2:
        raise InputError(
            f"a series with {len(arterial)} time point",
            "at least 2 time points",
            "give the whole perfusion series, not one frame",
        )
    if not 0 < dt_s < math.inf:
        raise InputError(
            f"a time step of {dt_s} s",
            "a positive time step",
            "read it from the header of the series",
        )
    if not 0 <= threshold < 1:
        raise InputError(f"a threshold of {threshold}", "0 up to 1", "use 0.1")
    if not (np.all(np.isfinite(tissue)) and np.all(np.isfinite(arterial))):
        raise InputError("curves that are not finite", "finite HU", "repair the series first")
    if not np.sum(arterial) > 0:
        raise InputError(
            "an arterial curve without contrast",
            "a positive area above the baseline",
            "choose another artery",
        )
    return tissue, arterial
