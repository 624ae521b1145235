"""Charts of numbers: paper against ours, Dice by volume, histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from strokerepro.errors import InputError
from strokerepro.figures.style import CYCLE, PALETTE, SYMBOLS, finish

_ROW_PX = 26
_PANELS_ACROSS = 3  # as many as a phone shows legibly
_LEGEND_ROW_PX = 25


def significant(values: ArrayLike) -> list[float]:
    """Four significant digits: as much as a figure shows, in a third of the bytes."""
    return [float(f"{value:.4g}") for value in np.asarray(values, dtype=float).ravel()]


def paper_vs_ours(table: pd.DataFrame, *, alt: str = "") -> go.Figure:
    """Dot plot, one panel a metric: the paper's numbers as open diamonds, ours as filled dots.

    Parameters
    ----------
    table
        Columns ``row`` (method or subset), ``metric``, ``paper``, ``ours`` (NaN where there is
        no number), ``data`` (the data behind ours) and optionally ``ours_low`` and ``ours_high``
        (an interval) and ``paper_data`` (the data behind the paper's number).
    alt
        What the figure shows.

    Raises
    ------
    InputError
        A missing column.
    """
    missing = {"row", "metric", "paper", "ours", "data"} - set(table.columns)
    if missing:
        raise InputError(
            f"a table without {', '.join(sorted(missing))}",
            "columns row, metric, paper, ours, data",
            "build it with strokerepro.report.paper_vs_ours",
        )
    metrics = list(dict.fromkeys(table["metric"]))
    rows = list(dict.fromkeys(table["row"]))
    across = min(len(metrics), _PANELS_ACROSS)
    down = -(-len(metrics) // across)
    figure = make_subplots(
        rows=down,
        cols=across,
        shared_yaxes=True,
        subplot_titles=metrics,
        horizontal_spacing=0.04,
        vertical_spacing=0.42 / down,
    )
    paper_data = table["paper_data"].iloc[0] if "paper_data" in table else "its own data"
    our_data = list(dict.fromkeys(table["data"][table["ours"].notna()]))
    shown: set[str] = set()
    for number, metric in enumerate(metrics):
        place = {"row": number // across + 1, "col": number % across + 1}
        part = table[table["metric"] == metric]
        figure.add_trace(_paper_dots(part, str(paper_data), "paper" not in shown), **place)
        shown.add("paper")
        for data, ours in part[part["ours"].notna()].groupby("data", sort=False):
            name = f"ours ({data})"
            colour = CYCLE[1 + our_data.index(data) % (len(CYCLE) - 1)]
            figure.add_trace(_our_dots(ours, name, colour, name not in shown), **place)
            shown.add(name)
    finish(
        figure,
        alt or f"The paper's numbers and ours for {', '.join(metrics)}, by {len(rows)} rows.",
        height_px=84 * down + _LEGEND_ROW_PX * len(shown) + _ROW_PX * down * max(len(rows), 3),
        margin={"l": 8, "r": 8, "t": 34 + _LEGEND_ROW_PX * len(shown), "b": 8},
        showlegend=True,
        # One entry a line: side by side they would wrap onto the panels' titles on a phone.
        legend={"orientation": "v", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
    )
    figure.update_xaxes(nticks=4)
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1])
    return figure


def _paper_dots(part: pd.DataFrame, paper_data: str, show: bool) -> go.Scatter:
    return go.Scatter(
        x=part["paper"].tolist(),
        y=part["row"].tolist(),
        name=f"paper ({paper_data})",
        legendgroup="paper",
        showlegend=show,
        mode="markers",
        marker={
            "symbol": "diamond-open",
            "size": 11,
            "color": PALETTE["blue"],
            "line": {"width": 2},
        },
        hovertemplate="paper: %{x}<extra>%{y}</extra>",
    )


def _our_dots(part: pd.DataFrame, name: str, colour: str, show: bool) -> go.Scatter:
    error: dict[str, Any] | None = None
    if {"ours_low", "ours_high"} <= set(part.columns):
        error = {
            "type": "data",
            "symmetric": False,
            "array": significant(part["ours_high"] - part["ours"]),
            "arrayminus": significant(part["ours"] - part["ours_low"]),
            "thickness": 1.5,
            "width": 4,
        }
    return go.Scatter(
        x=significant(part["ours"]),
        y=part["row"].tolist(),
        name=name,
        legendgroup=name,
        showlegend=show,
        mode="markers",
        marker={"symbol": "circle", "size": 9, "color": colour},
        error_x=error,
        hovertemplate="ours: %{x}<extra>%{y}</extra>",
    )


def dice_vs_volume(rows: pd.DataFrame | Sequence[Mapping[str, Any]], *, alt: str = "") -> go.Figure:
    """Dice of each case against the volume of its reference lesion, on a logarithmic axis.

    Parameters
    ----------
    rows
        Per-case rows with ``case_id``, ``dice``, ``volume_ml_truth`` and optionally ``output``
        (which head or stage); rows with an undefined Dice or an empty reference are left out.
    alt
        What the figure shows.
    """
    table = pd.DataFrame(rows)
    drawn = table[table["dice"].notna() & (table["volume_ml_truth"] > 0)]
    if "output" not in drawn:
        drawn = drawn.assign(output="prediction")
    figure = go.Figure()
    for number, (output, part) in enumerate(drawn.groupby("output", sort=False)):
        figure.add_scatter(
            x=significant(part["volume_ml_truth"]),
            y=significant(part["dice"]),
            text=part["case_id"].tolist(),
            name=str(output),
            mode="markers",
            marker={
                "symbol": SYMBOLS[number % len(SYMBOLS)],
                "size": 8,
                "color": CYCLE[number % len(CYCLE)],
            },
            hovertemplate="%{text}: %{x} mL, Dice %{y}<extra></extra>",
        )
    left_out = len(table) - len(drawn)
    finish(
        figure,
        alt
        or f"Dice against reference lesion volume for {len(drawn)} rows; {left_out} with an "
        "undefined Dice are left out.",
        showlegend=True,
    )
    figure.update_xaxes(title="reference lesion volume (mL)", type="log", dtick=1)
    figure.update_yaxes(title="Dice", range=[-0.03, 1.03])
    return figure


def histogram(
    values: ArrayLike,
    cut: float | None = None,
    *,
    x_title: str = "",
    bins: int = 40,
    log_x: bool = False,
    alt: str = "",
) -> go.Figure:
    """Draw counts of values, and a dashed line at an optional cut with the share below it.

    Parameters
    ----------
    values
        Any finite numbers; positive ones where `log_x` is set.
    cut
        Where to draw the line, in the unit of the values.
    x_title
        Title of the horizontal axis with its unit.
    bins
        Number of bars.
    log_x
        Whether the bars have equal widths on a logarithmic axis.
    alt
        What the figure shows.
    """
    data = np.asarray(values, dtype=float).ravel()
    spread = np.log10(data) if log_x else data
    counts, edges = np.histogram(spread, bins=bins)
    centres = (edges[:-1] + edges[1:]) / 2
    widths = np.diff(edges)
    if log_x:
        centres, widths = 10**centres, np.diff(10**edges)
    figure = go.Figure(
        go.Bar(
            x=significant(centres),
            y=counts.tolist(),
            width=significant(widths),
            marker={"color": PALETTE["blue"], "line": {"width": 0}},
            hovertemplate="%{x}: %{y}<extra></extra>",
        )
    )
    text = alt or f"Histogram of {data.size} values of {x_title or 'one quantity'}."
    finish(figure, text, bargap=0, showlegend=False)
    figure.update_xaxes(title=x_title, type="log" if log_x else "linear")
    figure.update_yaxes(title="count")
    if cut is not None:
        share = float((data <= cut).mean())
        label = f"{share:.1%} at or below {cut:g}"
        figure.add_vline(x=cut, line={"color": PALETTE["vermillion"], "dash": "dash"})
        figure.add_annotation(
            text=label,
            x=np.log10(cut) if log_x else cut,
            xref="x",
            y=1,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
        )
        figure.layout.meta = {"alt": f"{text} {label}."}
    return figure
