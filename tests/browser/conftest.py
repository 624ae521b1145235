"""A built book behind a loopback server, and a browser to look at it; else a visible skip."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
