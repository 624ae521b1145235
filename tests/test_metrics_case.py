"""Scores of one case on masks small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_masks import draw

from strokerepro.errors import InputError, UsageError
from strokerepro.metrics import CASE_KEYS, CONNECTIVITIES, best_threshold_dice, dice, score_case

NAN = float("nan")
MM = (1.0, 1.0, 1.0)
DISTANCES = ("hd_mm", "hd95_mm", "assd_mm")

TRUTH = draw(
    """
    ##......
    ##......
    ........
    ....#...
    """,
    """
    ........
    ........
    ........
    .......#
    """,
)
PRED = draw(
    """
    .##.....
    .##.....
    ........
    ........
    """,
    """
    ........
    .###....
    ........
    .......#
    """,
)
EMPTY = np.zeros_like(TRUTH)


def test_overlap_is_counted_over_the_whole_volume():
    """6 reference, 8 predicted and 3 common voxels give Dice 6/14, precision 3/8, recall 3/6."""
    scores = score_case(PRED, TRUTH, MM)
    assert scores["dice"] == pytest.approx(6 / 14)
    assert scores["precision"] == pytest.approx(3 / 8)
    assert scores["recall"] == pytest.approx(3 / 6)
    assert dice(PRED, TRUTH) == pytest.approx(6 / 14)


def test_volumes_are_millilitres():
    """A voxel of 5 x 2 x 2 mm is 0.02 mL, so 8 against 6 voxels differ by 0.04 mL."""
    scores = score_case(PRED, TRUTH, (5.0, 2.0, 2.0))
    assert scores["volume_ml_pred"] == pytest.approx(0.16)
    assert scores["volume_ml_truth"] == pytest.approx(0.12)
    assert scores["avd_ml"] == pytest.approx(0.04)
    assert score_case(TRUTH, PRED, (5.0, 2.0, 2.0))["avd_ml"] == pytest.approx(0.04)


def test_lesions_are_counted_per_slice_and_summed():
    """The drawn case has two found lesions, one missed of 1 px and one invented of 3 px."""
    scores = score_case(PRED, TRUTH, MM)
    assert (scores["n_tp"], scores["n_fn"], scores["n_fp"]) == (2, 1, 1)
    assert (scores["size_fn_px"], scores["size_fp_px"]) == (1, 3)
    assert scores["size_truth_px"] == pytest.approx((4 + 1 + 1) / 3)
    assert scores["detected"] == 1


def test_mean_sizes_of_false_lesions_are_zero_when_there_are_none():
    """A perfect subject enters the mean over subjects with size 0 (not undefined)."""
    scores = score_case(TRUTH, TRUTH, MM)
    assert (scores["size_fp_px"], scores["size_fn_px"]) == (0, 0)
    assert (scores["n_fp"], scores["n_fn"], scores["n_tp"]) == (0, 0, 3)


DIAGONALS = draw(
    """
    #..
    .#.
    ...
    """,
    """
    ...
    ...
    ..#
    """,
    """
    ...
    ...
    ..#
    """,
)


@pytest.mark.parametrize(
    ("connectivity", "n_lesions"), [("2d8", 3), ("2d4", 4), ("3d6", 3), ("3d26", 1)]
)
def test_connectivity_decides_what_one_lesion_is(connectivity, n_lesions):
    """Four voxels, a diagonal in a slice, one across slices and a stack, by all four rules."""
    scores = score_case(EMPTY[:1, :3, :3].repeat(3, 0), DIAGONALS, MM, connectivity=connectivity)
    assert scores["n_fn"] == n_lesions
    assert scores["size_truth_px"] == pytest.approx(4 / n_lesions)


def test_touching_rows_at_the_slice_border_stay_apart():
    """A voxel in the last row of a slice is no neighbour of the first row of the next slice."""
    mask = np.zeros((2, 3, 3), bool)
    mask[0, 2, 1] = mask[1, 0, 1] = True
    assert score_case(mask, mask, MM, connectivity="2d8")["n_tp"] == 2


def test_a_stricter_overlap_turns_a_grazed_lesion_into_a_miss():
    """Two common voxels match a 4-px lesion at 2 and not at 3; a 1-px lesion can still match."""
    found = {k: score_case(PRED, TRUTH, MM, tp_min_overlap=k) for k in (1, 2, 3)}
    assert [found[k]["n_tp"] for k in (1, 2, 3)] == [2, 2, 1]
    assert [found[k]["n_fn"] for k in (1, 2, 3)] == [1, 1, 2]
    assert [found[k]["n_fp"] for k in (1, 2, 3)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("empty", "pred", "truth", "expected_overlap", "expected_distance"),
    [
        ("nan", EMPTY, EMPTY, (NAN, NAN, NAN), NAN),
        ("nan", PRED, EMPTY, (NAN, NAN, NAN), NAN),
        ("nan", EMPTY, TRUTH, (0, 0, 0), NAN),
        ("isles2018", EMPTY, EMPTY, (0, 0, 0), 0),
        ("isles2018", PRED, EMPTY, (0, 0, 0), 1e8),
        ("isles2018", EMPTY, TRUTH, (0, 0, 0), 1e8),
        ("isles2022", EMPTY, EMPTY, (1, NAN, NAN), NAN),
        ("isles2022", PRED, EMPTY, (0, NAN, NAN), NAN),
        ("isles2022", EMPTY, TRUTH, (0, 0, 0), NAN),
    ],
)
def test_every_policy_says_what_an_empty_mask_scores(
    empty, pred, truth, expected_overlap, expected_distance
):
    """Dice, precision, recall and distances for all combinations of empty masks and policies."""
    scores = score_case(pred, truth, MM, empty=empty)
    overlap = [scores[key] for key in ("dice", "precision", "recall")]
    np.testing.assert_array_equal(overlap, expected_overlap)
    np.testing.assert_array_equal([scores[key] for key in DISTANCES], [expected_distance] * 3)


@pytest.mark.parametrize("empty", ["nan", "isles2018", "isles2022"])
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
def test_an_empty_reference_still_counts_false_positives(empty, connectivity):
    """Detection and lesion sizes are undefined without a lesion, invented lesions are not."""
    scores = score_case(PRED, EMPTY, MM, empty=empty, connectivity=connectivity)
    assert scores["n_fp"] > 0
    assert (scores["n_tp"], scores["n_fn"]) == (0, 0)
    for key in ("detected", "size_fp_px", "size_fn_px", "size_truth_px"):
        assert np.isnan(scores[key])


def test_an_empty_prediction_misses_everything():
    """All three lesions are missed, none is detected, and the volume error is their volume."""
    scores = score_case(EMPTY, TRUTH, MM)
    assert (scores["n_fn"], scores["n_fp"], scores["detected"]) == (3, 0, 0)
    assert scores["size_fn_px"] == pytest.approx(2)
    assert scores["avd_ml"] == pytest.approx(0.006)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.float32])
def test_any_binary_type_scores_alike(dtype):
    """Masks from NIfTI files come as floats or integers."""
    scores = score_case(PRED.astype(dtype), TRUTH.astype(dtype), MM)
    assert scores == score_case(PRED, TRUTH, MM)
    assert tuple(scores) == CASE_KEYS
    assert all(isinstance(value, float) for value in scores.values())


@pytest.mark.parametrize(
    ("pred", "truth", "spacing", "message"),
    [
        (PRED[:1], TRUTH, MM, "shape"),
        (PRED[0], TRUTH[0], MM, "shape"),
        (PRED * 2, TRUTH, MM, "prediction with values other than 0 and 1"),
        (PRED, TRUTH * 0.5, MM, "reference with values other than 0 and 1"),
        (np.where(PRED, NAN, 0), TRUTH, MM, "prediction with values"),
        (PRED, TRUTH, (1.0, 0.0, 1.0), "spacing"),
        (PRED, TRUTH, (1.0, 1.0), "spacing"),
    ],
)
def test_bad_masks_are_refused(pred, truth, spacing, message):
    """A wrong shape, a label map, a probability, NaN or a zero spacing never become a score."""
    with pytest.raises(InputError, match=message):
        score_case(pred, truth, spacing)


@pytest.mark.parametrize(
    "option", [{"connectivity": "3d18"}, {"empty": "zero"}, {"tp_min_overlap": 0}]
)
def test_unknown_options_are_usage_errors(option):
    """Options that do not exist are refused before anything is computed."""
    with pytest.raises(UsageError):
        score_case(PRED, TRUTH, MM, **option)


def test_the_best_threshold_is_found_among_all_that_differ():
    """Scores 5 4 3 2 1 with lesions at 5 and 3: predicting the top three gives Dice 4/5."""
    score = np.array([[[5, 4, 3, 2, 1]]], np.float32)
    truth = np.array([[[1, 0, 1, 0, 0]]])
    best = best_threshold_dice(score, truth)
    assert best.dice == pytest.approx(0.8)
    assert dice(score > best.threshold, truth) == best.dice
    assert 2 <= best.threshold < 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_beats_the_best_one(dtype, seed):
    """Trying every distinct score by hand gives the same Dice, with many ties."""
    generator = np.random.default_rng(seed)
    score = generator.integers(-4, 5, (2, 5, 6)).astype(dtype)
    truth = generator.random(score.shape) < 0.3
    best = best_threshold_dice(score, truth)
    tried = [dice(score > value, truth) for value in [-np.inf, *np.unique(score)]]
    assert best.dice == pytest.approx(max(tried))
    assert dice(score > best.threshold, truth) == pytest.approx(best.dice)


def test_given_thresholds_are_the_only_ones_tried():
    """Of 0.5, 2.5 and 4.5 the middle one is best; equal Dice prefers the higher; 3 excludes 3."""
    score = np.array([[[5.0, 4.0, 3.0, 2.0, 1.0]]])
    truth = np.array([[[1, 0, 1, 0, 0]]])
    assert best_threshold_dice(score, truth, [4.5, 0.5, 2.5]) == (2.5, pytest.approx(0.8))
    assert best_threshold_dice(score, truth, [2.1, 2.9]).threshold == 2.9
    assert best_threshold_dice(score, truth, [3.0]).dice == pytest.approx(2 / 4)


def test_without_a_reference_there_is_no_best_threshold():
    """An empty reference gives NaN, not a threshold that predicts nothing."""
    assert all(np.isnan(best_threshold_dice(np.ones((1, 2, 2)), np.zeros((1, 2, 2)))))
    assert np.isnan(dice(PRED, EMPTY))


def test_bad_scores_are_refused():
    """A score that is NaN has no rank."""
    with pytest.raises(InputError, match="not finite"):
        best_threshold_dice(np.full((1, 2, 2), NAN), np.ones((1, 2, 2)))
    with pytest.raises(InputError, match="no thresholds"):
        best_threshold_dice(np.ones((1, 2, 2)), np.ones((1, 2, 2)), [])
