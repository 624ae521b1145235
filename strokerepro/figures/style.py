"""The one figure style: colours, fonts, grid, and the sentence for readers who cannot see it."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

# Hues after Okabe and Ito's colour-blind-safe set, with luminances between 0.13 and 0.30, so that
# each has a contrast of at least 3:1 against a white page as well as a near-black one.
PALETTE: dict[str, str] = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#B8629A",
    "ochre": "#A87B00",
    "grey": "#7A7A7A",
}
CYCLE = tuple(PALETTE.values())
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "diamond-open", "square", "triangle-up-open", "cross", "x-open")

# Readable on white and on black; the book's style sheet sharpens it for the theme in use.
TEXT = "#7A7A7A"
GRID = "rgba(128, 128, 128, 0.25)"
FONT_SIZE_PX = 13


def finish(figure: go.Figure, alt: str, *, height_px: int = 380, **layout: Any) -> go.Figure:
    """Give a figure the common style and its alternative text.

    Parameters
    ----------
    figure
        Any plotly figure; it is changed in place and returned.
    alt
        One or two sentences that say what the figure shows.
    height_px
        Height of the drawing; the page reserves it before plotly has loaded.
    **layout
        Further layout settings, which win over the common ones.
    """
    meta = {"alt": alt, **(layout.pop("meta", None) or {})}
    figure.update_layout(
        template="none",
        height=height_px,
        meta=meta,
        font={"size": FONT_SIZE_PX, "color": TEXT, "family": "system-ui, sans-serif"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
        hoverlabel={"bgcolor": "#ffffff", "bordercolor": TEXT, "font": {"color": "#1a1a1a"}},
        colorway=list(CYCLE),
        dragmode=False,
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, linecolor=TEXT, automargin=True)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, linecolor=TEXT, automargin=True)
    figure.update_layout(**layout)
    return figure
