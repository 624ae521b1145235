"""Charts of lines: training curves, functions, and the dynamics of an adversarial training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from strokerepro.errors import InputError
from strokerepro.figures.charts import significant
from strokerepro.figures.style import CYCLE, DASHES, TEXT, finish

Curves = Mapping[str, Sequence[Sequence[float]]]  # name -> pairs [step, value]

_PANEL_PX = 230
_LEGEND_ROW_PX = 25


def training_curves(
    curves: Curves,
    labels: Mapping[str, str] | None = None,
    *,
    y_title: str = "loss",
    log_y: bool = False,
    alt: str = "",
) -> go.Figure:
    """Curves over training steps, told apart by colour and by dash.

    Parameters
    ----------
    curves
        Name -> pairs ``[step, value]``, as a run record stores them.
    labels
        Name -> text of the legend; the name itself where there is none.
    y_title
        Title of the vertical axis with its unit.
    log_y
        Whether the vertical axis is logarithmic.
    alt
        What the figure shows.
    """
    named = {(labels or {}).get(name, name): points for name, points in curves.items()}
    pairs = {name: np.asarray(points, float).reshape(-1, 2).T for name, points in named.items()}
    text = alt or f"{y_title.capitalize()} over training steps: {', '.join(curves)}."
    return line_chart(
        {name: (steps, values) for name, (steps, values) in pairs.items()},
        x_title="training step",
        y_title=y_title,
        log_y=log_y,
        alt=text,
    )


def line_chart(
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    x_title: str,
    y_title: str,
    log_y: bool = False,
    steps: bool = False,
    alt: str = "",
) -> go.Figure:
    """Lines told apart by colour and by dash.

    Parameters
    ----------
    lines
        Name -> (x, y), both ``(N,)``; a single point is drawn as a marker.
    x_title, y_title
        Titles of the axes with their units.
    log_y
        Whether the vertical axis is logarithmic.
    steps
        Draw each value as constant up to the next x, as for a learning rate.
    alt
        What the figure shows.
    """
    figure = go.Figure()
    for number, (name, (x, y)) in enumerate(lines.items()):
        figure.add_trace(_line(name, x, y, number, shape="hv" if steps else "linear"))
    finish(figure, alt or f"{y_title} over {x_title}: {', '.join(lines)}.", showlegend=True)
    figure.update_xaxes(title=x_title)
    figure.update_yaxes(title=y_title, type="log" if log_y else "linear")
    return figure


def adversarial_curves(
    losses: Curves,
    scores: Curves,
    *,
    targets: Mapping[str, float] | None = None,
    steps_per_epoch: float = 1.0,
    alt: str = "",
) -> go.Figure:
    """Draw the losses of generator, discriminator and segmentor above the discriminator's scores.

    Both panels share the horizontal axis, so that a rise of a score can be read against the
    losses of the same moment; hovering shows all values of a panel at once.

    Parameters
    ----------
    losses
        Name -> pairs ``[step, loss]``, drawn on a logarithmic axis.
    scores
        Name -> pairs ``[step, mean score]``.
    targets
        Scores to mark with a dotted line, by name, such as ``{"real": 1, "generated": 0}``.
    steps_per_epoch
        Divides the steps; 1 keeps them, and the axis is then in steps.
    alt
        What the figure shows.

    Raises
    ------
    InputError
        No curve in one of the panels.
    """
    for panel, curves in (("losses", losses), ("scores", scores)):
        if not curves:
            raise InputError(f"no {panel}", "at least one curve", "pass the record's curves")
    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.1,
        subplot_titles=["losses", "mean score of the discriminator"],
    )
    panels = [(1, name, points) for name, points in losses.items()]
    panels += [(2, name, points) for name, points in scores.items()]
    for number, (row, name, points) in enumerate(panels):
        steps, values = np.asarray(points, float).reshape(-1, 2).T
        figure.add_trace(_line(name, steps / steps_per_epoch, values, number), row=row, col=1)
    for name, score in (targets or {}).items():
        figure.add_hline(
            y=score,
            row=2,
            col=1,
            line={"color": TEXT, "dash": "dot", "width": 1},
            annotation={"text": f"target of {name}", "font": {"size": 11}},
            annotation_position="bottom right",
        )
    legend_px = _LEGEND_ROW_PX * (1 + len(panels) // 2)
    text = f"Losses ({', '.join(losses)}) above mean scores ({', '.join(scores)}) over training."
    finish(
        figure,
        alt or text,
        height_px=2 * _PANEL_PX + legend_px,
        margin={"l": 8, "r": 8, "t": 24 + legend_px, "b": 8},
        showlegend=True,
        hovermode="x unified",
    )
    figure.update_annotations(font_size=13, selector={"xanchor": "center"})  # panels' titles
    figure.update_xaxes(title="epoch" if steps_per_epoch != 1 else "training step", row=2, col=1)
    figure.update_yaxes(type="log", dtick=1, row=1, col=1)
    return figure


def _line(
    name: str, x: ArrayLike, y: ArrayLike, number: int, *, shape: str = "linear"
) -> go.Scatter:
    places = np.asarray(x, float).round(6).tolist()
    return go.Scatter(
        x=places,
        y=significant(y),
        name=name,
        mode="lines" if len(places) > 1 else "markers",
        line={
            "color": CYCLE[number % len(CYCLE)],
            "dash": DASHES[number % len(DASHES)],
            "shape": shape,
        },
    )
