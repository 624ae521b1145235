"""Slabs take their geometry from the real cases."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strokerepro.phantom.ctp_acquisition import cases_of, patient_of, real_cases, slab_of
from strokerepro.phantom.ctp_config import CTP


def test_the_real_table_has_the_published_counts() -> None:
    """94 cases of 63 patients: 2 slices in 51, 4 in 19, 8 in 9, 16 in 13, 22 in 2."""
    table = real_cases()
    assert len(table) == 94
    assert len({real.patient for real in table}) == 63
    assert Counter(real.slices for real in table) == {2: 51, 4: 19, 8: 9, 16: 13, 22: 2}
    assert {real.time_points for real in table} == {43, 44, 45, 46, 49, 53, 61, 64}


def test_a_slab_has_the_geometry_of_the_real_case() -> None:
    """Case 34 at the real matrix: two slices of 12 mm, 0.91 mm pixels, 43 frames."""
    slab = slab_of(34, size_px=256, seed=0, config=CTP.slab)
    assert slab.grid.shape == (256, 256, 2)
    assert slab.grid.spacing_mm == pytest.approx((0.910156, 0.910156, 12.0))
    assert (slab.time_points, slab.patient) == (43, 24)
    assert slab.voxel_ml == pytest.approx(0.910156**2 * 12.0 / 1000.0)


def test_half_the_matrix_covers_the_same_field() -> None:
    """At 128 pixels the spacing doubles, and nothing else changes."""
    coarse, fine = (slab_of(1, size_px=px, seed=3, config=CTP.slab) for px in (128, 256))
    assert coarse.pixel_mm == pytest.approx(2 * fine.pixel_mm)
    assert coarse.grid.affine[2] == pytest.approx(fine.grid.affine[2])


def test_two_slabs_of_a_patient_touch_and_do_not_overlap() -> None:
    """The last slice of the lower slab lies one thickness below the first of the upper one."""
    lower, upper = (slab_of(case, size_px=64, seed=5, config=CTP.slab) for case in (36, 37))
    assert lower.patient == upper.patient
    last = lower.grid.affine[2, 3] + (lower.grid.shape[2] - 1) * lower.thickness_mm
    assert upper.grid.affine[2, 3] - last == pytest.approx(lower.thickness_mm)


def test_sub_slices_are_the_centres_of_thirds() -> None:
    """A slice of 12 mm is sampled 4 mm below, at and 4 mm above its centre."""
    slab = slab_of(34, size_px=64, seed=0, config=CTP.slab)
    assert slab.subslice_offsets_mm == pytest.approx([-4.0, 0.0, 4.0])


@given(case=st.integers(1, 400))
def test_a_case_is_among_the_cases_of_its_patient(case: int) -> None:
    """Patient and cases belong together, beyond the table too; a patient has one or two slabs."""
    siblings = cases_of(patient_of(case))
    assert case in siblings
    assert len(siblings) in (1, 2)
    assert {patient_of(sibling) for sibling in siblings} == {patient_of(case)}


def test_case_95_begins_with_other_patients() -> None:
    """The table is used again for new people: case 95 has case 1's geometry, not its patient."""
    first, again = (slab_of(case, size_px=64, seed=0, config=CTP.slab) for case in (1, 95))
    assert (patient_of(1), patient_of(95)) == (1, 64)
    assert first.grid.shape == again.grid.shape
    assert not np.allclose(first.grid.affine, again.grid.affine)
