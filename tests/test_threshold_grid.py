"""The grid of thresholds and smallest components: every cell equals scoring it on its own."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_masks import draw
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strokerepro.errors import InputError, UsageError
from strokerepro.metrics import score_case, score_grid, select_operating_point
from strokerepro.postprocess import CONNECTIVITIES, remove_small

MM = (5.0, 0.9, 0.8)
VOXEL = (1.0, 1.0, 1.0)
NAN = float("nan")
KEYS = ("dice", "precision", "recall", "hd_mm", "volume_ml_pred")
TENTHS = st.integers(0, 10).map(lambda k: k / 10)


def assert_cells_equal(probability, truth, thresholds, min_sizes_vox, connectivity="3d6"):
    """Compare all cells with `score_case` on the mask of each."""
    grid = score_grid(
        probability,
        truth,
        MM,
        thresholds=thresholds,
        min_sizes_vox=min_sizes_vox,
        connectivity=connectivity,
    )
    for i, threshold in enumerate(thresholds):
        for j, min_size in enumerate(min_sizes_vox):
            mask = remove_small(probability > threshold, min_size, connectivity)
            scores = score_case(mask, truth, MM)
            found = {key: getattr(grid, key)[i, j] for key in KEYS}
            expected = {key: scores[key] for key in KEYS}
            assert found == pytest.approx(expected, rel=1e-12, nan_ok=True), (i, j)
            hd_vox = score_case(mask, truth, VOXEL)["hd_mm"]
            assert grid.hd_vox[i, j] == pytest.approx(hd_vox, rel=1e-12, nan_ok=True), (i, j)
    return grid


# ------------------------------------------------------------------ removal

BLOBS = draw(
    """
    ##...#
    .#....
    ....##
    """,
    """
    ......
    ..#...
    ....#.
    """,
)


@pytest.mark.parametrize(
    ("connectivity", "min_voxels", "left"),
    [
        ("3d6", 1, 8), ("3d6", 2, 6), ("3d6", 3, 6), ("3d6", 4, 0),
        ("3d26", 4, 4), ("3d26", 5, 0), ("2d8", 2, 5), ("2d8", 3, 3), ("2d4", 3, 3),
    ],
)  # fmt: skip
def test_components_below_the_size_go_and_those_of_the_size_stay(connectivity, min_voxels, left):
    """Drawn blobs; corners join the 3 voxels of the first slice to the next one."""
    kept = remove_small(BLOBS, min_voxels, connectivity)
    assert kept.sum() == left
    assert not (kept & ~BLOBS).any()


def test_removal_leaves_its_input_alone():
    """A size of 0 or 1 gives an equal copy."""
    for min_voxels in (0, 1):
        kept = remove_small(BLOBS, min_voxels)
        assert np.array_equal(kept, BLOBS)
        assert not np.shares_memory(kept, BLOBS)


def test_an_unknown_connectivity_lists_the_known_ones():
    """The number of neighbours alone is no name."""
    with pytest.raises(UsageError, match="expected one of 2d4, 2d8, 3d26, 3d6"):
        remove_small(BLOBS, 2, "6")


# ------------------------------------------------------------------ one case by hand


def test_a_drawn_case_by_hand():
    """A true bar of 4 px, predicted at 0.9 but for one end; a false pair at 0.6, 6 px away."""
    truth = draw(
        """
        ####......
        """
    )
    probability = np.zeros(truth.shape)
    probability[0, 0] = [0.9, 0.9, 0.9, 0.2, 0, 0, 0, 0, 0.6, 0.6]
    grid = score_grid(
        probability, truth, (1.0, 1.0, 2.0), thresholds=(0.1, 0.5, 0.8), min_sizes_vox=(1, 3, 5)
    )
    np.testing.assert_allclose(grid.dice, [[8 / 10, 1, 0], [6 / 9, 6 / 7, 0], [6 / 7, 6 / 7, 0]])
    np.testing.assert_allclose(grid.precision, [[4 / 6, 1, 0], [3 / 5, 1, 0], [1, 1, 0]])
    np.testing.assert_allclose(grid.recall, [[1, 1, 0], [0.75, 0.75, 0], [0.75, 0.75, 0]])
    np.testing.assert_allclose(grid.hd_vox, [[6, 0, NAN], [6, 1, NAN], [1, 1, NAN]])
    np.testing.assert_allclose(grid.hd_mm, [[12, 0, NAN], [12, 2, NAN], [2, 2, NAN]])
    np.testing.assert_allclose(
        grid.volume_ml_pred, np.array([[6, 4, 0], [5, 3, 0], [3, 3, 0]]) * 0.002
    )


def test_a_probability_at_the_threshold_is_not_predicted():
    """Strictly greater, as in the released tool: 0.5 is out at 0.5 and in at 0.4."""
    grid = score_grid(
        np.full((1, 1, 2), 0.5), np.ones((1, 1, 2)), MM, thresholds=(0.4, 0.5), min_sizes_vox=(1,)
    )
    assert grid.dice.tolist() == [[1.0], [0.0]]


def test_a_component_that_goes_uncovers_the_surface_below_it():
    """2D components: a 7 x 7 plate, which is the truth, between two predicted plates of 5 x 5.

    With them the distance is the slice distance. Without them it is zero, because the middle of
    the large plate has become surface; from the rim alone it would be 2 px or more.
    """
    probability = np.zeros((3, 7, 7))
    probability[1], probability[::2, 1:6, 1:6] = 0.9, 0.9
    truth = np.zeros(probability.shape, bool)
    truth[1] = True
    grid = assert_cells_equal(probability, truth, (0.5,), (25, 26, 50), "2d8")
    np.testing.assert_allclose(grid.hd_mm, [[5.0, 0.0, NAN]])


def test_a_component_of_exactly_the_size_still_covers_its_neighbour():
    """The same plates; the truth is their surface and the very middle, 3 px of 0.8 mm from it.

    At the size of the small plates the middle stays covered. One voxel more, and the small
    plates are gone, a slice distance from what is left.
    """
    probability = np.zeros((3, 7, 7))
    probability[1], probability[::2, 1:6, 1:6] = 0.9, 0.9
    truth = probability > 0
    truth[1, 1:6, 1:6] = False
    truth[1, 3, 3] = True
    grid = assert_cells_equal(probability, truth, (0.5,), (25, 26), "2d8")
    np.testing.assert_allclose(grid.hd_mm, [[2.4, 5.0]])


# ------------------------------------------------------------------ every cell

VOLUMES = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: st.tuples(arrays(float, shape, elements=TENTHS), arrays(bool, shape))
)


@settings(deadline=None, max_examples=60)
@given(
    volumes=VOLUMES,
    thresholds=st.lists(TENTHS, min_size=1, max_size=4),
    min_sizes=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    connectivity=st.sampled_from(CONNECTIVITIES),
)
def test_every_cell_equals_the_score_of_its_own_mask(volumes, thresholds, min_sizes, connectivity):
    """Any volume, also empty ones; thresholds and sizes in any order, also twice the same."""
    assert_cells_equal(*volumes, thresholds, min_sizes, connectivity)


@pytest.mark.parametrize("connectivity", ["3d6", "3d26", "2d8"])
def test_a_lesion_with_blurred_edges_and_false_blobs(connectivity):
    """A larger volume with components of all sizes, in float32 as networks give it."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices((4, 40, 44))
    truth = (3 * (z - 1)) ** 2 + (y - 15) ** 2 + (x - 18) ** 2 < 60
    noise = sum(np.roll(rng.random(truth.shape), step, (1, 2)) for step in range(3)) / 3
    probability = np.clip(0.55 * truth + 0.75 * noise - 0.1, 0, 1).astype(np.float32)
    thresholds = [step / 10 for step in range(1, 10)]
    grid = assert_cells_equal(probability, truth, thresholds, (1, 3, 10, 30, 60), connectivity)
    assert len(np.unique(grid.hd_mm[np.isfinite(grid.hd_mm)])) > 5  # cells do differ


def test_an_empty_reference_leaves_only_the_volume():
    """Overlap and distances are undefined; 2 voxels of 3.6 mm3 are predicted."""
    probability = np.zeros((1, 3, 3))
    probability[0, 0, :2] = 0.9
    truth = np.zeros(probability.shape, np.uint8)
    grid = assert_cells_equal(probability, truth, (0.1, 0.95), (1, 3))
    assert np.isnan(grid.dice).all()
    np.testing.assert_allclose(grid.volume_ml_pred, [[0.0072, 0], [0, 0]])


@pytest.mark.parametrize(
    ("probability", "truth", "options", "said"),
    [
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 3)), {}, "one common shape"),
        (np.zeros((2, 2)), np.zeros((2, 2)), {}, "one common shape"),
        (np.full((1, 2, 2), np.nan), np.zeros((1, 2, 2)), {}, "not a number"),
        (np.zeros((1, 2, 2)), np.full((1, 2, 2), 255), {}, "values other than 0 and 1"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), {"thresholds": ()}, "0 thresholds and 1"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), {"min_sizes_vox": ()}, "0 minimum sizes"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), {"connectivity": "2d"}, "did you mean 2d"),
    ],
    ids=["shape", "two-axes", "nan", "mask-255", "thresholds", "sizes", "connectivity"],
)
def test_bad_input_is_refused_in_one_line(probability, truth, options, said):
    """The line says what was got."""
    options = {"thresholds": (0.5,), "min_sizes_vox": (1,), **options}
    with pytest.raises(InputError, match=said):
        score_grid(probability, truth, MM, **options)


def test_a_spacing_is_three_positive_numbers():
    """Zero thickness would make all distances along z equal."""
    volume = np.ones((1, 2, 2))
    with pytest.raises(InputError, match="a spacing of"):
        score_grid(volume, volume, (0.0, 1.0, 1.0), thresholds=(0.5,), min_sizes_vox=(1,))


# ------------------------------------------------------------------ the operating point

T, S = (0.3, 0.5, 0.6), (10, 100)


def select(dice, hd, rule="ranksum", thresholds=T, min_sizes=S):
    """Choose for one case whose grids are given."""
    return select_operating_point(
        np.array([dice], float), np.array([hd], float),
        thresholds=thresholds, min_sizes=min_sizes, rule=rule,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "pair"), [("dice", (0, 0)), ("hd", (2, 1)), ("ranksum", (1, 1)), ("zscore", (1, 1))]
)
def test_each_rule_by_hand(rule, pair):
    """Dice prefers the first pair and the distance the last; jointly (0.5, 100) is best.

    Ranks in Dice 1 4 3 2 5 6 and in distance 6 5 4 2 3 1 have the sums 7 9 7 4 8 7.
    """
    dice = [[0.60, 0.50], [0.55, 0.58], [0.40, 0.30]]
    hd = [[60, 50], [40, 20], [30, 10]]
    point = select(dice, hd, rule)
    assert (point.i, point.j) == pair
    assert (point.threshold, point.min_size) == (T[pair[0]], S[pair[1]])


def test_z_scores_weigh_differences_and_ranks_do_not():
    """A far better distance outweighs a slightly better Dice by SD; by rank they are even."""
    dice, hd = [[0.50, 0.51, 0.10]], [[10, 30, 31]]
    assert select(dice, hd, "zscore", (0.5,), (1, 2, 3)).j == 0
    assert select(dice, hd, "ranksum", (0.5,), (1, 2, 3)).j == 1  # sums 3, 3 and 6


def test_ties_go_to_the_smaller_size_and_then_to_the_threshold_nearer_a_half():
    """All pairs equal: size 10 before 100, then 0.5 before 0.6 before 0.3."""
    equal = np.full((3, 2), 0.5)
    assert select(equal, equal)[:2] == (0.5, 10)
    assert select(equal[1:], equal[1:], thresholds=(0.3, 0.6))[:2] == (0.6, 10)
    assert select(equal[1:], equal[1:], thresholds=(0.6, 0.4))[:2] == (0.4, 10)
    better = equal.copy()
    better[:, 1] = 0.6
    assert select(better, equal, "hd")[:2] == (0.5, 100)  # higher Dice before smaller size


@pytest.mark.parametrize("rule", ["ranksum", "dice", "hd", "zscore"])
def test_a_pair_that_predicts_nothing_is_never_chosen_for_its_distance(rule):
    """Without any distance it is last in it, not first, nor dropped."""
    point = select([[0.4, 0.0]], [[50, NAN]], rule, (0.5,), (1, 2))
    assert point.j == 0


def test_means_are_over_the_cases_that_are_defined():
    """Dice 0.9 of one case and undefined in the other is 0.9, better than 0.5 and 0.8."""
    dice = np.array([[[0.9, 0.8]], [[NAN, 0.5]]])
    hd = np.array([[[20, 10]], [[NAN, 40]]])  # means 20 and 25
    point = select_operating_point(dice, hd, thresholds=(0.5,), min_sizes=(0.5, 1.0))
    assert point == (0.5, 0.5, 0, 0)


def test_z_scores_of_equal_values_decide_nothing():
    """Without a spread in Dice the distance decides alone, and no warning is raised."""
    assert select([[0.5, 0.5]], [[20, 10]], "zscore", (0.5,), (1, 2)).j == 1


@pytest.mark.parametrize(
    ("dice", "hd", "said"),
    [
        (np.zeros((2, 3, 2)), np.zeros((2, 3, 1)), r"\(cases, 3, 2\)"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), r"\(cases, 3, 2\)"),
        (np.full((2, 3, 2), NAN), np.zeros((2, 3, 2)), "2 cases without a defined Dice"),
    ],
)
def test_grids_that_do_not_fit_are_refused(dice, hd, said):
    """Shapes that disagree, and cohorts without a lesion."""
    with pytest.raises(InputError, match=said):
        select_operating_point(dice, hd, thresholds=T, min_sizes=S)


def test_an_unknown_rule_lists_the_known_ones():
    """A typing error is no rule."""
    with pytest.raises(UsageError, match="did you mean ranksum"):
        select(np.ones((3, 2)), np.ones((3, 2)), "rank_sum")
