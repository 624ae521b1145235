"""Progress of long work: a bar with rate and time left, or plain lines without a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

#: Called with the amount done so far, the total, and a short note such as ``"loss 0.31"``.
Advance = Callable[[int, int, str], None]

_PLAIN_INTERVAL_S = 10.0


def silent(done: int, total: int, note: str = "") -> None:
    """Report nothing: the default of every function that takes an `Advance`."""


@contextmanager
def progress_bar(label: str, unit: str = "it") -> Iterator[Advance]:
    """Show the progress of one piece of work on standard error.

    Parameters
    ----------
    label
        What is being done, in a few words.
    unit
        What is counted, for the rate.

    Yields
    ------
    Advance
        To be called with ``(done, total, note)`` as often as convenient.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        with _rich_bar(console, label, unit) as advance:
            yield advance
    else:
        yield _plain_lines(label, unit)


class _Clock:
    """Rate of work that may consist of several stages, each counted from its own start."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._first = self._last = 0

    def rate(self, done: int) -> float:
        """Units per second since the stage began; a falling count begins a new stage."""
        now = time.monotonic()
        if done < self._last:
            self._started, self._first = now, done
        self._last = done
        elapsed_s = now - self._started
        return (done - self._first) / elapsed_s if elapsed_s > 0 else 0.0


@contextmanager
def _rich_bar(console: Console, label: str, unit: str) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    clock = _Clock()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=None, note="", rate="")

        def advance(done: int, total: int, note: str = "") -> None:
            rate = f"{clock.rate(done):.1f} {unit}/s"
            progress.update(task, completed=done, total=total, note=note, rate=rate)

        yield advance


def _plain_lines(label: str, unit: str) -> Advance:
    clock = _Clock()
    shown = time.monotonic()

    def advance(done: int, total: int, note: str = "") -> None:
        nonlocal shown
        now = time.monotonic()
        rate = clock.rate(done)
        if now - shown < _PLAIN_INTERVAL_S and done < total:
            return
        shown = now
        left = f"{(total - done) / rate:.0f} s left" if rate > 0 else "starting"
        line = f"{label}: {done}/{total}, {rate:.1f} {unit}/s, {left} {note}"
        print(line.rstrip(), file=sys.stderr, flush=True)

    return advance
