"""Which pixels of a slice the scores of a patch discriminator see, chosen by a click."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from strokerepro.errors import InputError
from strokerepro.figures.encode import to_display, to_grey, webp_source
from strokerepro.figures.style import PALETTE, finish

_HEIGHT_PX = 430
_CENTRES, _FRAME = 1, 2  # traces


def patch_fields(
    image: NDArray[Any],
    starts_px: Sequence[int],
    side_px: int,
    *,
    orientation: str = "LAS",
    start: int = 0,
    alt: str = "",
) -> go.Figure:
    """Draw the pixels that each score of a patch discriminator sees, and those that none sees.

    A click on a centre, or the slider, chooses a score; its square of pixels is framed.

    Parameters
    ----------
    image
        One slice ``(Y, X)``.
    starts_px
        First row, and alike first column, of the squares in the stored array.
    side_px
        Side of a square.
    orientation
        As for `slice_viewer`.
    start
        The score shown first.
    alt
        What the figure shows.

    Raises
    ------
    InputError
        An image that is not one slice, no square, or one that leaves the image.
    """
    starts = list(starts_px)
    if image.ndim != 2 or not starts or max(starts) + side_px > min(image.shape):
        raise InputError(
            f"squares of {side_px} px from {starts} in an image {image.shape}",
            "one slice (Y, X) that holds every square",
            "compute the squares for this image's size",
        )
    grey = to_grey(to_display(image[None], orientation))[0]
    edges = [_edges(line, image.shape, orientation) for line in _squares(starts, side_px)]
    figure = go.Figure(go.Image(source=webp_source(grey), hoverinfo="skip", name="slice"))
    figure.add_scatter(
        x=[sum(x) / 2 for x, _ in edges],
        y=[sum(y) / 2 for _, y in edges],
        mode="markers",
        marker={"size": 9, "color": PALETTE["ochre"]},
        name="centre of a patch",
        hoverinfo="none",
    )
    x, y = _closed(edges[start])
    frame = {"color": PALETTE["vermillion"], "width": 3}
    name = f"{side_px} px that the chosen score sees"
    figure.add_scatter(x=x, y=y, mode="lines", line=frame, name=name, hoverinfo="skip")
    unseen = _unseen(starts, side_px, image.shape)
    for band in _bands(to_display(unseen[None], orientation)[0]):
        figure.add_shape(type="rect", fillcolor=PALETTE["blue"], opacity=0.8, line_width=0, **band)
    text = alt or (
        f"A slice with the {len(edges)} squares of {side_px} px that the scores of a patch "
        f"discriminator see; {int(unseen.sum())} pixels in blue are seen by none."
    )
    finish(
        figure,
        text,
        height_px=_HEIGHT_PX,
        margin={"l": 4, "r": 4, "t": 64, "b": 8},
        meta={"pick": {"trace": _CENTRES, "slider": 0}},
        hovermode="closest",
        hoverdistance=-1,  # a tap chooses the nearest centre, however far
        showlegend=True,
        sliders=[_slider(edges, start)],
    )
    rows, columns = image.shape
    fixed = {"visible": False, "fixedrange": True, "constrain": "domain"}
    figure.update_xaxes(range=[-0.5, columns - 0.5], **fixed)
    figure.update_yaxes(range=[rows - 0.5, -0.5], scaleanchor="x", constraintoward="top", **fixed)
    return figure


Span = tuple[int, int]  # first pixel, and the one after the last
Edges = tuple[tuple[float, float], tuple[float, float]]  # left and right, top and bottom


def _squares(starts: Sequence[int], side: int) -> list[tuple[Span, Span]]:
    """Rows and columns of every square, in the order in which a map of scores is read."""
    spans = [(first, first + side) for first in starts]
    return [(rows, columns) for rows in spans for columns in spans]


def _edges(square: tuple[Span, Span], shape: Sequence[int], orientation: str) -> Edges:
    """Edges of a stored square as displayed, in the pixel coordinates of the picture."""
    mask = np.zeros((1, *shape), bool)
    (top, bottom), (left, right) = square
    mask[0, top:bottom, left:right] = True
    shown = to_display(mask, orientation)[0]
    columns, rows = (np.flatnonzero(shown.any(axis=axis)) for axis in (0, 1))
    x, y = ((float(line[0]) - 0.5, float(line[-1]) + 0.5) for line in (columns, rows))
    return x, y


def _closed(edges: Edges) -> tuple[list[float], list[float]]:
    (left, right), (top, bottom) = edges
    return [left, right, right, left, left], [top, top, bottom, bottom, top]


def _unseen(starts: Sequence[int], side: int, shape: Sequence[int]) -> NDArray[np.bool_]:
    unseen = np.ones(tuple(shape), bool)
    for (top, bottom), (left, right) in _squares(starts, side):
        unseen[top:bottom, left:right] = False
    return unseen


def _bands(unseen: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Rectangles over the rows and over the columns of which no pixel is seen."""
    height, width = unseen.shape
    rows, columns = (np.flatnonzero(unseen.all(axis=axis)) for axis in (1, 0))
    bands = [{"x0": -0.5, "x1": width - 0.5, "y0": k - 0.5, "y1": k + 0.5} for k in rows.tolist()]
    bands += [
        {"x0": k - 0.5, "x1": k + 0.5, "y0": -0.5, "y1": height - 0.5} for k in columns.tolist()
    ]
    return bands


def _slider(edges: Sequence[Edges], start: int) -> dict[str, Any]:
    steps = []
    for number, square in enumerate(edges, start=1):
        x, y = _closed(square)
        args = [{"x": [x], "y": [y]}, [_FRAME]]
        steps.append({"label": f"{number} of {len(edges)}", "method": "restyle", "args": args})
    return {
        "name": "score",
        "active": start,
        "currentvalue": {"prefix": "score "},
        "ticklen": 0,
        "font": {"color": "rgba(0,0,0,0)"},
        "steps": steps,
    }
