"""What the tests of the book's own files share."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
_TABLE_ROW = re.compile(r"^\s*\|.*\|\s*$", re.MULTILINE)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    """The ``[project]`` table of pyproject.toml."""
    with (ROOT / "pyproject.toml").open("rb") as stream:
        project: dict[str, Any] = tomllib.load(stream)["project"]
    return project


@pytest.fixture(scope="session")
def toc_files() -> list[str]:
    """Files that the table of contents names, such as ``book/index``."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"], *chapters]


@pytest.fixture(scope="session")
def notebooks() -> dict[str, nbformat.NotebookNode]:
    """All committed notebooks by slug."""
    paths = sorted((ROOT / "book").glob("*.ipynb"))
    return {path.stem: nbformat.read(path, as_version=4) for path in paths}


def table_rows(markdown: str) -> list[str]:
    """Rows of all pipe tables in a Markdown text."""
    return _TABLE_ROW.findall(markdown)
