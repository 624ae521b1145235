"""The built pages as a reader meets them: drawn, usable by keyboard, readable on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
_TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [_TOC["root"], *(item["file"] for part in _TOC["parts"] for item in part["chapters"])]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
MAX_PAGE_BYTES = 3_000_000
MAX_SHIFT = 0.1  # "good" by the web vitals' definition

_OBSERVE_SHIFT = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) { window.shift += entry.value; }
}).observe({type: "layout-shift", buffered: true});
"""
_FIGURES_DRAWN = """() => [...document.querySelectorAll(".plotly-graph")]
  .every((graph) => graph.querySelector(".main-svg .cartesianlayer, .main-svg .imagelayer"))"""
_SOURCES = """(figure) => figure.querySelector(".plotly-graph").data
  .map((trace) => trace.source).join()"""


class Visit:
    """One page in a window of its own, with everything it asked for and complained of."""

    def __init__(self, browser: Any, url: str, viewport: dict[str, int], dark: bool) -> None:
        theme = "dark" if dark else "light"
        self.context = browser.new_context(viewport=viewport, color_scheme=theme)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.bytes_by_url: dict[str, int] = {}
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", lambda request: self.complaints.append(request.url))
        self.page.on("response", self._response)
        self.page.add_init_script(_OBSERVE_SHIFT)
        self.page.add_init_script(f"localStorage.setItem('mode', '{theme}')")
        self.page.goto(url)
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_function(_FIGURES_DRAWN)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")
        elif response.status == 200:
            self.bytes_by_url[response.url] = len(response.body())


@pytest.fixture
def visit(browser: Any, book_url: str) -> Iterator[Any]:
    """Opener of a page of its own: ``visit(name, viewport, dark)`` returns a `Visit`."""
    opened: list[Visit] = []

    def _visit(name: str, viewport: dict[str, int] = DESKTOP, dark: bool = False) -> Visit:
        opened.append(Visit(browser, f"{book_url}/{name}.html", viewport, dark))
        return opened[-1]

    yield _visit
    for item in opened:
        item.context.close()


@pytest.fixture(scope="module", params=PAGES)
def seen(request: pytest.FixtureRequest, browser: Any, book_url: str) -> Iterator[Visit]:
    """Each page once, at desktop width, for checks that only look."""
    opened = Visit(browser, f"{book_url}/{request.param}.html", DESKTOP, dark=False)
    yield opened
    opened.context.close()


def test_page_opens_without_complaint(seen: Visit) -> None:
    """Figures and formulas are drawn, the console is empty, nothing jumps, all files are local."""
    assert seen.complaints == []
    assert {urlsplit(url).hostname for url in seen.bytes_by_url} == {"127.0.0.1"}
    assert seen.page.locator("h1").first.inner_text()
    formulas = seen.page.locator(".math").count()
    assert seen.page.locator("mjx-container").count() >= formulas
    assert seen.page.evaluate("window.shift") < MAX_SHIFT


def test_page_is_light(seen: Visit) -> None:
    """A page's own files take less than 3 MB (theme, MathJax and plotly are shared by all)."""
    own = {url: size for url, size in seen.bytes_by_url.items() if "/_static/" not in url}
    assert 0 < sum(own.values()) < MAX_PAGE_BYTES


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_phone(name: str, visit: Any) -> None:
    """At 360 pixels nothing sticks out sideways."""
    page = visit(name, PHONE).page
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_figures_are_announced(seen: Visit) -> None:
    """Every figure and every picture has alternative text."""
    for graph in seen.page.locator(".plotly-graph").all():
        assert graph.get_attribute("role") == "img"
        assert len(graph.get_attribute("aria-label") or "") > 20
    for picture in seen.page.locator(".bd-article img").all():
        assert picture.get_attribute("alt")


@pytest.fixture
def visit_first(visit: Any, built_book: Path) -> Any:
    """Opener of the first page that holds a text: ``visit_first(text, viewport, dark)``."""

    def _visit(text: str, viewport: dict[str, int] = DESKTOP, dark: bool = False) -> Visit:
        for name in PAGES:
            if text in (built_book / f"{name}.html").read_text():
                opened: Visit = visit(name, viewport, dark)
                return opened
        pytest.skip(f"no page of this book has {text}")

    return _visit


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_arrow_key_moves_the_slice(visit_first: Any, viewport: dict[str, int]) -> None:
    """With the focus on the slider, an arrow key shows another slice and says which."""
    seen = visit_first("data-slider=", viewport)
    figure = seen.page.locator(".plotly-figure:has(input[data-slider])").first
    slider = figure.locator("input[data-slider]:visible").first
    before, text_before = figure.evaluate(_SOURCES), slider.get_attribute("aria-valuetext")
    slider.focus()
    seen.page.keyboard.press("ArrowLeft")
    assert figure.evaluate(_SOURCES) != before
    assert slider.get_attribute("aria-valuetext") != text_before
    assert figure.locator("output:visible").first.inner_text() != text_before
    seen.page.keyboard.press("ArrowRight")
    assert figure.evaluate(_SOURCES) == before


def test_overlay_can_be_switched_off_and_on(visit_first: Any) -> None:
    """Enter on an overlay's button hides the overlay, and shows it again."""
    seen = visit_first("aria-pressed=")
    figure = seen.page.locator(".plotly-figure:has(button[aria-pressed])").first
    button = figure.locator("button[aria-pressed]").first
    opacities = "(figure) => figure.querySelector('.plotly-graph').data.map((t) => t.opacity ?? 1)"
    for pressed, least in (("false", 0), ("true", 1)):
        button.focus()
        seen.page.keyboard.press("Enter")
        assert button.get_attribute("aria-pressed") == pressed
        assert min(figure.evaluate(opacities)) == least


def test_another_case_brings_its_own_slider(visit_first: Any) -> None:
    """Choosing a case in a case browser shows other images and exactly one slider."""
    page = visit_first("<select data-menu=").page
    # A browser of single slices has no slider at all.
    several = ":has(select[data-menu]):has(label.plotly-slider:not([hidden]))"
    figure = page.locator(f".plotly-figure{several}").first
    shown = "(f) => f.querySelector('.plotly-graph').data.map((t) => t.visible !== false).join()"
    before = figure.evaluate(shown)
    figure.locator("select").select_option(index=1)
    assert figure.evaluate(shown) != before
    assert figure.locator("input[data-slider]:visible").count() == 1


def test_text_of_figures_follows_the_theme(visit_first: Any) -> None:
    """In the dark theme the text of a figure is light, in the light theme it is dark."""
    brightness = []
    for dark in (False, True):
        page = visit_first('class="plotly-graph"', dark=dark).page
        fill = page.locator(".plotly-graph .main-svg text").first.evaluate(
            "(text) => getComputedStyle(text).fill"
        )
        red, green, blue = (int(part) for part in fill[4:-1].split(",")[:3])
        brightness.append(red + green + blue)
    light, dark_theme = brightness
    assert light < 300 < 500 < dark_theme


def test_search_finds_a_chapter(browser: Any, book_url: str) -> None:
    """A search for a word of the reading guide lists that page with an excerpt."""
    page = browser.new_page()
    page.goto(f"{book_url}/search.html?q=reproduced")
    hits = page.locator("#search-results li")
    hits.first.wait_for()
    assert any(
        "reading-guide" in (link.get_attribute("href") or "") for link in hits.locator("a").all()
    )
    page.close()
