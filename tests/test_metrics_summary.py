"""Summaries that count what they leave out, and published numbers taken apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.errors import InputError, UsageError
from strokerepro.metrics import SENTINEL_MM, decode_sentinel, r_squared, summarise

NAN = float("nan")


def test_undefined_and_sentinel_cases_are_counted_and_left_out():
    """Of 2, 4, NaN and 1e8 the mean is 3 over two cases, and the table says so."""
    rows = [{"hd_mm": value} for value in (2.0, 4.0, NAN, SENTINEL_MM)]
    (row,) = summarise(rows, ["hd_mm"]).to_dict("records")
    assert row == {
        "metric": "hd_mm", "mean": 3.0, "sd": 1.0, "ddof": 0,
        "n": 2, "n_undefined": 1, "n_sentinel": 1,
    }  # fmt: skip


def test_the_sample_sd_is_an_option():
    """2 and 4 have a population SD of 1 and a sample SD of sqrt(2)."""
    table = summarise([{"dice": 2.0}, {"dice": 4.0}], ["dice"], ddof=1)
    assert table.loc[0, "sd"] == pytest.approx(math.sqrt(2))
    assert table.loc[0, "ddof"] == 1


def test_the_servers_own_mean_can_be_asked_for():
    """12 sentinels among 62 cases of 21.92 mm give the leaderboard's row, ddof 0."""
    rows = [{"hd_mm": SENTINEL_MM}] * 12 + [{"hd_mm": 21.92}] * 50
    table = summarise(rows, ["hd_mm"], keep_sentinel=True)
    assert table.loc[0, "mean"] == pytest.approx(19354856.4, abs=0.1)
    assert table.loc[0, "sd"] == pytest.approx(39507890.4, abs=0.1)
    assert table.loc[0, "n"] == 62


def test_a_metric_defined_nowhere_has_no_mean():
    """All cases undefined: NaN with n = 0, and no warning."""
    table = summarise([{"dice": NAN}], ["dice"])
    assert math.isnan(table.loc[0, "mean"])
    assert (table.loc[0, "n"], table.loc[0, "n_undefined"]) == (0, 1)


def test_a_missing_metric_is_refused():
    """A case without the key is an error, not an undefined value."""
    with pytest.raises(InputError, match="1 of 2 cases without 'dice'"):
        summarise([{"dice": 1.0}, {"hd_mm": 1.0}], ["dice"])


@pytest.mark.parametrize(
    ("mean", "sd", "k", "from_mean", "from_sd"),
    [
        (19354856.39, 39507890.41, 12, 21.92, 21.94),
        (19354856.66, 39507890.28, 12, 22.26, 22.27),
        (19354856.55, 39507890.34, 12, 22.12, 22.11),
        (16129055.93, 36779842.04, 10, 28.22, 28.23),
        (19354857.71, 39507889.77, 12, 23.56, 23.56),
    ],
)
def test_the_rows_of_ms_dcnn_table_1_decode(mean, sd, k, from_mean, from_sd):
    """Mean and SD of the printed Hausdorff distances tell k of 62 and the finite mean, twice."""
    decoded = decode_sentinel(mean, sd, 62)
    assert decoded.k == k
    assert decoded.finite_mean == pytest.approx(from_mean, abs=0.01)
    assert decoded.finite_mean_from_sd == pytest.approx(from_sd, abs=0.015)
    assert decoded.mean_consistent
    assert decoded.sd_consistent


def test_numbers_from_a_table_decode_as_typed_ones_do():
    """NumPy's numbers, as a column of a table holds them."""
    mean, sd = np.array([19354857.71, 39507889.77])
    assert decode_sentinel(mean, sd, 62) == decode_sentinel(19354857.71, 39507889.77, 62)


def test_a_misprinted_digit_is_found_out():
    """The row 19384856.55 fits no k; its SD says 12 sentinels and 22.11 mm (8 printed for 5)."""
    decoded = decode_sentinel(19384856.55, 39507890.34, 62)
    assert decoded.k == 12
    assert not decoded.mean_consistent
    assert math.isnan(decoded.finite_mean)
    assert decoded.finite_mean_from_sd == pytest.approx(22.11, abs=0.01)


def test_a_misprinted_sd_is_found_out():
    """A mean that fits k = 12 beside an SD that fits nothing."""
    decoded = decode_sentinel(19354856.39, 38507890.41, 62)
    assert (decoded.k, decoded.mean_consistent, decoded.sd_consistent) == (12, True, False)
    assert decoded.finite_mean == pytest.approx(21.92, abs=0.01)


@pytest.mark.parametrize(
    ("mean", "sd", "k"),
    [(19.4, 39.5, 12), (11.3, 31.6, 7), (17.7, 38.2, 11), (9.7, 29.6, 6), (16.1, 36.8, 10)],
)
def test_the_rows_of_core_resnet_table_2_decode(mean, sd, k):
    """Printed in millions with one decimal: k is certain, the finite mean is not recoverable."""
    decoded = decode_sentinel(mean * 1e6, sd * 1e6, 62, resolution=0.1e6)
    assert decoded.k == k
    assert decoded.mean_consistent
    assert decoded.sd_consistent
    assert math.isnan(decoded.finite_mean)
    assert math.isnan(decoded.finite_mean_from_sd)


def test_the_server_used_the_population_sd():
    """With the sample SD the printed rows fit no k."""
    assert not decode_sentinel(19354856.39, 39507890.41, 62, ddof=1).sd_consistent


def test_numbers_without_a_sentinel_decode_to_none():
    """23.5 mm with an SD of 15.8 mm is an ordinary mean; all failed is the sentinel itself."""
    assert decode_sentinel(23.5, 15.8, 94, resolution=0.1).k == 0
    everything = decode_sentinel(1e8, 0.0, 10)
    assert everything.k == 10
    assert math.isnan(everything.finite_mean)


def test_numbers_that_fit_nothing_are_refused():
    """A mean and SD that no number of sentinels explains."""
    with pytest.raises(InputError, match="a mixture of"):
        decode_sentinel(15_000_000.0, 1_000_000.0, 62)


@settings(deadline=None)
@given(
    finite=st.lists(st.floats(0, 200), min_size=1, max_size=60),
    k=st.integers(0, 30),
    ddof=st.sampled_from([0, 1]),
)
def test_decoding_undoes_the_averaging(finite, k, ddof):
    """Any mixture of sentinels and distances up to 200 mm gives back its k and finite mean."""
    values = np.array(finite + [SENTINEL_MM] * k)
    if values.size <= ddof:
        return
    mean, sd = round(float(values.mean()), 2), round(float(values.std(ddof=ddof)), 2)
    decoded = decode_sentinel(mean, sd, values.size, ddof=ddof)
    assert decoded.k == k
    slack = 0.005 * values.size / len(finite) + 1e-6 * values.size
    assert decoded.finite_mean == pytest.approx(np.mean(finite), abs=slack)


def test_both_readings_of_r_squared():
    """Doubled predictions correlate perfectly and still miss the line of identity."""
    truth = [1.0, 2.0, 3.0]
    assert r_squared([2.0, 4.0, 6.0], truth, kind="pearson") == pytest.approx(1.0)
    assert r_squared([2.0, 4.0, 6.0], truth) == pytest.approx(1 - 14 / 2)
    assert r_squared(truth, truth) == 1.0


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(*[st.integers(-50, 50)] * 2), min_size=3, max_size=20, unique_by=lambda p: p[1]
    )
)
def test_the_squared_correlation_is_never_smaller(pairs):
    """The best line of any slope fits at least as well as the line of identity."""
    pred, truth = np.array(pairs, float).T
    pearson = r_squared(pred, truth, kind="pearson")
    if not math.isnan(pearson):
        assert pearson >= r_squared(pred, truth) - 1e-9


def test_r_squared_without_spread_is_undefined():
    """Equal true values have nothing to explain; one value or a NaN is refused."""
    assert math.isnan(r_squared([1.0, 2.0], [3.0, 3.0]))
    assert math.isnan(r_squared([2.0, 2.0], [1.0, 3.0], kind="pearson"))
    with pytest.raises(InputError, match="at least two"):
        r_squared([1.0], [1.0])
    with pytest.raises(InputError, match="finite"):
        r_squared([1.0, NAN], [1.0, 2.0])
    with pytest.raises(UsageError, match="identity, pearson"):
        r_squared([1.0, 2.0], [1.0, 2.0], kind="adjusted")
