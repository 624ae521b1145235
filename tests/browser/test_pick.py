"""A click on a figure chooses the voxel, or the patch, that was meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from strokerepro import bookext, figures

pytestmark = pytest.mark.browser

_SIDE = 32
_STATE = """(figure) => {
  const [, , ring, , tissue] = figure.querySelector(".plotly-graph").data;
  return {x: ring.x[0], y: ring.y[0], peak: Math.max(...tissue.y), dx: tissue.dx,
          slider: Number(figure.querySelector("input").value)};
}"""
# Where a voxel is drawn in the window: of use here only, since it reads plotly's own state.
_PLACE = """(graph, voxel) => {
  const {xaxis, yaxis} = graph._fullLayout, box = graph.getBoundingClientRect();
  return [box.left + xaxis._offset + xaxis.d2p(voxel[0]),
          box.top + yaxis._offset + yaxis.d2p(voxel[1])];
}"""


_FRAME = """(figure) => {
  const {x} = figure.querySelector(".plotly-graph").data[2];
  return [Math.min(...x), Math.max(...x)];
}"""


def _html() -> str:
    """Voxels on a grid of 8; the curve of voxel k peaks at k."""
    rows, columns = (axis.ravel() for axis in np.mgrid[4:_SIDE:8, 4:_SIDE:8])
    n = rows.size
    tissue = np.zeros((n, 5))
    tissue[:, 2] = np.arange(n)
    curves = figures.VoxelCurves(
        rows, columns, [f"voxel {k}" for k in range(n)], 2.0, tissue, np.ones(5), tissue
    )
    figure = figures.curve_explorer(np.zeros((_SIDE, _SIDE)), curves, title="Tmax")
    return bookext.figure_html(json.loads(figure.to_json()))


@pytest.fixture
def page(open_figure: Callable[[str], Any]) -> Any:
    """A page that holds nothing but the figure."""
    return open_figure(_html())


def _press(page: Any, x: float, y: float) -> None:
    if page.evaluate("navigator.maxTouchPoints"):
        page.touchscreen.tap(x, y)
    else:
        page.mouse.click(x, y)


def test_click_or_tap_chooses_the_nearest_voxel(page: Any) -> None:
    """A click or tap beside voxel 6 shows its curve and moves slider and ring to it."""
    figure, graph = page.locator(".plotly-figure"), page.locator(".plotly-graph")
    ring_x, ring_y = (20, _SIDE - 1 - 12)  # voxel 6: row 12, column 20; the front is up
    x, y = graph.evaluate(_PLACE, [ring_x + 2, ring_y - 2])
    _press(page, x, y)
    expected = {"x": ring_x, "y": ring_y, "peak": 6, "dx": 2, "slider": 6}
    assert figure.evaluate(_STATE) == expected
    assert page.locator("output").inner_text() == "voxel 6"


def test_arrow_key_chooses_the_next_voxel(page: Any) -> None:
    """The slider does the same by keyboard."""
    page.locator("input").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".plotly-figure").evaluate(_STATE)["peak"] == 1


def test_click_or_tap_chooses_the_patch_of_a_score(open_figure: Callable[[str], Any]) -> None:
    """A click beside the centre of score 2 of 4 frames its square and moves the slider."""
    figure = figures.patch_fields(np.zeros((_SIDE, _SIDE)), [0, 16], 14, orientation="LPS")
    page = open_figure(bookext.figure_html(json.loads(figure.to_json())))
    centre = (16 + 6.5, 6.5)  # columns 16 to 29, rows 0 to 13
    x, y = page.locator(".plotly-graph").evaluate(_PLACE, [centre[0] + 1, centre[1] + 1])
    _press(page, x, y)
    assert page.locator("output").inner_text() == "2 of 4"
    frame = page.locator(".plotly-figure").evaluate(_FRAME)
    assert frame == [15.5, 29.5]
