"""Scores of whole lesions: which are found, which are missed, which are invented."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from strokerepro.postprocess import CONNECTIVITIES, Connectivity, label_components

__all__ = ["CONNECTIVITIES", "Connectivity", "LesionCounts", "count_lesions"]


class LesionCounts(NamedTuple):
    """Components of a predicted and a reference mask, matched by overlap."""

    n_tp: int
    n_fp: int
    n_fn: int
    size_fp_px: float
    size_fn_px: float
    size_truth_px: float


def count_lesions(
    pred: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.bool_],
    connectivity: Connectivity,
    tp_min_overlap: int,
) -> LesionCounts:
    """Match components of two masks by overlap.

    Parameters
    ----------
    pred, truth
        Boolean masks, ``(Z, Y, X)``.
    connectivity
        Which voxels form one lesion; ``2d`` counts the components of all slices.
    tp_min_overlap
        Voxels of a component that must lie in the other mask for a match; a component smaller
        than this must lie in it wholly.

    Returns
    -------
    LesionCounts
        True positives and false negatives are reference components, false positives predicted
        ones. Mean sizes of false components are 0 when there are none; the mean size of
        reference components is NaN when there are none.
    """
    both = pred & truth
    pred_size, pred_matched = _match(pred, both, connectivity, tp_min_overlap)
    truth_size, truth_matched = _match(truth, both, connectivity, tp_min_overlap)
    return LesionCounts(
        n_tp=int(truth_matched.sum()),
        n_fp=int((~pred_matched).sum()),
        n_fn=int((~truth_matched).sum()),
        size_fp_px=_mean(pred_size[~pred_matched], when_none=0.0),
        size_fn_px=_mean(truth_size[~truth_matched], when_none=0.0),
        size_truth_px=_mean(truth_size, when_none=float("nan")),
    )


def _match(
    mask: npt.NDArray[np.bool_],
    both: npt.NDArray[np.bool_],
    connectivity: Connectivity,
    tp_min_overlap: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Size of every component, and whether enough of it lies in the other mask."""
    labels, n = label_components(mask, connectivity)
    flat = labels.ravel()  # taking by index is many times faster than by a mask
    size = np.bincount(flat[np.flatnonzero(mask)], minlength=n + 1)[1:]
    overlap = np.bincount(flat[np.flatnonzero(both)], minlength=n + 1)[1:]
    return size, overlap >= np.minimum(size, tp_min_overlap)


def _mean(sizes: npt.NDArray[np.int64], *, when_none: float) -> float:
    return float(sizes.mean()) if sizes.size else when_none
