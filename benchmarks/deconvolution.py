"""Perfusion maps: two FFTs a voxel against the explicit block-circulant decomposition.

Run with ``OMP_NUM_THREADS=1 python benchmarks/deconvolution.py [rounds]``. Curves are simulated,
with noise; that both sides find the same residue functions is checked in the same run, before the
timing. The second part times the slices of one examination, from parameters to maps.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass

import numpy as np
from _measure import compare
from numpy.typing import NDArray

from strokerepro.phantom.perfusion.arterial_input import (
    ArterialInput,
    draw_arterial_input,
    measured_input,
)
from strokerepro.phantom.perfusion.config import PERFUSION
from strokerepro.phantom.perfusion.ct_acquisition import acquire_slice
from strokerepro.phantom.perfusion.deconvolution import deconvolve, residue_functions
from strokerepro.phantom.perfusion.slice_maps import slice_maps
from strokerepro.phantom.perfusion.tissue_curves import CurveTable

Floats = NDArray[np.float64]
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Tissue:
    """Perfusion parameters of N voxels."""

    cbf_ml_100g_min: Floats
    mtt_s: Floats
    delay_s: Floats
    dispersion_s: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, voxels: int) -> Tissue:
        """Healthy and ischaemic tissue, mixed."""
        ranges = ((5, 60), (2, 15), (0, 8), (0.2, 3))
        return cls(*(rng.uniform(low, high, voxels) for low, high in ranges))

    def curves(self, table: CurveTable, time_s: Floats) -> Floats:
        """Enhancement ``(T, N)``."""
        return table.tissue_curves(
            self.cbf_ml_100g_min, self.mtt_s, self.delay_s, self.dispersion_s, time_s
        )


def explicit_residues(tissue: Floats, arterial: Floats, dt_s: float, threshold: float) -> Floats:
    """Pseudo-inverse of the 2T x 2T circulant matrix by its SVD, times all curves at once."""
    frames = len(arterial)
    padded = np.concatenate([arterial, np.zeros(frames)])
    matrix = dt_s * np.stack([np.roll(padded, shift) for shift in range(2 * frames)], axis=1)
    left, singular, right = np.linalg.svd(matrix)
    inverse = np.divide(
        1.0, singular, out=np.zeros_like(singular), where=singular >= threshold * singular[0]
    )
    # Only the first T columns meet data: the padding of the curves is zero.
    pseudo_inverse = (right.T * inverse) @ left.T[:, :frames]
    return np.asarray(6000 * 0.73 / 1.04 * (pseudo_inverse @ tissue))


def explicit_maps(tissue: Floats, arterial: Floats, dt_s: float) -> tuple[Floats, ...]:
    """The same four maps from the explicit residue functions."""
    residues = explicit_residues(tissue, arterial, dt_s, 0.1)
    top = residues.argmax(axis=0)
    voxel = np.arange(residues.shape[1])
    before, cbf, after = (residues[(top + step) % len(residues), voxel] for step in (-1, 0, 1))
    shift = 0.5 * (before - after) / (before - 2 * cbf + after)
    tmax_s = np.where(top < len(tissue), np.maximum(top + shift, 0), 0.0) * dt_s
    cbv = np.maximum(100 * 0.73 / 1.04 * tissue.sum(axis=0) / arterial.sum(), 0)
    return cbf, cbv, 60 * cbv / cbf, tmax_s


def compare_deconvolution(bolus: ArterialInput, voxels: int, frames: int, rounds: int) -> None:
    """Check equality, then time."""
    rng = np.random.default_rng(0)
    time_s = np.arange(float(frames))
    curves = Tissue.draw(rng, voxels).curves(CurveTable.build(bolus, 1.5), time_s)
    curves += rng.normal(0, 1.5, curves.shape)
    artery = bolus.at(time_s)
    ours = residue_functions(curves, artery, 1.0)
    theirs = explicit_residues(curves, artery, 1.0, 0.1)
    difference = np.abs(ours - theirs).max() / np.abs(theirs).max()
    if difference > TOLERANCE:
        raise SystemExit(f"residue functions differ by {difference:.1e}")
    result = compare(
        f"maps of {voxels} voxels x {frames} frames",
        lambda: deconvolve(curves, artery, 1.0),
        lambda: explicit_maps(curves, artery, 1.0),
        peer_name="explicit SVD, one BLAS product",
        rounds=rounds,
        repeats=2,
    )
    print(result)
    print(
        f"largest difference {difference:.1e}; "
        f"{1e3 * voxels / result.ours_ms:,.0f} voxels a second on one core"
    )


def time_examination(bolus: ArterialInput, slices: int, frames: int, side_px: int) -> None:
    """Curves, noise and maps slice by slice, as the phantom does them."""
    rng = np.random.default_rng(0)
    time_s = np.arange(float(frames))
    y, x = np.indices((side_px, side_px))
    from_centre_mm = np.hypot(y - side_px / 2, x - side_px / 2)
    brain = from_centre_mm < 75
    baseline = np.where(brain, 35.0, -1000.0)
    start = time.process_time()
    table = CurveTable.build(bolus, 1.5)
    artery = measured_input(rng, bolus, time_s, 4.2, PERFUSION.arterial)
    for _ in range(slices):
        enhancement = np.zeros((frames, side_px, side_px))
        tissue = Tissue.draw(rng, int(brain.sum()))
        enhancement[:, brain] = tissue.curves(table, time_s)
        series = acquire_slice(
            rng,
            baseline,
            enhancement,
            px_mm=1.0,
            thickness_mm=5.0,
            depth_mm=75 - from_centre_mm,
            config=PERFUSION.scan,
        )
        slice_maps(series, artery, 1.0, brain, 1.0, PERFUSION.maps)
    used_s = time.process_time() - start
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"{side_px} x {side_px} x {slices} x {frames}, {brain.sum()} brain pixels a slice: "
        f"{used_s:.2f} s, peak memory of the process {peak_gb:.2f} GB"
    )


def main() -> None:
    """Print ratio, rate, and the time of two examinations."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    bolus = draw_arterial_input(np.random.default_rng(0), PERFUSION.arterial)
    time_examination(bolus, slices=8, frames=50, side_px=256)
    time_examination(bolus, slices=22, frames=60, side_px=256)
    compare_deconvolution(bolus, voxels=35_298, frames=47, rounds=rounds)


if __name__ == "__main__":
    main()
