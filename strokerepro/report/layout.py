"""Tidy tables as a reader wants to see them: one row a method, one column a metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from strokerepro.files import hash_json
from strokerepro.report.published import NOT_RUN
from strokerepro.report.statistics import PairedTest, holm


def side_by_side(table: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """Paper and ours in neighbouring columns, the data behind each named in the header.

    Parameters
    ----------
    table
        As `paper_vs_ours` gives.
    digits
        Digits after the point.

    Returns
    -------
    pandas.DataFrame
        Index: the method. Columns: metric, then ``paper (...)`` and ``ours (...)``; last ``n``
        and ``undefined``, the cases behind ours and those left out of some mean. A number that
        does not exist is ``-``.
    """
    lines = []
    for name, part in table.groupby("row", sort=False):
        line: dict[tuple[str, str], object] = {("", "method"): name}
        for _, cell in part.iterrows():
            line[(cell["metric"], f"paper ({cell['paper_data']})")] = _number(cell["paper"], digits)
            ours = _mean_sd(cell["ours"], cell["ours_sd"], digits)
            line[(cell["metric"], f"ours ({cell['data']})")] = ours
        line[("cases", "n")] = int(part["n"].max())
        line[("cases", "undefined")] = int(part["n_undefined"].max())
        lines.append(line)
    columns = _paired_columns(table)
    cells = [[line.get(column, "-") for column in columns] for line in lines]
    frame = pd.DataFrame(cells, columns=pd.MultiIndex.from_tuples(columns))
    return frame.set_index([("", "method")]).rename_axis(index=None)


def _paired_columns(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Columns of `side_by_side`: a metric that was run for one method needs no "not run"."""
    columns = [("", "method")]
    for metric, part in table.groupby("metric", sort=False):
        columns += [(str(metric), f"paper ({data})") for data in part["paper_data"].unique()]
        run = [data for data in part["data"].unique() if data != NOT_RUN]
        columns += [(str(metric), f"ours ({data})") for data in run or [NOT_RUN]]
    return [*columns, ("cases", "n"), ("cases", "undefined")]


def means(table: pd.DataFrame, by: str, digits: int = 2) -> pd.DataFrame:
    """Mean ± SD, one row a method and one column a metric, with n and the undefined cases.

    Parameters
    ----------
    table
        As `method_table` gives.
    by
        Column that holds the method.
    digits
        Digits after the point.
    """
    lines = []
    for name, part in table.groupby(by, sort=False):
        line: dict[str, object] = {by: name}
        for _, cell in part.iterrows():
            line[cell["metric"]] = _mean_sd(cell["mean"], cell["sd"], digits)
        line |= {"n": int(part["n"].max()), "undefined": int(part["n_undefined"].max())}
        lines.append({**line, "data": part["data"].iloc[0]})
    return pd.DataFrame(lines).set_index(by).rename_axis(index=None)


_COMPARISON_COLUMNS = [
    "comparison", "difference", "95 % interval", "p, t-test", "p, Holm", "p, Wilcoxon", "n",
]  # fmt: skip


def comparison_table(tests: Sequence[tuple[str, PairedTest]], digits: int = 3) -> pd.DataFrame:
    """One row a comparison: difference, interval, p of both tests, and Holm's p of the t-tests.

    Parameters
    ----------
    tests
        What was compared, and the result of `paired_test`.
    digits
        Digits after the point.
    """
    adjusted = holm([test.p_t for _, test in tests])
    rows = [
        {
            "comparison": name,
            "difference": round(test.mean_difference, digits),
            "95 % interval": f"{test.ci_low:.{digits}f} to {test.ci_high:.{digits}f}",
            "p, t-test": f"{test.p_t:.2g}",
            "p, Holm": f"{p:.2g}",
            "p, Wilcoxon": f"{test.p_wilcoxon:.2g}",
            "n": test.n,
        }
        for (name, test), p in zip(tests, adjusted, strict=True)
    ]
    table = pd.DataFrame(rows, columns=_COMPARISON_COLUMNS)
    return table.set_index("comparison").rename_axis(index=None)


def _mean_sd(mean: float, sd: float, digits: int) -> str:
    spread = "" if pd.isna(sd) else f" ± {sd:.{digits}f}"
    return _number(mean, digits) + spread


@dataclass(frozen=True)
class Note:
    """Sentences made of numbers, shown by a notebook as Markdown.

    Attributes
    ----------
    text
        Markdown.
    """

    text: str

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class TextTable:
    """A table of words without its index, for a notebook.

    pandas gives each styled table a random identity and an address; here the identity comes from
    the content, so that an executed chapter has the same bytes whenever its records are the same.

    Attributes
    ----------
    frame
        What to show.
    digits
        Digits after the point of its numbers.
    """

    frame: pd.DataFrame
    digits: int = 2

    def _repr_html_(self) -> str:
        identity = hash_json(self.frame.to_csv(index=False))[:8]
        styled = self.frame.style.hide(axis="index").set_uuid(identity)
        return str(styled.format(precision=self.digits, na_rep="-").to_html())

    def __repr__(self) -> str:
        return self.frame.to_string(index=False)


def _number(value: float, digits: int) -> str:
    return "-" if pd.isna(value) else f"{value:.{digits}f}"
