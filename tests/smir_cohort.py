"""A tiny cohort in the layout of ISLES 2018, named as the challenge's archive names its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

Shape = tuple[int, int, int]
SPACING_MM = (12.0, 0.8203, 0.8203)  # z, y, x: two-slice slabs of the archive
JULY = {name: f"CT_{name}" for name in ("CBF", "CBV", "MTT", "Tmax", "4DPWI")}
JUNE = {name: f"MR_{name}" for name in JULY}
TIME_POINTS = 5


def smir_images(shape: Shape, seed: int) -> dict[str, npt.NDArray[Any]]:
    """Images (Z, Y, X) by the modality of their file name: a box of brain with a box of core."""
    generator = np.random.default_rng(seed)
    brain = np.zeros(shape, bool)
    brain[:, 3:-3, 3:-3] = True
    core = np.zeros(shape, bool)
    core[:, 6:12, 5:9] = True
    maps = {
        "CBF": np.where(core, 60, 300) + generator.integers(0, 20, shape),
        "CBV": np.where(core, 10, 25) + generator.integers(0, 3, shape),
        "MTT": np.where(core, 12.0, 5.0) + generator.random(shape),
        "Tmax": np.where(core, 11.0, 2.0) + generator.random(shape),
    }
    types = {"CBF": np.uint16, "CBV": np.uint16, "MTT": np.float64, "Tmax": np.float64}
    images: dict[str, npt.NDArray[Any]] = {
        name: np.where(brain, values, 0).astype(types[name]) for name, values in maps.items()
    }
    images["CT"] = np.where(brain, 35 - 3 * core, -1000).astype(np.int32)
    images["MR_DWI"] = np.where(brain, 100 + 100 * core, 0).astype(np.int16)
    images["OT"] = core.astype(np.uint8)
    images["4DPWI"] = np.stack([images["CT"] + 2.0 * t for t in range(TIME_POINTS)]).astype("f4")
    return images


def write_smir(
    path: Path,
    image: npt.NDArray[Any],
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    dt_s: float = 1.0,
) -> Path:
    """Write (Z, Y, X) or (T, Z, Y, X) with an identity affine and the spacing in the zooms only."""
    volume = nib.Nifti1Image(image.T, np.eye(4), dtype=image.dtype)
    volume.set_sform(np.eye(4), code=1)
    volume.set_qform(None, code=0)
    volume.header.set_zooms(spacing_mm[::-1] + (dt_s,) * (image.ndim - 3))
    volume.header.set_xyzt_units("mm", "sec")
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(volume, path)
    return path


def smir_file(case: Path, modality: str, number: int) -> Path:
    """Path of a file of one case: a folder of its own with the same name."""
    name = f"SMIR.Brain.XX.O.{modality}.{number}"
    return case / name / f"{name}.nii"


def find_smir(root: Path, case: int, modality: str) -> Path:
    """Return the file of a modality, whatever its number."""
    (found,) = root.glob(f"*/case_{case}/SMIR.Brain.XX.O.{modality}.*/*.nii")
    return found


def write_smir_cohort(
    root: Path,
    cases: int = 3,
    shape: Shape = (2, 20, 18),
    *,
    names: Mapping[str, str] = JULY,
    dwi: bool = False,
    folder: str = "TRAINING",
) -> Path:
    """Write ``<root>/TRAINING/case_1`` to ``case_<cases>`` and return `root`.

    Parameters
    ----------
    names
        `JULY` or `JUNE`: how the release calls the maps and the series.
    dwi
        Whether to write MR_DWI.
    folder
        ``"TESTING"`` writes no masks.
    """
    for number in range(1, cases + 1):
        images = smir_images(shape, seed=number)
        if not dwi:
            del images["MR_DWI"]
        if folder == "TESTING":
            del images["OT"]
        for offset, (name, image) in enumerate(images.items()):
            path = smir_file(
                root / folder / f"case_{number}",
                names.get(name, name),
                345562 + 7 * number + offset,
            )
            write_smir(path, image)
    return root
