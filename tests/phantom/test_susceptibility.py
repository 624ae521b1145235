"""From air to field, from field to distortion."""

from __future__ import annotations

import numpy as np
import pytest

from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.dwi_config import SusceptibilityConfig
from strokerepro.phantom.susceptibility import (
    air_mask,
    dephasing_factor,
    dipole_field,
    epi_shift_mm,
    extend_outwards,
    load_field_map,
    pileup_factor,
)


def test_the_field_of_a_sphere_is_that_of_a_dipole_outside_and_zero_inside() -> None:
    """B = chi/3 (R/r)^3 (3 cos^2 - 1) outside a sphere, and 0 inside it."""
    n, radius = 65, 8.0
    x, y, z = np.indices((n, n, n), dtype=np.float64) - n // 2
    r = np.sqrt(x**2 + y**2 + z**2)
    field = dipole_field(np.where(r <= radius, 9.0, 0.0), voxel_mm=1.0)
    r3 = 3.0 * np.sum(r <= radius) / (4.0 * np.pi)  # of the sphere as it is drawn in voxels
    expected = 3.0 * r3 / np.maximum(r, 1) ** 3 * (3 * z**2 / np.maximum(r, 1) ** 2 - 1)
    shell = (r > 12) & (r < 24)
    assert np.abs(field - expected)[shell].max() < 0.06
    assert np.abs(field[r < 5]).max() < 0.15


def test_the_field_does_not_depend_on_the_voxel_size() -> None:
    """The dipole kernel knows no length, so scaling the voxels changes nothing."""
    chi = np.zeros((16, 16, 16))
    chi[6:10, 6:10, 6:10] = 9.0
    assert dipole_field(chi, 2.0) == pytest.approx(dipole_field(chi, 1.0))


def test_a_displacement_computed_by_hand() -> None:
    """0.5 ppm at 1.5 T is 31.9 Hz, which is 3.83 mm at 15 Hz per 1.8 mm pixel."""
    shift = epi_shift_mm(np.array([0.5, -0.5]), 63.87, 15.0 / 1.8, limit_mm=1e6)
    assert shift == pytest.approx([3.8322, -3.8322], abs=1e-4)


def test_no_displacement_exceeds_the_limit() -> None:
    """Even an absurd field moves tissue by no more than the limit."""
    assert np.abs(epi_shift_mm(np.array([-99.0, 99.0]), 127.74, 8.0, 8.0)).max() <= 8.0


def test_pile_up_conserves_the_signal_of_a_column() -> None:
    """A stretched and compressed bump keeps its integral along the phase-encoding axis."""
    voxel_mm = 0.2
    y = np.arange(600) * voxel_mm
    shift = 3.0 * np.exp(-(((y - 60.0) / 8.0) ** 2))[None, :, None]
    source = y - shift[0, :, 0]
    bump = np.exp(-(((source - 55.0) / 6.0) ** 2))
    image = bump * pileup_factor(shift, voxel_mm, (0.0, 10.0))[0, :, 0]
    assert image.sum() * voxel_mm == pytest.approx(6.0 * np.sqrt(np.pi), rel=1e-3)
    assert not np.allclose(image, bump)


def test_dephasing_leaves_uniform_field_alone_and_nulls_a_full_turn() -> None:
    """No gradient, no loss; one cycle across the slice, no signal."""
    per_mm = 1.0 / (63.87 * 5.0 * 8e-3)  # one cycle over 5 mm in 8 ms
    factor = dephasing_factor(np.array([0.0, per_mm / 2, per_mm]), 63.87, 5.0, 8.0)
    assert factor == pytest.approx([1.0, 2.0 / np.pi, 0.0], abs=1e-12)


def test_the_field_outside_the_brain_continues_that_of_its_edge() -> None:
    """Values inside are kept; a wild value in the cavity beside it does not leak in."""
    field = np.ones((9, 9, 9))
    brain = np.zeros((9, 9, 9), dtype=bool)
    brain[:5] = True
    field[5:] = 1000.0
    extended = extend_outwards(field, brain)
    assert extended == pytest.approx(np.ones((9, 9, 9)))


def test_cavities_keep_clear_of_the_brain(atlas: Atlas) -> None:
    """No air within 3 mm of the brain; the same on both sides; some in the sphenoid sinus."""
    air = air_mask(SusceptibilityConfig(), atlas)
    depth = np.asarray(atlas.depth_mm.values)
    assert not np.any(air & (depth > -3.0))
    assert np.array_equal(air, air[::-1])
    assert air[49, 78, 17]  # the sphenoid sinus, MNI (0, 22, -38)


def test_the_field_is_strong_at_the_skull_base_and_weak_at_the_vertex(atlas: Atlas) -> None:
    """Above the sphenoid sinus the field error exceeds that near the vertex tenfold."""
    field = load_field_map(SusceptibilityConfig(), atlas).ppm
    orbitofrontal, vertex = np.array([[4.0], [34.0], [-24.0]]), np.array([[20.0], [-20.0], [60.0]])
    assert abs(field.at(orbitofrontal)[0]) > 10 * abs(field.at(vertex)[0])
