"""Maps of a slice: baseline, smoothing within tissue, masks, and known halves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from strokerepro.errors import InputError
from strokerepro.phantom.perfusion.arterial_input import ArterialInput
from strokerepro.phantom.perfusion.config import PERFUSION
from strokerepro.phantom.perfusion.ct_acquisition import acquire_slice
from strokerepro.phantom.perfusion.slice_maps import baseline_frames, slice_maps
from strokerepro.phantom.perfusion.tissue_curves import CurveTable

FRAMES_S = np.arange(50.0)
SIDE = 64
Y, X = np.indices((SIDE, SIDE))
BRAIN = (Y - 32) ** 2 + (X - 32) ** 2 < 28**2
FLUID = (abs(Y - 32) < 5) & (abs(X - 32) < 5)
VESSEL = (abs(Y - 32) < 2) & (abs(X - 12) < 2)
RIGHT = BRAIN & (X >= 32)
CORE = RIGHT & (X > 40) & (abs(Y - 32) < 14)
HEALTHY = BRAIN & (X > 16) & (X < 24) & (abs(Y - 32) < 14)


def frames(table: CurveTable, noise_hu: float, seed: int = 0) -> NDArray[np.int16]:
    """A disc: left half healthy, right half of low flow and late, with fluid and a vessel."""

    def side(left: float, right: float) -> NDArray[np.float64]:
        return np.where(RIGHT, right, left)[BRAIN]

    enhancement = np.zeros((50, SIDE, SIDE))
    flow, transit_s = side(50.0, 12.0), side(4.0, 9.0)
    enhancement[:, BRAIN] = table.tissue_curves(
        flow, transit_s, side(1.0, 6.0), side(0.25, 1.8), FRAMES_S
    )
    none = np.zeros(int(VESSEL.sum()))
    enhancement[:, VESSEL] = 0.5 * table.vessel_curves(none, none, FRAMES_S)
    enhancement[:, FLUID] = 0.0
    baseline = np.where(BRAIN, np.where(FLUID, 8.0, 35.0), -1000.0)
    return acquire_slice(
        np.random.default_rng(seed),
        baseline,
        enhancement,
        px_mm=1.0,
        thickness_mm=5.0,
        depth_mm=np.full((SIDE, SIDE), 30.0),
        config=PERFUSION.scan,
        noise_hu=noise_hu,
    )


def test_low_flow_and_delay_are_found_through_noise(
    arterial: ArterialInput, table: CurveTable
) -> None:
    """Median of the low-flow half against the healthy one, at the noise of a real scan.

    Flow 12 / 50 with less truncation bias at long transit: 0.24 becomes 0.3 to 0.45. Volume
    1.8 / 3.33 = 0.54 within 0.1. Tmax later by the delay of 5 s, dispersion and longer transit.
    """
    maps = slice_maps(frames(table, 4.2), arterial.at(FRAMES_S), 1.0, BRAIN, 1.0, PERFUSION.maps)

    def ratio(values: NDArray[np.float64]) -> float:
        return float(np.median(values[CORE]) / np.median(values[HEALTHY]))

    assert 0.3 < ratio(maps.cbf_ml_100g_min) < 0.45
    assert ratio(maps.cbv_ml_100g) == pytest.approx(0.54, abs=0.1)
    later_s = np.median(maps.tmax_s[CORE]) - np.median(maps.tmax_s[HEALTHY])
    assert 6.0 < later_s < 10.0
    assert np.median(maps.tmax_s[HEALTHY]) < 6.0 < np.median(maps.tmax_s[CORE])


def test_fluid_vessels_and_outside_are_zero(arterial: ArterialInput, table: CurveTable) -> None:
    """All four maps are 0 there, and flow is positive in nearly all of the tissue."""
    maps = slice_maps(frames(table, 4.2), arterial.at(FRAMES_S), 1.0, BRAIN, 1.0, PERFUSION.maps)
    inner_fluid = (Y - 32) ** 2 + (X - 32) ** 2 <= 9
    for values in (maps.cbf_ml_100g_min, maps.cbv_ml_100g, maps.mtt_s, maps.tmax_s):
        assert values.shape == BRAIN.shape
        assert not values[~BRAIN | inner_fluid | VESSEL].any()
        assert (values >= 0).all()
    assert (maps.cbf_ml_100g_min[HEALTHY | CORE] > 0).mean() > 0.98


def test_smoothing_does_not_leak_over_the_border(
    arterial: ArterialInput, table: CurveTable
) -> None:
    """Uniform tissue in air, no noise: at the rim the flow is that of the middle."""
    uniform = frames(table, 0.0)
    uniform[:, BRAIN] = uniform[:, 32, 20][:, None]
    maps = slice_maps(uniform, arterial.at(FRAMES_S), 1.0, BRAIN, 1.0, PERFUSION.maps)
    middle = maps.cbf_ml_100g_min[32, 20]
    assert middle > 20
    np.testing.assert_allclose(maps.cbf_ml_100g_min[BRAIN], middle, rtol=1e-9)


def test_smoothing_is_given_in_mm(arterial: ArterialInput, table: CurveTable) -> None:
    """The same pixels read as 4 mm wide are smoothed less: the maps are noisier."""
    noisy, artery = frames(table, 4.2), arterial.at(FRAMES_S)
    fine, coarse = (
        slice_maps(noisy, artery, 1.0, BRAIN, px_mm, PERFUSION.maps).cbv_ml_100g
        for px_mm in (1.0, 4.0)
    )
    assert coarse[HEALTHY].std() > 2 * fine[HEALTHY].std()


def test_the_baseline_ends_where_the_rise_begins() -> None:
    """Drawn curves: a rise at frame 4, a dip before it, no baseline, and no bolus."""
    rise = np.array([30, 30, 30.1, 30, 32, 36, 40, 35, 31.0])
    assert baseline_frames(rise, 0.05) == 4
    assert baseline_frames(rise, 0.5) == 5
    assert baseline_frames(np.array([30, 31, 29.9, 35, 40, 30.0]), 0.05) == 3
    assert baseline_frames(np.array([40.0, 35, 30]), 0.05) == 1
    assert baseline_frames(np.full(5, 30.0), 0.05) == 1


def test_the_baseline_is_subtracted_whatever_its_level(
    arterial: ArterialInput, table: CurveTable
) -> None:
    """Ten HU more in every frame change nothing but which voxels count as fluid."""
    config = replace(PERFUSION.maps, csf_below_hu=-50.0)
    plain = frames(table, 4.2)
    maps, raised = (
        slice_maps(series, arterial.at(FRAMES_S), 1.0, BRAIN, 1.0, config)
        for series in (plain, (plain + 10).astype(np.int16))
    )
    np.testing.assert_allclose(raised.cbf_ml_100g_min, maps.cbf_ml_100g_min, atol=1e-9)


@pytest.mark.parametrize("baseline_hu", [35, 8])
def test_a_slice_without_tissue_has_empty_maps(arterial: ArterialInput, baseline_hu: int) -> None:
    """No brain in the slice, or nothing but fluid: zeros, no warning."""
    series = np.full((50, SIDE, SIDE), baseline_hu, dtype=np.int16)
    brain = BRAIN if baseline_hu < 15 else np.zeros_like(BRAIN)
    maps = slice_maps(series, arterial.at(FRAMES_S), 1.0, brain, 1.0, PERFUSION.maps)
    assert not maps.cbf_ml_100g_min.any()
    assert maps.tmax_s.shape == (SIDE, SIDE)


def test_frames_and_mask_must_belong_together(arterial: ArterialInput) -> None:
    """A mask of another slice, a single frame, a time step of 0: one line each."""
    series = np.full((50, SIDE, SIDE), 35, dtype=np.int16)
    artery = arterial.at(FRAMES_S)
    with pytest.raises(InputError, match="of the same slice"):
        slice_maps(series, artery, 1.0, BRAIN[:-1], 1.0, PERFUSION.maps)
    with pytest.raises(InputError, match="1 time point"):
        slice_maps(series[:1], artery[:1], 1.0, BRAIN, 1.0, PERFUSION.maps)
    with pytest.raises(InputError, match=r"time step of 0\.0 s"):
        slice_maps(series, artery, 0.0, BRAIN, 1.0, PERFUSION.maps)
