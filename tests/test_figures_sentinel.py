"""The figure in which a reader tries how many cases failed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strokerepro.errors import InputError
from strokerepro.figures import sentinel_explorer
from strokerepro.figures.sentinel import implied_means

# Two of ten cases failed, the others have 20 and 30 mm on average, with no spread.
FAILED = {
    name: (float(np.mean(values)), float(np.std(values)))
    for name, values in {
        "near": [1e8] * 2 + [20.0] * 8,
        "far": [1e8] * 2 + [30.0] * 8,
    }.items()
}


def test_both_estimates_agree_at_the_right_number():
    """Mean and SD of known values give their finite mean back, each on its own."""
    for name, expected in (("near", 20), ("far", 30)):
        assert implied_means(*FAILED[name], 2, 10) == pytest.approx((expected, expected), abs=1e-3)


@given(st.integers(1, 60), st.floats(1, 200))
def test_a_wrong_number_is_never_plausible(k: int, finite_mm: float):
    """With k + 1 the others' mean would be negative, however large it is in truth."""
    n = 62
    values = np.array([1e8] * k + [finite_mm] * (n - k))
    from_mean, _ = implied_means(values.mean(), values.std(), k + 1, n)
    assert from_mean < 0


def test_nothing_is_implied_without_cases_of_both_kinds():
    """Without failures the mean is the mean and the SD tells nothing; with failures only, none."""
    mean, from_sd = implied_means(25.0, 3.0, 0, 10)
    assert mean == 25
    assert math.isnan(from_sd)
    assert all(map(math.isnan, implied_means(1e8, 0.0, 10, 10)))


def test_the_slider_shows_the_others_only_where_they_are_plausible():
    """At the right number both estimates stand in the lower panel, elsewhere none does."""
    figure = sentinel_explorer(FAILED, 10, start=2)
    steps = figure.layout.sliders[0].steps
    assert len(steps) == 11
    for series in steps[2].args[0]["x"][1:]:
        assert series == pytest.approx([20, 30])
    for k in (1, 3, 9):
        assert steps[k].args[0]["x"][1:] == [[None] * 2, [None] * 2]


def test_a_published_pair_lies_on_its_point_of_the_arc():
    """The diamonds are at the place of k = 2, which a click on that point chooses."""
    arc, entries, chosen = sentinel_explorer(FAILED, 10, start=2).data[:3]
    assert entries.x == pytest.approx([arc.x[2]] * 2, abs=1e-4)
    assert entries.y == pytest.approx([arc.y[2]] * 2, abs=1e-4)
    assert (chosen.x[0], chosen.y[0]) == (arc.x[2], arc.y[2])


def test_an_entry_without_a_plausible_point_keeps_its_line():
    """A misprinted mean leaves its row empty instead of moving the others."""
    figure = sentinel_explorer({**FAILED, "misprint": (5e7, 1.0)}, 10, start=2)
    assert figure.layout.yaxis2.categoryarray == ("misprint", "far", "near")
    assert figure.data[3].x[2] is None


def test_nothing_to_draw_is_said_so():
    """An empty table or a single case raises a one-line error."""
    for published, n in (({}, 10), (FAILED, 1)):
        with pytest.raises(InputError, match="an entry"):
            sentinel_explorer(published, n)
