"""Masks drawn as text, and distances measured by trying every pair."""

from __future__ import annotations

import numpy as np


def draw(*slices: str) -> np.ndarray:
    """Turn drawings of slices into a mask: ``#`` is inside, anything else outside."""
    rows = [[list(line.strip()) for line in one.strip().splitlines()] for one in slices]
    return np.array(rows) == "#"


def surface_points_mm(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Positions of voxels with a face neighbour outside, found voxel by voxel."""
    padded = np.pad(mask, 1)
    points = []
    for z, y, x in np.argwhere(padded):
        neighbours = [
            padded[z - 1, y, x], padded[z + 1, y, x], padded[z, y - 1, x],
            padded[z, y + 1, x], padded[z, y, x - 1], padded[z, y, x + 1],
        ]  # fmt: skip
        if not all(neighbours):
            points.append((z, y, x))
    return np.array(points) * np.array(spacing_mm)


def brute_force_distances(
    pred: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, float, float]
) -> np.ndarray:
    """Distance of every surface voxel to the other surface, both directions together."""
    a, b = surface_points_mm(pred, spacing_mm), surface_points_mm(truth, spacing_mm)
    pairs = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    return np.concatenate([pairs.min(1), pairs.min(0)])
