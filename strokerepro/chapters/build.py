"""Notebooks and pages to HTML, by the `jupyter-book` script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from strokerepro.chapters.execute import book_folder
from strokerepro.errors import InputError

_SHOWN_LINES = 8


def jupyter_book_script() -> Path:
    """Find the script of this very environment: the package cannot be run with ``python -m``.

    Raises
    ------
    InputError
        Jupyter Book is not installed.
    """
    beside = Path(sys.executable).with_name("jupyter-book")
    found = str(beside) if beside.is_file() else shutil.which("jupyter-book")
    if found is None:
        raise InputError(
            "no jupyter-book",
            "the packages of the book",
            'run pip install -c constraints.txt -e ".[book]"',
        )
    return Path(found)


def build_html(*, strict: bool = True, root: Path | None = None) -> Path:
    """Build the book from scratch and return the folder of its pages.

    Parameters
    ----------
    strict
        Whether a warning (a missing picture, a broken reference) fails the build.
    root
        The repository's root.

    Raises
    ------
    InputError
        The build failed; the message holds its warnings.
    """
    folder = book_folder(root).parent
    # An incremental build repeats no warning of an unchanged page, and would pass a broken one.
    shutil.rmtree(folder / "_build", ignore_errors=True)
    command = [os.fspath(jupyter_book_script()), "build", os.fspath(folder), "--keep-going"]
    command += ["-W", "-n"] if strict else []
    done = subprocess.run(
        command,
        cwd=folder,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        raise InputError(
            f"jupyter-book build with exit code {done.returncode}: {_complaints(done.stdout)}",
            "a build without warnings" if strict else "a build",
            "mend the pages named above",
        )
    return folder / "_build" / "html"


def _complaints(output: str) -> str:
    """Join the lines that tell what is wrong; else the last lines."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    chosen = [line for line in lines if "WARNING" in line or "ERROR" in line or "rror:" in line]
    return " | ".join((chosen or lines)[-_SHOWN_LINES:])
