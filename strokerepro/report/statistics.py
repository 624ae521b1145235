"""Paired comparison of two methods on the same cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from strokerepro.errors import InputError

_ALPHA = 0.05
_USUAL_POWER = 0.8


@dataclass(frozen=True)
class PairedTest:
    """Two methods on the same cases: first minus second.

    Attributes
    ----------
    n
        Pairs compared.
    n_dropped
        Pairs left out because a value is undefined (NaN).
    mean_difference, sd_difference
        Mean and sample SD (ddof 1) of the differences.
    ci_low, ci_high
        Bootstrap 95 % interval of the mean difference (percentiles).
    t, p_t
        Paired t-test, two-sided.
    p_wilcoxon
        Wilcoxon signed-rank test, two-sided.
    detectable_difference
        Mean difference that so many pairs of this spread show with a power of 80 %.
    """

    n: int
    n_dropped: int
    mean_difference: float
    sd_difference: float
    ci_low: float
    ci_high: float
    t: float
    p_t: float
    p_wilcoxon: float
    detectable_difference: float

    @property
    def power_note(self) -> str:
        """One sentence on what the test could have seen."""
        return (
            f"{self.n} pairs with an SD of {self.sd_difference:.3g} show a mean difference of "
            f"{self.detectable_difference:.2g} with a power of 80 %"
        )

    def __str__(self) -> str:
        """Numbers as a chapter prints them."""
        dropped = f" ({self.n_dropped} undefined)" if self.n_dropped else ""
        return (
            f"difference {self.mean_difference:+.3g} (95 % CI {self.ci_low:+.3g} to "
            f"{self.ci_high:+.3g}), paired t p = {self.p_t:.2g}, Wilcoxon p = "
            f"{self.p_wilcoxon:.2g}, n = {self.n}{dropped}"
        )


def paired_test(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    generator: np.random.Generator,
    n_resamples: int = 5000,
) -> PairedTest:
    """Compare two methods by their values on the same cases.

    Parameters
    ----------
    first, second
        One value for each case in the same order, ``(N,)``; a pair with a NaN is dropped.
    generator
        Draws the bootstrap samples.
    n_resamples
        Number of bootstrap samples.

    Returns
    -------
    PairedTest
        Differences are first minus second. If all are equal, the interval has no width and the
        t-test gives p = 1 for zero and p = 0 otherwise.

    Raises
    ------
    InputError
        If the lengths differ, or fewer than two pairs are defined.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(
            f"values of shape {a.shape} and {b.shape}", "one value per case for both", "pair them"
        )
    defined = ~(np.isnan(a) | np.isnan(b))
    difference = a[defined] - b[defined]
    n = difference.size
    if n < 2:
        raise InputError(
            f"{n} defined pairs of {a.size}", "at least two", "run more folds or another metric"
        )
    mean, sd = float(difference.mean()), float(difference.std(ddof=1))
    if np.ptp(difference) == 0:
        # Every test statistic divides by the spread, and there is none.
        sd, t, p_t = 0.0, math.copysign(math.inf, mean) if mean else 0.0, float(mean == 0)
        ci_low = ci_high = mean
    else:
        t = mean / (sd / math.sqrt(n))
        p_t = 2 * float(stats.t.sf(abs(t), n - 1))
        ci_low, ci_high = _bootstrap_interval(difference, n_resamples, generator)
    p_wilcoxon = float(stats.wilcoxon(difference).pvalue) if difference.any() else 1.0
    return PairedTest(
        n=n,
        n_dropped=a.size - n,
        mean_difference=mean,
        sd_difference=sd,
        ci_low=ci_low,
        ci_high=ci_high,
        t=t,
        p_t=p_t,
        p_wilcoxon=p_wilcoxon,
        detectable_difference=_detectable_difference(sd, n),
    )


def paired_power(difference: float, sd: float, n: int, alpha: float = _ALPHA) -> float:
    """Power of the two-sided paired t-test.

    Parameters
    ----------
    difference
        True mean difference.
    sd
        SD of the differences.
    n
        Number of pairs, at least two.
    alpha
        Level of the test.

    Returns
    -------
    float
        Probability that the test rejects.
    """
    if difference == 0:
        return alpha
    # The square of a non-central t is a non-central F, which is stable for any shift.
    noncentrality = n * (difference / sd) ** 2
    return float(stats.ncf.sf(stats.f.isf(alpha, 1, n - 1), 1, n - 1, noncentrality))


def holm(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Adjust p-values for the number of tests by Holm's step-down method.

    Parameters
    ----------
    p_values
        P-values of one family of tests, ``(M,)``.

    Returns
    -------
    ndarray
        ``(M,)`` adjusted p-values in the order given: compare each with the level of the family.

    Raises
    ------
    InputError
        If a p-value is not in [0, 1].

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise InputError("p-values that are not in [0, 1]", "numbers from 0 to 1", "drop NaN first")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def _bootstrap_interval(
    difference: npt.NDArray[np.float64], n_resamples: int, generator: np.random.Generator
) -> tuple[float, float]:
    # Percentiles, since BCa is undefined for some samples of few or tied differences.
    result = stats.bootstrap(
        (difference,),
        np.mean,
        n_resamples=n_resamples,
        batch=max(1, 2_000_000 // difference.size),
        confidence_level=1 - _ALPHA,
        method="percentile",
        rng=generator,
    )
    interval = result.confidence_interval
    return float(interval.low), float(interval.high)


def _detectable_difference(sd: float, n: int) -> float:
    """Mean difference that the paired t-test finds with the usual power."""
    if sd == 0:
        return 0.0
    upper = 1.0
    while paired_power(upper, 1.0, n) < _USUAL_POWER:
        upper *= 2
    root = optimize.brentq(lambda d: paired_power(d, 1.0, n) - _USUAL_POWER, 0.0, upper)
    return sd * float(root)
