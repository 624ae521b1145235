"""Verdicts on a recipe's claims from whatever records there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np
import pandas as pd
from scipy import stats

from strokerepro.errors import InputError
from strokerepro.metrics import r_squared
from strokerepro.papers.base import Claim, Recipe
from strokerepro.papers.predicates import (
    CurveTracks,
    LargeBeatsSmall,
    MeanAbove,
    MeanBelow,
    MetricExceeds,
    PairedDifference,
    Predicate,
    ShareAtMost,
    SmallerGap,
    StageShare,
    TimeRatio,
    VolumeAgreementRises,
)
from strokerepro.records import RunRecord
from strokerepro.report.evidence import (
    common_volumes,
    differences_by_split,
    gain_interval,
    rank_correlation,
    time_s,
)
from strokerepro.report.statistics import PairedTest, paired_test
from strokerepro.report.tables import paired_values, record_rows
from strokerepro.report.verdicts import Expected, Outcome, Status, Verdict, judge_difference

Records = Mapping[str, Sequence[RunRecord]]
_ALPHA = 0.05


def method_rows(records: Records) -> pd.DataFrame:
    """Per-case rows of several experiments with a column ``method``, ``run/output``.

    Parameters
    ----------
    records
        Records by experiment, as `strokerepro.experiment.available` gives.
    """
    rows = record_rows(record for group in records.values() for record in group)
    rows["method"] = rows["name"] + "/" + rows["output"]
    return rows


def judge_claims(recipe: Recipe, records: Records, *, status: Status) -> list[Verdict]:
    """Judge every claim of a recipe; a claim whose runs are missing is not attempted.

    Parameters
    ----------
    recipe
        Holds the claims.
    records
        Records by experiment.
    status
        Which data the records come from.
    """
    rows = method_rows(records) if any(records.values()) else pd.DataFrame()
    return [_judge_claim(claim, rows, records, status) for claim in recipe.claims]


def _judge_claim(claim: Claim, rows: pd.DataFrame, records: Records, status: Status) -> Verdict:
    missing = [run for run in claim.runs if not records.get(run)]
    if missing:
        reason = f"no record of {', '.join(missing)} in this profile"
        return Verdict(claim.name, claim.text, "not attempted", "not tested", reason)
    try:
        results = [judge(predicate, rows, records) for predicate in claim.predicates]
    except InputError as error:  # too few cases for a test
        return Verdict(claim.name, claim.text, "not attempted", "not tested", str(error))
    outcomes = {outcome for outcome, _ in results}
    joint: Outcome = outcomes.pop() if len(outcomes) == 1 else "not confirmed"
    evidence = "; ".join(text for _, text in results)
    return Verdict(claim.name, claim.text, status, joint, evidence)


@singledispatch
def judge(predicate: Predicate, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    """Judge one predicate: its outcome and the numbers behind it."""
    raise TypeError(f"no rule to judge a {type(predicate).__name__}")


@judge.register
def _(predicate: PairedDifference, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    names = predicate.first, predicate.second, predicate.metric
    if predicate.split == "train":
        differences, _ = differences_by_split(rows, *names)
        none = np.zeros_like(differences)
        test = paired_test(differences, none, generator=np.random.default_rng(0))
    else:
        part = rows if predicate.subset == "all" else _subset(rows, predicate.subset)
        test = compare(part, *names)
    outcome = judge_difference(test, predicate.expected, predicate.margin, _ALPHA)
    pair = f"{predicate.metric} of {predicate.first} minus {predicate.second}"
    where = "" if predicate.subset == "all" else f" on {predicate.subset}-lesion cases"
    where = " on training cases" if predicate.split == "train" else where
    power = f"; {test.power_note}" if outcome == "not confirmed" else ""
    return outcome, f"{pair}{where}: {test}{power}"


@judge.register
def _(predicate: MetricExceeds, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    first, second = (
        paired_values(rows, predicate.method, predicate.method, metric, by="method")
        for metric in (predicate.larger, predicate.smaller)
    )
    test = paired_test(
        first[predicate.method], second[predicate.method], generator=np.random.default_rng(0)
    )
    outcome = judge_difference(test, "increase", None, _ALPHA)
    return outcome, f"{predicate.larger} minus {predicate.smaller} of {predicate.method}: {test}"


@judge.register
def _(predicate: SmallerGap, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    train, test = differences_by_split(rows, predicate.method, predicate.other, predicate.metric)
    gain = float(test.mean() - train.mean())
    p = float(stats.ttest_ind(train, test, equal_var=False).pvalue)
    outcome: Outcome = "not confirmed"
    if p < _ALPHA:
        outcome = "confirmed" if gain > 0 else "opposite"
    pair = f"{predicate.metric} of {predicate.method} minus {predicate.other}"
    return outcome, (
        f"{pair}: {train.mean():+.3f} on training cases (n = {train.size}), {test.mean():+.3f} on "
        f"test cases (n = {test.size}); the gap is {abs(gain):.3f} "
        f"{'smaller' if gain > 0 else 'larger'}, Welch's t p = {p:.2g}"
    )


@judge.register
def _(predicate: LargeBeatsSmall, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    texts, p_values, signs = [], [], []
    for method in predicate.methods:
        small, large = (
            _values(_subset(rows, name), method, predicate.metric) for name in ("small", "large")
        )
        p_values.append(stats.mannwhitneyu(large, small, alternative="two-sided").pvalue)
        signs.append(large.mean() > small.mean())
        texts.append(
            f"{method} {large.mean():.2f} (n = {len(large)}) against {small.mean():.2f} "
            f"(n = {len(small)})"
        )
    if max(p_values) < _ALPHA and len(set(signs)) == 1:
        outcome: Outcome = "confirmed" if signs[0] else "opposite"
    else:
        outcome = "not confirmed"
    return outcome, f"large against small: {'; '.join(texts)}; largest p = {max(p_values):.2g}"


@judge.register
def _(predicate: ShareAtMost, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    sizes = pooled(rows, predicate.method, predicate.key)
    share = float((sizes <= predicate.limit).mean()) if sizes.size else float("nan")
    outcome: Outcome = "confirmed" if share >= predicate.share else "not confirmed"
    return outcome, f"{share:.1%} of {sizes.size} are at most {predicate.limit:g}"


@judge.register(MeanBelow)
@judge.register(MeanAbove)
def _(
    predicate: MeanBelow | MeanAbove, rows: pd.DataFrame, records: Records
) -> tuple[Outcome, str]:
    if predicate.key not in rows:
        raise InputError(
            f"records of {predicate.method} without {predicate.key}",
            "this number for every test case",
            "run the experiment again with --force",
        )
    values = _values(rows, predicate.method, predicate.key)
    limits = np.full(values.size, predicate.limit)
    test = paired_test(values, limits, generator=np.random.default_rng(0))
    expected: Expected = "decrease" if isinstance(predicate, MeanBelow) else "increase"
    outcome = judge_difference(test, expected, None, _ALPHA)
    found = f"{predicate.key} of {predicate.method}: mean {values.mean():.2f}"
    return outcome, f"{found}, against {predicate.limit:g}: {test}"


@judge.register
def _(predicate: StageShare, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    timings = [record.timings_s for record in records[predicate.run]]
    share = np.mean([item[predicate.stage]["mean"] / item["total"]["mean"] for item in timings])
    outcome: Outcome = "confirmed" if share <= predicate.share else "not confirmed"
    where = _devices(records[predicate.run])
    return outcome, f"{predicate.stage} takes {share:.1%} of the time per case ({where})"


@judge.register
def _(predicate: TimeRatio, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    chosen = records[predicate.run]
    ratio = float(
        np.mean(
            [time_s(item, predicate.stages) / time_s(item, predicate.others) for item in chosen]
        )
    )
    within = predicate.at_least <= ratio <= predicate.at_most
    outcome: Outcome = "confirmed" if within else "not confirmed"
    stages, others = " + ".join(predicate.stages), " + ".join(predicate.others)
    text = f"{stages} takes {ratio:.2f} times as long per case as {others}"
    return outcome, f"{text} ({_devices(chosen)})"


@judge.register
def _(predicate: CurveTracks, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    names = (predicate.first, predicate.second)
    correlation = np.array(
        [
            [rank_correlation(record, name, predicate.target) for name in names]
            for record in records[predicate.run]
        ]
    )  # (trainings, 2)
    closer = correlation[:, 0] < correlation[:, 1]  # costs: the more negative, the closer
    outcome: Outcome = "not confirmed"
    if closer.all() or not closer.any():
        outcome = "confirmed" if closer.all() else "opposite"
    mean = correlation.mean(axis=0)
    found = " against ".join(f"{name} {r:+.2f}" for name, r in zip(names, mean, strict=True))
    text = f"mean rank correlation with {predicate.target}: {found}"
    return outcome, f"{text}; {names[0]} is closer in {closer.sum()} of {closer.size} trainings"


@judge.register
def _(predicate: VolumeAgreementRises, rows: pd.DataFrame, records: Records) -> tuple[Outcome, str]:
    pred_ml, truth_ml = common_volumes(rows, predicate.methods)
    agreement = [r_squared(pred, truth_ml, kind=predicate.kind) for pred in pred_ml]
    low, high = gain_interval(pred_ml[[0, -1]], truth_ml, predicate.kind, np.random.default_rng(0))
    outcome: Outcome = "not confirmed"
    if low > 0 and all(np.diff(agreement) > 0):
        outcome = "confirmed"
    elif high < 0:
        outcome = "opposite"
    each = zip(predicate.methods, agreement, strict=True)
    text = f"R2 ({predicate.kind}): {', '.join(f'{method} {value:.2f}' for method, value in each)}"
    gain = f"{agreement[-1] - agreement[0]:+.2f} (95 % CI {low:+.2f} to {high:+.2f})"
    return outcome, f"{text}; last minus first {gain}, n = {truth_ml.size}"


def compare(rows: pd.DataFrame, first: str, second: str, metric: str) -> PairedTest:
    """Paired test of two methods ``run/output`` on their common test cases.

    Parameters
    ----------
    rows
        As `method_rows` gives.
    first, second
        Methods; the difference is first minus second.
    metric
        Key of `strokerepro.metrics.score_case`.
    """
    values = paired_values(rows, first, second, metric, by="method")
    return paired_test(values[first], values[second], generator=np.random.default_rng(0))


def pooled(rows: pd.DataFrame, method: str, key: str, split: str = "test") -> np.ndarray:
    """Concatenate the lists that rows of a method hold under `key`, ``(N,)``."""
    chosen = rows[(rows["method"] == method) & (rows["split"] == split)]
    lists = [np.asarray(item, float) for item in chosen[key] if isinstance(item, list)]
    return np.concatenate(lists) if lists else np.zeros(0)


def _subset(rows: pd.DataFrame, subset: str) -> pd.DataFrame:
    """Cut by the mean lesion size of all test cases of the main experiment (Sec. 5.5)."""
    test = rows[rows["split"] == "test"]
    size_px = test.groupby("case_id")["size_truth_px"].first()
    chosen = size_px < size_px.mean() if subset == "small" else size_px >= size_px.mean()
    return rows[rows["case_id"].isin(size_px.index[chosen])]


def _values(rows: pd.DataFrame, method: str, metric: str) -> np.ndarray:
    chosen = rows[(rows["method"] == method) & (rows["split"] == "test")]
    return chosen.groupby("case_id")[metric].mean().dropna().to_numpy(float)


def _devices(records: Sequence[RunRecord]) -> str:
    return ", ".join(sorted({record.device for record in records}))
