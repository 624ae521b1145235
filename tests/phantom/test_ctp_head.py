"""Attenuation of the head without contrast, and its vessels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strokerepro.phantom.anatomy import draw_subject
from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.ctp_acquisition import slab_of
from strokerepro.phantom.ctp_config import CTP
from strokerepro.phantom.ctp_head import draw_head, load_air
from strokerepro.phantom.ctp_occlusion import draw_occlusion
from strokerepro.phantom.ctp_places import enlarge, slice_places
from strokerepro.phantom.ctp_ranks import RANKED
from strokerepro.phantom.ctp_vessels import vessel_enhancement, vessel_shares
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.perfusion.arterial_input import draw_arterial_input
from strokerepro.phantom.perfusion.tissue_curves import CurveTable

MIDDLE = dict.fromkeys(RANKED, 0.5)
NO_CUPPING = replace(CTP.head, cupping=(0.0, 6.0))


def test_layers_follow_each_other_from_fluid_to_skin() -> None:
    """Fluid, skull with marrow between two tables, scalp, and air far outside."""
    head = draw_head(np.random.default_rng(0), 3.0, CTP.head)
    outside = head.csf_mm + head.skull_mm
    depths = np.array([head.csf_mm / 2, head.csf_mm + 1.2, head.csf_mm + head.skull_mm / 2])
    fluid, table, marrow = head.layers_hu(-depths)
    assert fluid == CTP.head.brain_hu[2]
    assert 850.0 <= table <= 1150.0
    assert marrow < 0.8 * table
    assert head.layers_hu(np.array([-outside - 1.0]))[0] == CTP.head.scalp_hu
    assert head.layers_hu(np.array([-60.0]))[0] == CTP.head.air_hu


def test_brain_is_a_mixture_of_its_tissues() -> None:
    """Pure grey, white and fluid have their own values; half and half lies between."""
    head = draw_head(np.random.default_rng(0), 3.0, NO_CUPPING)
    tissue = np.array([[1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 0.5], [0.0, 0.0, 1.0, 0.0]])
    hu = head.brain_hu(tissue, np.full(4, 20.0), np.zeros(4), np.zeros(4))
    assert hu == pytest.approx([37.0, 29.5, 8.0, 33.25])
    old = head.brain_hu(tissue, np.full(4, 20.0), np.zeros(4), np.ones(4))
    assert old == pytest.approx(np.full(4, CTP.head.old_infarct_hu))


def test_oedema_is_deepest_inside_and_reaches_beyond_the_infarct() -> None:
    """About 2 HU at 3 h deep inside, more than half of it at the border, none far away."""
    uptake = replace(CTP.head, water_uptake=(0.015, 0.015, 0.0))
    head = draw_head(np.random.default_rng(0), 3.0, uptake)
    inside, border, far = head.oedema_hu(np.array([5.0, 0.0, -50.0]))
    assert inside == pytest.approx(33.0 * 0.06)
    assert 0.5 * inside < border < inside
    assert far == pytest.approx(0.0, abs=1e-6)


@given(stride=st.integers(1, 5), size=st.integers(2, 6))
def test_enlarging_a_ramp_gives_the_ramp(stride: int, size: int) -> None:
    """Linear interpolation reproduces a plane a + b x + c y at every pixel."""

    def ramp(n: int, step: float) -> FloatArray:
        x, y = np.meshgrid(step * np.arange(n), step * np.arange(n + 1), indexing="ij")
        return np.asarray(1.0 + 2.0 * x - 3.0 * y)

    coarse = ramp(size, float(stride))
    fine = enlarge(coarse, stride)
    assert fine.shape == (stride * (size - 1) + 1, stride * size + 1)
    x, y = np.indices(fine.shape)
    assert fine == pytest.approx(1.0 + 2.0 * x - 3.0 * y)


def test_places_agree_with_the_pull_back_of_every_pixel(atlas: Atlas) -> None:
    """Coordinates interpolated from coarser nodes lie within a tenth of a millimetre."""
    subject = draw_subject(np.random.default_rng(1), CTP.anatomy)
    slab = slab_of(34, size_px=256, seed=0, config=CTP.slab)
    places = slice_places(1, slab, subject, atlas, load_air(CTP.susceptibility, atlas))
    selected = np.zeros(slab.grid.shape, dtype=bool)
    selected[:, :, 1] = places.near
    exact = subject.to_template(slab.grid.points_mm(selected, -4.0))
    count = exact.shape[1]
    error = np.sqrt(((places.points_mm[:, :count] - exact) ** 2).sum(axis=0))
    assert np.percentile(error, 99) < 0.1


@pytest.fixture(scope="module")
def table() -> CurveTable:
    """Curves of one bolus."""
    arterial = draw_arterial_input(np.random.default_rng(0), CTP.perfusion.arterial)
    return CurveTable.build(arterial, 1.5)


def test_vessels_peak_in_their_order(table: CurveTable) -> None:
    """Open arteries first, then veins, and beyond the clot late and weak."""
    m1 = replace(CTP.occlusion, site_shares=(("M1", 1.0),), delay_s=(6.0, 0.0))
    occlusion = draw_occlusion(np.random.default_rng(0), MIDDLE, m1)
    side = occlusion.side
    points = np.array([[-25.0 * side, 4.0, -16.0], [25.0 * side, 4.0, -16.0], [0.0, 0.0, 74.0]]).T
    shares = vessel_shares(points, occlusion, 2.0, CTP.vessels)
    assert (shares.open > 0.5).tolist() == [True, False, False]
    assert (shares.occluded > 0.5).tolist() == [False, True, False]
    assert (shares.venous > 0.5).tolist() == [False, False, True]
    time_s = np.arange(45.0)
    curves = vessel_enhancement(shares, occlusion, table, time_s, CTP.vessels)
    peak_s = time_s[curves.argmax(axis=0)]
    assert peak_s[0] < peak_s[1]
    assert peak_s[0] < peak_s[2]
    assert curves[:, 1].max() < 0.5 * curves[:, 0].max()


def test_far_from_all_vessels_there_is_no_blood() -> None:
    """Deep white matter holds no large vessel."""
    occlusion = draw_occlusion(np.random.default_rng(0), MIDDLE, CTP.occlusion)
    shares = vessel_shares(np.array([[26.0], [-20.0], [32.0]]), occlusion, 4.0, CTP.vessels)
    assert shares.total[0] == 0.0
