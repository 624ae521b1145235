"""What the paper gives: its printed numbers, beside ours, and where each setting comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pandas as pd

from strokerepro.errors import InputError, UsageError
from strokerepro.files import bundled

#: Stands for the data behind a number of ours that does not exist.
NOT_RUN = "not run"


class ProvenancedValue(Protocol):
    """A setting with the source of its value."""

    @property
    def value(self) -> Any:
        """Effective value."""

    @property
    def kind(self) -> str:
        """``stated``, ``released``, ``inferred`` or ``ours``."""

    @property
    def source(self) -> str:
        """Section, file, or reason."""

    @property
    def meaning(self) -> str:
        """What the setting does."""


def load_published(slug: str, table: str) -> pd.DataFrame:
    """Read a published table, as printed in the paper.

    Parameters
    ----------
    slug
        The paper, such as ``"edd_muscle"``.
    table
        The table, such as ``"table2"``.

    Raises
    ------
    UsageError
        If there is no such table; the known ones are listed.
    """
    folder = bundled("tables")
    path = folder / f"{slug}_{table}.csv"
    if not path.is_file():
        known = (found.stem for found in folder.glob("*.csv"))
        raise UsageError.unknown("published table", path.stem, known)
    return pd.read_csv(path)


def provenance_table(fields: Mapping[str, ProvenancedValue]) -> pd.DataFrame:
    """One row a setting: ``setting``, ``value``, ``kind``, ``source``, ``meaning``."""
    columns = ("kind", "source", "meaning")
    rows = [
        {
            "setting": name,
            "value": str(item.value),  # as typed: 0.05, not 0.050000 beside a 64.000000
            **{column: getattr(item, column) for column in columns},
        }
        for name, item in fields.items()
    ]
    return pd.DataFrame(rows, columns=["setting", "value", *columns])


def paper_vs_ours(
    published: pd.DataFrame,
    ours: pd.DataFrame,
    *,
    methods: Mapping[str, str],
    metrics: Mapping[str, str],
    paper_data: str,
    by: str = "output",
) -> pd.DataFrame:
    """Set the paper's numbers beside ours, each with the data it comes from.

    Parameters
    ----------
    published
        The paper's numbers, columns ``method``, ``metric`` and ``value`` (melt the printed table).
    ours
        As `method_table` gives; tables of several cohorts may be joined.
    methods
        Our name of each method to its name in the paper.
    metrics
        Our key of each metric to its name in the paper.
    paper_data
        The data behind the paper's numbers.
    by
        Column of `ours` that holds the method.

    Returns
    -------
    pandas.DataFrame
        Columns ``row`` and ``metric`` (the paper's names), ``paper``, ``paper_data``, ``ours``,
        ``ours_sd``, ``n``, ``n_undefined``, ``n_sentinel`` and ``data`` (behind ours). A number
        that does not exist is NaN.

    Raises
    ------
    UsageError
        If the paper has no such method or metric.
    InputError
        If a table holds two values for one place.
    """
    for column, wanted in (("method", methods), ("metric", metrics)):
        known = set(map(str, published[column]))
        for name in wanted.values():
            if name not in known:
                raise UsageError.unknown(f"published {column}", name, known)
    _refuse_repeated(published, ["method", "metric"], "published table")
    _refuse_repeated(ours, [by, "metric", "data"], "table of ours")
    wanted_rows = pd.DataFrame(
        [
            {by: our_name, "key": key, "row": method, "metric": metric}
            for our_name, method in methods.items()
            for key, metric in metrics.items()
        ]
    )
    printed = published.rename(columns={"method": "row", "value": "paper"})
    measured = ours.rename(columns={"metric": "key", "mean": "ours", "sd": "ours_sd"})
    table = wanted_rows.merge(printed[["row", "metric", "paper"]], how="left")
    table = table.merge(measured, how="left", on=[by, "key"])
    counts = ["n", "n_undefined", "n_sentinel"]
    table[counts] = table[counts].fillna(0).astype(int)
    table = table.fillna({"data": NOT_RUN}).assign(paper_data=paper_data)
    return table[["row", "metric", "paper", "paper_data", "ours", "ours_sd", *counts, "data"]]


def _refuse_repeated(table: pd.DataFrame, keys: list[str], role: str) -> None:
    repeated = table[table.duplicated(keys)]
    if not repeated.empty:
        place = ", ".join(str(repeated.iloc[0][key]) for key in keys)
        raise InputError(
            f"a {role} with two values for {place}",
            "one value each",
            "select the split, subset or experiment before",
        )
