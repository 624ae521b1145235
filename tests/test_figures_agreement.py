"""Figures of agreement and choice: volumes, the grid search, and curves on two axes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strokerepro import figures
from strokerepro.errors import InputError


def _rows(pred: list[float], output: str = "full") -> list[dict[str, object]]:
    truth = [1.0, 2.0, 3.0]
    return [
        {"case_id": f"case_{k}", "volume_ml_truth": t, "volume_ml_pred": p, "output": output}
        for k, (t, p) in enumerate(zip(truth, pred, strict=True))
    ]


def test_r2_is_about_the_line_of_identity() -> None:
    """Twice every volume: residuals 1, 4, 9 over a total of 2 give R² = 1 - 14 / 2 = -6."""
    figure = figures.volume_scatter(_rows([2.0, 4.0, 6.0]))
    assert figure.data[1].name == "full: R² -6.00"
    assert "full R² = -6.00" in figure.layout.meta["alt"]


def test_identity_line_reaches_the_largest_volume_of_either_kind() -> None:
    """The dotted line ends at the largest predicted volume if that exceeds every true one."""
    figure = figures.volume_scatter(_rows([1.0, 2.0, 40.0]))
    assert list(figure.data[0].x) == list(figure.data[0].y) == [0, 40]


def test_each_method_has_its_own_symbol() -> None:
    """Two methods differ in symbol and colour, and each names its R²."""
    table = pd.DataFrame(_rows([1.0, 2.0, 3.0]) + _rows([1.0, 2.0, 2.0], "rule"))
    full, rule = figures.volume_scatter(table).data[1:]
    assert full.marker.symbol != rule.marker.symbol
    assert full.marker.color != rule.marker.color
    assert (full.name, rule.name) == ("full: R² 1.00", "rule: R² 0.50")


def test_chosen_cell_is_marked_on_every_map() -> None:
    """The frame surrounds row 1, column 2 of both metrics, and the description names the cell."""
    grid = np.arange(6.0).reshape(2, 3)
    figure = figures.grid_heatmaps(
        {"Dice": grid, "HD": grid}, thresholds=[0.1, 0.2], min_sizes=[10, 100, 200], chosen=(1, 2)
    )
    assert [(shape.x0, shape.x1, shape.y0, shape.y1) for shape in figure.layout.shapes] == [
        (1.5, 2.5, 0.5, 1.5),
        (1.5, 2.5, 0.5, 1.5),
    ]
    assert {shape.xref for shape in figure.layout.shapes} == {"x", "x2"}
    assert "chosen: T 0.2, size 200" in figure.layout.meta["alt"]


def test_undefined_cell_stays_empty() -> None:
    """A cell in which no case has a distance is drawn empty, not as zero."""
    grid = np.array([[np.nan, 2.0]])
    figure = figures.grid_heatmaps({"HD": grid}, thresholds=[0.5], min_sizes=[10, 100])
    assert [list(row) for row in figure.data[0].z] == [[None, 2.0]]
    assert not figure.layout.shapes


def test_grid_of_another_shape_is_refused() -> None:
    """A transposed grid ends in one clear line."""
    with pytest.raises(InputError, match=r"grid Dice of shape \(3, 2\)"):
        figures.grid_heatmaps({"Dice": np.zeros((3, 2))}, thresholds=[1, 2], min_sizes=[1, 2, 3])


def test_curves_name_their_axis() -> None:
    """Loss is drawn on the left axis, accuracy on the right one, and the legend says so."""
    figure = figures.dual_axis_curves(
        {"train loss": [[1, 0.5], [2, 0.4]]},
        {"accuracy": [[1, 0.9], [2, 0.95]]},
        left_title="loss",
        right_title="accuracy",
    )
    loss, accuracy = figure.data
    assert (loss.name, loss.yaxis) == ("train loss (left)", "y")
    assert (accuracy.name, accuracy.yaxis) == ("accuracy (right)", "y2")
    assert loss.line.dash != accuracy.line.dash
    assert figure.layout.yaxis2.title.text == "accuracy"
    assert "accuracy on the right" in figure.layout.meta["alt"]
