"""What is published about the 94 training cases of ISLES 2018, and distances from it.

All figures are third-party text: per-case values that the authors of OpenPerfusion computed on the
real scans (maps of the commercial software RAPID, volumes from the spacing in the header), read
from their tables and not checked against the images. Of three quantities the per-case values were
at hand and stand here as quantiles; of the others only percentiles are published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

CASES = 94
PERCENTILES = (5, 25, 50, 75, 95)
KS_LIMIT = 0.25
MEAN_TOLERANCE = 0.20

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """The distribution of one quantity over the real cases.

    Parameters
    ----------
    levels
        Shares of the cases, ascending, at or below `values`.
    values
        The quantiles at `levels`.
    mean
        Mean over the cases, or None where none is published.
    complete
        Whether the quantiles describe the whole distribution (every 5 %), or are a few
        published percentiles.
    """

    levels: tuple[float, ...]
    values: tuple[float, ...]
    mean: float | None
    complete: bool

    def at_or_below(self, points: Values) -> Values:
        """Share of the real cases at or below each point, between quantiles by interpolation."""
        levels, values = np.asarray(self.levels), np.asarray(self.values)
        # At a value that many cases share the right end of the step is the share at or below.
        last = np.append(values[1:] != values[:-1], True)
        share: Values = np.interp(points, values[last], levels[last], left=0.0, right=1.0)
        return share

    def percentiles(self) -> list[float]:
        """Quantiles at 5, 25, 50, 75 and 95 %."""
        return [float(v) for v in np.interp(np.divide(PERCENTILES, 100), self.levels, self.values)]


def _every_20th(values: Sequence[float], mean: float, zeros: float = 0.0) -> Reference:
    """Quantiles at 0, 5, ..., 100 %, and the share of zeros."""
    levels = [level / 20 for level in range(21)]
    pairs = sorted([*zip(levels, values, strict=True), *([(zeros, 0.0)] if zeros else [])])
    return Reference(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs), mean, complete=True)


def _published(values: Sequence[float], mean: float | None, zeros: float = 0.0) -> Reference:
    pairs = [(level / 100, value) for level, value in zip(PERCENTILES, values, strict=True)]
    pairs = sorted([*pairs, *([(zeros, 0.0)] if zeros else [])])
    return Reference(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs), mean, complete=False)


_CORE_ML = _published((0, 1.8, 8.0, 13.5, 51), None, zeros=0.15)
_DICE_RCBF30 = _every_20th(
    (0, 0, 0, 0, 0, 0.1105, 0.1753, 0.2347, 0.2746, 0.2937, 0.314, 0.3359, 0.3564, 0.3832,
     0.4227, 0.4577, 0.4814, 0.4912, 0.5202, 0.5474, 0.665), 0.286, zeros=22 / CASES,
)  # fmt: skip

REFERENCES = {
    "lesion_ml": _every_20th(
        (0.779, 2.689, 3.517, 4.659, 5.334, 7.225, 8.427, 10.6, 12.47, 14.97, 16.57, 18.59,
         27.1, 33.13, 37.58, 44.14, 51.65, 61.04, 71.81, 97.41, 259.5), 31.891,
    ),
    "lesion_share_percent": _published((0.7, 1.9, 4.4, 10.8, 22), 7.3),
    "tmax6_ml": _published((4.7, 28, 45.5, 75, 144), None),
    "core_ml": _CORE_ML,
    "core_gated_ml": _CORE_ML,
    "dice_rcbf30": _DICE_RCBF30,
    "dice_rcbf30_gated": _DICE_RCBF30,
    "dice_tmax6": _every_20th(
        (0, 0.0284, 0.0743, 0.1089, 0.1322, 0.158, 0.1764, 0.2391, 0.2586, 0.3049, 0.353, 0.406,
         0.4556, 0.5014, 0.5216, 0.5488, 0.5942, 0.6194, 0.6478, 0.6796, 0.771), 0.3594,
        zeros=3 / CASES,
    ),
}  # fmt: skip

MEDIAN_RATIOS = {"core_ml/lesion_ml": 0.37, "tmax6_ml/lesion_ml": 1.78}
# Of ln(lesion ml) with ln(core ml + 1) and ln(Tmax region ml + 1).
CORRELATIONS = {"core_ml": 0.65, "tmax6_ml": 0.45}
EMPTY_CORE_SHARE = 0.15


def largest_gap(found: Values, reference: Reference) -> float:
    """Kolmogorov-Smirnov distance of a sample from a reference.

    Where only a few percentiles of the reference are known, the largest gap at these, which is a
    lower bound of the distance.

    Parameters
    ----------
    found
        ``(n,)`` values of the sample, without NaN.
    reference
        The distribution to compare with.
    """
    ordered = np.sort(found)
    points = np.asarray(reference.values)
    if reference.complete:
        points = np.union1d(points, ordered)
    gap = _share(ordered, points, "right") - reference.at_or_below(points)
    if reference.complete:
        # The distance may be largest just below a step of the sample, where the reference has no
        # step of its own.
        before = np.nextafter(points, -np.inf)
        below = _share(ordered, points, "left") - reference.at_or_below(before)
        gap = np.concatenate([gap, below])
    return float(np.abs(gap).max())


def _share(ordered: Values, points: Values, side: Literal["left", "right"]) -> Values:
    share: Values = np.searchsorted(ordered, points, side=side) / ordered.size
    return share
