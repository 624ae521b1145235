"""Deconvolution: equality with the explicit decomposition, and errors over the real range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strokerepro.errors import InputError
from strokerepro.phantom.perfusion.arterial_input import ArterialInput, draw_arterial_input
from strokerepro.phantom.perfusion.config import PERFUSION
from strokerepro.phantom.perfusion.deconvolution import (
    PerfusionMaps,
    deconvolve,
    residue_functions,
)
from strokerepro.phantom.perfusion.residue import residue
from strokerepro.phantom.perfusion.tissue_curves import CurveTable

Floats = NDArray[np.float64]

FRAMES_S = np.arange(60.0)
DELAYS_S = np.array([0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0])


def explicit_svd(tissue: Floats, arterial: Floats, dt_s: float, threshold: float) -> Floats:
    """Residues by the singular value decomposition of the 2T x 2T circulant matrix."""
    length = 2 * len(arterial)
    padded = np.concatenate([arterial, np.zeros(len(arterial))])
    matrix = dt_s * np.stack([np.roll(padded, shift) for shift in range(length)], axis=1)
    left, singular, right = np.linalg.svd(matrix)
    kept = singular >= threshold * singular[0]
    inverse = np.where(kept, 1 / np.where(kept, singular, 1.0), 0.0)
    data = np.concatenate([tissue, np.zeros_like(tissue)])
    return 6000 * 0.73 / 1.04 * (right.T @ (inverse[:, None] * (left.T @ data)))


def maps_of(
    arterial: ArterialInput, alpha: float, mtt_s: float, frames_s: Floats = FRAMES_S
) -> PerfusionMaps:
    """Maps of voxels with CBF 30 and the seven delays, without noise and dispersion."""
    ones = np.ones_like(DELAYS_S)
    table = CurveTable.build(arterial, alpha)
    curves = table.tissue_curves(30 * ones, mtt_s * ones, DELAYS_S, 0 * ones, frames_s)
    return deconvolve(curves, arterial.at(frames_s), frames_s[1] - frames_s[0])


@pytest.mark.parametrize("dt_s", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.2])
def test_two_ffts_equal_the_explicit_decomposition(
    arterial: ArterialInput, dt_s: float, threshold: float
) -> None:
    """Noisy voxels over several blocks, within 1e-6 of the largest value."""
    rng = np.random.default_rng(0)
    artery = arterial.at(dt_s * np.arange(47)) + rng.normal(0, 1.7, 47)
    tissue = rng.normal(4.0, 3.0, (47, 600))
    fast = residue_functions(tissue, artery, dt_s, threshold=threshold)
    explicit = explicit_svd(tissue, artery, dt_s, threshold)
    assert np.abs(fast - explicit).max() < 1e-6 * np.abs(explicit).max()


def test_maps_are_read_off_the_residue_functions(table: CurveTable) -> None:
    """CBF is their largest sample; Tmax lies within half a frame of it."""
    curves = table.tissue_curves(
        np.array([50.0, 10.0]), np.array([4.0, 9.0]), np.array([1.0, 6.0]), np.zeros(2), FRAMES_S
    )
    artery = table.vessel_curves(np.zeros(1), np.zeros(1), FRAMES_S)[:, 0]
    residues = residue_functions(curves, artery, 1.0)
    maps = deconvolve(curves, artery, 1.0)
    np.testing.assert_array_equal(maps.cbf_ml_100g_min, residues.max(axis=0))
    assert (np.abs(maps.tmax_s - residues.argmax(axis=0)) <= 0.5).all()


def test_without_truncation_the_residue_comes_back_exactly() -> None:
    """A discrete convolution with an input of full spectrum is undone to rounding."""
    artery = 300.0 * 0.3 ** np.arange(40.0)
    true = 60.0 * residue(np.arange(40.0), 4.0, 1.5) * (np.arange(40) < 12)
    tissue = np.convolve(artery, true)[:40] * 1.04 / 0.73 / 6000
    # The last frames hold the end of the curve: what is cut off by the window is below rounding.
    found = residue_functions(tissue[:, None], artery, 1.0, threshold=0.0)[:, 0]
    np.testing.assert_allclose(found[:40], true, atol=1e-6)
    np.testing.assert_allclose(found[40:], 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("mtt_s", "cbf_share", "cbv_share", "tmax_minus_delay_s"),
    [
        (2.0, (0.26, 0.42), (0.88, 1.0), (1.2, 1.9)),
        (3.8, (0.42, 0.66), (0.86, 1.0), (2.0, 2.9)),
        (6.0, (0.54, 0.82), (0.83, 1.0), (2.6, 3.7)),
        (9.0, (0.64, 0.93), (0.79, 1.0), (3.0, 4.5)),
        (12.0, (0.70, 1.00), (0.73, 1.0), (3.1, 5.2)),
        (20.0, (0.78, 1.10), (0.60, 1.0), (3.3, 6.5)),
    ],
)
def test_errors_over_the_physiological_range(
    mtt_s: float,
    cbf_share: tuple[float, float],
    cbv_share: tuple[float, float],
    tmax_minus_delay_s: tuple[float, float],
) -> None:
    """The stated bias of truncation and of a scan of 60 s, for delays of 0 to 10 s, no noise.

    Flow is lowered most where transit is short; Tmax is late even without delay; volume lacks what
    has not yet left the tissue.
    """
    rng = np.random.default_rng(0)
    for _ in range(15):
        bolus = draw_arterial_input(rng, PERFUSION.arterial)
        maps = maps_of(bolus, float(rng.uniform(*PERFUSION.transit.alpha)), mtt_s)
        flow, volume = maps.cbf_ml_100g_min / 30, maps.cbv_ml_100g / (30 * mtt_s / 60)
        late_s = maps.tmax_s - DELAYS_S
        for values, (low, high) in (
            (flow, cbf_share),
            (volume, cbv_share),
            (late_s, tmax_minus_delay_s),
        ):
            assert low < values.min()
            assert values.max() < high


def test_a_long_scan_of_a_bolus_without_tail_finds_the_whole_volume() -> None:
    """The missing volume is a matter of the window: within 1 % when all contrast has left."""
    bolus = ArterialInput(245.0, 7.0, 3.0, 1.8, 0.17, 11.0, 2.0, 0.0)
    maps = maps_of(bolus, 1.5, 3.8, np.arange(0.0, 78.0))
    np.testing.assert_allclose(maps.cbv_ml_100g, 30 * 3.8 / 60, rtol=0.01)


def test_a_finer_cut_takes_the_bias_away() -> None:
    """A sharp bolus, frames of 0.5 s, cut at 1 %: flow within 12 %, Tmax within 0.8 s."""
    bolus = ArterialInput(300.0, 5.0, 3.0, 0.5, 0.0, 11.0, 2.0, 0.0)
    time_s = np.arange(0.0, 70.0, 0.5)
    curves = CurveTable.build(bolus, 1.5).tissue_curves(
        np.full(2, 30.0), np.full(2, 6.0), np.array([0.0, 5.0]), np.zeros(2), time_s
    )
    maps = deconvolve(curves, bolus.at(time_s), 0.5, threshold=0.01)
    np.testing.assert_allclose(maps.cbf_ml_100g_min, 30.0, rtol=0.12)
    np.testing.assert_allclose(maps.tmax_s, [0.0, 5.0], atol=0.8)


def test_delay_shifts_tmax_one_to_one_and_leaves_flow(arterial: ArterialInput) -> None:
    """At MTT 3.8 s: slope 1 within 0.25 s over 10 s, flow within 2 %."""
    maps = maps_of(arterial, 1.7, 3.8)
    np.testing.assert_allclose(maps.tmax_s - maps.tmax_s[0], DELAYS_S, atol=0.25)
    np.testing.assert_allclose(maps.cbf_ml_100g_min, maps.cbf_ml_100g_min[0], rtol=0.02)


def test_dispersion_raises_tmax_and_lowers_flow(table: CurveTable) -> None:
    """What is dispersed on the way looks late and slow, though tissue flow is the same."""
    tau_s = np.array([0.0, 1.0, 2.0, 4.0])
    ones = np.ones(4)
    curves = table.tissue_curves(50 * ones, 4 * ones, 0 * ones, tau_s, FRAMES_S)
    artery = table.vessel_curves(np.zeros(1), np.zeros(1), FRAMES_S)[:, 0]
    maps = deconvolve(curves, artery, 1.0)
    assert (np.diff(maps.tmax_s) > 0).all()
    assert (np.diff(maps.cbf_ml_100g_min) < 0).all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 99))
def test_volume_is_flow_times_transit_time(seed: int) -> None:
    """Central volume theorem in every voxel of the maps, noise included."""
    rng = np.random.default_rng(seed)
    maps = deconvolve(rng.normal(1, 3, (30, 50)), rng.uniform(1, 200, 30), 1.0)
    flow_times_transit = maps.cbf_ml_100g_min * maps.mtt_s / 60
    np.testing.assert_allclose(flow_times_transit, maps.cbv_ml_100g, rtol=1e-12)
    for values in (maps.cbf_ml_100g_min, maps.cbv_ml_100g, maps.mtt_s, maps.tmax_s):
        assert (values >= 0).all()


@settings(max_examples=50, deadline=None)
@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_flow_and_volume_are_linear_in_the_tissue_curve(factor: float, seed: int) -> None:
    """A curve twice as high has twice the flow and volume, and the same MTT and Tmax."""
    rng = np.random.default_rng(seed)
    tissue, artery = rng.uniform(0, 10, (30, 8)), rng.uniform(1, 200, 30)
    maps, scaled = deconvolve(tissue, artery, 1.0), deconvolve(factor * tissue, artery, 1.0)
    np.testing.assert_allclose(scaled.cbf_ml_100g_min, factor * maps.cbf_ml_100g_min, rtol=1e-9)
    np.testing.assert_allclose(scaled.cbv_ml_100g, factor * maps.cbv_ml_100g, rtol=1e-9)
    np.testing.assert_allclose(scaled.mtt_s, maps.mtt_s, rtol=1e-9)
    np.testing.assert_allclose(scaled.tmax_s, maps.tmax_s, rtol=1e-6, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(shift=st.integers(0, 15), seed=st.integers(0, 99))
def test_shifted_curves_have_shifted_residues(shift: int, seed: int) -> None:
    """Curves that end within the scan: the whole residue moves around the circle, unchanged."""
    rng = np.random.default_rng(seed)
    tissue = np.zeros((40, 5))
    tissue[:25] = rng.uniform(0, 10, (25, 5))
    artery = rng.uniform(1, 200, 40)
    moved = residue_functions(np.roll(tissue, shift, axis=0), artery, 1.0)
    still = residue_functions(tissue, artery, 1.0)
    np.testing.assert_allclose(
        moved, np.roll(still, shift, axis=0), atol=1e-9 * np.abs(still).max()
    )


def test_time_scales_with_the_frame_interval() -> None:
    """The same samples read as 2 s apart: Tmax and MTT twice as long, flow half."""
    rng = np.random.default_rng(0)
    tissue, artery = rng.uniform(0, 10, (30, 8)), rng.uniform(1, 200, 30)
    one, two = deconvolve(tissue, artery, 1.0), deconvolve(tissue, artery, 2.0)
    np.testing.assert_allclose(two.tmax_s, 2 * one.tmax_s, rtol=1e-12)
    np.testing.assert_allclose(two.mtt_s, 2 * one.mtt_s, rtol=1e-9)
    np.testing.assert_allclose(two.cbf_ml_100g_min, one.cbf_ml_100g_min / 2, rtol=1e-9)


def test_tissue_that_leads_the_artery_has_tmax_zero() -> None:
    """A peak on the negative side of the circle is given as 0, its flow is kept."""
    artery = np.zeros(40)
    artery[20:30] = [10, 60, 150, 200, 180, 120, 70, 40, 20, 10]
    maps = deconvolve(np.roll(artery, -5)[:, None] / 50, artery, 1.0)
    assert maps.tmax_s[0] == 0.0
    assert maps.cbf_ml_100g_min[0] > 0


def test_voxels_without_contrast_are_zero_everywhere() -> None:
    """Zero curves, and a negative curve of noise: no division, nothing negative."""
    artery = np.array([0.0, 100.0, 50.0, 10.0, 0.0])
    maps = deconvolve(np.zeros((5, 3)), artery, 1.0)
    for values in (maps.cbf_ml_100g_min, maps.cbv_ml_100g, maps.mtt_s, maps.tmax_s):
        assert values.tolist() == [0.0, 0.0, 0.0]
    assert deconvolve(np.full((5, 1), -1.0), artery, 1.0).cbv_ml_100g[0] == 0.0
    assert deconvolve(np.zeros((5, 0)), artery, 1.0).tmax_s.shape == (0,)


ARTERY = np.array([0.0, 100.0, 50.0])
TISSUE = np.ones((3, 2))


@pytest.mark.parametrize(
    ("tissue", "artery", "dt_s", "message"),
    [
        (np.ones((1, 4)), np.ones(1), 1.0, "1 time point; expected at least 2"),
        (TISSUE, ARTERY, 0.0, "time step of 0.0 s; expected a positive"),
        (TISSUE, ARTERY, -1.0, "time step of -1.0 s"),
        (TISSUE, ARTERY, float("nan"), "time step of nan s"),
        (TISSUE, ARTERY, float("inf"), "time step of inf s"),
        (TISSUE, ARTERY[:2], 1.0, r"tissue curves \(3, 2\) and an arterial curve \(2,\)"),
        (np.ones(3), ARTERY, 1.0, r"expected shapes \(T, N\) and \(T,\)"),
        (TISSUE, np.zeros(3), 1.0, "an arterial curve without contrast"),
        (TISSUE * np.nan, ARTERY, 1.0, "not finite"),
    ],
)
def test_curves_that_cannot_be_deconvolved_are_refused(
    tissue: Floats, artery: Floats, dt_s: float, message: str
) -> None:
    """One line that says what is wrong, never a map of undefined values."""
    with pytest.raises(InputError, match=message):
        deconvolve(tissue, artery, dt_s)


@pytest.mark.parametrize("threshold", [-0.1, 1.5])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    """Nothing is kept above 1, and nothing below 0 can be meant."""
    with pytest.raises(InputError, match=f"threshold of {threshold}"):
        deconvolve(TISSUE, ARTERY, 1.0, threshold=threshold)
