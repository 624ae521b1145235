"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table


def print_json(value: Any) -> None:
    """Print a value as JSON; numbers that are not finite become null."""
    print(json.dumps(_plain(value), indent=1))


def print_table(frame: pd.DataFrame, title: str | None = None, digits: int = 3) -> None:
    """Print a table that fits the terminal; into a pipe, plain columns that a program can cut."""
    cells = [[_cell(value, digits) for value in row] for row in frame.itertuples(index=False)]
    if not Console().is_terminal:
        plain = pd.DataFrame(cells, columns=frame.columns).to_string(index=False)
        print(*filter(None, (title, plain)), sep="\n")
        return
    table = Table(title=title, title_justify="left")
    for column in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[column])
        table.add_column(str(column), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*row)
    Console().print(table)


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.{digits}f}"
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return [_plain(row) for row in value.to_dict("records")]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if hasattr(value, "item"):
        return _plain(value.item())
    return value
