"""How many failed cases are hidden in a published mean and SD: the reader tries each number.

A server that writes 1e8 mm for a failed case makes mean and SD functions of the number of failures
k: all possible pairs lie on an arc, and each published pair lies on one of its points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from strokerepro.errors import InputError
from strokerepro.figures.charts import significant
from strokerepro.figures.style import GRID, PALETTE, finish
from strokerepro.metrics import SENTINEL_MM

Pairs = Mapping[str, tuple[float, float]]  # entry -> published mean and SD, mm

# Traces in the order in which they are drawn.
_ARC, _ENTRIES, _CHOSEN, _FROM_MEAN, _FROM_SD = range(5)
_LARGEST_MM = 500.0  # more than a head
_MILLION = 1e6


def sentinel_explorer(
    published: Pairs, n: int, *, sentinel: float = SENTINEL_MM, start: int = 0, alt: str = ""
) -> go.Figure:
    """Draw published pairs on the arc of possible ones, with a slider for the number of failures.

    Above, the arc, where a click chooses as well. Below, the mean of the cases that did not fail,
    worked out twice: from the published mean and from the published SD. Only where the two agree
    can k be the number.

    Parameters
    ----------
    published
        Entry to its published mean and SD, in the unit of `sentinel`.
    n
        Number of cases averaged.
    sentinel
        The value that stands for a failed case.
    start
        The number of failures shown first.
    alt
        What the figure shows.

    Raises
    ------
    InputError
        No entry, or fewer than two cases.
    """
    if not published or n < 2:
        raise InputError(
            f"{len(published)} entries of {n} cases", "an entry, two cases", "pass the table"
        )
    figure = make_subplots(
        rows=2,
        cols=1,
        vertical_spacing=0.26,
        subplot_titles=[f"all means and SDs that {n} cases can have", "then the others' mean is"],
    )
    _add_arc(figure, published, n, sentinel, start)
    _add_implied(figure, published, n, sentinel, start)
    names = ", ".join(published)
    text = alt or (
        f"Arc of possible pairs of mean and SD with those of {names}; a slider sets the number of "
        f"failed cases from 0 to {n} and shows which mean of the other cases follows for each."
    )
    finish(
        figure,
        text,
        height_px=520,
        margin={"l": 8, "r": 8, "t": 72, "b": 8},
        meta={"pick": {"trace": _ARC, "slider": 0}},
        hovermode="closest",
        showlegend=True,
        sliders=[_slider(published, n, sentinel, start)],
    )
    figure.update_xaxes(row=1, col=1, title="mean, 10<sup>6</sup> mm", fixedrange=True)
    figure.update_yaxes(row=1, col=1, title="SD, 10<sup>6</sup> mm", fixedrange=True)
    figure.update_xaxes(row=2, col=1, title="mm", range=_implied_range(published, n, sentinel))
    # Set, since an entry without a point at the first k would otherwise have no line.
    order = list(published)[::-1]
    figure.update_yaxes(row=2, col=1, range=[-0.5, len(order) - 0.5], gridcolor=GRID,
                        categoryorder="array", categoryarray=order)  # fmt: skip
    return figure


def implied_means(
    mean: float, sd: float, k: int, n: int, sentinel: float = SENTINEL_MM
) -> tuple[float, float]:
    """Mean of the cases that did not fail, from the published mean and from the published SD.

    Parameters
    ----------
    mean, sd
        As published, in the unit of `sentinel`; population SD.
    k
        Number of failures that is supposed.
    n
        Number of cases.
    sentinel
        The value of a failed case.

    Returns
    -------
    tuple
        Two estimates in the same unit, which agree if `k` is right; NaN where there is none.
    """
    if not 0 < k < n:
        return (mean, math.nan) if k == 0 else (math.nan, math.nan)
    share = k / n
    return (mean - share * sentinel) / (1 - share), sentinel - sd / math.sqrt(share * (1 - share))


def _on_arc(k: int, n: int, sentinel: float) -> tuple[float, float]:
    share = k / n
    return share * sentinel / _MILLION, math.sqrt(share * (1 - share)) * sentinel / _MILLION


def _add_arc(figure: go.Figure, published: Pairs, n: int, sentinel: float, start: int) -> None:
    x, y = zip(*(_on_arc(k, n, sentinel) for k in range(n + 1)), strict=True)
    figure.add_trace(
        go.Scatter(x=significant(x), y=significant(y), text=[f"k = {k}" for k in range(n + 1)],
                   name=f"k of {n} failed", mode="markers",
                   marker={"size": 5, "color": PALETTE["grey"]},
                   hovertemplate="%{text}: %{x} ± %{y}<extra></extra>"),
        row=1, col=1,
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(x=[mean / _MILLION for mean, _ in published.values()],
                   y=[sd / _MILLION for _, sd in published.values()],
                   text=list(published), name="published", mode="markers",
                   marker={"symbol": "diamond-open", "size": 11, "color": PALETTE["blue"],
                           "line": {"width": 2}},
                   hovertemplate="%{text}: %{x} ± %{y}<extra></extra>"),
        row=1, col=1,
    )  # fmt: skip
    here_x, here_y = significant(_on_arc(start, n, sentinel))
    ring = {"size": 15, "color": "rgba(0,0,0,0)",
            "line": {"color": PALETTE["vermillion"], "width": 3}}  # fmt: skip
    figure.add_trace(
        go.Scatter(x=[here_x], y=[here_y], name="chosen", mode="markers", marker=ring,
                   hoverinfo="skip"),
        row=1, col=1,
    )  # fmt: skip


def _add_implied(figure: go.Figure, published: Pairs, n: int, sentinel: float, start: int) -> None:
    styles = (
        ("from the mean", "circle", PALETTE["green"]),
        ("from the SD", "x-open", PALETTE["purple"]),
    )
    values = _shown(published, start, n, sentinel)
    for (name, symbol, colour), x in zip(styles, values, strict=True):
        marker = {"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2}}
        figure.add_trace(
            go.Scatter(x=x, y=list(published), name=name, mode="markers", marker=marker,
                       hovertemplate=f"%{{y}}, {name}: %{{x}} mm<extra></extra>"),
            row=2, col=1,
        )  # fmt: skip


def _shown(published: Pairs, k: int, n: int, sentinel: float) -> list[list[float | None]]:
    """Implied means of all entries, from the mean and from the SD; impossible ones are left out."""
    both = [implied_means(mean, sd, k, n, sentinel) for mean, sd in published.values()]
    return [
        [significant([value])[0] if 0 <= value <= _LARGEST_MM else None for value in values]
        for values in zip(*both, strict=True)
    ]


def _implied_range(published: Pairs, n: int, sentinel: float) -> list[float]:
    values = [
        value
        for k in range(n + 1)
        for series in _shown(published, k, n, sentinel)
        for value in series
        if value is not None
    ]
    return [0.0, 1.15 * max(values, default=_LARGEST_MM)]


def _slider(published: Pairs, n: int, sentinel: float, start: int) -> dict[str, Any]:
    steps = []
    for k in range(n + 1):
        x, y = significant(_on_arc(k, n, sentinel))
        from_mean, from_sd = _shown(published, k, n, sentinel)
        entries = list(published)
        change = {"x": [[x], from_mean, from_sd], "y": [[y], entries, entries]}
        args = [change, [_CHOSEN, _FROM_MEAN, _FROM_SD]]
        steps.append({"label": f"{k} of {n}", "method": "restyle", "args": args})
    return {
        "name": "failures",
        "active": start,
        "currentvalue": {"prefix": "failed cases: "},
        "ticklen": 0,
        "font": {"color": "rgba(0,0,0,0)"},  # the labels of all steps would overlap
        "steps": steps,
    }
