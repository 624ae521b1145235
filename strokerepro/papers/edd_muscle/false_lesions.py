"""False lesions: how large they are, and whether the members of the ensemble share them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from strokerepro.postprocess import label_slices


def false_positive_sizes(mask: np.ndarray, truth: np.ndarray) -> list[int]:
    """Pixels of every component of a slice that touches no lesion (Fig. 7)."""
    components, count = _false_components(mask, truth)
    size = np.bincount(components.ravel(), minlength=count + 1)
    return [int(pixels) for pixels in size[1:] if pixels]


def false_positive_overlap(members: Sequence[np.ndarray], truth: np.ndarray) -> float:
    """Share of the members' false lesions that another member has too (claimed in Sec. 5.3).

    For an ordered pair of members it is the share of the first one's false components that have
    a pixel in common with a false component of the second. Pairs whose first member has none are
    left out; the result is the mean over the others.

    Parameters
    ----------
    members
        At least two masks, ``(Z, Y, X)``; components are 8-connected and of one slice.
    truth
        Reference mask, ``(Z, Y, X)``; a component is false if it touches no lesion.

    Returns
    -------
    float
        0 (all differ) to 1 (all are shared); NaN where no member has a false lesion.
    """
    false = [_false_components(mask, truth)[0] for mask in members]
    shares = [
        np.isin(_numbers(first), _numbers(first[second > 0])).mean()
        for first, second in permutations(false, 2)
        if first.any()
    ]
    return float(np.mean(shares)) if shares else float("nan")


def _false_components(mask: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels ``(Z, Y, X)`` of the components that touch no lesion, and the largest label."""
    components, count = label_slices(mask != 0)
    is_false = np.ones(count + 1, bool)
    is_false[components[truth != 0]] = False
    is_false[0] = False
    return np.where(is_false[components], components, 0), count


def _numbers(labels: np.ndarray) -> np.ndarray:
    numbers = np.unique(labels)
    return numbers[numbers > 0]
