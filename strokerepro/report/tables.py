"""Tables of our own numbers, from the per-case rows of run records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from strokerepro.errors import InputError, UsageError
from strokerepro.metrics import SENTINEL_MM, summarise


class Record(Protocol):
    """What the tables need of a run record."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One mapping a case and output: identifiers, split and scores."""

    @property
    def name(self) -> str:
        """Experiment, ``main`` or the name of an ablation."""

    @property
    def fold(self) -> int:
        """Which fold was the test set."""

    @property
    def seed(self) -> int:
        """Seed of the run."""

    @property
    def profile(self) -> str:
        """Scale of the run."""

    @property
    def data(self) -> str:
        """Name of the cohort."""


def record_rows(records: Iterable[Record]) -> pd.DataFrame:
    """Per-case rows of several records, with columns that say which run each comes from.

    Returns
    -------
    pandas.DataFrame
        The keys of the rows and ``name``, ``fold``, ``seed``, ``profile`` and ``data``.

    Raises
    ------
    InputError
        If there are no records.
    """
    rows = [
        {
            "name": record.name,
            "profile": record.profile,
            "data": record.data,
            "fold": record.fold,
            "seed": record.seed,
            **row,
        }
        for record in records
        for row in record.rows
    ]
    if not rows:
        raise InputError("no records", "at least one", "run the experiment first")
    return pd.DataFrame(rows)


def method_table(
    rows: pd.DataFrame,
    outputs: Sequence[str],
    metrics: Sequence[str],
    *,
    by: str = "output",
    split: str = "test",
) -> pd.DataFrame:
    """Mean and SD over cases of every method and metric, with the cases that are left out.

    A case that was scored in several runs (seeds) counts once, with its mean; it counts as
    undefined if it is undefined in any of them.

    Parameters
    ----------
    rows
        Per-case rows, as `record_rows` gives.
    outputs
        The methods to show, in this order.
    metrics
        Keys of `strokerepro.metrics.score_case`.
    by
        Column that tells the methods apart: ``output`` within one experiment, ``name`` for
        several experiments.
    split
        ``train``, ``val`` or ``test``.

    Returns
    -------
    pandas.DataFrame
        Columns of `by`, ``metric``, ``mean``, ``sd`` (ddof 0), ``ddof``, ``n``, ``n_undefined``,
        ``n_sentinel`` and ``data``.

    Raises
    ------
    UsageError
        If a method, a metric or the split is not in the rows.
    InputError
        If the rows of one method mix experiments, profiles or cohorts, so that one case would be
        counted for several methods.
    """
    chosen = _select(rows, split)
    tables = []
    for output in outputs:
        scores = _case_scores(chosen, output, metrics, by)
        cases = [{metric: row[metric] for metric in metrics} for _, row in scores.iterrows()]
        summary = summarise(cases, metrics)
        summary.insert(0, by, output)
        summary["data"] = scores["data"].iloc[0]
        tables.append(summary)
    return pd.concat(tables, ignore_index=True)


def subgroup_table(
    rows: pd.DataFrame,
    outputs: Sequence[str],
    metrics: Sequence[str],
    *,
    cut_px: float | None = None,
    by: str = "output",
    split: str = "test",
) -> pd.DataFrame:
    """`method_table` for cases with small and with large lesions (Table 5 of edd_muscle).

    Parameters
    ----------
    rows, outputs, metrics, by, split
        As for `method_table`; the rows need ``size_truth_px``.
    cut_px
        A case is small if the mean size of its lesions is less. By default the mean of that mean
        over all cases (Sec. 5.5).

    Returns
    -------
    pandas.DataFrame
        `method_table` with the columns ``subset`` (``small``, ``large``; ``no lesion`` if there
        are such cases) and ``cut_px`` in front.

    Raises
    ------
    UsageError, InputError
        As `method_table`.
    """
    chosen = _select(rows, split)
    size_px = chosen.groupby("case_id")["size_truth_px"].first()
    cut = float(size_px.mean()) if cut_px is None else float(cut_px)
    subsets = {
        "small": size_px.index[size_px < cut],
        "large": size_px.index[size_px >= cut],
        "no lesion": size_px.index[size_px.isna()],
    }
    tables = []
    for subset, cases in subsets.items():
        if not len(cases):
            continue
        part = chosen[chosen["case_id"].isin(cases)]
        table = method_table(part, outputs, metrics, by=by, split=split)
        table.insert(0, "subset", subset)
        table.insert(1, "cut_px", cut)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def paired_values(
    rows: pd.DataFrame,
    first: str,
    second: str,
    metric: str,
    *,
    by: str = "output",
    split: str = "test",
) -> pd.DataFrame:
    """Values of two methods on their common cases, for `paired_test`.

    Returns
    -------
    pandas.DataFrame
        Index ``case_id``, one column for each method; NaN where undefined.

    Raises
    ------
    UsageError, InputError
        As `method_table`; also if the methods share no case.
    """
    chosen = _select(rows, split)
    columns = {name: _case_scores(chosen, name, [metric], by)[metric] for name in (first, second)}
    common = columns[first].index.intersection(columns[second].index)
    if common.empty:
        raise InputError(
            f"no {split} case common to {first} and {second}", "the same folds", "run both"
        )
    return pd.DataFrame({name: column.loc[common] for name, column in columns.items()})


def _select(rows: pd.DataFrame, split: str) -> pd.DataFrame:
    splits = sorted(set(rows["split"]))
    if split not in splits:
        raise UsageError.unknown("split", split, splits)
    return rows[rows["split"] == split]


def _case_scores(rows: pd.DataFrame, output: str, metrics: Sequence[str], by: str) -> pd.DataFrame:
    """Scores of one method, one row a case: the mean over its runs."""
    own = rows[rows[by] == output]
    if own.empty:
        raise UsageError.unknown(by, output, map(str, rows[by].unique()))
    for column in ("name", "output", "profile", "data"):
        values = own[column].unique()
        if len(values) > 1:
            raise InputError(
                f"rows of {output} with several values of {column}: {', '.join(map(str, values))}",
                "one",
                f"select the rows by {column} before",
            )
    lacking = [metric for metric in metrics if metric not in own]
    if lacking:
        raise UsageError.unknown("metric", lacking[0], map(str, own.columns))
    cases = own.groupby("case_id", sort=True)
    per_case = cases[list(metrics)]
    complete = per_case.count().eq(cases.size(), axis=0)
    scores: pd.DataFrame = per_case.mean().where(complete)
    scores = scores.mask(per_case.max() >= SENTINEL_MM, SENTINEL_MM)  # a sentinel has no average
    scores["data"] = cases["data"].first()
    return scores
