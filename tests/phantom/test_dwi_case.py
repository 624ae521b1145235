"""One subject: geometry, contrast, artefacts, independence of components, determinism."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest

from strokerepro.errors import InputError
from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.dwi import DwiCase, make_dwi_case
from strokerepro.phantom.dwi_acquisition import draw_acquisition
from strokerepro.phantom.dwi_config import DWI
from strokerepro.phantom.writing import array_sha256

# With another value here the version of `dwi` must be another one too.
PINNED = {"numpy": "2.4.6", "scipy": "1.17.1", "nilearn": "0.14.1"}
GOLDEN: dict[str, tuple[str, float, float]] = {
    "dwi": ("bbd51d308fdda570", 52.4048, 117.924),
    "adc": ("2b9daafd309278e3", 195.086, 476.223),
    "label": ("06594aee87c64174", 0.000268684, 0.0163894),
    "flair": ("61eb4af5b2d5bf09", 42.03, 101.933),
}

SCRIPT = """
import hashlib
from strokerepro.phantom.dwi import make_dwi_case
from strokerepro.phantom.dwi_config import DWI
case = make_dwi_case(3, size_px=48, seed=5, config=DWI)
for volume in (case.dwi, case.adc, case.label, case.flair):
    print(hashlib.sha256(volume.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def case(atlas: Atlas) -> DwiCase:
    """One subject at low resolution."""
    return make_dwi_case(3, size_px=48, seed=5, config=DWI)


@pytest.mark.parametrize(
    ("size_px", "expected"),
    [
        (256, {(128, 1.8), (192, 1.4)}),
        (192, {(128, 1.8), (192, 1.4)}),
        (128, {(128, 1.8)}),
        (64, {(64, 3.6)}),
    ],
)
def test_the_real_matrices_are_used_as_far_as_they_fit(
    size_px: int, expected: set[tuple[int, float]]
) -> None:
    """128 pixels of 1.8 mm or 192 of 1.4 mm; below that the same field of view, coarser."""
    grids = [draw_acquisition(np.random.default_rng(seed), size_px, DWI).grid for seed in range(30)]
    found = {(grid.shape[0], round(grid.spacing_mm[0], 3)) for grid in grids}
    assert found == expected


def test_slices_cover_the_stated_range() -> None:
    """19 to 23 slices, 6.0 to 6.5 mm apart, sampled across 5 mm only."""
    scans = [draw_acquisition(np.random.default_rng(seed), 128, DWI) for seed in range(60)]
    assert {scan.grid.shape[2] for scan in scans} == {19, 20, 21, 22, 23}
    assert all(6.0 <= scan.grid.spacing_mm[2] <= 6.5 for scan in scans)
    assert scans[0].subslice_offsets_mm == pytest.approx([-5 / 3, 0.0, 5 / 3])


def test_the_lesion_is_brighter_than_the_brain(case: DwiCase) -> None:
    """The median signal in the mask exceeds that of normal tissue, and its ADC is lower."""
    lesion = case.label > 0
    normal = (case.adc > 300) & (case.adc < 1500) & ~lesion
    assert np.median(case.dwi[lesion]) > 1.15 * np.median(case.dwi[normal])
    assert np.median(case.adc[lesion]) < np.median(case.adc[normal])


def test_the_image_is_not_symmetric(case: DwiCase) -> None:
    """Mirroring changes the brain by much more than the noise."""
    brain = case.dwi > 0.5 * np.median(case.dwi[case.adc > 300])
    difference = np.abs(case.dwi.astype(float) - case.dwi[::-1])[brain & brain[::-1]]
    noise = 1.1 * np.median(case.dwi[:4])
    assert np.median(difference) > noise


def test_another_noise_leaves_the_label_alone(case: DwiCase) -> None:
    """Components have streams of their own: changing the noise level moves no lesion."""
    acquisition = replace(DWI.acquisition, snr=(5.0, 5.0), parenchyma_level=(200.0, 200.0))
    other = make_dwi_case(3, size_px=48, seed=5, config=replace(DWI, acquisition=acquisition))
    assert np.array_equal(other.label, case.label)
    assert not np.array_equal(other.dwi, case.dwi)


def test_without_air_the_scan_is_undistorted(case: DwiCase) -> None:
    """With no susceptibility difference the pile-up vanishes; with it the image differs."""
    no_air = replace(DWI.susceptibility, air_minus_tissue_ppm=0.0)
    flat = make_dwi_case(3, size_px=48, seed=5, config=replace(DWI, susceptibility=no_air))
    low, high = (
        np.percentile(c.dwi[c.adc > 300], 99.9) / np.median(c.dwi[c.dwi > 0]) for c in (flat, case)
    )
    assert low < high


def test_an_impossible_label_is_refused_in_one_line(atlas: Atlas) -> None:
    """A cohort that demands more lesion than it draws ends in one line, not in a loop."""
    demanding = replace(DWI.lesion, min_label_ml=1e6, max_redraws=2)
    with pytest.raises(InputError, match="without a visible lesion"):
        make_dwi_case(1, size_px=32, seed=0, config=replace(DWI, lesion=demanding))


def _is_pinned() -> bool:
    found = {name: version(name) for name in PINNED}
    return platform.machine() == "x86_64" and found == PINNED


def test_the_voxels_are_those_of_the_frozen_version(case: DwiCase) -> None:
    """Bit for bit with the pinned libraries on x86-64; elsewhere the same within a tolerance."""
    volumes = {"dwi": case.dwi, "adc": case.adc, "label": case.label, "flair": case.flair}
    for name, volume in volumes.items():
        sha256, mean, sd = GOLDEN[name]
        assert volume.mean() == pytest.approx(mean, rel=1e-3)
        assert volume.std() == pytest.approx(sd, rel=1e-3)
        if _is_pinned():
            assert array_sha256(volume)[:16] == sha256


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
        {"NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3", "OPENBLAS_CORETYPE": "Nehalem"},
    ],
    ids=["one-thread", "two-threads", "old-cpu"],
)
def test_voxels_do_not_depend_on_threads_or_cpu(case: DwiCase, environment: dict[str, str]) -> None:
    """A fresh process with other threads or older vector units makes the same integers."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    volumes = (case.dwi, case.adc, case.label, case.flair)
    expected = [hashlib.sha256(volume.tobytes()).hexdigest() for volume in volumes]
    assert run.stdout.split() == expected
