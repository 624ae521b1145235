"""Voxel overlap of two masks, and the best that one global threshold could reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from strokerepro.errors import InputError


class OverlapCounts(NamedTuple):
    """Voxel counts of a predicted and a reference mask."""

    both: int
    pred: int
    truth: int

    @property
    def dice(self) -> float:
        """``2 |X and Y| / (|X| + |Y|)``; NaN if both are empty."""
        return _ratio(2 * self.both, self.pred + self.truth)

    @property
    def precision(self) -> float:
        """Share of the predicted voxels that are true; NaN if none is predicted."""
        return _ratio(self.both, self.pred)

    @property
    def recall(self) -> float:
        """Share of the true voxels that are predicted; NaN if none is true."""
        return _ratio(self.both, self.truth)


def count_overlap(pred: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> OverlapCounts:
    """Count the voxels of two boolean masks of one shape."""
    return OverlapCounts(
        int(np.count_nonzero(pred & truth)),
        int(np.count_nonzero(pred)),
        int(np.count_nonzero(truth)),
    )


def slice_counts(
    pred: npt.NDArray[Any], truth: npt.NDArray[Any], slices: Sequence[int] = ()
) -> list[list[int]]:
    """Count voxels slice by slice, so that two methods can be compared on the slices of both.

    Parameters
    ----------
    pred, truth
        Binary masks, ``(Z, Y, X)``.
    slices
        Number of each slice in the file; none: from 0 on.

    Returns
    -------
    list
        ``[slice, both, predicted, true]`` of each slice.
    """
    masks = pred != 0, truth != 0
    counts = [mask.sum(axis=(1, 2)) for mask in (masks[0] & masks[1], *masks)]
    numbers = slices or range(len(pred))
    table = np.stack([np.asarray(numbers), *counts], axis=1)
    return [[int(value) for value in row] for row in table]


def dice(pred: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
    """Dice of two binary masks of one shape; NaN if the reference is empty.

    The quick score for validation during training; `score_case` is the one for results.
    """
    counts = count_overlap(pred != 0, truth != 0)
    return counts.dice if counts.truth else float("nan")


class BestThreshold(NamedTuple):
    """The threshold with the highest Dice, and that Dice; both NaN without a reference."""

    threshold: float
    dice: float


def best_threshold_dice(
    score: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    thresholds: Sequence[float] | None = None,
) -> BestThreshold:
    """Find the global threshold of one subject that fits its reference best (an oracle).

    A voxel is predicted if its score is greater than the threshold. The result is an upper bound
    for thresholding, since it is chosen with the reference at hand. Equal Dice: the higher
    threshold.

    Parameters
    ----------
    score
        Any finite score that is higher in lesions, ``(Z, Y, X)``; negate it for a hypo-intense
        lesion.
    truth
        Binary reference mask of the same shape.
    thresholds
        Thresholds to try. By default all that can differ; only those just below the score of a
        reference voxel need to be tried, because raising any other threshold to the next of
        them removes false positives alone.

    Returns
    -------
    BestThreshold
        Threshold and Dice.

    Raises
    ------
    InputError
        If the shapes differ, a score is not finite, or `thresholds` is empty.
    """
    if score.shape != truth.shape or not np.isfinite(score).all():
        raise InputError(
            f"scores of shape {score.shape} for a reference of shape {truth.shape}, or a score "
            "that is not finite",
            "one finite score for every voxel of the reference",
            "use the same grid for both and replace NaN before",
        )
    lesion = truth != 0
    n_truth = int(np.count_nonzero(lesion))
    if n_truth == 0:
        return BestThreshold(float("nan"), float("nan"))
    values = score if np.issubdtype(score.dtype, np.floating) else score.astype(np.float64)
    if thresholds is None:
        tried = np.nextafter(np.unique(values[lesion]), -np.inf, dtype=values.dtype)
    else:
        tried = np.unique(np.asarray(thresholds, np.float64))
    if tried.size == 0:
        raise InputError("no thresholds", "at least one", "leave them out to try all")
    n_both = _count_above(values[lesion], tried)
    n_pred = _count_above(values.ravel(), tried)
    scores = 2 * n_both / (n_pred + n_truth)
    best = tried.size - 1 - int(np.argmax(scores[::-1]))
    return BestThreshold(float(tried[best]), float(scores[best]))


def _count_above(values: npt.NDArray[Any], thresholds: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """For each of the ascending `thresholds`, the number of values that exceed it."""
    exceeded = np.searchsorted(thresholds, values, side="left")  # thresholds below a value
    histogram = np.bincount(exceeded, minlength=thresholds.size + 1)
    return np.cumsum(histogram[::-1])[::-1][1:]


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")
