"""All 9 x 6 cells of threshold and smallest component, against scoring cell by cell.

Run with ``OMP_NUM_THREADS=1 python benchmarks/threshold_grid.py [rounds]``. The peer is what a
script around SciPy and MedPy does in every cell: label, drop the small components, count, and
`medpy.metric.binary.hd` in mm and in voxels. All cells of both sides are compared in the same run,
before the timing.
"""

from __future__ import annotations

import sys

import numpy as np
from _measure import Comparison, compare
from scipy import ndimage

from strokerepro.metrics import GridScores, score_grid

try:
    from medpy.metric.binary import hd
except ImportError as error:
    raise SystemExit(f"{error}; fix: pip install 'strokerepro[bench]'") from error

THRESHOLDS = tuple(step / 10 for step in range(1, 10))
MIN_SIZES = (10, 100, 200, 300, 400, 500)
Scores = dict[str, np.ndarray]


def make_case(depth: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probability map of a ball-shaped lesion that is blurred, noisy and has false blobs."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices((depth, 256, 256))
    brain = ((y - 128) / 100) ** 2 + ((x - 128) / 78) ** 2 < 1
    inside_px = 22 - np.sqrt((4 * (z - depth / 2)) ** 2 + (y - 150) ** 2 + (x - 90) ** 2)
    noise = ndimage.gaussian_filter(rng.normal(size=brain.shape), (0.5, 3, 3))
    noise /= noise.std()
    logit = np.maximum(inside_px / 6 + 1.2 * noise, 1.1 * noise - 3.2)
    probability = (brain / (1 + np.exp(-logit))).astype(np.float32)
    return probability, (inside_px > 0) & brain


def cell_by_cell(
    probability: np.ndarray, truth: np.ndarray, spacings: dict[str, tuple[float, ...]]
) -> Scores:
    """Score each cell on its own, ``(9, 6)`` each."""
    names = ("dice", "precision", "recall", *spacings)
    scores = {name: np.full((len(THRESHOLDS), len(MIN_SIZES)), np.nan) for name in names}
    for i, threshold in enumerate(THRESHOLDS):
        for j, min_size in enumerate(MIN_SIZES):
            labels, n = ndimage.label(probability > threshold)
            sizes = np.bincount(labels.ravel(), minlength=n + 1)
            pred = (sizes >= min_size)[labels] & (labels > 0)
            both = np.count_nonzero(pred & truth)
            scores["dice"][i, j] = 2 * both / (pred.sum() + truth.sum())
            scores["precision"][i, j] = both / max(pred.sum(), 1)
            scores["recall"][i, j] = both / truth.sum()
            for name, spacing in spacings.items():
                if pred.any():
                    scores[name][i, j] = hd(pred, truth, voxelspacing=spacing)
    return scores


def ours(probability: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, ...]) -> GridScores:
    """All cells at once; distances in mm and in voxels."""
    return score_grid(
        probability, truth, spacing_mm, thresholds=THRESHOLDS, min_sizes_vox=MIN_SIZES
    )


def compare_grid(depth: int, spacing_mm: tuple[float, ...], rounds: int) -> Comparison:
    """Check every cell, then time both sides."""
    probability, truth = make_case(depth, seed=depth)
    spacings = {"hd_mm": spacing_mm, "hd_vox": (1.0, 1.0, 1.0)}
    found = ours(probability, truth, spacing_mm)
    for name, values in cell_by_cell(probability, truth, spacings).items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-12)
    return compare(
        f"9 x 6 cells of 256x256x{depth}",
        lambda: ours(probability, truth, spacing_mm),
        lambda: cell_by_cell(probability, truth, spacings),
        peer_name="scipy + MedPy, cell by cell",
        rounds=rounds,
        repeats=1,
    )


def main(rounds: int) -> None:
    """Print one line a comparison."""
    print(f"numpy {np.__version__}, one thread, {rounds} rounds ABBA")
    print(compare_grid(2, (12.0, 0.9, 0.9), rounds))
    print(compare_grid(8, (5.0, 0.9, 0.9), rounds))


if __name__ == "__main__":
    main(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 3)
