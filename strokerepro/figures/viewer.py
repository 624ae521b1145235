"""Slice viewers that stay small: stored images whose source a slider replaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from strokerepro.errors import InputError
from strokerepro.figures.encode import CONVENTION
from strokerepro.figures.stack import BrowsedCase, Overlays, Stack, Volume, encode_case
from strokerepro.figures.style import finish

_PANEL_GAP, _ROW_GAP = 0.03, 0.09
_HEADER_PX, _FOOTER_PX = 58, 26
_MAX_HEIGHT_PX = 480  # of one row of panels; more rows get more


def slice_viewer(
    volumes: Mapping[str, Volume],
    overlays: Overlays | None = None,
    *,
    orientation: str = "LAS",
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
    windows: Mapping[str, tuple[float, float]] | None = None,
    slices: Sequence[int] | None = None,
    across: int | None = None,
    alt: str = "",
) -> go.Figure:
    """Volumes side by side with one slice slider and a button for each overlay.

    Parameters
    ----------
    volumes
        Panels by name, each ``(Z, Y, X)`` with the same number of slices.
    overlays
        Masks by name with their colours, ``(mask (Z, Y, X), colour)``; a mask is drawn on each
        panel of its own shape.
    orientation
        Towards what the X, Y and Z indices increase (`nibabel.aff2axcodes` of the affine).
    spacing_mm
        Voxel size (z, y, x); only the ratio of y to x matters here.
    windows
        Intensities shown as black and white, by panel; else the central 99 % of the volume.
    slices
        Which slices to store; all by default.
    across
        Panels in a row; all in one row by default.
    alt
        What the figure shows; a plain description of panels and overlays by default.

    Raises
    ------
    InputError
        No volume, unequal numbers of slices, or a mask that fits no panel.
    """
    case = BrowsedCase("", volumes, overlays or {}, spacing_mm, orientation)
    stack = encode_case(case, windows or {}, slices)
    description = alt or (
        f"Axial slices of {_join(volumes)}"
        + (f" with {_join(case.overlays)} drawn over them" if case.overlays else "")
        + f"; a slider moves through {len(stack.labels)} slices."
    )
    return _figure([stack], description, across)


def case_browser(
    cases: Sequence[BrowsedCase],
    *,
    across: int | None = None,
    alt: str = "",
) -> go.Figure:
    """Several cases, one at a time, chosen from a list; each with its own slice slider.

    Parameters
    ----------
    cases
        The cases in the order of the list, with the same panels and overlays.
    across
        Panels in a row; all in one row by default.
    alt
        What the figure shows; by default the list of the cases.
    """
    if not cases:
        raise InputError("no case", "at least one case to show", "pass the best and worst case")
    stacks = [encode_case(case, {}, None) for case in cases]
    if len({(stack.panel_of, stack.overlay_of) for stack in stacks}) > 1:
        raise InputError(
            "cases with different panels or overlays",
            "the same names in each case",
            "show them in separate figures",
        )
    text = alt or f"Axial slices of {_join([case.label for case in cases])}."
    return _figure(stacks, text, across)


def _join(names: Mapping[str, Any] | Sequence[str]) -> str:
    *first, last = list(names)
    return f"{', '.join(first)} and {last}" if first else last


def _figure(stacks: Sequence[Stack], alt: str, across: int | None) -> go.Figure:
    names = list(stacks[0].case.volumes)
    columns = min(across or len(names), len(names))
    rows = -(-len(names) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        horizontal_spacing=_PANEL_GAP,
        vertical_spacing=_ROW_GAP if rows > 1 else 0,
        subplot_titles=names,
    )
    for number, stack in enumerate(stacks):
        for trace, panel in enumerate(stack.panel_of):
            image = go.Image(
                source=stack.sources[stack.start][trace],
                visible=number == 0,
                hoverinfo="skip",
                name=stack.overlay_of[trace] or names[panel],
            )
            figure.add_trace(image, row=panel // columns + 1, col=panel % columns + 1)
    width = sum(_panel_aspect(stacks[0], panel) for panel in range(columns))  # of a row one high
    aspect = width * (1 - (rows - 1) * _ROW_GAP) / rows
    chrome_px = _HEADER_PX + _FOOTER_PX
    finish(
        figure,
        f"{alt} {CONVENTION.capitalize()}.",
        height_px=min(_MAX_HEIGHT_PX * (rows + 1) // 2, round(720 / aspect) + chrome_px),
        margin={"l": 2, "r": 2, "t": _HEADER_PX, "b": _FOOTER_PX},
        meta={"aspect": round(aspect, 3), "chrome_px": chrome_px},
        showlegend=False,
        sliders=[_slider(stack, number, stacks) for number, stack in enumerate(stacks)],
        updatemenus=_menus(stacks),
        **_axes(stacks[0]),
    )
    _annotate(figure, stacks[0])
    return figure


def _panel_aspect(stack: Stack, panel: int) -> float:
    rows, columns = stack.shape(panel)
    _, y_mm, x_mm = stack.case.spacing_mm
    return (columns * x_mm) / (rows * y_mm)


def _axes(stack: Stack) -> dict[str, Any]:
    """Axis settings of each panel: whole image, true proportions, no zooming by a finger."""
    settings: dict[str, Any] = {}
    for panel in range(len(stack.case.volumes)):
        rows, columns = stack.shape(panel)
        number = "" if panel == 0 else str(panel + 1)
        common = {"visible": False, "fixedrange": True, "constrain": "domain"}
        settings[f"xaxis{number}"] = {**common, "range": [-0.5, columns - 0.5]}
        settings[f"yaxis{number}"] = {
            **common,
            "range": [rows - 0.5, -0.5],  # row 0 is drawn at the top
            "scaleanchor": f"x{number}",
            "scaleratio": stack.case.spacing_mm[1] / stack.case.spacing_mm[2],
            "constraintoward": "top",
        }
    return settings


def _slider(stack: Stack, number: int, stacks: Sequence[Stack]) -> dict[str, Any]:
    first = sum(len(other.panel_of) for other in stacks[:number])
    traces = list(range(first, first + len(stack.panel_of)))
    return {
        "name": "slice",
        "active": stack.start,
        "visible": number == 0 and len(stack.labels) > 1,
        "currentvalue": {"prefix": "slice "},
        "ticklen": 0,
        "font": {"color": "rgba(0,0,0,0)"},  # the labels of all steps would overlap
        "steps": [
            {"label": label, "method": "restyle", "args": [{"source": list(sources)}, traces]}
            for label, sources in zip(stack.labels, stack.sources, strict=True)
        ],
    }


def _menus(stacks: Sequence[Stack]) -> list[dict[str, Any]]:
    place = {"y": 1, "yanchor": "bottom", "pad": {"b": 26}}
    menus: list[dict[str, Any]] = []
    if len(stacks) > 1:
        owners = [number for number, stack in enumerate(stacks) for _ in stack.panel_of]
        buttons = []
        for number, stack in enumerate(stacks):
            layout: dict[str, Any] = {
                f"sliders[{other}].visible": other == number and len(stack.labels) > 1
                for other in range(len(stacks))
            }
            for axis, settings in _axes(stack).items():
                for key in {"range", "scaleratio"} & set(settings):
                    layout[f"{axis}.{key}"] = settings[key]
            shown = {"visible": [owner == number for owner in owners]}
            buttons.append({"label": stack.case.label, "method": "update", "args": [shown, layout]})
        menus.append({**place, "name": "case", "buttons": buttons, "x": 0, "xanchor": "left"})
    overlay_of = [name for stack in stacks for name in stack.overlay_of]
    overlays = list(stacks[0].case.overlays)
    for position, overlay in enumerate(overlays):
        traces = [trace for trace, name in enumerate(overlay_of) if name == overlay]
        # Opacity, since `visible` already says which case is shown.
        button = {
            "label": overlay,
            "method": "restyle",
            "args": [{"opacity": 0}, traces],
            "args2": [{"opacity": 1}, traces],
        }
        menus.append(
            {
                **place,
                "type": "buttons",
                "showactive": False,
                "buttons": [button],
                "x": 1 - 0.25 * (len(overlays) - 1 - position),
                "xanchor": "right",
            }
        )
    return menus


def _annotate(figure: go.Figure, stack: Stack) -> None:
    """Sides of the body beside each panel, the view's convention, and the overlays' colours."""
    figure.update_annotations(font_size=13)  # the panels' titles
    plain = {"showarrow": False, "font": {"size": 12}}
    for panel in range(len(stack.case.volumes)):
        number = "" if panel == 0 else str(panel + 1)
        for x, letter in ((0, "R"), (1, "L")):
            figure.add_annotation(
                text=letter,
                x=x,
                y=1,
                xref=f"x{number} domain",
                yref=f"y{number} domain",
                xanchor="left" if x == 0 else "right",
                yanchor="bottom",
                **plain,
            )
    figure.add_annotation(
        text=CONVENTION, x=0, y=0, xref="paper", yref="paper", yanchor="top", yshift=-6, **plain
    )
    colours = " ".join(
        f'<span style="color:{colour}">■</span> {name}'
        for name, (_, colour) in stack.case.overlays.items()
    )
    if colours:
        figure.add_annotation(
            text=colours,
            x=0,
            y=1,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            yshift=24,
            **plain,
        )
