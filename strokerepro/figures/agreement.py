"""Charts of agreement and of choices: predicted volumes, the grid search, two kinds of curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from strokerepro.errors import InputError
from strokerepro.figures.charts import significant
from strokerepro.figures.style import CYCLE, DASHES, PALETTE, SYMBOLS, TEXT, finish
from strokerepro.metrics import r_squared

Curves = Mapping[str, Sequence[Sequence[float]]]  # name -> pairs [step, value]


def volume_scatter(
    rows: pd.DataFrame | Sequence[Mapping[str, Any]], *, by: str = "output", alt: str = ""
) -> go.Figure:
    """Predicted against true lesion volume, with the line of identity and R² in the legend.

    R² is 1 - SS_residual / SS_total about that line, not the square of a correlation: a method
    that predicts twice every volume correlates perfectly and has a low R².

    Parameters
    ----------
    rows
        Per-case rows with ``case_id``, ``volume_ml_truth``, ``volume_ml_pred`` and `by`.
    by
        Column that tells the methods apart.
    alt
        What the figure shows.
    """
    table = pd.DataFrame(rows)
    figure = go.Figure()
    top = float(table[["volume_ml_truth", "volume_ml_pred"]].to_numpy().max())
    figure.add_scatter(
        x=[0, significant([top])[0]],
        y=[0, significant([top])[0]],
        mode="lines",
        line={"color": TEXT, "dash": "dot"},
        name="identity",
        hoverinfo="skip",
    )
    described = []
    for number, (name, part) in enumerate(table.groupby(by, sort=False)):
        r2 = r_squared(part["volume_ml_pred"], part["volume_ml_truth"])
        described.append(f"{name} R² = {r2:.2f}")
        figure.add_scatter(
            x=significant(part["volume_ml_truth"]),
            y=significant(part["volume_ml_pred"]),
            text=part["case_id"].tolist(),
            name=f"{name}: R² {r2:.2f}",
            mode="markers",
            marker={
                "symbol": SYMBOLS[number % len(SYMBOLS)],
                "size": 8,
                "color": CYCLE[number % len(CYCLE)],
            },
            hovertemplate="%{text}: true %{x} mL, predicted %{y} mL<extra></extra>",
        )
    text = alt or f"Predicted against true lesion volume: {'; '.join(described)}."
    finish(figure, text, showlegend=True)
    figure.update_xaxes(title="true volume (mL)", rangemode="tozero")
    figure.update_yaxes(title="predicted volume (mL)", rangemode="tozero")
    return figure


def grid_heatmaps(
    grids: Mapping[str, NDArray[Any]],
    *,
    thresholds: Sequence[float],
    min_sizes: Sequence[float],
    chosen: tuple[int, int] | None = None,
    size_title: str = "smallest component (voxels)",
    alt: str = "",
) -> go.Figure:
    """Heat maps over probability threshold and smallest component, the chosen cell marked.

    Parameters
    ----------
    grids
        Metric by name, each ``(thresholds, min_sizes)``; NaN where no case has a value.
    thresholds, min_sizes
        What the rows and the columns stand for.
    chosen
        Row and column of the operating point.
    size_title
        Title of the horizontal axis with its unit.
    alt
        What the figure shows.

    Raises
    ------
    InputError
        A grid of another shape.
    """
    shape = (len(thresholds), len(min_sizes))
    for name, grid in grids.items():
        if np.shape(grid) != shape:
            raise InputError(
                f"a grid {name} of shape {np.shape(grid)}", f"{shape}", "one cell for each pair"
            )
    # One below the other: side by side the numbers would not fit the cells on a phone.
    figure = make_subplots(
        rows=len(grids),
        cols=1,
        subplot_titles=list(grids),
        shared_xaxes=True,
        vertical_spacing=0.16 / len(grids),
    )
    x, y = [f"{size:g}" for size in min_sizes], [f"{threshold:g}" for threshold in thresholds]
    for number, (name, grid) in enumerate(grids.items(), start=1):
        cells = [[None if np.isnan(v) else significant([v])[0] for v in row] for row in grid]
        figure.add_trace(
            go.Heatmap(
                z=cells,
                x=x,
                y=y,
                # Sequential and legible without colour: light is low, dark is high.
                colorscale="Blues",
                showscale=False,
                texttemplate="%{z:.3g}",
                textfont={"size": 10},
                hovertemplate=f"T %{{y}}, size %{{x}}: {name} %{{z}}<extra></extra>",
            ),
            row=number,
            col=1,
        )
        if chosen is not None:
            row, column = chosen
            figure.add_shape(
                type="rect",
                x0=column - 0.5,
                x1=column + 0.5,
                y0=row - 0.5,
                y1=row + 0.5,
                line={"color": PALETTE["vermillion"], "width": 3},
                row=number,
                col=1,
            )
    mark = "" if chosen is None else f"; chosen: T {y[chosen[0]]}, size {x[chosen[1]]}"
    finish(
        figure,
        alt or f"{' and '.join(grids)} for {shape[0]} thresholds by {shape[1]} sizes{mark}.",
        height_px=60 + 260 * len(grids),
        margin={"l": 8, "r": 8, "t": 30, "b": 8},
        showlegend=False,
    )
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_xaxes(title=size_title, row=len(grids), col=1)
    figure.update_yaxes(title="threshold T", type="category", showgrid=False)
    return figure


def dual_axis_curves(
    left: Curves, right: Curves, *, left_title: str, right_title: str, alt: str = ""
) -> go.Figure:
    """Draw curves over epochs on two vertical axes, as loss beside accuracy.

    Parameters
    ----------
    left, right
        Name -> pairs ``[epoch, value]`` of the left and of the right axis.
    left_title, right_title
        Titles of the axes with their units.
    alt
        What the figure shows.
    """
    figure = make_subplots(specs=[[{"secondary_y": True}]])
    sides = [(name, points, False) for name, points in left.items()]
    sides += [(name, points, True) for name, points in right.items()]
    for number, (name, points, secondary) in enumerate(sides):
        epochs, values = np.asarray(points, dtype=float).reshape(-1, 2).T
        figure.add_trace(
            go.Scatter(
                x=significant(epochs),
                y=significant(values),
                name=f"{name} ({'right' if secondary else 'left'})",
                mode="lines" if len(epochs) > 1 else "markers",
                line={"color": CYCLE[number % len(CYCLE)], "dash": DASHES[number % len(DASHES)]},
            ),
            secondary_y=secondary,
        )
    names = f"{', '.join(left)} on the left axis, {', '.join(right)} on the right"
    finish(figure, alt or f"Curves over epochs: {names}.", showlegend=True)
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title=left_title, secondary_y=False)
    # Ticks of its own: plotly would take the left axis's places, with odd numbers there.
    figure.update_yaxes(title=right_title, secondary_y=True, showgrid=False, tickmode="auto")
    return figure
