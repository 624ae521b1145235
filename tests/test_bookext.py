"""The Sphinx extension: what it writes on the page, and what it loads."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from strokerepro import bookext, figures
from strokerepro.errors import InputError


def _figure(**layout: Any) -> dict[str, Any]:
    return {"data": [{"type": "scatter", "y": [1, 2]}], "layout": layout}


def _content(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    content: dict[str, Any] = json.loads(found[1])
    return content


def test_height_is_reserved_before_plotly_loads() -> None:
    """The box has the figure's height in its style, and a default where there is none."""
    assert 'style="height: 321px"' in bookext.figure_html(_figure(height=321))
    assert f'style="height: {bookext.DEFAULT_HEIGHT_PX}px"' in bookext.figure_html(_figure())


def test_height_follows_the_width_where_proportions_matter() -> None:
    """A figure with an aspect is as high as its width asks for, up to its height."""
    page = bookext.figure_html(_figure(height=480, meta={"aspect": 2.5, "chrome_px": 84}))
    assert 'style="height: min(480px, calc(100cqw / 2.5 + 84px))"' in page


def test_alternative_text_is_read_aloud() -> None:
    """The figure is announced as one image with its description, quotes and all."""
    page = bookext.figure_html(_figure(meta={"alt": 'Dice "by" <volume>'}))
    assert 'role="img" aria-label="Dice &quot;by&quot; &lt;volume&gt;"' in page
    assert "<noscript><p>Dice &quot;by&quot;" in page


def test_json_cannot_end_the_script() -> None:
    """A closing tag inside a figure's text stays inside the figure."""
    page = bookext.figure_html(_figure(title="</script><script>alert(1)</script>"))
    assert page.count("</script>") == 1
    assert _content(page)["layout"]["title"] == "</script><script>alert(1)</script>"


def test_slider_becomes_a_native_control() -> None:
    """A viewer's slider and switches leave plotly's layout and become form controls."""
    volume = np.zeros((3, 4, 4), np.float32)
    masks = {"truth": (volume == 0, "#009E73")}
    page = bookext.figure_html(json.loads(figures.slice_viewer({"a": volume}, masks).to_json()))
    assert 'type="range" min="0" max="2" value="0"' in page
    assert 'aria-valuetext="1 of 3"' in page
    assert 'aria-pressed="true">truth</button>' in page
    content = _content(page)
    assert "sliders" not in content["layout"]
    assert "updatemenus" not in content["layout"]
    assert [step["label"] for step in content["sliders"][0]] == ["1 of 3", "2 of 3", "3 of 3"]


def test_browser_hides_the_sliders_of_other_cases() -> None:
    """Only the shown case's slider is visible, and the list names all cases."""
    volume = np.zeros((3, 4, 4), np.float32)
    cases = [figures.BrowsedCase(label, {"a": volume}) for label in ("best", "worst")]
    page = bookext.figure_html(json.loads(figures.case_browser(cases).to_json()))
    assert page.count('class="plotly-slider"') == 2
    assert page.count('class="plotly-slider" hidden') == 1
    assert "<option selected>best</option><option>worst</option>" in page


def _mime(mime_type: str, content: Any, **metadata: Any) -> Any:
    return SimpleNamespace(mime_type=mime_type, content=content, output_metadata=metadata)


def test_other_outputs_are_left_to_sphinx() -> None:
    """Plain text, pictures without a description and inline outputs are declined."""
    handle = bookext.PlotlyMimeRenderer.handle_mime
    renderer: Any = None
    assert handle(renderer, _mime("text/plain", "1"), False) is None
    assert handle(renderer, _mime("image/png", "aGk="), False) is None
    assert handle(renderer, _mime(bookext.PLOTLY_MIME_TYPE, _figure()), True) is None


def test_plotly_output_becomes_html() -> None:
    """A stored figure becomes one raw HTML node, whether decoded or still text."""
    for content in (_figure(), json.dumps(_figure())):
        data = _mime(bookext.PLOTLY_MIME_TYPE, content)
        (node,) = bookext.PlotlyMimeRenderer.handle_mime(SimpleNamespace(), data, False) or []
        assert node["format"] == "html"
        assert bookext.FIGURE_CLASS in node.astext()


def test_described_picture_keeps_its_description() -> None:
    """The description in an image output's metadata becomes its alternative text."""
    renderer: Any = SimpleNamespace(render_image=lambda data: [{"uri": "x.png"}])
    data = _mime("image/png", "aGk=", **{"image/png": {"alt": "six slices"}})
    assert bookext.PlotlyMimeRenderer.handle_mime(renderer, data, False) == [
        {"uri": "x.png", "alt": "six slices"}
    ]


def test_scripts_are_loaded_once_and_in_order() -> None:
    """Copies of a file or of an inline text go; different inline texts stay."""

    def script(filename: str | None, **attributes: str) -> Any:
        return SimpleNamespace(filename=filename, attributes=attributes)

    scripts = [
        script("a.js", defer="defer"),
        script(None, body="const X = 1"),
        script("a.js"),
        script(None, body="const Y = 2"),
        script(None, body="const X = 1"),
    ]
    assert bookext.unique_scripts(scripts) == [scripts[0], scripts[1], scripts[3]]


@pytest.mark.parametrize(
    ("body", "loaded"), [('<div class="plotly-figure">', 2), ("<p>text</p>", 0)]
)
def test_plotly_is_loaded_only_where_there_is_a_figure(body: str, loaded: int) -> None:
    """A page without a figure does not load plotly."""
    scripts: list[Any] = []
    app: Any = SimpleNamespace(
        add_js_file=lambda name, **_: scripts.append(SimpleNamespace(filename=name, attributes={}))
    )
    bookext.add_scripts(app, "page", "page.html", {"body": body, "script_files": scripts}, None)
    assert len(scripts) == loaded


def test_assets_come_from_installed_packages(tmp_path: Any) -> None:
    """plotly, the drawing script, MathJax and its fonts are copied from installed packages."""
    app: Any = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=tmp_path)
    bookext.copy_assets(app)
    static = tmp_path / "_static"
    assert (static / "plotly.min.js").stat().st_size > 1_000_000
    assert "newPlot" in (static / "plotly_figures.js").read_text()
    assert (static / "mathjax/tex-mml-chtml.js").is_file()
    assert list((static / "mathjax/output/chtml/fonts/woff-v2").glob("*.woff"))


def test_missing_package_is_named() -> None:
    """A package that is not installed is named with the command that installs it."""
    with pytest.raises(InputError, match=r"no-such-package.*pip install"):
        bookext._installed_file("no-such-package", "x.js")
