"""Side-by-side timing that survives a shared machine.

One thread and process CPU time; in every round the two sides run in the order A B B A, so that a
slow spell hits both; the result is the median of the rounds' ratios with its quartiles.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

torch.set_num_threads(1)

#: Environment variable that names a file to which every comparison is added, one JSON a line.
RECORD_VARIABLE = "STROKEREPRO_BENCH_ROWS"


@dataclass(frozen=True)
class Comparison:
    """How many times longer the peer takes: median, lower and upper quartile of the rounds."""

    work: str
    peer: str
    ratio: float
    ratio_low: float
    ratio_high: float
    ours_ms: float
    peer_ms: float

    def __str__(self) -> str:
        spread = f"({self.ratio_low:.1f}-{self.ratio_high:.1f})"
        times = f"{self.ours_ms:8.2f} ms ours {self.peer_ms:9.2f} ms peer"
        return f"{self.work:<44} {self.peer:<34} x {self.ratio:5.1f} {spread:<13} {times}"


def compare(
    work: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    peer_name: str,
    rounds: int,
    repeats: int = 5,
    clock: Callable[[], float] = time.process_time,
) -> Comparison:
    """Time two callables against each other.

    Parameters
    ----------
    work, peer_name
        What is done, and by whom in which mode.
    ours, peer
        The two sides; the caller has checked that they do the same work.
    rounds
        Number of A B B A rounds, at least 2.
    repeats
        Calls of each side in each of the four places of a round.
    clock
        Seconds so far; where other processes or a GPU share the work, the time on the wall.
    """
    ours(), peer()  # first calls pay for allocation and lazy imports
    times = []
    for _ in range(rounds):
        first, second = (_mean_s(side, repeats, clock) for side in (ours, peer))
        third, fourth = (_mean_s(side, repeats, clock) for side in (peer, ours))
        times.append(((first + fourth) / 2, (second + third) / 2))
    ratios = [peer_s / ours_s for ours_s, peer_s in times]
    low, median, high = statistics.quantiles(ratios, n=4)
    ours_ms, peer_ms = (1e3 * statistics.median(side) for side in zip(*times, strict=True))
    result = Comparison(work, peer_name, median, low, high, ours_ms, peer_ms)
    _add_to_record(result)
    return result


def _add_to_record(result: Comparison) -> None:
    """Hand a comparison to the program that runs all benchmarks, if there is one."""
    if path := os.environ.get(RECORD_VARIABLE):
        row = {
            key: float(f"{value:.4g}") if isinstance(value, float) else value
            for key, value in asdict(result).items()
        }
        with Path(path).open("a", encoding="utf-8") as rows:
            rows.write(json.dumps(row) + "\n")


def _mean_s(call: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats
