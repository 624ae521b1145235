"""Marginals of a CT-perfusion cohort beside the published ones of ISLES 2018.

The phantom's knobs were set on these figures only. The clinical rule (relative CBF below 30 %,
Tmax above 6 s) is computed twice, with the core inside the Tmax region only and without that
gate, since it is not known which of the two the published figures used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from strokerepro.cohort import Case, Cohort
from strokerepro.errors import InputError
from strokerepro.experiment.ctp_reference import (
    CORRELATIONS,
    EMPTY_CORE_SHARE,
    KS_LIMIT,
    MEAN_TOLERANCE,
    MEDIAN_RATIOS,
    PERCENTILES,
    REFERENCES,
    Reference,
    largest_gap,
)
from strokerepro.metrics.overlap import dice
from strokerepro.preprocess import brain_mask, rcbf_core, tmax_region
from strokerepro.progress import Advance, silent

_TMAX_S = 6.0
# What the phantom was set on; the other quantities are shown beside them.
_FITTED = {"lesion_ml", "tmax6_ml", "core_ml", "core_gated_ml", "dice_rcbf30", "dice_rcbf30_gated"}
_LABELS = {
    "lesion_ml": "lesion, ml",
    "lesion_share_percent": "lesion / brain in the slab, %",
    "tmax6_ml": "Tmax > 6 s, ml",
    "core_ml": "rCBF < 30 %, ml",
    "core_gated_ml": "rCBF < 30 % and Tmax > 6 s, ml",
    "dice_rcbf30": "Dice of rCBF < 30 %",
    "dice_rcbf30_gated": "Dice of rCBF < 30 % and Tmax > 6 s",
    "dice_tmax6": "Dice of Tmax > 6 s",
}


def ctp_acceptance(cohort: Cohort, progress: Advance = silent) -> dict[str, Any]:
    """Measure a cohort in the layout of ISLES 2018 and compare it with the real figures.

    Parameters
    ----------
    cohort
        The phantom or the real training set, read with ``cbf``, ``cbv``, ``mtt`` and ``tmax``.
    progress
        Called with (cases done, cases in all, the case).

    Returns
    -------
    dict
        See `compare`.

    Raises
    ------
    InputError
        A case that cannot be read, or without a lesion mask.
    """
    rows = []
    for index, case_id in enumerate(cohort.case_ids):
        rows.append(measure_case(cohort[index]))
        progress(index + 1, len(cohort), case_id)
    return compare(pd.DataFrame(rows))


def measure_case(case: Case) -> dict[str, Any]:
    """Volumes and overlaps of one case.

    Parameters
    ----------
    case
        With the four maps and a mask.

    Returns
    -------
    dict
        ``case``, and one number per quantity: volumes in ml, the lesion's share of the brain in
        percent, and the Dice of the rules, NaN where the lesion mask is empty.

    Raises
    ------
    InputError
        The case has no lesion mask.
    """
    if case.label is None:
        raise InputError(f"{case.case_id} without a lesion mask", "a training case", "leave it out")
    brain = brain_mask(case)
    cbf, tmax_s = case.arrays["cbf"], case.arrays["tmax"]
    masks = {
        "lesion": case.label > 0,
        "tmax6": tmax_region(tmax_s, brain, above_s=_TMAX_S),
        "core": rcbf_core(cbf, tmax_s, brain, case.spacing_mm),
        "core_gated": rcbf_core(cbf, tmax_s, brain, case.spacing_mm, gate_tmax_s=_TMAX_S),
    }
    voxel_ml = float(np.prod(case.spacing_mm)) / 1000.0
    volumes_ml = {name: float(mask.sum()) * voxel_ml for name, mask in masks.items()}
    return {
        "case": case.case_id,
        **{f"{name}_ml": volume for name, volume in volumes_ml.items()},
        "lesion_share_percent": 100.0 * volumes_ml["lesion"] / (float(brain.sum()) * voxel_ml),
        "dice_rcbf30": dice(masks["core"], masks["lesion"]),
        "dice_rcbf30_gated": dice(masks["core_gated"], masks["lesion"]),
        "dice_tmax6": dice(masks["tmax6"], masks["lesion"]),
    }


def compare(cases: pd.DataFrame) -> dict[str, Any]:
    """Compare measured cases with the real figures.

    Parameters
    ----------
    cases
        One row of `measure_case` per case.

    Returns
    -------
    dict
        Ready for JSON. ``quantities``: per quantity mean and percentiles of the cohort and of the
        real cases, ``ks`` (a lower bound where ``ks_is_lower_bound``), ``mean_ratio`` (None where
        no mean is published), ``accepted`` (distance at most 0.25, mean within 20 %) and
        ``fitted``, whether the phantom was set on it. ``accepted_gated``, ``accepted_ungated``:
        all fitted quantities, of the rule with the gate or of the one without it. Besides
        ``median_ratios``, ``correlations``, ``empty_core_share`` and the rows ``per_case``.
    """
    with_lesion = cases[cases["lesion_ml"] > 0]
    quantities = {
        name: {**_beside(cases[name], real), "fitted": name in _FITTED}
        for name, real in REFERENCES.items()
    }
    good = {name for name, row in quantities.items() if row["accepted"]}
    gated = {name for name in _FITTED if "gated" in name}
    ungated = {name.replace("_gated", "") for name in gated}
    return {
        "cases": len(cases),
        "quantities": quantities,
        "accepted_ungated": good >= _FITTED - gated,
        "accepted_gated": good >= _FITTED - ungated,
        "median_ratios": _median_ratios(with_lesion),
        "correlations": _correlations(with_lesion),
        "empty_core_share": {
            "found": _empty_share(cases["core_ml"]),
            "found_gated": _empty_share(cases["core_gated_ml"]),
            "real": EMPTY_CORE_SHARE,
        },
        "percentiles": list(PERCENTILES),
        "per_case": [
            {
                key: value if isinstance(value, str) else _rounded(value)
                for key, value in row.items()
            }
            for row in cases.to_dict("records")
        ],
    }


def _beside(values: pd.Series, real: Reference) -> dict[str, Any]:
    found = values.dropna().to_numpy(np.float64)
    ks = largest_gap(found, real)
    ratio = None if real.mean is None else float(found.mean()) / real.mean
    return {
        "n": int(found.size),
        "mean": _rounded(found.mean()),
        "percentiles": [_rounded(value) for value in np.percentile(found, PERCENTILES)],
        "real_mean": real.mean,
        "real_percentiles": [_rounded(value) for value in real.percentiles()],
        "ks": _rounded(ks),
        "ks_is_lower_bound": not real.complete,
        "mean_ratio": None if ratio is None else _rounded(ratio),
        "accepted": ks <= KS_LIMIT and (ratio is None or abs(ratio - 1) <= MEAN_TOLERANCE),
    }


def _median_ratios(cases: pd.DataFrame) -> dict[str, Any]:
    lesion = cases["lesion_ml"]
    found = {
        "core_ml/lesion_ml": float((cases["core_ml"] / lesion).median()),
        "tmax6_ml/lesion_ml": float((cases["tmax6_ml"] / lesion).median()),
    }
    return {
        name: {"found": _rounded(value), "real": MEDIAN_RATIOS[name]}
        for name, value in found.items()
    }


def _correlations(cases: pd.DataFrame) -> dict[str, Any]:
    """Pearson correlation of ln(lesion) with ln(volume + 1), volumes in ml."""
    log_lesion = np.log(cases["lesion_ml"])
    return {
        name: {"found": _rounded(log_lesion.corr(np.log1p(cases[name]))), "real": real}
        for name, real in CORRELATIONS.items()
    }


def _empty_share(volumes_ml: npt.ArrayLike) -> float | None:
    return _rounded(float(np.mean(np.asarray(volumes_ml) == 0)))


def _rounded(value: float) -> float | None:
    """Round to four digits; None for what is not defined, as JSON knows no NaN."""
    return round(float(value), 4) if np.isfinite(value) else None


def ctp_acceptance_table(found: Mapping[str, Any]) -> pd.DataFrame:
    """Marginals of a cohort beside the real ones, for a page.

    Parameters
    ----------
    found
        As `ctp_acceptance` gives.

    Returns
    -------
    pandas.DataFrame
        A row per quantity: means, percentiles 5/25/50/75/95 %, distance (with a sign where it is
        a lower bound), ratio of the means, whether both are within the limits, and whether the
        phantom was set on the quantity.
    """
    rows = [
        {
            "quantity": _LABELS[name],
            "mean": row["mean"],
            "real mean": np.nan if row["real_mean"] is None else row["real_mean"],
            "5/25/50/75/95 %": _in_a_cell(row["percentiles"]),
            "real 5/25/50/75/95 %": _in_a_cell(row["real_percentiles"]),
            "KS": f"{'≥ ' if row['ks_is_lower_bound'] else ''}{row['ks']:.2f}",
            "mean / real": np.nan if row["mean_ratio"] is None else row["mean_ratio"],
            "within limits": "yes" if row["accepted"] else "no",
            "fitted": "yes" if row["fitted"] else "no",
        }
        for name, row in found["quantities"].items()
    ]
    return pd.DataFrame(rows)


def _in_a_cell(percentiles: list[float]) -> str:
    return " / ".join(f"{value:.3g}" for value in percentiles)
