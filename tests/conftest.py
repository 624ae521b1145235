"""Fixtures for all tests: tiny cohorts on disk, real data where there are some, one thread."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch to one thread, so that parallel test runs do not fight for cores."""
    torch.set_num_threads(1)


@pytest.fixture
def real_data() -> Path:
    """Folder with real, openly licensed cases; the test is skipped where there is none."""
    folder = os.environ.get("STROKEREPRO_REAL_DATA")
    if not folder:
        pytest.skip("STROKEREPRO_REAL_DATA is not set")
    return Path(folder)


@dataclass(frozen=True)
class TinyGrid:
    """Grid of a tiny cohort: voxels (Z, Y, X) and spacing (z, y, x) in mm."""

    shape: tuple[int, int, int] = (7, 24, 20)
    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """Affine (X, Y, Z) with the first axis towards the left, as in ISLES 2022."""
        z_mm, y_mm, x_mm = self.spacing_mm
        return np.diag([-x_mm, y_mm, z_mm, 1.0])


def write_nifti(
    path: Path, volume: npt.NDArray[np.generic], affine: npt.NDArray[np.float64]
) -> Path:
    """Write a volume (Z, Y, X) as NIfTI, which stores (X, Y, Z)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume.transpose(2, 1, 0), affine), path)
    return path


def tiny_images(
    grid: TinyGrid, seed: int
) -> dict[str, npt.NDArray[np.float32] | npt.NDArray[np.uint16]]:
    """DWI, ADC (1e-3 mm2/s) and mask (Z, Y, X): a noisy box of brain with a box of lesion."""
    generator = np.random.default_rng(seed)
    depth, height, width = grid.shape
    brain = np.zeros(grid.shape, dtype=bool)
    brain[:, 3 : height - 3, 3 : width - 3] = True
    lesion = np.zeros(grid.shape, dtype=bool)
    top, left = generator.integers(5, height - 10), generator.integers(5, width - 10)
    lesion[depth // 3 : depth // 3 + 3, top : top + 5, left : left + 5] = True
    noise = generator.normal(0, 10, grid.shape)
    dwi = np.where(brain, 250 + noise + 300 * lesion, 0).astype(np.float32)
    adc = np.where(brain, 0.9 + noise / 200 - 0.35 * lesion, 0).astype(np.float32)
    return {"dwi": dwi, "adc": adc, "msk": lesion.astype(np.uint16)}


def write_tiny_case(root: Path, number: int, grid: TinyGrid | None = None, seed: int = 0) -> Path:
    """Write one case in the layout of ISLES 2022 and return its folder of images."""
    grid = grid or TinyGrid()
    case = f"sub-strokecase{number:04d}"
    images = tiny_images(grid, seed + number)
    session = root / case / "ses-0001"
    for name in ("dwi", "adc"):
        write_nifti(session / "dwi" / f"{case}_ses-0001_{name}.nii.gz", images[name], grid.affine)
    flair = np.ones((4, 30, 30), dtype=np.float32)
    flair_affine = np.diag([-1.6, 1.6, 3.5, 1.0])
    write_nifti(session / "anat" / f"{case}_ses-0001_FLAIR.nii.gz", flair, flair_affine)
    mask = root / "derivatives" / case / "ses-0001" / f"{case}_ses-0001_msk.nii.gz"
    write_nifti(mask, images["msk"], grid.affine)
    return root / case


TinyCohort = Callable[..., Path]


@pytest.fixture
def tiny_cohort(tmp_path: Path) -> TinyCohort:
    """Writer of a tiny cohort in the layout of ISLES 2022: ``tiny_cohort(cases=3) -> root``.

    The root is the folder above ``ISLES-2022``. Every case is 7 slices of 24 x 20 voxels of 2 mm
    with a lesion of 3 x 5 x 5 voxels.
    """

    def write(cases: int = 3, grid: TinyGrid | None = None, seed: int = 0) -> Path:
        for number in range(1, cases + 1):
            write_tiny_case(tmp_path / "ISLES-2022", number, grid, seed)
        return tmp_path

    return write
