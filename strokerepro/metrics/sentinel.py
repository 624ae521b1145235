"""What a published mean and SD say about the failed cases hidden in them.

The ISLES 2018 server replaced an infinite Hausdorff distance by 1e8 mm and averaged over all
cases with the population SD, so that a leaderboard's "mean HD" counts failures.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from strokerepro.errors import InputError

SENTINEL_MM = 1e8


class DecodedSentinel(NamedTuple):
    """Sentinel cases behind a published mean and SD.

    Attributes
    ----------
    k
        Number of cases that carry the sentinel.
    finite_mean
        Mean of the other cases from the published mean; NaN if there are none, if the printed
        digits do not tell, or if the mean is misprinted.
    finite_mean_from_sd
        The same from the published SD, an independent estimate for 0 < k < n.
    mean_consistent, sd_consistent
        Whether the published number can arise from `k`; one of them may be a misprint.
    """

    k: int
    finite_mean: float
    finite_mean_from_sd: float
    mean_consistent: bool
    sd_consistent: bool


def decode_sentinel(
    mean: float,
    sd: float,
    n: int,
    sentinel: float = SENTINEL_MM,
    *,
    resolution: float = 0.01,
    largest_finite: float = 500.0,
    ddof: int = 0,
) -> DecodedSentinel:
    r"""Find how many of `n` cases carry `sentinel`, and the mean of the others.

    With :math:`p = k/n` and finite mean and SD :math:`\mu, \sigma`, the published numbers are
    :math:`\bar h = pS + (1-p)\mu` and :math:`s^2 = p(1-p)(S-\mu)^2 + (1-p)\sigma^2`.

    Parameters
    ----------
    mean, sd
        As printed, in the unit of `sentinel`.
    n
        Number of cases averaged.
    sentinel
        The value that stands for a failed case.
    resolution
        Unit of the last printed digit.
    largest_finite
        Largest mean and SD of the other cases that is plausible: 500 mm exceeds a head.
    ddof
        0: population SD, as the server; 1: sample SD.

    Returns
    -------
    DecodedSentinel
        A `k` that explains both numbers; failing that, the one that explains the SD or the mean
        alone and is nearest to the other.

    Raises
    ------
    InputError
        If no `k` explains either number.
    """
    candidates = []
    for k in range(n + 1):
        expected_mean = k * sentinel / n
        mean_slack = (n - k) / n * largest_finite
        # Numbers from a table are NumPy's, whose booleans have no sign.
        mean_fits = bool(-resolution / 2 <= mean - expected_mean <= mean_slack + resolution / 2)
        sd_fits = _sd_fits(sd, k, n, sentinel, resolution, largest_finite, ddof)
        candidates.append((-mean_fits - sd_fits, -sd_fits, abs(mean - expected_mean), k))
    misfit, sd_misfit, _, k = min(candidates)
    if misfit == 0:
        raise InputError(
            f"mean {mean} and SD {sd} of {n} cases",
            f"a mixture of {sentinel:g} and values up to {largest_finite:g}",
            "check the number of cases, the sentinel and the resolution",
        )
    sd_consistent = sd_misfit == -1
    mean_consistent = misfit == -2 or not sd_consistent
    return DecodedSentinel(
        k,
        _finite_mean(mean, k, n, sentinel, resolution, largest_finite)
        if mean_consistent
        else math.nan,
        _finite_mean_from_sd(sd, k, n, sentinel, resolution, largest_finite, ddof)
        if sd_consistent
        else math.nan,
        mean_consistent,
        sd_consistent,
    )


def _spread(k: int, n: int, ddof: int) -> float:
    """SD of k ones among n zeros and ones."""
    return math.sqrt(k * (n - k) / (n * (n - ddof)))


def _sd_fits(
    sd: float, k: int, n: int, sentinel: float, resolution: float, largest: float, ddof: int
) -> bool:
    spread = _spread(k, n, ddof)
    low = spread * (sentinel - largest)
    high = math.hypot(spread * sentinel, math.sqrt((n - k) / (n - ddof)) * largest)
    return bool(low - resolution / 2 <= sd <= high + resolution / 2)


def _finite_mean(
    mean: float, k: int, n: int, sentinel: float, resolution: float, largest: float
) -> float:
    if k == n or n / (n - k) * resolution > largest:
        return math.nan
    return (n * mean - k * sentinel) / (n - k)


def _finite_mean_from_sd(
    sd: float, k: int, n: int, sentinel: float, resolution: float, largest: float, ddof: int
) -> float:
    spread = _spread(k, n, ddof)
    if spread == 0 or resolution / spread > largest:
        return math.nan
    return sentinel - sd / spread
