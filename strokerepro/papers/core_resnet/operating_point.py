"""Threshold T and smallest component S_min: tried on a grid, chosen jointly (Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from strokerepro.metrics.operating_point import select_operating_point
from strokerepro.metrics.threshold_grid import GridScores, score_grid
from strokerepro.papers.core_resnet.settings import CoreResNetSettings
from strokerepro.postprocess import remove_small


class Point(NamedTuple):
    """A threshold and a smallest component size, in the settings' unit."""

    threshold: float
    min_size: float


def size_vox(
    size: float, spacing_mm: tuple[float, float, float], settings: CoreResNetSettings
) -> int:
    """Smallest component size in voxels of a case's grid."""
    if settings.min_size_unit == "voxel":
        return int(size)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    return int(np.ceil(size / voxel_ml))


def case_grid(
    probability: np.ndarray,
    truth: np.ndarray,
    spacing_mm: tuple[float, float, float],
    settings: CoreResNetSettings,
) -> GridScores:
    """Scores of one case at every pair of T and S_min, each ``(T, S_min)``."""
    return score_grid(
        probability,
        truth,
        spacing_mm,
        thresholds=settings.thresholds,
        min_sizes_vox=[size_vox(size, spacing_mm, settings) for size in settings.min_sizes],
        connectivity=settings.connectivity,
    )


def choose(grids: Sequence[GridScores], settings: CoreResNetSettings) -> Point:
    """Find the pair that is jointly best in Dice and Hausdorff distance on some cases."""
    chosen = select_operating_point(
        np.stack([grid.dice for grid in grids]),
        np.stack([grid.hd_mm for grid in grids]),
        thresholds=settings.thresholds,
        min_sizes=settings.min_sizes,
        rule=settings.select_point,
    )
    return Point(settings.thresholds[chosen.i], settings.min_sizes[chosen.j])


def apply(
    probability: np.ndarray,
    point: Point,
    spacing_mm: tuple[float, float, float],
    settings: CoreResNetSettings,
) -> np.ndarray:
    """Binary mask ``(Z, Y, X)``: above T, without components below S_min."""
    above = probability > point.threshold
    return remove_small(
        above, size_vox(point.min_size, spacing_mm, settings), settings.connectivity
    )
