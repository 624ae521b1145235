"""The numbers behind verdicts that no table holds: times, curves and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from strokerepro.errors import InputError
from strokerepro.metrics import r_squared
from strokerepro.records import RunRecord
from strokerepro.report.tables import paired_values

_N_RESAMPLES = 2000
_FEWEST_POINTS = 3  # two points always correlate perfectly


def time_s(record: RunRecord, stages: Sequence[str]) -> float:
    """Mean time of some stages together per test case, s."""
    lacking = [stage for stage in stages if stage not in record.timings_s]
    if lacking:
        raise InputError(
            f"{record.stem} without the time of {', '.join(lacking)}",
            "every stage the claim names",
            "run the experiment again with --force",
        )
    return sum(record.timings_s[stage]["mean"] for stage in stages)


def rank_correlation(record: RunRecord, name: str, target: str) -> float:
    """Spearman's correlation of two curves over the steps at which both were recorded."""
    curve, goal = (
        {point[0]: point[1] for point in record.curves.get(key, [])} for key in (name, target)
    )
    steps = sorted(curve.keys() & goal.keys())
    values = np.array([[curve[step], goal[step]] for step in steps]).reshape(-1, 2)
    if len(steps) < _FEWEST_POINTS or (np.ptp(values, axis=0) == 0).any():
        raise InputError(
            f"{record.stem} with {len(steps)} common steps of {name} and {target}",
            f"at least {_FEWEST_POINTS} with values that differ",
            "train longer or validate more often",
        )
    return float(stats.spearmanr(values[:, 0], values[:, 1]).statistic)


def differences_by_split(
    rows: pd.DataFrame, first: str, second: str, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """First minus second on the training cases ``(N,)`` and on the test cases ``(M,)``.

    Only folds that both methods were trained on count: a training case of one fold is a test
    case of another.

    Raises
    ------
    InputError
        If training cases were not scored, or fewer than two cases of a split are defined.
    """
    folds = [set(rows.loc[rows["method"] == method, "fold"]) for method in (first, second)]
    common = rows[rows["fold"].isin(set.intersection(*folds))]
    differences = []
    for split in ("train", "test"):
        if split not in set(common["split"]):
            raise InputError(
                f"records of {first} and {second} without {split} cases",
                "scores of the training and the test cases",
                "add the split to the recipe's scored_splits",
            )
        values = paired_values(common, first, second, metric, by="method", split=split)
        defined = (values[first] - values[second]).dropna().to_numpy(float)
        if defined.size < 2:
            raise InputError(
                f"{defined.size} {split} cases with a defined {metric}",
                "at least two",
                "run more folds or another metric",
            )
        differences.append(defined)
    return differences[0], differences[1]


def common_volumes(rows: pd.DataFrame, methods: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Predicted ``(methods, N)`` and true ``(N,)`` volumes of the common test cases, mL."""
    pairs = [paired_values(rows, methods[0], method, "volume_ml_pred", by="method")
             for method in methods]  # fmt: skip
    common = sorted(set.intersection(*(set(pair.index) for pair in pairs)))
    truth = paired_values(rows, methods[0], methods[0], "volume_ml_truth", by="method")
    pred = [pair.loc[common, method] for pair, method in zip(pairs, methods, strict=True)]
    return np.array(pred, float), truth.loc[common, methods[0]].to_numpy(float)


def gain_interval(
    pred_ml: np.ndarray,
    truth_ml: np.ndarray,
    kind: Literal["identity", "pearson"],
    generator: np.random.Generator,
) -> tuple[float, float]:
    """Bootstrap 95 % interval over cases of the second method's R2 minus the first's."""
    draws = generator.integers(truth_ml.size, size=(_N_RESAMPLES, truth_ml.size))
    gains = []
    for draw in draws:
        first, last = (r_squared(pred[draw], truth_ml[draw], kind=kind) for pred in pred_ml)
        gains.append(last - first)
    low, high = np.nanpercentile(gains, [2.5, 97.5])
    return float(low), float(high)
