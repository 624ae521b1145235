"""Folds of the user's own: read from a file, named in the record, refused if they leak."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from smir_cohort import write_smir_cohort

from .helpers import SMOKE, one_line

Command = Callable[..., tuple[int, str, str]]


def fold_file(path: Path, fold_of: dict[str, int]) -> Path:
    lines = [f"{case},{fold}" for case, fold in fold_of.items()]
    path.write_text("\n".join(["case,fold", *lines]) + "\n")
    return path


def test_own_folds_decide_who_is_tested_and_make_a_run_of_their_own(
    command: Command, cohort: Path, tmp_path: Path
) -> None:
    """Of nine cases the three of the file's first fold are reported."""
    names = [f"sub-strokecase{number:04d}" for number in range(1, 10)]
    folds = {name: int(name in names[3:6]) for name in names}
    file = fold_file(tmp_path / "folds.csv", {n: 1 - f for n, f in folds.items()})
    words = (*SMOKE, "--root", cohort, "--results-dir", tmp_path, "--fold-file", file)
    code, _, error = command(*words)
    assert code == 2
    assert "--fold-file without --name" in one_line(error)
    code, _, error = command(*words, "--name", "theirs")
    assert code == 0, error
    record = json.loads(next(tmp_path.glob("edd_muscle/theirs-*.json")).read_text())
    assert record["splits"]["test"] == names[3:6]
    assert record["n_folds"] == 2


@pytest.mark.parametrize(
    ("folds", "said"),
    [({"case_1": 0, "case_2": 1, "case_3": 1, "case_4": 1}, "case_2 in fold 1, both of patient"),
     ({"case_1": 0, "case_2": 0, "case_3": 1}, "no fold for case_4")],
)  # fmt: skip
def test_a_fold_file_that_leaks_or_leaves_out_is_one_line_and_trains_nothing(
    command: Command, tmp_path: Path, folds: dict[str, int], said: str
) -> None:
    """Two slabs of a patient in two folds would test on what was trained on."""
    root = write_smir_cohort(tmp_path / "data", 4)
    file = fold_file(tmp_path / "folds.csv", folds)
    code, _, error = command(
        "run", "core_resnet", "--profile", "smoke", "--data", "isles2018", "--root", root,
        "--results-dir", tmp_path / "runs", "--fold-file", file, "--name", "theirs",
    )  # fmt: skip
    assert code == 1
    assert said in one_line(error)
    assert not list((tmp_path / "runs").rglob("*.json"))
