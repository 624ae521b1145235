"""Surface distances against hand counts, every pair of voxels, and MedPy."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_masks import brute_force_distances, draw
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strokerepro.metrics import score_case

MM = (1.0, 1.0, 1.0)
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))
SPACINGS = st.tuples(*[st.sampled_from([0.4, 1.0, 1.6, 5.0])] * 3)


def two_masks(shape):
    """Two masks of one shape, neither of them empty."""
    return st.tuples(*[arrays(bool, shape).filter(np.any)] * 2)


def test_two_single_voxels_are_their_centre_distance_apart():
    """Offsets of 1, 2 and 3 voxels at 5, 2 and 1 mm are sqrt(25 + 16 + 9) mm."""
    pred, truth = np.zeros((2, 2, 5, 6), bool)
    pred[0, 1, 1] = truth[1, 3, 4] = True
    scores = score_case(pred, truth, (5.0, 2.0, 1.0))
    for key in ("hd_mm", "hd95_mm", "assd_mm"):
        assert scores[key] == pytest.approx(np.sqrt(50))


def test_a_slice_apart_costs_the_slice_distance():
    """The same voxel one slice further is 6 mm away if slices are 6 mm apart, not 1."""
    pred, truth = np.zeros((2, 2, 3, 3), bool)
    pred[0, 1, 1] = truth[1, 1, 1] = True
    assert score_case(pred, truth, (6.0, 0.9, 0.9))["hd_mm"] == pytest.approx(6.0)


def test_the_inside_of_a_lesion_is_not_its_surface():
    """A far voxel deep in a block counts from the block's face, and the mean from both sides."""
    truth = np.zeros((5, 5, 9), bool)
    truth[:, :, :5] = True
    pred = np.zeros_like(truth)
    pred[2, 2, 8] = True
    # 125 voxels less the 27 inner ones are surface; the nearest is (2, 2, 4), 4 mm away.
    pairs = brute_force_distances(pred, truth, MM)
    assert len(pairs) == 1 + 98
    assert pairs[0] == 4.0
    assert score_case(pred, truth, MM)["assd_mm"] == pytest.approx(pairs.mean())


def test_identical_masks_are_at_distance_zero():
    """A drawn ring with a hole has no distance to itself."""
    ring = draw(
        """
        .....
        .###.
        .#.#.
        .###.
        .....
        """
    )
    scores = score_case(ring, ring, MM)
    assert (scores["hd_mm"], scores["hd95_mm"], scores["assd_mm"]) == (0, 0, 0)


def test_the_95th_percentile_forgives_one_outlier_in_a_hundred():
    """One stray voxel sets the Hausdorff distance and leaves HD95 at zero."""
    truth = np.zeros((1, 30, 60), bool)
    truth[0, 2:27, 2:27] = True
    pred = truth.copy()
    pred[0, 14, 56] = True
    scores = score_case(pred, truth, MM)
    assert scores["hd_mm"] == pytest.approx(30.0)
    assert scores["hd95_mm"] == 0.0


@settings(max_examples=60, deadline=None)
@given(masks=SHAPES.flatmap(two_masks), spacing=SPACINGS)
def test_distances_agree_with_trying_every_pair(masks, spacing):
    """HD, HD95 and ASSD equal the maximum, percentile and mean of all pairwise minima."""
    pred, truth = masks
    pairs = brute_force_distances(pred, truth, spacing)
    scores = score_case(pred, truth, spacing)
    assert scores["hd_mm"] == pytest.approx(pairs.max())
    assert scores["hd95_mm"] == pytest.approx(np.percentile(pairs, 95))
    assert scores["assd_mm"] == pytest.approx(pairs.mean())


@settings(max_examples=40, deadline=None)
@given(masks=SHAPES.flatmap(two_masks), spacing=SPACINGS, margin=st.integers(1, 3))
def test_empty_margins_change_nothing(masks, spacing, margin):
    """Background around a case, which is cropped away, cannot change a score."""
    pred, truth = masks
    padded = score_case(np.pad(pred, margin), np.pad(truth, margin), spacing)
    assert padded == pytest.approx(score_case(pred, truth, spacing), nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(masks=SHAPES.flatmap(two_masks), spacing=SPACINGS)
def test_exchanging_the_masks_mirrors_the_scores(masks, spacing):
    """Distances and Dice are symmetric; precision and recall change places."""
    pred, truth = masks
    one, other = score_case(pred, truth, spacing), score_case(truth, pred, spacing)
    for key in ("dice", "hd_mm", "hd95_mm", "assd_mm", "avd_ml"):
        assert one[key] == pytest.approx(other[key])
    assert one["precision"] == pytest.approx(other["recall"])
    assert one["n_fp"] == other["n_fn"]


@settings(max_examples=40, deadline=None)
@given(masks=SHAPES.flatmap(two_masks), spacing=SPACINGS)
def test_distances_agree_with_medpy(masks, spacing):
    """An implementation by others gives the same three distances."""
    binary = pytest.importorskip("medpy.metric.binary")
    pred, truth = masks
    scores = score_case(pred, truth, spacing)
    assert scores["hd_mm"] == pytest.approx(binary.hd(pred, truth, spacing))
    assert scores["hd95_mm"] == pytest.approx(binary.hd95(pred, truth, spacing))
    assert scores["assd_mm"] == pytest.approx(binary.assd(pred, truth, spacing))
    assert scores["dice"] == pytest.approx(binary.dc(pred, truth))
