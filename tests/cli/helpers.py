"""Words, masks and checks that the tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

SMOKE = ("run", "edd_muscle", "--profile", "smoke", "--data", "isles2022", "--folds", "0")


def one_line(error: str) -> str:
    """The single line of an error, without progress lines."""
    lines = [line for line in error.splitlines() if line.startswith("strokerepro:")]
    assert len(lines) == 1, error
    assert "Traceback" not in error
    return lines[0]


def masks(folder: Path, write_nifti: Callable[..., Path], columns: int) -> Path:
    """Two masks on a grid of 2 mm: a square of 4 by so many columns, and an empty one."""
    square = np.zeros((3, 12, 12), np.uint8)
    square[1, 2:6, 2 : 2 + columns] = 1
    write_nifti(folder / "a.nii.gz", square)
    write_nifti(folder / "b.nii.gz", np.zeros_like(square))
    return folder
