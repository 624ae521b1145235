"""Verdicts on what a claim predicts about steadiness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from strokerepro.errors import InputError
from strokerepro.papers.stability_predicates import CurveSteadier, LessSpread
from strokerepro.records import RunRecord
from strokerepro.report.judging import Records, judge
from strokerepro.report.tables import paired_values
from strokerepro.report.verdicts import Outcome

_N_RESAMPLES = 2000
_FEWEST_POINTS = 3  # two changes have a standard deviation
_FEWEST_FOLDS = 3  # with one fold a coin would confirm half of the claims


def roughness(record: RunRecord, curve: str) -> float:
    """Standard deviation of the changes between neighbouring points of a curve.

    Raises
    ------
    InputError
        A curve of fewer than three points.
    """
    values = np.array([value for _, value in record.curves.get(curve, [])])
    if values.size < _FEWEST_POINTS:
        raise InputError(
            f"{record.stem} with {values.size} points of {curve}",
            f"at least {_FEWEST_POINTS}",
            "train longer or validate more often",
        )
    return float(np.diff(values).std())


def rough_pairs(
    first: Sequence[RunRecord], second: Sequence[RunRecord], curve: str
) -> list[tuple[float, float]]:
    """Roughness of a curve in the two experiments, on each fold and seed that both have.

    Raises
    ------
    InputError
        No such fold, or too short a curve.
    """
    others = {(record.fold, record.seed): record for record in second}
    pairs = [
        (roughness(record, curve), roughness(others[record.fold, record.seed], curve))
        for record in first
        if (record.fold, record.seed) in others
    ]
    if not pairs:
        raise InputError("two experiments without a common fold", "one", "run the missing folds")
    return pairs


@judge.register
def _(predicate: CurveSteadier, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    pairs = np.array(
        rough_pairs(records[predicate.first], records[predicate.second], predicate.curve)
    )  # (trainings, 2)
    steadier = pairs[:, 0] < pairs[:, 1]
    outcome: Outcome = "not confirmed"
    agree = steadier.all() or not steadier.any()
    if agree and steadier.size >= _FEWEST_FOLDS:
        outcome = "confirmed" if steadier.all() else "opposite"
    first, second = pairs.mean(axis=0)
    return outcome, (
        f"SD of the changes of {predicate.curve}: {predicate.first} {first:.3f} against "
        f"{predicate.second} {second:.3f}; steadier in {steadier.sum()} of {steadier.size} folds"
    )


@judge.register
def _(predicate: LessSpread, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    names = (*predicate.methods, *predicate.others)
    columns = [paired_values(rows, names[0], name, predicate.metric, by="method")[name]
               for name in names]  # fmt: skip
    values = pd.concat(columns, axis=1).dropna().to_numpy(float)  # (cases, methods)
    if len(values) < 2:
        raise InputError(
            f"{len(values)} cases with a defined {predicate.metric} in all {len(names)} methods",
            "at least two",
            "run the same folds of all",
        )
    cut = len(predicate.methods)
    drawn = np.random.default_rng(0).integers(len(values), size=(_N_RESAMPLES, len(values)))
    resampled = values[drawn].mean(axis=1)  # (resamples, methods)
    gains = np.ptp(resampled[:, cut:], axis=1) - np.ptp(resampled[:, :cut], axis=1)
    low, high = np.percentile(gains, [2.5, 97.5])
    outcome: Outcome = "not confirmed"
    if low > 0 or high < 0:
        outcome = "confirmed" if low > 0 else "opposite"
    means = values.mean(axis=0)
    spread, other = np.ptp(means[:cut]), np.ptp(means[cut:])
    return outcome, (
        f"range of the mean {predicate.metric}: {spread:.3f} over {', '.join(predicate.methods)}, "
        f"{other:.3f} over {', '.join(predicate.others)}; difference 95 % CI {low:+.3f} to "
        f"{high:+.3f}, n = {len(values)}"
    )
