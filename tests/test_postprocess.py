"""Candidates of the instance classifier, and how its verdict changes the probability map."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_masks import draw
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from strokerepro.errors import InputError, UsageError
from strokerepro.metrics import score_case
from strokerepro.postprocess import (
    FUSION_RULES,
    FUSION_SCOPES,
    candidate_labels,
    extract_candidates,
    fuse,
    label_slices,
    label_volume,
)

MM = (1.0, 1.0, 1.0)
SIXTY_FOURTHS = st.integers(0, 64).map(lambda k: k / 64)


def blobs(shape=(2, 40, 40), value=0.9, **boxes):
    """Probability map with boxes ``name=(slice, first row, first column, height, width)``."""
    probability = np.full(shape, 0.1, np.float32)
    for z, y, x, height, width in boxes.values():
        probability[z, y : y + height, x : x + width] = value
    return probability


def image_like(probability):
    """An image in which every pixel has a value of its own."""
    return np.arange(probability.size, dtype=np.float32).reshape(probability.shape)


def test_slices_are_labelled_apart():
    """A drawn pair of slices: a corner joins at 8 and not at 4; slices never join."""
    mask = draw(
        """
        #..
        .#.
        ..#
        """,
        """
        ..#
        ...
        ...
        """,
    )
    labels, n = label_slices(mask)
    assert n == 2
    assert labels[0, 0, 0] == labels[0, 2, 2] != labels[1, 0, 2]
    assert ((labels > 0) == mask).all()
    assert label_slices(mask, connectivity=4)[1] == 4
    assert label_slices(np.zeros_like(mask))[1] == 0


small_masks = arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)))


def partition(labels):
    """The components as a set of sets of voxels, whatever their numbers."""
    return {tuple(np.flatnonzero(labels == number)) for number in np.unique(labels[labels > 0])}


@settings(max_examples=100, deadline=None)
@given(mask=small_masks, connectivity=st.sampled_from([4, 8, 6, 26]))
def test_components_agree_with_scipy(mask, connectivity):
    """All four connectivities against an independent labelling with an explicit structure.

    The connected-components library mislabels small images in its mode for binary input.
    """
    rank = {4: 1, 8: 3, 6: 1, 26: 3}[connectivity]
    structure = ndimage.generate_binary_structure(3, rank)
    if connectivity in (4, 8):
        structure[[0, 2]] = False  # no connection along z
        labels, n = label_slices(mask, connectivity=connectivity)
    else:
        labels, n = label_volume(mask, connectivity=connectivity)
    expected, n_expected = ndimage.label(mask, structure)
    assert n == n_expected
    assert labels.dtype == np.int32
    assert partition(labels) == partition(expected)


def test_labels_need_three_axes():
    """A single slice without its axis is refused."""
    with pytest.raises(InputError, match="three axes"):
        label_slices(np.zeros((3, 3), bool))
    with pytest.raises(InputError, match="three axes"):
        label_volume(np.zeros((3, 3), bool), connectivity=6)


def test_only_small_components_become_candidates():
    """60 pixels are a candidate, 61 are not, and 0.5 itself belongs to no component."""
    probability = blobs(
        small=(0, 4, 4, 2, 3),
        limit=(0, 20, 4, 6, 10),
        large=(1, 4, 4, 1, 1),
        other=(1, 8, 4, 6, 10),
    )
    probability[1, 14, 4] = 0.9  # the 61st pixel
    probability[1, 30, 30] = 0.5
    found = extract_candidates(probability, image_like(probability))
    np.testing.assert_array_equal(found.size_px, [6, 60, 1])
    np.testing.assert_array_equal(found.slice, [0, 0, 1])
    np.testing.assert_allclose(found.centroid, [[4.5, 5.0], [22.5, 8.5], [4.0, 4.0]])
    np.testing.assert_array_equal(np.unique(found.labels[1, 8:15]), [0])
    assert found.labels.dtype == np.int32
    assert found.patches.shape == (3, 4, 16, 16)
    assert found.patches.dtype == np.float32
    assert len(found) == 3


def test_windows_are_centred_and_the_probability_comes_last():
    """A 2 x 2 blob at rows 20-21 lies in the middle of its 16-pixel windows."""
    probability = blobs(one=(1, 20, 18, 2, 2))
    image = image_like(probability)
    (patch,) = extract_candidates(probability, image).patches
    np.testing.assert_array_equal(patch[0], image[1, 13:29, 11:27])
    np.testing.assert_array_equal(patch[-1], probability[1, 13:29, 11:27])
    np.testing.assert_array_equal(np.argwhere(patch[-1] > 0.5).min(0), [7, 7])


def test_a_window_of_twice_the_side_is_averaged_in_pairs():
    """32 to 16 pixels with half-pixel centres is the mean of 2 x 2 blocks, 24 keeps a ramp."""
    probability = blobs(one=(0, 19, 19, 2, 2))
    image = image_like(probability)
    (patch,) = extract_candidates(probability, image).patches
    blocks = image[0, 4:36, 4:36].reshape(16, 2, 16, 2).mean((1, 3))
    np.testing.assert_allclose(patch[2], blocks, rtol=1e-6)
    # The image is a plane, so bilinear resampling of any scale keeps its slope and its mean.
    np.testing.assert_allclose(np.diff(patch[1], axis=1), 1.5, atol=1e-3)
    np.testing.assert_allclose(patch[1].mean(), image[0, 8:32, 8:32].mean(), rtol=1e-6)


BORDER = draw(
    """
    ................................
    ..##............................
    ..##............................
    """
    + "................................\n" * 29
)


def test_a_window_at_the_border_is_shifted_and_never_wraps():
    """The drawn blob at (1.5, 2.5) stays in view; a cast to uint8 would look at the far border."""
    probability = np.where(BORDER, 0.9, 0.0).astype(np.float32)
    image = image_like(probability)
    (patch,) = extract_candidates(probability, image).patches
    np.testing.assert_array_equal(patch[0], image[0, :16, :16])
    assert (patch[-1] > 0.5).sum() == 4

    # Sec. "bugs" of the released utilities: corner -6 becomes 250 before it is clamped.
    corner = np.array([2, 3]) - 8
    wrapped = np.minimum(np.maximum(corner.astype(np.uint8), 0), 32 - 16)
    np.testing.assert_array_equal(wrapped, [16, 16])
    seen = probability[0, wrapped[0] : wrapped[0] + 16, wrapped[1] : wrapped[1] + 16]
    assert not (seen > 0.5).any()


@pytest.mark.parametrize("corner", [(0, 0), (0, 38), (38, 0), (38, 38)])
def test_every_corner_keeps_its_blob_in_every_window(corner):
    """At all four corners the blob is inside the probability window, which has no padding."""
    probability = blobs(one=(0, *corner, 2, 2))
    image = np.ones_like(probability)
    (patch,) = extract_candidates(probability, image).patches
    assert (patch[-1] > 0.5).sum() == 4
    np.testing.assert_array_equal(patch[:3], 1)


def test_an_image_above_255_pixels_does_not_wrap():
    """A blob at row 300 is cut out there, and not at 300 - 256."""
    probability = blobs(shape=(1, 320, 40), one=(0, 300, 20, 2, 2))
    (patch,) = extract_candidates(probability, image_like(probability)).patches
    assert (patch[-1] > 0.5).sum() == 4


def test_no_component_gives_no_candidate():
    """An empty map has patches of shape (0, 4, 16, 16), and fusing it changes nothing."""
    probability = blobs()
    found = extract_candidates(probability, image_like(probability))
    assert found.patches.shape == (0, 4, 16, 16)
    assert candidate_labels(found, np.zeros(probability.shape)).shape == (0,)
    for scope in FUSION_SCOPES:
        np.testing.assert_array_equal(fuse(probability, found, [], scope=scope), probability)


def test_scales_and_side_are_free():
    """One scale and another side give two channels of that side."""
    probability = blobs(one=(0, 10, 10, 2, 2))
    found = extract_candidates(probability, image_like(probability), scales=(16,), side=12)
    assert found.patches.shape == (1, 2, 12, 12)


@pytest.mark.parametrize(
    ("probability", "image", "message"),
    [
        (np.zeros((1, 40, 40)), np.zeros((1, 40, 41)), "one common shape"),
        (np.zeros((40, 40)), np.zeros((40, 40)), "one common shape"),
        (np.full((1, 40, 40), 1.5), np.zeros((1, 40, 40)), "outside"),
        (np.full((1, 40, 40), np.nan), np.zeros((1, 40, 40)), "not a number"),
        (np.zeros((1, 31, 40)), np.zeros((1, 31, 40)), "at least the largest window, 32"),
    ],
)
def test_bad_volumes_are_refused(probability, image, message):
    """Other shapes, logits instead of probabilities, NaN and slices smaller than a window."""
    with pytest.raises(InputError, match=message):
        extract_candidates(probability, image)


def test_one_overlapping_pixel_makes_a_candidate_real():
    """Four candidates of 4 px: untouched, grazed, half of a lesion, equal to a lesion."""
    probability = blobs(
        none=(0, 2, 2, 2, 2), graze=(0, 10, 2, 2, 2), half=(0, 20, 2, 2, 2), same=(1, 10, 2, 2, 2)
    )
    truth = np.zeros(probability.shape, np.uint8)
    truth[0, 11:15, 3:7] = 1  # 16 px, 1 in common: intersection over union 1/19
    truth[0, 20:22, 2:6] = 1  # 8 px, 4 in common: 4/8
    truth[1, 10:12, 2:4] = 1  # 4 px, 4 in common: 1
    truth[1, 30:34, 30:34] = 1  # far away, must not enter any union
    found = extract_candidates(probability, image_like(probability))
    for pos_iou, expected in [(0.0, [0, 1, 1, 1]), (0.1, [0, 0, 1, 1]), (0.5, [0, 0, 1, 1]),
                              (0.6, [0, 0, 0, 1])]:  # fmt: skip
        np.testing.assert_array_equal(candidate_labels(found, truth, pos_iou), expected)
    with pytest.raises(InputError, match="shape of the candidates"):
        candidate_labels(found, truth[:1])


def one_candidate(p, around=0.1):
    """Map of one 2 x 2 blob with probability p above `around`, and its candidates."""
    probability = blobs(value=p, one=(0, 20, 20, 2, 2))
    probability[probability < 0.5] = around
    return probability, extract_candidates(probability, image_like(probability))


@settings(deadline=None)
@given(p=SIXTY_FOURTHS.filter(lambda p: p > 0.5), q=SIXTY_FOURTHS)
def test_with_an_even_prior_a_pixel_survives_exactly_if_p_plus_q_exceeds_one(p, q):
    """Odds p/(1-p) times q/(1-q) exceed one exactly then, certainty (0 and 1) included."""
    probability, found = one_candidate(p)
    assert (fuse(probability, found, [q])[0, 20, 20] > 0.5) == (p + q > 1)


@settings(deadline=None)
@given(p=SIXTY_FOURTHS, q=SIXTY_FOURTHS, prior=st.sampled_from([0.1, 0.5, 0.9]))
def test_below_the_threshold_the_window_obeys_the_same_odds(p, q, prior):
    """Inside the window p' > 0.5 exactly if p q (1 - prior) > (1 - p)(1 - q) prior."""
    around = min(p, 0.5)
    probability, found = one_candidate(0.75, around)
    fused = fuse(probability, found, [q], prior=prior, scope="window16")
    difference = around * q * (1 - prior) - (1 - around) * (1 - q) * prior
    if abs(difference) > 1e-9:
        assert (fused[0, 14, 14] > 0.5) == (difference > 0)


@settings(deadline=None)
@given(p=st.floats(0.5, 1, width=32, exclude_min=True), scope=st.sampled_from(FUSION_SCOPES))
def test_an_undecided_classifier_changes_nothing(p, scope):
    """With q = 0.5 and prior 0.5 every probability stays as it is, to float32."""
    probability, found = one_candidate(p)
    np.testing.assert_allclose(fuse(probability, found, [0.5], scope=scope), probability, rtol=1e-6)


def test_the_prior_shifts_the_odds():
    """At p = q = 0.75 and prior 0.1: odds 3 * 3 * 9 = 81, so p' = 81/82; at prior 0.9: 1/2."""
    probability, found = one_candidate(0.75)
    assert fuse(probability, found, [0.75], prior=0.1)[0, 20, 20] == pytest.approx(81 / 82)
    assert fuse(probability, found, [0.75], prior=0.9)[0, 20, 20] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("rule", "q", "expected"),
    [("product", 0.8, 0.6), ("gate", 0.5, 0.75), ("gate", 0.49, 0.0), ("none", 0.0, 0.75),
     ("bayes_odds", 0.25, 0.5), ("bayes_odds", 0.0, 0.0), ("bayes_odds", 1.0, 1.0)],
)  # fmt: skip
def test_each_rule_by_hand(rule, q, expected):
    """A pixel of p = 0.75 under the other readings of the fusion."""
    probability, found = one_candidate(0.75)
    assert fuse(probability, found, [q], rule=rule)[0, 20, 20] == pytest.approx(expected)


@pytest.mark.parametrize("prior", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("scope", FUSION_SCOPES)
def test_contradicting_certainties_switch_nothing_on(scope, prior):
    """Certainties p = 1, q = 0 and p = 0, q = 1 give 0.5, which is not above 0.5."""
    probability, found = one_candidate(1.0, around=0.0)
    assert fuse(probability, found, [0.0], prior=prior, scope=scope)[0, 20, 20] == 0.5
    assert (fuse(probability, found, [1.0], prior=prior, scope=scope) > 0.5).sum() == 4


volumes = arrays(np.float32, (2, 32, 34), elements=st.floats(0, 1, width=32), fill=st.just(0.25))


@settings(max_examples=60, deadline=None)
@given(
    probability=volumes,
    rule=st.sampled_from(FUSION_RULES),
    prior=st.floats(0.01, 0.99),
    data=st.data(),
)
def test_the_component_scope_only_removes(probability, rule, prior, data):
    """At any threshold up to the candidates' own no pixel is switched on, so DR cannot rise."""
    found = extract_candidates(probability, probability)
    q = data.draw(arrays(np.float64, len(found), elements=st.floats(0, 1)))
    fused = fuse(probability, found, q, rule=rule, prior=prior)
    for threshold in (0.2, 0.5):
        assert not ((fused > threshold) & ~(probability > threshold)).any()
    np.testing.assert_array_equal(fused[found.labels == 0], probability[found.labels == 0])
    assert ((fused >= 0) & (fused <= 1)).all()


@settings(max_examples=60, deadline=None)
@given(probability=volumes, data=st.data())
def test_the_window_scope_spares_other_components(probability, data):
    """Candidates follow their own q, large components nothing, in both scopes alike."""
    found = extract_candidates(probability, probability, max_px=2)
    q = data.draw(arrays(np.float64, len(found), elements=st.floats(0, 1)))
    own = fuse(probability, found, q)
    window = fuse(probability, found, q, scope="window16")
    above = probability > 0.5
    np.testing.assert_array_equal(window[above], own[above])
    assert (
        not probability[above & (found.labels == 0)].size
        or (window[above & (found.labels == 0)] == probability[above & (found.labels == 0)]).all()
    )


def test_the_window_scope_can_raise_the_detection_rate():
    """A lesion seen at 0.4 beside a false blob at 0.9: a confident q switches it on.

    A stage that only removes cannot explain that the published detection rate of small lesions
    rises from 0.92 to 0.93 (Table 5 of edd_muscle); this one can.
    """
    probability = blobs(false=(0, 20, 20, 2, 2))
    probability[0, 25, 20:23] = 0.4
    truth = np.zeros(probability.shape, bool)
    truth[0, 25, 20:23] = True
    found = extract_candidates(probability, image_like(probability))
    detected = {
        scope: score_case(fuse(probability, found, [0.7], scope=scope) > 0.5, truth, MM)["detected"]
        for scope in FUSION_SCOPES
    }
    assert score_case(probability > 0.5, truth, MM)["detected"] == 0
    assert detected == {"component": 0, "window16": 1}


def test_overlapping_windows_take_the_largest_q():
    """A pixel at 0.3 between two candidates with q 0.1 and 0.9 follows 0.9, in either order."""
    probability = blobs(left=(0, 20, 14, 2, 2), right=(0, 20, 22, 2, 2))
    probability[0, 20, 18] = 0.3
    found = extract_candidates(probability, image_like(probability))
    expected = 0.3 * 0.9 / (0.3 * 0.9 + 0.7 * 0.1)
    for q in ([0.1, 0.9], [0.9, 0.1]):
        fused = fuse(probability, found, q, scope="window16")
        assert fused[0, 20, 18] == pytest.approx(expected, rel=1e-5)


def test_the_window_reaches_no_other_slice():
    """Only the candidate's slice, rows 13-28 and columns 13-28 can change."""
    probability, found = one_candidate(0.9)
    changed = fuse(probability, found, [0.8], scope="window16") != probability
    assert not changed[1].any()
    assert changed.sum() == 16 * 16
    assert changed[0, 13:29, 13:29].all()


def test_the_input_is_not_changed():
    """The probability map handed in is the same afterwards."""
    probability, found = one_candidate(0.9)
    before = probability.copy()
    fuse(probability, found, [0.0])
    np.testing.assert_array_equal(probability, before)


def test_bad_evidence_is_refused():
    """Wrong counts, values out of range, priors at the ends and unknown names."""
    probability, found = one_candidate(0.9)
    for q, prior in (([], 0.5), ([0.5, 0.5], 0.5), ([1.5], 0.5), ([np.nan], 0.5), ([0.5], 0.0)):
        with pytest.raises(InputError):
            fuse(probability, found, q, prior=prior)
    with pytest.raises(UsageError, match="did you mean bayes_odds"):
        fuse(probability, found, [0.5], rule="bayes_odd")
    with pytest.raises(UsageError, match="component, window16"):
        fuse(probability, found, [0.5], scope="window")
