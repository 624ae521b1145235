"""What a chapter says about its experiments: which ran, which did not, how they compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from strokerepro.errors import InputError
from strokerepro.experiment import estimate_s
from strokerepro.papers.base import Recipe
from strokerepro.records import RunRecord
from strokerepro.report.judging import Records, compare
from strokerepro.report.layout import comparison_table
from strokerepro.report.published import load_published, paper_vs_ours
from strokerepro.report.statistics import PairedTest
from strokerepro.report.tables import method_table

_METHOD_COLUMNS = [
    "method", "metric", "mean", "sd", "ddof", "n", "n_undefined", "n_sentinel", "data",
]  # fmt: skip


def runs_table(records: Records) -> pd.DataFrame:
    """One row an experiment that has records: folds, test cases, minutes, device."""
    return pd.DataFrame([_run_row(name, group) for name, group in records.items()])


def _run_row(name: str, group: Sequence[RunRecord]) -> dict[str, Any]:
    return {
        "run": name,
        "folds": len(group),
        "test cases": sum(len(record.splits["test"]) for record in group),
        "minutes": round(sum(record.wall_s for record in group) / 60, 1),
        "memory, GB": round(max(record.peak_memory_mb for record in group) / 1024, 2),
        "device": group[0].device,
    }


def missing_table(recipe: Recipe, records: Records) -> pd.DataFrame:
    """One row an experiment without a record: question, published trend, estimated cost.

    The minutes are for one fold on the machine of the main record, by the ratio of operations; an
    experiment whose network does not take images of this profile's size has none, and without a
    main record nothing was measured.
    """
    main = records.get("main")
    measured = main[0].wall_s / 60 if main else None

    def minutes(name: str) -> int | str:
        if measured is None:
            return "unknown: no main record"
        try:
            return round(estimate_s(recipe.ablation(name), recipe, measured))
        except InputError:
            return "other image size needed"

    rows = [
        {
            "ablation": name,
            "question": item.question,
            "published": item.published,
            "about, min": minutes(name),
        }
        for name, item in recipe.ablations.items()
        if name not in records
    ]
    return pd.DataFrame(rows, columns=["ablation", "question", "published", "about, min"])


def paired_tests(
    rows: pd.DataFrame, pairs: Iterable[tuple[str, str]], metrics: Sequence[str]
) -> list[tuple[str, PairedTest]]:
    """Test several pairs of methods; pairs without rows are left out.

    Parameters
    ----------
    rows
        As `method_rows` gives.
    pairs
        Methods ``run/output``; each difference is first minus second.
    metrics
        Keys of `strokerepro.metrics.score_case`.
    """
    known = set(rows["method"])
    return [
        (f"{metric}: {first} - {second}", compare(rows, first, second, metric))
        for first, second in pairs
        if {first, second} <= known
        for metric in metrics
    ]


def compare_pairs(
    rows: pd.DataFrame, pairs: Iterable[tuple[str, str]], metrics: Sequence[str]
) -> pd.DataFrame:
    """Show what `paired_tests` finds as `comparison_table` does."""
    return comparison_table(paired_tests(rows, pairs, metrics))


def published_scores(slug: str, table: str, split: str = "test") -> pd.DataFrame:
    """One row a number of a published table that has the columns ``metric`` and ``split``.

    Returns
    -------
    pandas.DataFrame
        Columns ``metric``, ``split``, ``method``, ``value``, as `paper_vs_ours` expects.
    """
    printed = load_published(slug, table)
    chosen = printed[printed["split"] == split]
    return chosen.melt(["metric", "split"], var_name="method")


def beside_paper(
    rows: pd.DataFrame,
    published: pd.DataFrame,
    methods: Mapping[str, str],
    metrics: Mapping[str, str],
    paper_data: str,
    *,
    keep_missing: bool = False,
) -> pd.DataFrame:
    """Our means of some methods beside the paper's numbers.

    Parameters
    ----------
    rows
        As `method_rows` gives.
    published
        As `published_scores` gives.
    methods, metrics
        Our names to the paper's names.
    paper_data
        The data behind the paper's numbers.
    keep_missing
        Show methods without rows as not run, instead of leaving them out.

    Returns
    -------
    pandas.DataFrame
        As `paper_vs_ours` gives.
    """
    known = set(rows["method"])
    present = {ours: paper for ours, paper in methods.items() if ours in known}
    table = pd.DataFrame(columns=_METHOD_COLUMNS)
    if present:
        table = method_table(rows, list(present), list(metrics), by="method")
    shown = methods if keep_missing else present
    return paper_vs_ours(
        published, table, methods=shown, metrics=metrics, paper_data=paper_data, by="method"
    )
