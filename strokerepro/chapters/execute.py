"""One chapter: `book/src/<slug>.py` (jupytext) to the executed `book/<slug>.ipynb`."""

from __future__ import annotations

import ast
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from strokerepro.errors import InputError, UsageError
from strokerepro.files import atomic_path

CHECKOUT = Path(__file__).resolve().parents[2]
# The kernel's advice about its transport is of no use to someone who builds the book.
_QUIET_KERNEL = "--log-level=ERROR"
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def book_folder(root: Path | None = None) -> Path:
    """Folder of the chapters inside a checkout.

    Parameters
    ----------
    root
        The repository's root; the checkout that this package is imported from by default.

    Raises
    ------
    InputError
        An installed package: the chapters' sources do not travel with it.
    """
    book = (root or CHECKOUT) / "book"
    if not (book / "src").is_dir():
        raise InputError(
            "a folder without book/src",
            "a checkout of the repository",
            "clone it and install it with pip install -e .",
        )
    return book


def chapter_slugs(root: Path | None = None) -> list[str]:
    """Names of all chapters that have a source, sorted."""
    return sorted(path.stem for path in (book_folder(root) / "src").glob("*.py"))


def read_source(path: Path) -> NotebookNode:
    """Read a chapter's source as a notebook without outputs, with the same ids at each reading."""
    notebook = jupytext.read(path, fmt="py:percent")
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{path.stem}-{index:03d}"
        cell["metadata"] = _kept_metadata(cell)
    notebook.metadata = {"kernelspec": dict(_KERNEL), "language_info": {"name": "python"}}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute_chapter(
    slug: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    root: Path | None = None,
    debug: bool = False,
) -> Path:
    """Run one chapter and write its notebook, wholly or not at all.

    Parameters
    ----------
    slug
        Name of the chapter, as `chapter_slugs` lists it.
    parameters
        Values for the cell tagged ``parameters``; those equal to the source's are left alone, so
        that the notebook has no injected cell unless something was changed.
    root
        The repository's root.
    debug
        Let the error of a failing cell pass with its traceback.

    Returns
    -------
    Path
        The notebook.

    Raises
    ------
    UsageError
        An unknown chapter or parameter.
    InputError
        A cell that fails: its number, its first line, and the error.
    """
    book = book_folder(root)
    if slug not in (known := chapter_slugs(root)):
        raise UsageError.unknown("chapter", slug, known)
    notebook = read_source(book / "src" / f"{slug}.py")
    changed = _changed_parameters(notebook, dict(parameters or {}))
    try:
        executed = papermill.execute_notebook(
            notebook,
            None,
            parameters=changed,
            cwd=str(book),
            kernel_name="python3",
            progress_bar=False,
            extra_arguments=[_QUIET_KERNEL],
        )
    except PapermillExecutionError as error:
        if debug:
            raise
        raise _failed(slug, error) from error
    path = book / f"{slug}.ipynb"
    with atomic_path(path) as temporary:
        nbformat.write(_without_volatile(executed, slug), temporary)
    return path


def _changed_parameters(notebook: NotebookNode, parameters: dict[str, Any]) -> dict[str, Any]:
    """Those parameters that differ from the source's values; a misspelt one is refused.

    papermill only warns of a name it does not know, and runs with the default.
    """
    if not parameters:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chapter.ipynb"
        nbformat.write(notebook, path)
        known = papermill.inspect_notebook(path)
    for name in parameters:
        if name not in known:
            raise UsageError.unknown("parameter", name, known)
    return {
        name: value
        for name, value in parameters.items()
        if ast.literal_eval(known[name]["default"]) != value
    }


def _failed(slug: str, error: PapermillExecutionError) -> InputError:
    lines = [line for line in str(error.source).splitlines() if line.strip()]
    first = lines[0].strip() if lines else ""
    return InputError(
        f"chapter {slug}, code cell {error.exec_count} ({first}): {error.ename}: {error.evalue}",
        "every cell to run",
        "see the message; --debug shows the traceback",
    )


def _kept_metadata(cell: NotebookNode) -> dict[str, Any]:
    """Only the tags: all else is of one run, one editor or one tool."""
    tags = list(cell.metadata.get("tags", []))
    return {"tags": tags} if tags else {}


def _without_volatile(notebook: NotebookNode, slug: str) -> NotebookNode:
    """Drop times, durations, versions and tool metadata, so that two runs give the same bytes."""
    notebook.metadata = NotebookNode(
        {"kernelspec": dict(_KERNEL), "language_info": {"name": "python"}}
    )
    count = 0
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{slug}-{index:03d}"
        cell["metadata"] = NotebookNode(_kept_metadata(cell))
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    return notebook


def notebook_in_sync(source: Path, notebook: Path) -> bool:
    """Whether a notebook has the cells of its source: type, text and tags, outputs apart.

    Parameters
    ----------
    source
        ``book/src/<slug>.py``.
    notebook
        ``book/<slug>.ipynb``.
    """
    if not notebook.is_file():
        return False
    written = nbformat.read(os.fspath(notebook), as_version=4)
    return _cells(read_source(source)) == _cells(written)


def _cells(notebook: NotebookNode) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (cell.cell_type, cell.source.strip(), tuple(cell.metadata.get("tags", [])))
        for cell in notebook.cells
    ]
