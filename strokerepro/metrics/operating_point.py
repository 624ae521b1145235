"""One threshold and one smallest component size for a whole set of cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy import stats

from strokerepro.errors import InputError, UsageError

Rule = Literal["ranksum", "dice", "hd", "zscore"]
RULES: tuple[str, ...] = get_args(Rule)

_Cells = npt.NDArray[np.float64]


class OperatingPoint(NamedTuple):
    """The chosen pair and its indices.

    Attributes
    ----------
    threshold, min_size
        Values of the pair, the size in the unit that was given.
    i, j
        Their positions among the thresholds and the sizes.
    """

    threshold: float
    min_size: float
    i: int
    j: int


def select_operating_point(
    dice: npt.NDArray[Any],
    hd: npt.NDArray[Any],
    *,
    thresholds: Sequence[float],
    min_sizes: Sequence[float],
    rule: Rule = "ranksum",
) -> OperatingPoint:
    """Choose the pair that serves a set of cases best.

    Every rule compares the means over the cases in which a score is defined; a pair without any
    Hausdorff distance is behind all others in it. The paper optimises "jointly" and names no
    rule (Sec. 3.3 of doi:10.1016/j.compbiomed.2019.103487); the default ranks as its challenge
    does. Ties go to the higher Dice, then the smaller size, then the threshold nearer 0.5, then
    the lower one.

    Parameters
    ----------
    dice, hd
        Scores of N cases at T thresholds and S sizes, ``(N, T, S)``; NaN where undefined.
    thresholds, min_sizes
        The T thresholds and S sizes.
    rule
        ``ranksum``: lowest sum of the ranks in Dice (descending) and Hausdorff distance
        (ascending), equal values sharing their mean rank; ``dice``, ``hd``: the better mean;
        ``zscore``: highest difference of the two means, each in SD over the pairs.

    Returns
    -------
    OperatingPoint
        The chosen pair.

    Raises
    ------
    InputError
        If the shapes do not agree, or Dice is undefined in every case.
    UsageError
        If the rule is unknown.
    """
    if rule not in RULES:
        raise UsageError.unknown("rule", rule, RULES)
    shape = (len(thresholds), len(min_sizes))
    if dice.shape != hd.shape or dice.ndim != 3 or dice.shape[1:] != shape:
        raise InputError(
            f"Dice of shape {dice.shape} and Hausdorff distances of shape {hd.shape}",
            f"(cases, {shape[0]}, {shape[1]}) for both",
            "stack the grids of all cases",
        )
    mean_dice, mean_hd = _mean_defined(dice), _mean_defined(hd)
    if np.isnan(mean_dice).any():
        raise InputError(
            f"{len(dice)} cases without a defined Dice", "at least one case with a lesion", "add it"
        )
    t, size = np.broadcast_arrays(np.array(thresholds)[:, None], np.array(min_sizes))
    # Distances to 0.5 are rounded, so that 0.4 and 0.6 are equally near.
    order = (_cost(mean_dice, mean_hd, rule), -mean_dice, size, abs(t - 0.5).round(9), t)
    i, j = np.unravel_index(np.lexsort([key.ravel() for key in order[::-1]])[0], shape)
    return OperatingPoint(float(thresholds[i]), float(min_sizes[j]), int(i), int(j))


def _cost(mean_dice: _Cells, mean_hd: _Cells, rule: Rule) -> _Cells:
    """What the rule minimises, ``(T, S)``."""
    hd = np.where(np.isnan(mean_hd), np.inf, mean_hd)
    if rule == "dice":
        return -mean_dice
    if rule == "hd":
        return hd
    if rule == "ranksum":
        ranks: _Cells = stats.rankdata(-mean_dice) + stats.rankdata(hd)
        return ranks.reshape(hd.shape)
    return np.where(np.isnan(mean_hd), np.inf, _in_sd(mean_hd) - _in_sd(mean_dice))


def _in_sd(values: _Cells) -> _Cells:
    """Deviation from the mean of all defined values in their SD; 0 if they are all equal."""
    spread = float(np.nanstd(values)) if np.isfinite(values).any() else 0.0
    if spread == 0:
        return np.zeros(values.shape)
    deviation: _Cells = (values - np.nanmean(values)) / spread
    return deviation


def _mean_defined(values: npt.NDArray[Any]) -> _Cells:
    """Mean over the cases that are not NaN, ``(T, S)``; NaN if there is none."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0).sum(axis=0, dtype=np.float64)
    count = defined.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
