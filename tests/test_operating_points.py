"""Threshold and smallest size are chosen on all cases, or on the other folds: by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strokerepro.errors import InputError, UsageError
from strokerepro.records import RunRecord, save_record
from strokerepro.report import chosen_pair, load_grids, mean_over_cases, rows_at_points

OUTPUT = "uf"
SCORES = ("dice", "precision", "recall", "hd_mm", "hd_vox", "volume_ml_pred")


def record(fold: int, cases: list[str]) -> RunRecord:
    rows: list[dict[str, Any]] = [
        {"case_id": case, "split": "test", "output": OUTPUT, "volume_ml_truth": 7.0}
        for case in cases
    ]
    return RunRecord(
        slug="core_resnet", name="main", profile="quick", data="phantom_ctp", fold=fold, n_folds=2,
        seed=0, key="k", settings={"thresholds": [0.3, 0.6], "min_sizes": [0.0, 1.0]},
        splits={"train": [], "val": [], "test": cases}, rows=rows, curves={}, timings_s={},
        facts={}, notes=[], created="2026-01-01", commit="c", code="c", versions={},
        device="cpu", wall_s=1.0, peak_memory_mb=1.0,
    )  # fmt: skip


def stored(folder: Path, dice_by_fold: list[list[float]]) -> list[RunRecord]:
    """Write folds of one case each whose Dice at the four pairs is given; distances mirror it."""
    records = []
    for fold, dice in enumerate(dice_by_fold):
        values = np.array(dice, np.float32).reshape(1, 2, 2)
        arrays = {f"{OUTPUT}/grid_{score}": values for score in SCORES}
        arrays[f"{OUTPUT}/grid_hd_mm"] = 100 * (1 - values)
        records.append(record(fold, [f"case_{fold}"]))
        save_record(records[-1], folder, arrays)
    return records


def test_a_pooled_choice_is_the_same_pair_for_all_folds(tmp_path: Path) -> None:
    """The pair with the best mean rank over all cases is reported for each of them."""
    records = stored(tmp_path, [[0.1, 0.9, 0.2, 0.3], [0.1, 0.4, 0.2, 0.5]])
    rows = rows_at_points(load_grids(records, OUTPUT, [tmp_path]), OUTPUT, protocol="pooled")
    assert list(rows["dice"].round(3)) == [0.9, 0.4]
    assert set(rows["threshold"]) == {0.3}
    assert set(rows["min_size"]) == {1.0}
    assert set(rows["method"]) == {"main/uf"}
    assert list(rows["volume_ml_truth"]) == [7.0, 7.0]


def test_a_nested_choice_never_sees_the_fold_it_is_reported_for(tmp_path: Path) -> None:
    """Each fold is scored at the pair that is best on the other one, worse for itself."""
    records = stored(tmp_path, [[0.1, 0.9, 0.2, 0.3], [0.1, 0.4, 0.2, 0.5]])
    rows = rows_at_points(load_grids(records, OUTPUT, [tmp_path]), OUTPUT, protocol="nested")
    assert list(rows["dice"].round(3)) == [0.3, 0.4]
    assert list(rows["threshold"]) == [0.6, 0.3]


def test_a_mean_over_cases_leaves_out_where_a_score_is_undefined(tmp_path: Path) -> None:
    """Where one of two cases has no Hausdorff distance, the mean is that of the other."""
    records = stored(tmp_path, [[0.2, 0.4, float("nan"), float("nan")], [0.4, 0.6, 0.5, np.nan]])
    mean = mean_over_cases(load_grids(records, OUTPUT, [tmp_path]), "dice")
    np.testing.assert_allclose(mean, [[0.3, 0.5], [0.5, np.nan]], atol=1e-6)


def test_the_pair_of_one_fold_is_its_own_best(tmp_path: Path) -> None:
    """With one fold the choice is made on its cases."""
    grids = load_grids(stored(tmp_path, [[0.1, 0.2, 0.7, 0.3]]), OUTPUT, [tmp_path])
    assert chosen_pair(grids) == (1, 0)


def test_a_run_without_a_grid_is_refused_in_one_line(tmp_path: Path) -> None:
    """Records of other methods keep no scores over a grid."""
    save_record(record(0, ["case_0"]), tmp_path)
    with pytest.raises(InputError, match=r"without the grid of uf.*run the experiment again"):
        load_grids([record(0, ["case_0"])], OUTPUT, [tmp_path])


def test_a_nested_choice_needs_two_folds(tmp_path: Path) -> None:
    """With one fold there is no other one to choose on."""
    grids = load_grids(stored(tmp_path, [[0.1, 0.2, 0.7, 0.3]]), OUTPUT, [tmp_path])
    with pytest.raises(UsageError, match="a nested choice from one fold"):
        rows_at_points(grids, OUTPUT, protocol="nested")


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    """A misspelt protocol is named with what there is."""
    with pytest.raises(UsageError, match=r"protocol.*pooled.*nested"):
        rows_at_points([], OUTPUT, protocol="nest")  # type: ignore[arg-type]
