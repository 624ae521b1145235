"""Noise of the frames, and integers that are the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from strokerepro.errors import UsageError
from strokerepro.phantom.perfusion.config import PERFUSION
from strokerepro.phantom.perfusion.ct_acquisition import (
    acquire_slice,
    draw_noise_hu,
    pixel_noise_hu,
)

SCAN = PERFUSION.scan
PLANE = (96, 96)
ZEROS = np.zeros((40, *PLANE))

# One slice from bolus to maps, all in a process of its own; prints hashes of the integers.
SCRIPT = """
import hashlib
import numpy as np
from strokerepro.phantom.perfusion.arterial_input import draw_arterial_input
from strokerepro.phantom.perfusion.config import PERFUSION
from strokerepro.phantom.perfusion.ct_acquisition import acquire_slice, measured_input, slice_maps
from strokerepro.phantom.perfusion.tissue_curves import CurveTable

rng = np.random.default_rng(5)
bolus = draw_arterial_input(rng, PERFUSION.arterial)
brain = np.ones((64, 64), dtype=bool)
time_s, voxels = np.arange(47.0), brain.size
draws = [rng.uniform(low, high, voxels) for low, high in ((5, 60), (2, 12), (0, 8), (0, 3))]
curves = CurveTable.build(bolus, 1.4).tissue_curves(*draws, time_s).reshape(47, 64, 64)
plane = np.full((64, 64), 35.0)
series = acquire_slice(
    rng, plane, curves, px_mm=2.0, thickness_mm=5.0, depth_mm=plane, config=PERFUSION.scan
)
artery = measured_input(rng, bolus, time_s, 4.2, PERFUSION.arterial)
maps = slice_maps(series, artery, 1.0, brain, 2.0, PERFUSION.maps)
stored = np.rint(10 * np.stack([maps.cbf_ml_100g_min, maps.cbv_ml_100g])).astype(np.uint16)
for volume in (series, stored):
    print(hashlib.sha256(volume.tobytes()).hexdigest())
"""


def scan(
    seed: int = 0,
    *,
    baseline_hu: float = 35.0,
    px_mm: float = 1.0,
    thickness_mm: float = 5.0,
    depth_mm: float = 30.0,
) -> NDArray[np.int16]:
    """Forty frames without contrast; 30 mm deep the radial factor is 1."""
    return acquire_slice(
        np.random.default_rng(seed),
        np.full(PLANE, baseline_hu),
        ZEROS,
        px_mm=px_mm,
        thickness_mm=thickness_mm,
        depth_mm=np.full(PLANE, depth_mm),
        config=SCAN,
    )


@pytest.mark.parametrize(
    ("px_mm", "thickness_mm", "depth_mm", "sd_hu"),
    [
        (1.0, 5.0, 30.0, 4.2),
        (2.0, 5.0, 30.0, 4.2 * 0.62),
        (1.0, 10.0, 30.0, 4.2 / np.sqrt(2)),
        (1.0, 5.0, 0.0, 4.2 * 0.85),
        (1.0, 5.0, -20.0, 4.2 * 0.85),
        (1.0, 5.0, 75.0, 4.2 * 1.15),
    ],
)
def test_noise_follows_voxel_and_depth(
    px_mm: float, thickness_mm: float, depth_mm: float, sd_hu: float
) -> None:
    """4.2 HU at 1 x 1 x 5 mm; thicker and coarser is quieter, the centre noisier."""
    frames = scan(px_mm=px_mm, thickness_mm=thickness_mm, depth_mm=depth_mm)
    rounding_variance = 1 / 12
    assert np.sqrt(frames.var() - rounding_variance) == pytest.approx(sd_hu, rel=0.01)
    assert frames.mean() == pytest.approx(35.0, abs=0.1)


def test_neighbours_are_correlated_and_frames_are_not() -> None:
    """Sampled at 1 mm the kernel of 0.7 mm is 1, 0.360, 0.017: 2 (0.360 + 0.006) / 1.260 = 0.58.

    Between frames there is none.
    """
    noise = scan() - 35.0

    def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])

    assert correlation(noise[:, :, 1:], noise[:, :, :-1]) == pytest.approx(0.58, abs=0.01)
    assert correlation(noise[:, 1:], noise[:, :-1]) == pytest.approx(0.58, abs=0.01)
    assert correlation(noise[1:], noise[:-1]) == pytest.approx(0.0, abs=0.02)


def test_without_noise_frames_are_the_rounded_sum() -> None:
    """35 + 2.6 HU is stored as 38, and -1000 + 0.4 as -1000."""
    frames = acquire_slice(
        np.random.default_rng(0),
        np.array([[35.0, -1000.0]]),
        np.array([[[2.6, 0.4]], [[0.0, 0.0]]]),
        px_mm=1.0,
        thickness_mm=5.0,
        depth_mm=np.zeros((1, 2)),
        config=SCAN,
        noise_hu=0.0,
    )
    assert frames.dtype == np.int16
    assert frames.tolist() == [[[38, -1000]], [[35, -1000]]]


def test_values_stay_within_twelve_bits() -> None:
    """Noise about air and dense bone is cut at the ends of the range."""
    assert scan(baseline_hu=-1024.0).min() == -1024
    assert scan(baseline_hu=3071.0).max() == 3071


def test_a_seed_decides_every_voxel() -> None:
    """The same seed gives the same frames, another seed others."""
    np.testing.assert_array_equal(scan(3), scan(3))
    assert (scan(3) != scan(4)).mean() > 0.5


def test_examinations_differ_in_noise() -> None:
    """Median 4.2 HU, SD of the logarithm 0.18; without spread the median itself."""
    rng = np.random.default_rng(0)
    drawn = [draw_noise_hu(rng, SCAN) for _ in range(2000)]
    assert np.median(drawn) == pytest.approx(4.2, rel=0.02)
    assert np.std(np.log(drawn)) == pytest.approx(0.18, rel=0.05)
    assert draw_noise_hu(rng, replace(SCAN, noise_hu=(4.2, 0.0))) == 4.2


def test_the_noise_of_a_real_voxel_by_hand() -> None:
    """0.9 mm and 10 mm: 4.2 x 0.9**-0.69 / sqrt 2 = 3.194 HU."""
    assert pixel_noise_hu(4.2, 0.9, 10.0, SCAN) == pytest.approx(3.194, abs=5e-4)


def test_planes_of_different_shape_are_refused() -> None:
    """Baseline, frames and depths must belong to one slice."""
    with pytest.raises(UsageError, match="of one shape"):
        acquire_slice(
            np.random.default_rng(0),
            np.zeros((4, 4)),
            np.zeros((3, 4, 5)),
            px_mm=1.0,
            thickness_mm=5.0,
            depth_mm=np.zeros((4, 4)),
            config=SCAN,
        )


@pytest.mark.slow
def test_integers_do_not_depend_on_threads_or_cpu() -> None:
    """Fresh processes with other threads, vector units and BLAS kernels make the same integers."""
    environments = (
        {"OMP_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
        {"NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3", "OPENBLAS_CORETYPE": "Nehalem"},
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for environment in environments
    ]
    assert len(outputs[0].split()) == 2
    assert outputs == [outputs[0]] * 3
