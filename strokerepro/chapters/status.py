"""What the records say about themselves: the status page, and the README's cost table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from strokerepro.chapters.estimates import estimate_rows
from strokerepro.chapters.execute import CHECKOUT, book_folder
from strokerepro.errors import InputError
from strokerepro.experiment import TRANSFERRED
from strokerepro.files import write_text
from strokerepro.papers import get_recipe
from strokerepro.records import RunRecord, list_records

COSTS_BEGIN, COSTS_END = "<!-- costs:begin -->", "<!-- costs:end -->"
_SHOWN = ("python", "torch", "numpy")
_UNKNOWN = "unknown: no record"
_NONE_YET = "No record has been committed yet.\n"
_STATUS_HEAD = """# Status

Every number of ours in this book comes from a committed run record. This page is generated from
the records: what was run, on which class of machine, with which versions, and when.

"""


def read_records(root: Path | None = None) -> dict[str, list[RunRecord]]:
    """Read all committed run records by chapter, in the order of their names.

    Raises
    ------
    InputError
        A record that is broken or of another schema.
    """
    results = book_folder(root) / "results"
    slugs = sorted({path.parent.name for path in results.glob("*/*.json")})
    return {slug: list_records(slug, [results]) for slug in slugs}


def write_status(root: Path | None = None) -> Path:
    """Write ``book/status.md`` from the records and return its path."""
    path = book_folder(root) / "status.md"
    write_text(path, _STATUS_HEAD + status_table(read_records(root)))
    return path


def status_table(records: Mapping[str, Sequence[RunRecord]]) -> str:
    """Markdown table: one line for each chapter, profile, data set, machine and version."""
    header = ("chapter", "profile", "data", "records", "machine", "versions", "last run", "time")
    lines = []
    for slug, rows in records.items():
        for (profile, data, device, versions), group in _grouped(rows).items():
            lines.append(
                (
                    f"[{slug}]({slug}.ipynb)",
                    profile,
                    f"`{data}`",
                    str(len(group)),
                    device,
                    versions,
                    max(record.created[:10] for record in group),
                    _duration(_total_s(group)),
                )
            )
    return _markdown(header, lines) if lines else _NONE_YET


def write_costs(root: Path | None = None) -> Path:
    """Write the table of times and expected numbers between the marks in ``README.md``.

    Raises
    ------
    InputError
        A README without the two marks.
    """
    path = (root or CHECKOUT) / "README.md"
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(COSTS_BEGIN)
    _, end, after = rest.partition(COSTS_END)
    if not (begin and end):
        raise InputError(
            f"README.md without {COSTS_BEGIN} and {COSTS_END}", "both marks", "put them back"
        )
    write_text(path, f"{before}{begin}\n\n{costs_table(read_records(root))}\n{end}{after}")
    return path


def costs_table(records: Mapping[str, Sequence[RunRecord]]) -> str:
    """Markdown table: what each profile costs on each class of machine, and what to expect.

    Large profiles without a record get rows that call themselves estimates.
    """
    header = (
        "paper",
        "profile",
        "data",
        "machine",
        "runs",
        "time of all runs",
        "expected test Dice",
    )
    lines = []
    for slug, rows in records.items():
        trained = [row for row in rows if not row.name.startswith(TRANSFERRED)]
        for (profile, data, device, _), group in _grouped(trained).items():
            lines.append(
                (
                    slug,
                    f"`{profile}`",
                    f"`{data}`",
                    device,
                    str(len(group)),
                    _duration(_total_s(group)),
                    expected_dice(slug, group),
                )
            )
        for profile, data, machine, runs, seconds in (
            estimate_rows(slug, trained) if trained else ()
        ):
            cost = f"*estimate:* {_duration(seconds)}"
            lines.append((slug, f"`{profile}`", f"`{data}`", machine, str(runs), cost, _UNKNOWN))
    return _markdown(header, lines) if lines else _NONE_YET


def expected_dice(slug: str, records: Sequence[RunRecord]) -> str:
    """Mean, standard deviation and n of the test Dice of the main experiment's main output."""
    output = get_recipe(slug).main_output
    dice = [
        row["dice"]
        for record in records
        if record.name == "main"
        for row in record.rows
        if row["split"] == "test" and row["output"] == output and math.isfinite(row["dice"])
    ]
    if not dice:
        return "n/a"
    return f"{np.mean(dice):.2f} ± {np.std(dice):.2f} (n = {len(dice)})"


def _grouped(
    records: Iterable[RunRecord],
) -> dict[tuple[str, str, str, str], list[RunRecord]]:
    groups: dict[tuple[str, str, str, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        versions = ", ".join(
            f"{name} {record.versions[name]}" for name in _SHOWN if name in record.versions
        )
        groups[record.profile, record.data, record.device, versions].append(record)
    return dict(sorted(groups.items()))


def _total_s(records: Sequence[RunRecord]) -> float:
    return math.fsum(record.wall_s for record in records)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 10 else f"{hours:.0f} h"


def _markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
