"""The perfusion curves of a voxel that the reader chooses: by a click on the map, or by a slider.

The slider is plotly's own and works wherever plotly does. In the book `strokerepro.bookext`
turns it into a native control, and `layout.meta.pick` tells its script that a click on point
number n of a trace means step n of a slider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from strokerepro.errors import InputError
from strokerepro.figures.charts import significant
from strokerepro.figures.encode import CONVENTION, to_display, to_grey, webp_source
from strokerepro.figures.style import PALETTE, finish

# Traces in the order in which they are drawn.
_IMAGE, _GRID, _CHOSEN, _ARTERY, _TISSUE, _RESIDUE = range(6)
_HEIGHT_PX = 430
_MARGIN_PX = 3  # of the map around the brain


@dataclass(frozen=True)
class VoxelCurves:
    """Curves of some voxels of one slice.

    Attributes
    ----------
    rows, columns
        Voxel indices along Y and X, ``(N,)``.
    labels
        What is said of each voxel, such as ``"Tmax 7.2 s"``.
    dt_s
        Time between two samples of every curve.
    tissue_hu, arterial_hu
        Enhancement of each voxel, ``(N, T)``, and of the arterial input, ``(T,)``.
    residue_ml_100g_min
        CBF times the residue function of each voxel, ``(N, U)``.
    """

    rows: NDArray[np.integer]
    columns: NDArray[np.integer]
    labels: Sequence[str]
    dt_s: float
    tissue_hu: NDArray[np.floating]
    arterial_hu: NDArray[np.floating]
    residue_ml_100g_min: NDArray[np.floating]

    def __post_init__(self) -> None:
        n, frames = len(self.rows), len(self.arterial_hu)
        lags = np.shape(self.residue_ml_100g_min)[-1]
        shapes = {
            "columns": (np.shape(self.columns), (n,)),
            "labels": ((len(self.labels),), (n,)),
            "tissue_hu": (np.shape(self.tissue_hu), (n, frames)),
            "residue_ml_100g_min": (np.shape(self.residue_ml_100g_min), (n, lags)),
        }
        for name, (got, expected) in shapes.items():
            if got != expected or n == 0:
                raise InputError(
                    f"{name} of shape {got} for {n} voxels", f"{expected}", "one curve a voxel"
                )


def curve_explorer(
    background: NDArray[np.floating],
    curves: VoxelCurves,
    *,
    title: str,
    window: tuple[float, float] | None = None,
    orientation: str = "LAS",
    start: int = 0,
    alt: str = "",
) -> go.Figure:
    """Draw a map beside the curves of one of its voxels, which a click or a slider changes.

    Parameters
    ----------
    background
        One slice ``(Y, X)`` of a map.
    curves
        The voxels that can be chosen.
    title
        What the map shows, with its unit.
    window
        Values shown as black and white.
    orientation
        As for `slice_viewer`.
    start
        The voxel shown first.
    alt
        What the figure shows.
    """
    grey = to_grey(to_display(background[None], orientation), window)[0]
    x, y = _display_positions(curves, background.shape, orientation)
    figure = make_subplots(
        rows=2,
        cols=2,
        specs=[[{"rowspan": 2}, {"secondary_y": True}], [None, {}]],
        column_widths=[0.48, 0.52],
        horizontal_spacing=0.12,
        vertical_spacing=0.24,
        subplot_titles=[title, "enhancement, HU", "residue, mL/100 g/min"],
    )
    _add_map(figure, grey, x, y, curves.labels, start)
    _add_curves(figure, curves, start)
    description = (
        f"{title} of one slice with {len(x)} voxels to choose from; beside it the enhancement of "
        "the chosen voxel and of the artery, and the flow-scaled residue function."
    )
    finish(
        figure,
        f"{alt or description} {CONVENTION.capitalize()}.",
        height_px=_HEIGHT_PX,
        margin={"l": 4, "r": 4, "t": 64, "b": 8},
        meta={"pick": {"trace": _GRID, "slider": 0}},
        hovermode="closest",
        hoverdistance=-1,  # a tap chooses the nearest voxel, however far
        showlegend=True,
        sliders=[_slider(curves, x, y, start)],
    )
    figure.update_annotations(font_size=13)  # the panels' titles
    _style_map(figure, grey)
    _style_curves(figure, curves)
    return figure


def _display_positions(
    curves: VoxelCurves, shape: Sequence[int], orientation: str
) -> tuple[list[int], list[int]]:
    """Where the voxels lie in the displayed picture: columns and rows."""
    index = np.arange(shape[0] * shape[1]).reshape(1, *shape)
    shown = np.argsort(to_display(index, orientation).ravel())
    flat = shown[np.asarray(curves.rows) * shape[1] + np.asarray(curves.columns)]
    return (flat % shape[1]).tolist(), (flat // shape[1]).tolist()


def _add_map(
    figure: go.Figure,
    grey: NDArray[np.uint8],
    x: list[int],
    y: list[int],
    labels: Sequence[str],
    start: int,
) -> None:
    place = {"row": 1, "col": 1}
    picture = go.Image(source=webp_source(grey), hoverinfo="skip", name="map")
    figure.add_trace(picture, **place)
    dots = {"size": 4, "color": PALETTE["ochre"], "opacity": 0.8}
    figure.add_trace(
        go.Scatter(x=x, y=y, text=list(labels), mode="markers", marker=dots, showlegend=False,
                   hovertemplate="%{text}<extra></extra>", name="voxels"),
        **place,
    )  # fmt: skip
    ring = {"size": 13, "color": "rgba(0,0,0,0)", "line": {"color": "#D55E00", "width": 3}}
    figure.add_trace(
        go.Scatter(x=[x[start]], y=[y[start]], mode="markers", marker=ring, showlegend=False,
                   hoverinfo="skip", name="chosen"),
        **place,
    )  # fmt: skip


def _add_curves(figure: go.Figure, curves: VoxelCurves, start: int) -> None:
    # No x: the slider's steps then hold each curve without its times.
    times = {"x0": 0, "dx": curves.dt_s, "mode": "lines"}
    artery = {"color": PALETTE["vermillion"], "dash": "dot"}
    figure.add_trace(
        go.Scatter(y=significant(curves.arterial_hu), line=artery, name="artery (right axis)",
                   hovertemplate="%{x} s: %{y} HU<extra>artery</extra>", **times),
        row=1, col=2, secondary_y=True,
    )  # fmt: skip
    voxel = {"color": PALETTE["blue"], "width": 2}
    figure.add_trace(
        go.Scatter(y=significant(curves.tissue_hu[start]), line=voxel, name="chosen voxel",
                   hovertemplate="%{x} s: %{y} HU<extra>voxel</extra>", **times),
        row=1, col=2, secondary_y=False,
    )  # fmt: skip
    residue = significant(curves.residue_ml_100g_min[start])
    figure.add_trace(
        go.Scatter(y=residue, line=voxel, name="residue", showlegend=False,
                   hovertemplate="%{x} s: %{y} mL/100 g/min<extra></extra>", **times),
        row=2, col=2,
    )  # fmt: skip


def _slider(curves: VoxelCurves, x: list[int], y: list[int], start: int) -> dict[str, object]:
    steps = []
    for n, label in enumerate(curves.labels):
        drawn = (curves.tissue_hu[n], curves.residue_ml_100g_min[n])
        change = {"x": [[x[n]], None, None], "y": [[y[n]], *map(significant, drawn)]}
        args = [change, [_CHOSEN, _TISSUE, _RESIDUE]]
        steps.append({"label": str(label), "method": "restyle", "args": args})
    return {
        "name": "voxel",
        "active": start,
        "currentvalue": {"prefix": "voxel: "},
        "ticklen": 0,
        "font": {"color": "rgba(0,0,0,0)"},
        "steps": steps,
    }


def _style_map(figure: go.Figure, grey: NDArray[np.uint8]) -> None:
    """Show the part of the slice that is not black, in true proportions, without zooming."""
    rows, columns = (np.flatnonzero(grey.any(axis=axis)) for axis in (1, 0))
    (top, bottom), (left, right) = (
        (line[0] - _MARGIN_PX, line[-1] + _MARGIN_PX) if line.size else (0, side - 1)
        for line, side in zip((rows, columns), grey.shape, strict=True)
    )
    fixed = {"visible": False, "fixedrange": True, "constrain": "domain"}
    figure.update_xaxes(row=1, col=1, range=[left - 0.5, right + 0.5], **fixed)
    figure.update_yaxes(
        row=1, col=1, range=[bottom + 0.5, top - 0.5], scaleanchor="x", constraintoward="top",
        **fixed,
    )  # fmt: skip


def _style_curves(figure: go.Figure, curves: VoxelCurves) -> None:
    """Give every voxel the same axes, so that a weak curve looks weak."""
    common = {"fixedrange": True, "title_standoff": 2, "title_font_size": 12}
    figure.update_xaxes(row=1, col=2, title="s", **common)
    figure.update_xaxes(row=2, col=2, title="lag, s", **common)
    tissue, residue = _range(curves.tissue_hu), _range(curves.residue_ml_100g_min)
    figure.update_yaxes(row=1, col=2, secondary_y=False, range=tissue, fixedrange=True)
    figure.update_yaxes(row=2, col=2, range=residue, fixedrange=True)
    figure.update_yaxes(
        row=1, col=2, secondary_y=True, showgrid=False, tickmode="auto", nticks=4, fixedrange=True
    )


def _range(values: NDArray[np.floating]) -> list[float]:
    low, high = float(np.min(values)), float(np.max(values))
    return [low - 0.05 * (high - low), high + 0.05 * (high - low)]
