"""Means over cases that say how many cases they leave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from strokerepro.errors import InputError, UsageError
from strokerepro.metrics.sentinel import SENTINEL_MM


def summarise(
    rows: Iterable[Mapping[str, Any]],
    keys: Sequence[str],
    *,
    ddof: int = 0,
    keep_sentinel: bool = False,
) -> pd.DataFrame:
    """Mean and SD of each metric over the cases in which it is defined.

    Parameters
    ----------
    rows
        One mapping a case, as `score_case` returns.
    keys
        Metrics to summarise.
    ddof
        0: population SD, as in the challenge tables; 1: sample SD.
    keep_sentinel
        Average the sentinel 1e8 mm as if it were a distance, as the challenge server did. By
        default sentinel cases are left out and counted.

    Returns
    -------
    pandas.DataFrame
        Columns ``metric``, ``mean``, ``sd``, ``ddof``, ``n`` (cases averaged), ``n_undefined``
        (NaN) and ``n_sentinel``. Mean and SD are NaN where too few cases remain.

    Raises
    ------
    InputError
        If a row lacks one of the keys.
    """
    cases = list(rows)
    summary = []
    for key in keys:
        lacking = sum(key not in case for case in cases)
        if lacking:
            raise InputError(
                f"{lacking} of {len(cases)} cases without {key!r}",
                "every metric in every case",
                "score the cases again",
            )
        values = np.array([case[key] for case in cases], np.float64)
        is_sentinel = values >= SENTINEL_MM
        used = values[~np.isnan(values) & (keep_sentinel | ~is_sentinel)]
        summary.append(
            {
                "metric": key,
                "mean": float(used.mean()) if used.size else np.nan,
                "sd": float(used.std(ddof=ddof)) if used.size > ddof else np.nan,
                "ddof": ddof,
                "n": used.size,
                "n_undefined": int(np.isnan(values).sum()),
                "n_sentinel": int(is_sentinel.sum()),
            }
        )
    return pd.DataFrame(summary)


def r_squared(
    pred: npt.ArrayLike, truth: npt.ArrayLike, *, kind: Literal["identity", "pearson"] = "identity"
) -> float:
    r"""Coefficient of determination between predicted and true values, such as volumes.

    Parameters
    ----------
    pred, truth
        Equally many finite numbers, at least two, ``(N,)``.
    kind
        ``identity``: :math:`1 - \sum (t-p)^2 / \sum (t-\bar t)^2`, the agreement with the line
        p = t, negative if the mean would predict better. ``pearson``: the squared correlation,
        that is the agreement with the best line of any slope. Papers that print "R²" rarely say
        which; the second is never smaller.

    Returns
    -------
    float
        NaN if the true values are all equal (for ``pearson``: or the predicted ones).

    Raises
    ------
    InputError
        If the numbers differ in count, are fewer than two, or are not finite.
    UsageError
        If the kind is unknown.
    """
    p, t = np.asarray(pred, np.float64), np.asarray(truth, np.float64)
    if p.shape != t.shape or p.ndim != 1 or p.size < 2 or not np.isfinite([p, t]).all():
        raise InputError(
            f"{p.shape} predicted and {t.shape} true values, or one that is not finite",
            "equally many finite numbers, at least two",
            "drop undefined cases in pairs",
        )
    p_centred, t_centred = p - p.mean(), t - t.mean()
    t_ss = float(t_centred @ t_centred)
    if kind == "identity":
        residual_ss = float(np.square(t - p).sum())
        return 1 - residual_ss / t_ss if t_ss else float("nan")
    if kind == "pearson":
        product = float(p_centred @ p_centred) * t_ss
        return float(p_centred @ t_centred) ** 2 / product if product else float("nan")
    raise UsageError.unknown("kind of R²", kind, ("identity", "pearson"))
