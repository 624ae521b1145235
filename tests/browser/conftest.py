"""A built book behind a loopback server, and a browser to look at it; else a visible skip."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from strokerepro import bookext

ROOT = Path(__file__).resolve().parents[2]
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests out of the test's output."""


@pytest.fixture(scope="session")
def built_book() -> Path:
    """Folder of the built pages (`make html`), or the one ``STROKEREPRO_BUILT_BOOK`` names."""
    folder = Path(os.environ.get("STROKEREPRO_BUILT_BOOK", ROOT / "_build" / "html"))
    if not (folder / "book" / "index.html").is_file():
        pytest.skip("no built book: run make html first")
    return folder


@pytest.fixture(scope="session")
def book_url(built_book: Path) -> Iterator[str]:
    """Address of a server on the loopback: the search does not work from plain files."""
    handler = functools.partial(_QuietHandler, directory=os.fspath(built_book))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium or Chrome of the system, driven by Playwright."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium: install Debian's chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(
    params=[{"width": 900, "height": 700}, {"width": 360, "height": 740}], ids=["desktop", "phone"]
)
def open_figure(request: pytest.FixtureRequest, browser: Any) -> Iterator[Callable[[str], Any]]:
    """Open a page that holds nothing but one figure, given its HTML; a phone has touch."""
    narrow = request.param["width"] < 500
    page = browser.new_page(viewport=request.param, has_touch=narrow)

    def opened(html: str) -> Any:
        page.route("http://book.test/**", functools.partial(_serve, html=html))
        page.goto("http://book.test/page.html")
        page.wait_for_function("document.querySelector('.plotly-graph .main-svg .imagelayer')")
        return page

    yield opened
    page.close()


def _serve(route: Any, html: str) -> None:
    """Answer for the pretended site: the page itself, and its two scripts."""
    name = route.request.url.rsplit("/", 1)[-1]
    if name == "plotly.min.js":
        kind, body = "javascript", bookext.plotly_script().read_text()
    elif name == "draw.js":
        script = files("strokerepro") / "assets" / "plotly_figures.js"
        kind, body = "javascript", script.read_text()
    else:
        tags = [f'<script defer src="{src}"></script>' for src in ("plotly.min.js", "draw.js")]
        kind, body = "html", f"{''.join(tags)}<body>{html}</body>"
    route.fulfill(content_type=f"text/{kind}; charset=utf-8", body=body)
