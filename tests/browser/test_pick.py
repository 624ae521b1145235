"""A click on the map of a perfusion figure shows the curves of the voxel that was meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from strokerepro import bookext, figures

pytestmark = pytest.mark.browser

_SIDE = 32
_DESKTOP, _PHONE = {"width": 900, "height": 700}, {"width": 360, "height": 740}
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


def _serve(route: Any) -> None:
    """Answer for the pretended site: the page itself, and its two scripts."""
    name = route.request.url.rsplit("/", 1)[-1]
    if name == "plotly.min.js":
        kind, body = "javascript", bookext.plotly_script().read_text()
    elif name == "draw.js":
        script = files("strokerepro") / "assets" / "plotly_figures.js"
        kind, body = "javascript", script.read_text()
    else:
        tags = [f'<script defer src="{src}"></script>' for src in ("plotly.min.js", "draw.js")]
        kind, body = "html", f"{''.join(tags)}<body>{_html()}</body>"
    route.fulfill(content_type=f"text/{kind}; charset=utf-8", body=body)


@pytest.fixture(params=[_DESKTOP, _PHONE], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    """A page that holds nothing but the figure."""
    opened = browser.new_page(viewport=request.param, has_touch=request.param is _PHONE)
    opened.route("http://book.test/**", _serve)
    opened.goto("http://book.test/page.html")
    opened.wait_for_function("document.querySelector('.plotly-graph .main-svg .imagelayer')")
    yield opened
    opened.close()


def test_click_or_tap_chooses_the_nearest_voxel(page: Any) -> None:
    """A click or tap beside voxel 6 shows its curve and moves slider and ring to it."""
    figure, graph = page.locator(".plotly-figure"), page.locator(".plotly-graph")
    ring_x, ring_y = (20, _SIDE - 1 - 12)  # voxel 6: row 12, column 20; the front is up
    x, y = graph.evaluate(_PLACE, [ring_x + 2, ring_y - 2])
    if page.evaluate("navigator.maxTouchPoints"):
        page.touchscreen.tap(x, y)
    else:
        page.mouse.click(x, y)
    expected = {"x": ring_x, "y": ring_y, "peak": 6, "dx": 2, "slider": 6}
    assert figure.evaluate(_STATE) == expected
    assert page.locator("output").inner_text() == "voxel 6"


def test_arrow_key_chooses_the_next_voxel(page: Any) -> None:
    """The slider does the same by keyboard."""
    page.locator("input").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".plotly-figure").evaluate(_STATE)["peak"] == 1
