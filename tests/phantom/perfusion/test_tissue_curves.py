"""Tissue curves: against direct convolution, in area, delay, dispersion and height."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strokerepro.errors import UsageError
from strokerepro.phantom.perfusion.arterial_input import ArterialInput, draw_arterial_input
from strokerepro.phantom.perfusion.config import PERFUSION
from strokerepro.phantom.perfusion.residue import residue
from strokerepro.phantom.perfusion.tissue_curves import CurveTable

FRAMES_S = np.arange(60.0)
FINE_S = 0.01


def one(value: float) -> NDArray[np.float64]:
    """An array of one voxel."""
    return np.array([value])


def convolved(
    arterial: ArterialInput, cbf: float, mtt_s: float, delay_s: float, tau_s: float
) -> NDArray[np.float64]:
    """Tissue curve by direct sums on a grid of 0.01 s with midpoint samples."""
    time_s = FINE_S * np.arange(7000)
    middle_s = time_s + FINE_S / 2
    stay = residue(middle_s, mtt_s, 1.7) * FINE_S
    spread = np.diff(-np.exp(-np.append(time_s, time_s[-1] + FINE_S) / tau_s))
    kernel = np.convolve(stay[:6000], spread[:6000])[:6000]
    curve = np.convolve(arterial.at(time_s)[:6000], kernel)[:6000]
    # Both kernels are sampled at midpoints: the sum belongs to a time one step later.
    shifted = np.interp(FRAMES_S - delay_s, time_s[:6000] + FINE_S, curve, left=0.0)
    return 1.04 / 0.73 * cbf / 6000 * shifted


@pytest.mark.parametrize(
    ("mtt_s", "delay_s", "tau_s"),
    [(3.82, 0.9, 0.25), (1.5, 0.0, 0.4), (6.3, 4.37, 1.1), (13.1, 8.05, 3.7), (25.9, 2.0, 0.7)],
)
def test_the_table_equals_direct_convolution(
    arterial: ArterialInput, table: CurveTable, mtt_s: float, delay_s: float, tau_s: float
) -> None:
    """Between the nodes too, within 0.5 % of the peak."""
    looked_up = table.tissue_curves(one(50.0), one(mtt_s), one(delay_s), one(tau_s), FRAMES_S)
    direct = convolved(arterial, 50.0, mtt_s, delay_s, tau_s)
    assert np.abs(looked_up[:, 0] - direct).max() < 0.005 * direct.max()


def test_at_a_node_the_table_is_nearly_exact(arterial: ArterialInput, table: CurveTable) -> None:
    """At nodes of transit time and dispersion, and frames on the grid: within 0.1 %."""
    mtt_s, tau_s = float(table.mtt_s[10]), float(table.dispersion_s[5])
    looked_up = table.tissue_curves(one(50.0), one(mtt_s), one(2.0), one(tau_s), FRAMES_S)
    direct = convolved(arterial, 50.0, mtt_s, 2.0, tau_s)
    assert np.abs(looked_up[:, 0] - direct).max() < 0.001 * direct.max()


@settings(max_examples=25, deadline=None)
@given(cbf=st.floats(1.0, 90.0), mtt_s=st.floats(0.0, 3.0), tau_s=st.floats(0.0, 1.5))
def test_the_area_is_blood_volume_times_arterial_area(
    cbf: float, mtt_s: float, tau_s: float
) -> None:
    """Area ratio = 1.04 / 0.73 x CBF MTT / 6000, of a bolus that has left by the end."""
    bolus = ArterialInput(200.0, 5.0, 3.0, 1.5, 0.0, 11.0, 2.0, 0.0)
    table = _table_of(bolus)
    time_s = np.arange(0.0, 75.0, 0.5)
    curve = table.tissue_curves(one(cbf), one(mtt_s), one(1.3), one(tau_s), time_s)
    expected = 1.04 / 0.73 * cbf * mtt_s / 6000 * bolus.at(time_s).sum()
    assert curve.sum() == pytest.approx(expected, rel=2e-3, abs=1e-9)


_TABLES: dict[ArterialInput, CurveTable] = {}


def _table_of(bolus: ArterialInput) -> CurveTable:
    """Build once for all examples."""
    return _TABLES.setdefault(bolus, CurveTable.build(bolus, 1.0))


def test_a_delay_moves_the_curve(table: CurveTable) -> None:
    """Five seconds later, frame by frame, nothing else changes."""
    prompt, late = (
        table.tissue_curves(one(50.0), one(4.0), one(delay), one(0.5), FRAMES_S)[:, 0]
        for delay in (1.0, 6.0)
    )
    np.testing.assert_allclose(late[5:], prompt[:-5], rtol=1e-12)
    assert not late[:12].any()


def test_dispersion_lowers_and_delays_the_peak(table: CurveTable) -> None:
    """More dispersion, a lower and later peak of the same area."""
    curves = table.tissue_curves(
        np.full(4, 50.0), np.full(4, 4.0), np.zeros(4), np.array([0.0, 1.0, 2.0, 4.0]), FRAMES_S
    )
    assert (np.diff(curves.max(axis=0)) < 0).all()
    assert (np.diff(np.argmax(curves, axis=0)) >= 0).all()
    assert np.argmax(curves, axis=0)[3] > np.argmax(curves, axis=0)[0]


def test_grey_matter_peaks_between_6_and_11_hu() -> None:
    """CBF 55, CBV 3.5: the median over drawn inputs lies inside, 9 of 10 within 6 to 14 HU.

    The largest belong to the narrowest bolus of the largest amplitude, and to a voxel of pure grey
    matter, of which there is none in a slice of 4 mm or more.
    """
    rng = np.random.default_rng(0)
    peaks = []
    for _ in range(25):
        bolus = draw_arterial_input(rng, PERFUSION.arterial)
        curves = CurveTable.build(bolus, float(rng.uniform(*PERFUSION.transit.alpha)))
        args = (one(55.0), one(60 * 3.5 / 55), one(0.9), one(0.25))
        peaks.append(curves.tissue_curves(*args, FRAMES_S).max())
    low, median, high = np.quantile(peaks, [0.05, 0.5, 0.95])
    assert 6.0 < median < 11.0
    assert low > 6.0
    assert high < 14.0


def test_a_vessel_without_delay_is_the_artery(arterial: ArterialInput, table: CurveTable) -> None:
    """All blood, no transit: the arterial input itself; a vein comes later and lower."""
    vessels = table.vessel_curves(np.array([0.0, 4.0]), np.array([0.0, 3.0]), FRAMES_S)
    np.testing.assert_allclose(vessels[:, 0], arterial.at(FRAMES_S), atol=1e-9)
    assert vessels[:, 1].max() < vessels[:, 0].max()
    assert np.argmax(vessels[:, 1]) >= np.argmax(vessels[:, 0]) + 4


def test_no_flow_or_no_transit_time_is_no_contrast(table: CurveTable) -> None:
    """Voxels with CBF 0, with MTT 0, and no voxel at all."""
    both = table.tissue_curves(
        np.array([0.0, 50.0]), np.array([4.0, 0.0]), np.zeros(2), np.zeros(2), FRAMES_S
    )
    assert not both.any()
    none = np.zeros(0)
    assert table.tissue_curves(none, none, none, none, FRAMES_S).shape == (60, 0)


def test_voxels_do_not_depend_on_their_neighbours(table: CurveTable) -> None:
    """Many voxels at once, over several blocks, give bit for bit what each alone gives."""
    rng = np.random.default_rng(0)
    count = 2500
    values = [rng.uniform(low, high, count) for low, high in ((0, 80), (1, 25), (0, 10), (0, 5))]
    together = table.tissue_curves(*values, FRAMES_S)
    for voxel in (0, 1023, 1024, 2499):
        alone = table.tissue_curves(*(item[[voxel]] for item in values), FRAMES_S)
        np.testing.assert_array_equal(together[:, [voxel]], alone)


@pytest.mark.parametrize(
    ("cbf", "mtt_s", "delay_s", "tau_s", "message"),
    [
        (50.0, 41.0, 0.0, 0.0, "MTT of 41 s"),
        (50.0, -1.0, 0.0, 0.0, "MTT of -1 s"),
        (50.0, 4.0, 0.0, 12.5, "dispersion of 12.5 s"),
        (50.0, 4.0, -30.0, 0.0, "a time of 89 s"),
        (-1.0, 4.0, 0.0, 0.0, "negative or undefined flow"),
        (float("nan"), 4.0, 0.0, 0.0, "negative or undefined flow"),
        (50.0, float("nan"), 0.0, 0.0, "MTT of nan s"),
        (50.0, 4.0, float("nan"), 0.0, "a time of nan s"),
    ],
)
def test_values_outside_the_table_are_refused(
    table: CurveTable, cbf: float, mtt_s: float, delay_s: float, tau_s: float, message: str
) -> None:
    """One line that names the value, never an extrapolated curve."""
    with pytest.raises(UsageError, match=message):
        table.tissue_curves(one(cbf), one(mtt_s), one(delay_s), one(tau_s), FRAMES_S)


def test_inputs_that_no_table_can_hold_are_refused(arterial: ArterialInput) -> None:
    """An arrival before the first frame, and a shape that is not positive."""
    with pytest.raises(UsageError, match="arrival_s -1"):
        CurveTable.build(replace(arterial, arrival_s=-1.0), 1.0)
    with pytest.raises(UsageError, match="alpha 0"):
        CurveTable.build(arterial, 0.0)
