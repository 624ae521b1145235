"""Chapters: text source to executed notebook, notebooks to HTML, records to the status page."""

from strokerepro.chapters.build import build_html
from strokerepro.chapters.execute import (
    chapter_slugs,
    execute_chapter,
    notebook_in_sync,
    read_source,
)
from strokerepro.chapters.overview import write_overview
from strokerepro.chapters.status import write_costs, write_status

__all__ = [
    "build_html",
    "chapter_slugs",
    "execute_chapter",
    "notebook_in_sync",
    "read_source",
    "write_costs",
    "write_overview",
    "write_status",
]
