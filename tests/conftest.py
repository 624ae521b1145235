"""Fixtures for all tests: tiny cohorts on disk, real data where there are some, one thread."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import settings

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]
WriteNifti = Callable[..., Path]
TinyCohort = Callable[..., Path]


# The same examples in every run, so that a change is never blamed for what chance found. To look
# for new ones: HYPOTHESIS_PROFILE=explore.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch to one thread, so that parallel test runs do not fight for cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start torch's global generator alike in each test, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def real_data() -> Path:
    """Folder with real, openly licensed cases; the test is skipped where there is none."""
    folder = os.environ.get("STROKEREPRO_REAL_DATA")
    if not folder:
        pytest.skip("STROKEREPRO_REAL_DATA is not set")
    return Path(folder)


def _write_nifti(path: Path, volume: npt.NDArray[Any], spacing_mm: Spacing = (2, 2, 2)) -> Path:
    z_mm, y_mm, x_mm = spacing_mm
    affine = np.diag([-x_mm, y_mm, z_mm, 1.0])  # first axis towards the left, as in ISLES 2022
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume.transpose(2, 1, 0), affine), path)
    return path


@pytest.fixture(scope="session")
def write_nifti() -> WriteNifti:
    """Writer of one volume: ``write_nifti(path, volume (Z, Y, X), spacing_mm (z, y, x))``."""
    return _write_nifti


def _tiny_images(shape: Shape, seed: int) -> dict[str, npt.NDArray[Any]]:
    """DWI, ADC (1e-3 mm2/s) and mask (Z, Y, X): a noisy box of brain with a box of lesion."""
    generator = np.random.default_rng(seed)
    depth, height, width = shape
    brain = np.zeros(shape, dtype=bool)
    brain[:, 3 : height - 3, 3 : width - 3] = True
    top, left = generator.integers(5, height - 10), generator.integers(5, width - 10)
    lesion = np.zeros(shape, dtype=bool)
    lesion[depth // 3 : depth // 3 + 3, top : top + 5, left : left + 5] = True
    noise = generator.normal(0, 10, shape)
    dwi = np.where(brain, 250 + noise + 300 * lesion, 0).astype(np.float32)
    adc = np.where(brain, 0.9 + noise / 200 - 0.35 * lesion, 0).astype(np.float32)
    return {"dwi": dwi, "adc": adc, "msk": lesion.astype(np.uint16)}


def _write_tiny_case(root: Path, number: int, shape: Shape, spacing: Spacing, seed: int) -> None:
    case = f"sub-strokecase{number:04d}"
    images = _tiny_images(shape, seed + number)
    session = root / case / "ses-0001"
    for name in ("dwi", "adc"):
        _write_nifti(session / "dwi" / f"{case}_ses-0001_{name}.nii.gz", images[name], spacing)
    flair = np.full((4, 30, 30), 100, dtype=np.float32)
    _write_nifti(session / "anat" / f"{case}_ses-0001_FLAIR.nii.gz", flair, (3.5, 1.6, 1.6))
    mask = root / "derivatives" / case / "ses-0001" / f"{case}_ses-0001_msk.nii.gz"
    _write_nifti(mask, images["msk"], spacing)


@pytest.fixture(scope="session")
def write_cohort() -> TinyCohort:
    """Writer of a cohort in the layout of ISLES 2022, for fixtures that outlive one test.

    ``write_cohort(folder, cases=3, shape=(7, 24, 20), spacing_mm=(2, 2, 2), seed=0)`` returns
    `folder`, the one above ``ISLES-2022``: DWI, ADC, FLAIR on a grid of its own, and a mask with a
    lesion of 3 x 5 x 5 voxels.
    """

    def write(
        folder: Path,
        cases: int = 3,
        shape: Shape = (7, 24, 20),
        spacing_mm: Spacing = (2, 2, 2),
        seed: int = 0,
    ) -> Path:
        for number in range(1, cases + 1):
            _write_tiny_case(folder / "ISLES-2022", number, shape, spacing_mm, seed)
        return folder

    return write


@pytest.fixture
def tiny_cohort(tmp_path: Path, write_cohort: TinyCohort) -> TinyCohort:
    """`write_cohort` into the test's own folder: ``tiny_cohort(cases=3, ...)``."""
    return functools.partial(write_cohort, tmp_path)
