"""Scores at a threshold T and a smallest component S_min that are chosen after the predictions.

A record of a method with these two keeps the scores of every test case at every pair of them. So
another way of choosing can be reported without predicting anything anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from strokerepro.errors import InputError, UsageError
from strokerepro.metrics.operating_point import select_operating_point
from strokerepro.records import RunRecord, find_record, load_arrays

Protocol = Literal["pooled", "nested"]
Pair = tuple[int, int]  # indices of T and of S_min
#: Scores that a record keeps at every pair.
SCORES = ("dice", "precision", "recall", "hd_mm", "hd_vox", "volume_ml_pred")
_RULE = "ranksum"


@dataclass(frozen=True)
class Grid:
    """Scores of one output of one fold at every pair of T and S_min.

    Attributes
    ----------
    record
        The record of the fold.
    scores
        Each of `SCORES` to ``(N, T, S_min)``, in the order of the record's test cases; NaN where
        undefined.
    """

    record: RunRecord
    scores: Mapping[str, NDArray[np.float32]]

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Values of T."""
        return tuple(self.record.settings["thresholds"])

    @property
    def min_sizes(self) -> tuple[float, ...]:
        """Values of S_min in the unit of the record's settings."""
        return tuple(self.record.settings["min_sizes"])


def load_grids(records: Sequence[RunRecord], output: str, folders: Sequence[Path]) -> list[Grid]:
    """Read the grids of one output from the arrays beside its records, one a fold.

    Parameters
    ----------
    records
        The records of one experiment.
    output
        Such as ``"uf"``.
    folders
        Results folders.

    Raises
    ------
    InputError
        A record without the grid of that output.
    """
    grids = []
    for record in records:
        path = find_record(record.slug, record.stem, folders)
        stored = path.with_suffix(".npz") if path else None
        arrays = load_arrays(stored) if stored and stored.is_file() else {}
        names = {score: f"{output}/grid_{score}" for score in SCORES}
        if not set(names.values()) <= set(arrays):
            raise InputError(
                f"{record.stem} without the grid of {output}",
                "scores at every pair of threshold and smallest size",
                "run the experiment again",
            )
        grids.append(Grid(record, {score: arrays[name] for score, name in names.items()}))
    return grids


def mean_over_cases(grids: Sequence[Grid], score: str) -> NDArray[np.float64]:
    """Mean of one score over the cases of all folds that have it, ``(T, S_min)``."""
    values = _stacked(grids, score).astype(np.float64)
    defined = ~np.isnan(values)
    count = defined.sum(axis=0)
    mean: NDArray[np.float64] = np.divide(
        np.where(defined, values, 0).sum(axis=0),
        count,
        out=np.full(count.shape, np.nan),
        where=count > 0,
    )
    return mean


def chosen_pair(grids: Sequence[Grid]) -> Pair:
    """Indices of the pair that is best on all cases of the given folds together."""
    first = grids[0]
    point = select_operating_point(
        _stacked(grids, "dice"),
        _stacked(grids, "hd_mm"),
        thresholds=first.thresholds,
        min_sizes=first.min_sizes,
        rule=first.record.settings.get("select_point", _RULE),
    )
    return point.i, point.j


def rows_at_points(grids: Sequence[Grid], output: str, *, protocol: Protocol) -> pd.DataFrame:
    """Per-case rows of an output whose T and S_min are chosen by a protocol.

    Parameters
    ----------
    grids
        As `load_grids` gives for the same output.
    output
        Its name.
    protocol
        ``"pooled"``: one pair, the best on all cases of all folds, as the paper does it.
        ``"nested"``: for each fold the pair that is best on all *other* folds, so that no case
        takes part in the choice for itself.

    Returns
    -------
    pandas.DataFrame
        One row a case with the columns of `method_rows`, ``protocol``, ``threshold``,
        ``min_size``, `SCORES` and ``volume_ml_truth``.

    Raises
    ------
    UsageError
        An unknown protocol, or a nested choice from one fold.
    """
    if protocol not in get_args(Protocol):
        raise UsageError.unknown("protocol", protocol, get_args(Protocol))
    if protocol == "nested" and len(grids) < 2:
        raise UsageError(
            "a nested choice from one fold", "at least two folds", "choose pooled, or run more"
        )
    rows = []
    everywhere = chosen_pair(grids) if protocol == "pooled" else None
    for grid in grids:
        pair = everywhere or chosen_pair([other for other in grids if other is not grid])
        rows += _rows_of(grid, output, pair)
    return pd.DataFrame(rows).assign(protocol=protocol)


def _rows_of(grid: Grid, output: str, pair: Pair) -> list[dict[str, object]]:
    record, (i, j) = grid.record, pair
    volumes = {
        row["case_id"]: row["volume_ml_truth"]
        for row in record.rows
        if row["split"] == "test" and row["output"] == output
    }
    identity = {
        "name": record.name,
        "output": output,
        "method": f"{record.name}/{output}",
        "profile": record.profile,
        "data": record.data,
        "fold": record.fold,
        "seed": record.seed,
        "split": "test",
        "threshold": grid.thresholds[i],
        "min_size": grid.min_sizes[j],
    }
    return [
        {
            **identity,
            "case_id": case_id,
            "volume_ml_truth": volumes[case_id],
            **{score: float(values[n, i, j]) for score, values in grid.scores.items()},
        }
        for n, case_id in enumerate(record.splits["test"])
    ]


def _stacked(grids: Sequence[Grid], score: str) -> NDArray[np.float32]:
    """One score of the cases of all folds, ``(N, T, S_min)``."""
    return np.concatenate([grid.scores[score] for grid in grids])
