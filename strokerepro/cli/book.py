"""`strokerepro book`: execute the chapters on their records and build the HTML."""

from __future__ import annotations

from typing import Annotated

import typer

from strokerepro import chapters
from strokerepro.progress import progress_bar


def book(
    chapter: Annotated[str, typer.Option(help="Only this chapter.")] = "",
    profile: Annotated[str, typer.Option(help="Profile the chapters show.")] = "quick",
    train: Annotated[str, typer.Option(help="never, or missing to train what lacks.")] = "never",
    execute: Annotated[bool, typer.Option(help="Execute the chapters first.")] = True,
    html: Annotated[bool, typer.Option(help="Build the HTML.")] = True,
    strict: Annotated[bool, typer.Option(help="Treat warnings as errors.")] = True,
) -> None:
    """Execute the chapters by papermill and build the book."""
    names = [chapter] if chapter else chapters.chapter_slugs()
    if execute:
        with progress_bar("chapters", "chapter") as advance:
            for done, name in enumerate(names):
                advance(done, len(names), name)
                parameters = {"profile": profile, "train": train}
                chapters.execute_chapter(name, parameters=parameters)
                advance(done + 1, len(names), name)
    chapters.write_status()
    chapters.write_costs()
    if html:
        print(f"open {chapters.build_html(strict=strict) / 'index.html'}")
