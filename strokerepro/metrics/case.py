"""All scores of one case, with one stated policy for empty masks."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from strokerepro.errors import InputError, UsageError
from strokerepro.metrics.lesionwise import CONNECTIVITIES, Connectivity, count_lesions
from strokerepro.metrics.overlap import OverlapCounts, count_overlap
from strokerepro.metrics.sentinel import SENTINEL_MM
from strokerepro.metrics.surface import Spacing, bounding_box, surface_distances

EmptyPolicy = Literal["nan", "isles2018", "isles2022"]
EMPTY_POLICIES: tuple[str, ...] = get_args(EmptyPolicy)

_NAN = float("nan")
_DISTANCES = ("hd_mm", "hd95_mm", "assd_mm")
CASE_KEYS = (
    *("dice", "precision", "recall", *_DISTANCES),
    *("avd_ml", "volume_ml_pred", "volume_ml_truth"),
    *("n_fp", "n_fn", "n_tp", "size_fp_px", "size_fn_px", "size_truth_px", "detected"),
)


def score_case(
    pred: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    spacing_mm: Spacing,
    *,
    connectivity: Connectivity = "2d8",
    empty: EmptyPolicy = "nan",
    tp_min_overlap: int = 1,
) -> dict[str, float]:
    """Score a predicted mask against the reference mask of one case.

    Parameters
    ----------
    pred, truth
        Binary masks, ``(Z, Y, X)``.
    spacing_mm
        Distance of neighbouring voxel centres along z, y and x, mm.
    connectivity
        Which voxels form one lesion: ``2d8`` and ``2d4`` within a slice, ``3d6``, ``3d26``.
    empty
        ``nan``: an empty reference makes overlap and distances undefined (NaN); an empty
        prediction alone gives Dice, precision and recall 0 and undefined distances.
        ``isles2018``: 0 for every undefined overlap; distances 0 if both masks are empty and
        1e8 mm if one is (github.com/loli/ISLESevaluation, and the challenge's tables).
        ``isles2022``: as ``nan``, but Dice is 1 if both are empty and 0 if the reference alone
        is (github.com/ezequieldlrosa/isles22).
    tp_min_overlap
        Voxels by which a component must overlap the other mask to be matched.

    Returns
    -------
    dict
        Keys `CASE_KEYS`. Lengths in mm, volumes in mL, ``size_*_px`` in voxels. ``avd_ml`` is
        the absolute volume difference; ``detected`` is 1 if at least one reference lesion is
        matched. With an empty reference, ``size_*_px`` and ``detected`` are NaN, while ``n_fp``
        still counts.

    Raises
    ------
    InputError
        If the shapes differ, a mask is not binary, or a spacing is not positive.
    UsageError
        If an option is unknown.
    """
    _check_options(spacing_mm, connectivity, empty, tp_min_overlap)
    pred_mask, truth_mask = binary_masks(pred, truth)
    either = pred_mask | truth_mask
    if either.any():
        # Nothing outside the common box counts; inside it every step is cheaper.
        box = bounding_box(either)
        pred_mask, truth_mask = pred_mask[box], truth_mask[box]
    counts = count_overlap(pred_mask, truth_mask)
    lesions = count_lesions(pred_mask, truth_mask, connectivity, tp_min_overlap)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    scores = _overlap_scores(counts, empty)
    scores |= _distance_scores(pred_mask, truth_mask, spacing_mm, counts, empty)
    scores |= {
        "avd_ml": abs(counts.pred - counts.truth) * voxel_ml,
        "volume_ml_pred": counts.pred * voxel_ml,
        "volume_ml_truth": counts.truth * voxel_ml,
    }
    scores |= {key: float(value) for key, value in lesions._asdict().items()}
    scores["detected"] = float(lesions.n_tp > 0)
    if counts.truth == 0:
        scores |= dict.fromkeys(("size_fp_px", "size_fn_px", "detected"), _NAN)
    return {key: scores[key] for key in CASE_KEYS}


def _overlap_scores(counts: OverlapCounts, empty: EmptyPolicy) -> dict[str, float]:
    scores = {"dice": counts.dice, "precision": counts.precision, "recall": counts.recall}
    if empty == "isles2018":
        return {key: 0.0 if np.isnan(value) else value for key, value in scores.items()}
    if counts.truth == 0:
        scores = dict.fromkeys(scores, _NAN)
        if empty == "isles2022":
            scores["dice"] = 1.0 if counts.pred == 0 else 0.0
    elif counts.pred == 0:
        scores["precision"] = 0.0
    return scores


def _distance_scores(
    pred: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.bool_],
    spacing_mm: Spacing,
    counts: OverlapCounts,
    empty: EmptyPolicy,
) -> dict[str, float]:
    if counts.pred and counts.truth:
        distances = surface_distances(pred, truth, spacing_mm)
        return {key: getattr(distances, key) for key in _DISTANCES}
    if empty != "isles2018":
        return dict.fromkeys(_DISTANCES, _NAN)
    return dict.fromkeys(_DISTANCES, SENTINEL_MM if counts.pred or counts.truth else 0.0)


def _check_options(spacing_mm: Spacing, connectivity: str, empty: str, tp_min_overlap: int) -> None:
    if connectivity not in CONNECTIVITIES:
        raise UsageError.unknown("connectivity", connectivity, CONNECTIVITIES)
    if empty not in EMPTY_POLICIES:
        raise UsageError.unknown("policy for empty masks", empty, EMPTY_POLICIES)
    if tp_min_overlap < 1:
        raise UsageError(
            f"tp_min_overlap {tp_min_overlap}", "at least 1 voxel", "use 1 for any overlap"
        )
    check_spacing(spacing_mm)


def check_spacing(spacing_mm: Spacing) -> None:
    """Refuse a spacing that is not three positive numbers, mm."""
    if len(spacing_mm) != 3 or not all(0 < step < np.inf for step in spacing_mm):
        raise InputError(
            f"a spacing of {tuple(spacing_mm)} mm",
            "three positive numbers (z, y, x)",
            "take it from the header's zooms",
        )


def binary_masks(
    pred: npt.NDArray[Any], truth: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Check that two masks ``(Z, Y, X)`` have one shape and are binary, and return them as bool."""
    if pred.shape != truth.shape or pred.ndim != 3:
        raise InputError(
            f"a prediction of shape {pred.shape} and a reference of shape {truth.shape}",
            "one common shape (Z, Y, X)",
            "resample the prediction to the grid of the reference",
        )
    return _binary(pred, "prediction"), _binary(truth, "reference")


def _binary(mask: npt.NDArray[Any], role: str) -> npt.NDArray[np.bool_]:
    if mask.dtype == np.bool_:
        return mask
    inside: npt.NDArray[np.bool_] = mask == 1
    if not np.array_equal(inside, mask != 0):
        raise InputError(
            f"a {role} with values other than 0 and 1, from {mask.min()} to {mask.max()}",
            "a binary mask",
            "threshold it first",
        )
    return inside
