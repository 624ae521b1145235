"""The Sphinx/MyST-NB extension that draws plotly figures and formulas without a network.

Stock Jupyter Book drops plotly's stored figures silently. Here a figure becomes a box of fixed
height (so the page does not jump), native controls in place of plotly's drawn slider and buttons
(so that keyboard, touch and screen reader work), and its JSON, which `assets/plotly_figures.js`
draws. In Colab and JupyterLab nothing changes.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, files
from importlib.resources import as_file
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes

from strokerepro.errors import InputError

if TYPE_CHECKING:
    from myst_nb.core.render import MimeData, NbElementRenderer
    from sphinx.application import Sphinx

PLOTLY_MIME_TYPE = "application/vnd.plotly.v1+json"
FIGURE_CLASS = "plotly-figure"
DEFAULT_HEIGHT_PX = 400
_MATHJAX_ENTRY = "mathjax/tex-mml-chtml.js"
# The parts of MathJax that a page may ask for; speech and the other output formats stay out.
_MATHJAX_PARTS = (_MATHJAX_ENTRY, "mathjax/output/chtml/", "mathjax/input/tex/extensions/")


class PlotlyMimeRenderer:
    """MyST-NB plug-in for stored plotly figures, and for PNGs with alternative text."""

    # Above text/html and images, which some plotly versions store beside the figure.
    mime_priority_overrides: ClassVar[list[tuple[str, str, int]]] = [("*", PLOTLY_MIME_TYPE, 1)]

    @staticmethod
    def handle_mime(
        renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Turn one stored output into docutils nodes, or decline it with None."""
        alt = data.output_metadata.get(data.mime_type, {}).get("alt")
        if data.mime_type == "image/png" and alt and not inline:
            images: list[nodes.Element] = renderer.render_image(data)
            images[0]["alt"] = alt
            return images
        if inline or data.mime_type != PLOTLY_MIME_TYPE:
            return None
        figure = json.loads(data.content) if isinstance(data.content, str) else data.content
        return [nodes.raw(text=figure_html(figure), format="html", classes=["output"])]


def figure_html(figure: Mapping[str, Any]) -> str:
    """HTML of one figure: controls, drawing area of reserved size, and the figure's JSON.

    Parameters
    ----------
    figure
        A plotly figure as JSON: ``data`` and ``layout``. ``layout.meta`` may hold ``alt``, a
        sentence for readers who cannot see it, and ``aspect`` and ``chrome_px``: width by height
        of the drawing, and what stands above and below it, for figures whose height follows the
        width of the page. With ``pick`` (``trace`` and ``slider``, both numbers) a click on point
        n of that trace moves that slider to step n.
    """
    layout = dict(figure["layout"])
    sliders = [slider for slider in layout.pop("sliders", []) if slider.get("steps")]
    menus = [menu for menu in layout.pop("updatemenus", []) if menu.get("buttons")]
    height_px = layout.pop("height", DEFAULT_HEIGHT_PX)
    layout.pop("width", None)
    meta = layout.get("meta") or {}
    alt = html.escape(str(meta.get("alt", "")), quote=True)
    size = f"height: {height_px}px"
    if aspect := meta.get("aspect"):
        # 100cqw is the width of the figure's container.
        flexible = f"calc(100cqw / {aspect} + {meta.get('chrome_px', 0)}px)"
        size = f"height: min({height_px}px, {flexible})"
    role = f'role="img" aria-label="{alt}"' if alt else 'aria-hidden="true"'
    content = {
        "data": figure["data"],
        "layout": layout,
        "sliders": [slider["steps"] for slider in sliders],
        "menus": [menu["buttons"] for menu in menus],
    }
    controls = [_menu_html(index, menu) for index, menu in enumerate(menus)]
    controls += [_slider_html(index, slider) for index, slider in enumerate(sliders)]
    return (
        f'<div class="{FIGURE_CLASS}">'
        + (f'<div class="plotly-controls">{"".join(controls)}</div>' if controls else "")
        + f'<div class="plotly-graph" style="{size}" {role}></div>'
        + f'<script type="application/json">{_script_json(content)}</script>'
        + (f"<noscript><p>{alt}</p></noscript>" if alt else "")
        + "</div>\n"
    )


def _script_json(content: object) -> str:
    # "</script>" or "<!--" inside a string would end or confuse the script element.
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _slider_html(index: int, slider: Mapping[str, Any]) -> str:
    steps, active = slider["steps"], int(slider.get("active", 0))
    name = str(slider.get("name") or (slider.get("currentvalue") or {}).get("prefix") or "step")
    name = html.escape(name.strip(" :"))
    label = html.escape(str(steps[active]["label"]))
    hidden = "" if slider.get("visible", True) else " hidden"
    return (
        f'<label class="plotly-slider"{hidden}><span>{name}</span>'
        f'<input type="range" min="0" max="{len(steps) - 1}" value="{active}" '
        f'autocomplete="off" data-slider="{index}" aria-valuetext="{label}">'
        f"<output>{label}</output></label>"
    )


def _menu_html(index: int, menu: Mapping[str, Any]) -> str:
    buttons = menu["buttons"]
    if menu.get("type") == "buttons":
        return "".join(
            f'<button type="button" data-menu="{index}" data-button="{number}"'
            + (' aria-pressed="true"' if button.get("args2") else "")
            + f">{html.escape(str(button['label']))}</button>"
            for number, button in enumerate(buttons)
        )
    options = "".join(
        f"<option{' selected' if number == menu.get('active', 0) else ''}>"
        f"{html.escape(str(button['label']))}</option>"
        for number, button in enumerate(buttons)
    )
    name = html.escape(str(menu.get("name") or "show"))
    return (
        f'<label class="plotly-menu"><span>{name}</span>'
        f'<select data-menu="{index}" autocomplete="off">{options}</select></label>'
    )


def plotly_script() -> Path:
    """Path of the minified plotly.js inside the installed plotly package."""
    return _installed_file("plotly", "plotly/package_data/plotly.min.js")


def _installed_file(distribution: str, ending: str) -> Path:
    try:
        found = [file for file in files(distribution) or [] if str(file).endswith(ending)]
    except PackageNotFoundError:
        found = []
    if not found or not (path := Path(str(found[0].locate()))).is_file():
        raise InputError(
            f"no {ending} from the package {distribution}",
            "the packages of the book",
            'run pip install -c constraints.txt -e ".[book]"',
        )
    return path


def copy_assets(app: Sphinx) -> None:
    """Copy plotly.js, the drawing script and MathJax into the built book's ``_static``."""
    if app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    _copy(plotly_script(), static / "plotly.min.js")
    with as_file(package_files("strokerepro") / "assets" / "plotly_figures.js") as script:
        _copy(script, static / "plotly_figures.js")
    entry = _installed_file("sphinx-mathjax-offline", f"static/{_MATHJAX_ENTRY}")
    root = entry.parents[1]
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and name.startswith(_MATHJAX_PARTS):
            _copy(path, static / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def add_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Load plotly on pages that hold a figure, and every script only once.

    The theme and Jupyter Book register some inline scripts twice, and a second declaration of
    the same constant is an error in the browser's console.
    """
    if f'class="{FIGURE_CLASS}"' in context.get("body", ""):
        for name in ("plotly.min.js", "plotly_figures.js"):
            app.add_js_file(name, loading_method="defer")
    scripts = context.get("script_files", [])
    # In place: Sphinx and later handlers hold on to this very list.
    scripts[:] = unique_scripts(scripts)


def unique_scripts(scripts: list[Any]) -> list[Any]:
    """Scripts in their order, without later copies of the same file or the same inline text."""
    seen: dict[tuple[str, str], Any] = {}
    for script in scripts:
        attributes = getattr(script, "attributes", {})
        key = (str(getattr(script, "filename", script) or ""), str(attributes.get("body") or ""))
        seen.setdefault(key, script)
    return list(seen.values())


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.config["mathjax_path"] = _MATHJAX_ENTRY
    app.connect("builder-inited", copy_assets)
    # After every other extension has added its scripts.
    app.connect("html-page-context", add_scripts, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
