"""The clinical rule does by hand-made cases what its definition says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strokerepro.errors import InputError, UsageError
from strokerepro.preprocess.threshold_rule import rcbf_core, relative_cbf, tmax_region

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

SPACING_MM = (10.0, 1.0, 1.0)  # 0.01 ml a voxel: 100 voxels are 1 ml


def two_sided_case(size_px: int = 40) -> tuple[Float, Float, Bool]:
    """Brain with a core of 10 x 12 voxels (1.2 ml) in a larger region of long Tmax."""
    brain = np.zeros((2, size_px, size_px), bool)
    brain[:, 2:-2, 2:-2] = True
    cbf = np.where(brain, 50, 0).astype(np.float32)
    tmax_s = np.where(brain, 1, 0).astype(np.float32)
    tmax_s[0, 8:24, 4:20] = 7
    cbf[0, 10:20, 6:18] = 10
    return cbf, tmax_s, brain


def test_the_reference_is_the_median_of_brain_with_short_tmax() -> None:
    """Normal are 30, 40 and 80 (median 40); 500 is late, 900 is outside the brain."""
    cbf = np.array([[[30, 40, 80, 500, 900, 12]]], np.float32)
    tmax_s = np.array([[[0, 3.9, 1, 4.0, 0, 9]]], np.float32)
    brain = np.array([[[1, 1, 1, 1, 0, 1]]], bool)
    ratio = relative_cbf(cbf, tmax_s, brain)
    assert ratio.dtype == np.float32
    assert ratio[0, 0] == pytest.approx([0.75, 1, 2, 12.5, 0, 0.3])


def test_core_is_strictly_below_the_fraction_and_inside_the_brain() -> None:
    """Of 0.29, 0.30 and 0.31 only the first is core; a 0 outside the brain is none."""
    cbf = np.array([[[100, 100, 100, 100, 29, 30, 31, 0]]], np.float32)
    brain = np.array([[[1, 1, 1, 1, 1, 1, 1, 0]]], bool)
    core = rcbf_core(cbf, np.zeros_like(cbf), brain, SPACING_MM, min_cluster_ml=0)
    assert core.dtype == np.bool_
    assert core[0, 0].tolist() == [voxel == 29 for voxel in cbf[0, 0]]


def test_a_voxel_of_brain_without_flow_is_core() -> None:
    """CBF 0 where another map has a value is the lowest flow there is."""
    cbf = np.array([[[50, 50, 0]]], np.float32)
    brain = np.ones_like(cbf, bool)
    core = rcbf_core(cbf, np.zeros_like(cbf), brain, SPACING_MM, min_cluster_ml=0)
    assert core[0, 0].tolist() == [False, False, True]


@given(scale=st.floats(0.01, 1000))
def test_the_arbitrary_unit_of_a_case_cancels(scale: float) -> None:
    """CBF times any constant has the same core."""
    cbf, tmax_s, brain = two_sided_case()
    scaled = (cbf * scale).astype(np.float32)
    core = rcbf_core(scaled, tmax_s, brain, SPACING_MM)
    assert core.sum() == 120
    assert (core == rcbf_core(cbf, tmax_s, brain, SPACING_MM)).all()
    assert np.allclose(relative_cbf(scaled, tmax_s, brain), relative_cbf(cbf, tmax_s, brain))


def test_the_gate_keeps_core_only_where_tmax_is_long() -> None:
    """Half of the core loses its long Tmax: gated, only the other half of 60 voxels is left."""
    cbf, tmax_s, brain = two_sided_case()
    tmax_s[0, 10:15, 6:18] = 5
    assert rcbf_core(cbf, tmax_s, brain, SPACING_MM).sum() == 120
    gated = rcbf_core(cbf, tmax_s, brain, SPACING_MM, gate_tmax_s=6, min_cluster_ml=0)
    assert gated.sum() == 60
    assert not gated[0, 10:15].any()


def test_the_gate_comes_before_the_cluster_size() -> None:
    """The 60 voxels (0.6 ml) that the gate leaves are below 1 ml and go."""
    cbf, tmax_s, brain = two_sided_case()
    tmax_s[0, 10:15, 6:18] = 5
    assert not rcbf_core(cbf, tmax_s, brain, SPACING_MM, gate_tmax_s=6).any()


@pytest.mark.parametrize(("voxels", "kept"), [(99, False), (100, True), (101, True)])
def test_a_cluster_of_exactly_1_ml_stays(voxels: int, kept: bool) -> None:
    """At 0.01 ml a voxel the limit lies at 100 voxels."""
    cbf = np.full((1, 20, 40), 50, np.float32)
    rows, columns = np.divmod(np.arange(voxels), 12)
    cbf[0, rows, columns] = 1
    brain = np.ones_like(cbf, bool)
    core = rcbf_core(cbf, np.zeros_like(cbf), brain, SPACING_MM)
    assert core.sum() == (voxels if kept else 0)


def test_clusters_connect_across_corners_and_slices() -> None:
    """Two squares of 60 voxels in neighbouring slices that touch at one corner are 1.2 ml."""
    cbf = np.full((3, 30, 30), 50, np.float32)
    cbf[0, 5:11, 5:15] = 1
    cbf[1, 11:17, 15:25] = 1
    brain = np.ones_like(cbf, bool)
    assert rcbf_core(cbf, np.zeros_like(cbf), brain, SPACING_MM).sum() == 120
    cbf[1] = np.roll(cbf[1], 1, axis=1)
    assert rcbf_core(cbf, np.zeros_like(cbf), brain, SPACING_MM).sum() == 0


def test_the_same_voxels_are_a_larger_cluster_in_thicker_slices() -> None:
    """The size limit is a volume: 60 voxels of 1 x 1 x 20 mm are 1.2 ml."""
    cbf = np.full((1, 30, 30), 50, np.float32)
    cbf[0, 5:11, 5:15] = 1
    brain = np.ones_like(cbf, bool)
    tmax_s = np.zeros_like(cbf)
    assert rcbf_core(cbf, tmax_s, brain, (20.0, 1.0, 1.0)).sum() == 60
    assert rcbf_core(cbf, tmax_s, brain, (5.0, 1.0, 1.0)).sum() == 0


def test_the_region_of_long_tmax_is_strictly_above_the_limit_and_inside_the_brain() -> None:
    """Of 6, 6.1 and, outside the brain, 9 s only the second is late."""
    tmax_s = np.array([[[6.0, 6.1, 9.0]]], np.float32)
    brain = np.array([[[1, 1, 0]]], bool)
    assert tmax_region(tmax_s, brain)[0, 0].tolist() == [False, True, False]
    assert tmax_region(tmax_s, brain, above_s=5)[0, 0].tolist() == [True, True, False]


def test_the_region_of_long_tmax_may_drop_small_clusters() -> None:
    """A region of 256 voxels (2.56 ml) stays at a limit of 2.5 ml and goes at one of 2.6 ml."""
    _, tmax_s, brain = two_sided_case()
    for limit_ml, voxels in ((2.5, 256), (2.6, 0)):
        region = tmax_region(tmax_s, brain, spacing_mm=SPACING_MM, min_cluster_ml=limit_ml)
        assert region.sum() == voxels


@pytest.mark.parametrize("what", ["no brain", "all late", "no flow"])
def test_without_normal_tissue_the_rule_is_refused(what: str) -> None:
    """A ratio to nothing is an error, not an empty core."""
    cbf, tmax_s, brain = two_sided_case()
    if what == "no brain":
        brain[:] = False
    elif what == "all late":
        tmax_s[brain] = 4
    else:
        cbf[:] = 0
    with pytest.raises(InputError, match="normal tissue"):
        rcbf_core(cbf, tmax_s, brain, SPACING_MM)


def test_maps_on_other_grids_are_refused() -> None:
    """The message names each array and its shape."""
    cbf, tmax_s, brain = two_sided_case()
    with pytest.raises(InputError, match=r"cbf \(2, 40, 40\), tmax_s \(1, 40, 40\)"):
        relative_cbf(cbf, tmax_s[:1], brain)
    with pytest.raises(InputError, match="one shape"):
        tmax_region(tmax_s[:1], brain)


def test_settings_without_a_meaning_are_refused() -> None:
    """A fraction of 0, a negative volume, a volume without a spacing."""
    cbf, tmax_s, brain = two_sided_case()
    with pytest.raises(UsageError, match="fraction=0"):
        rcbf_core(cbf, tmax_s, brain, SPACING_MM, fraction=0)
    with pytest.raises(UsageError, match="min_cluster_ml=-1"):
        rcbf_core(cbf, tmax_s, brain, SPACING_MM, min_cluster_ml=-1)
    with pytest.raises(UsageError, match="without a spacing"):
        tmax_region(tmax_s, brain, min_cluster_ml=1)
