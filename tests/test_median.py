"""The median of a mask: by hand, equal to SciPy's, and the same before or after a threshold."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_masks import draw
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from strokerepro.errors import InputError, UsageError
from strokerepro.postprocess import median_mask

volumes = array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)
odd = st.sampled_from([1, 3, 5, 7, 9])


def test_a_lone_pixel_goes_and_a_hole_is_filled():
    """Three pixels wide: one vote of nine is no majority, and neither is one against eight."""
    mask = draw(
        """
        ........
        .####...
        .#.##.#.
        .####...
        ........
        """
    )
    expected = draw(
        """
        ........
        ..##....
        .####...
        ..##....
        ........
        """
    )
    assert (median_mask(mask, 3) == expected).all()


def test_at_the_border_the_slice_is_mirrored():
    """A corner of 2 x 2 px counts twice in each direction there, and stays but for one pixel."""
    mask = draw(
        """
        ##..
        ##..
        ....
        """
    )
    expected = draw(
        """
        ##..
        #...
        ....
        """
    )
    assert (median_mask(mask, 3) == expected).all()


def test_slices_do_not_vote_on_each_other():
    """A full slice between two empty ones stays full, and they stay empty."""
    mask = np.zeros((3, 6, 7), bool)
    mask[1] = True
    assert (median_mask(mask, 5) == mask).all()


@settings(max_examples=100, deadline=None)
@given(mask=arrays(bool, volumes), size=odd)
def test_it_is_scipys_median_filter(mask, size):
    """Borders included, also of slices that are smaller than the window."""
    expected = ndimage.median_filter(mask.astype(np.uint8), size=(1, size, size))
    filtered = median_mask(mask, size)
    assert filtered.dtype == np.bool_
    assert (filtered == expected).all()


@pytest.mark.parametrize("size", [15, 17, 31])
def test_counts_of_large_windows_do_not_wrap(size):
    """From 17 px on, more than 255 pixels vote."""
    mask = np.random.default_rng(size).random((1, 40, 36)) < 0.5
    mask[:, :20] |= np.random.default_rng(0).random((1, 20, 36)) < 0.9
    expected = ndimage.median_filter(mask.astype(np.uint8), size=(1, size, size))
    assert expected.any()
    assert (median_mask(mask, size) == expected).all()


@settings(max_examples=100, deadline=None)
@given(
    eighths=arrays(np.uint8, volumes, elements=st.integers(0, 8)),
    size=odd,
    threshold=st.integers(0, 8).map(lambda k: k / 8),
)
def test_a_threshold_commutes_with_an_odd_median(eighths, size, threshold):
    """Median of the probabilities, then threshold; or the mask's median: one mask, also at ties."""
    probability = eighths.astype(np.float32) / 8
    smoothed = ndimage.median_filter(probability, size=(1, size, size))
    assert (median_mask(probability > threshold, size) == (smoothed > threshold)).all()
    assert (median_mask(probability >= threshold, size) == (smoothed >= threshold)).all()


def test_with_an_even_median_it_would_not():
    """Why only odd sizes are taken: of four values the median may be one that none of them has."""
    probability = np.array([0.2, 0.4, 0.8, 1.0])
    assert np.median(probability) > 0.5
    assert not np.median(probability > 0.5) > 0.5


@settings(max_examples=50, deadline=None)
@given(mask=arrays(bool, volumes), size=odd)
def test_lesion_and_background_are_treated_alike(mask, size):
    """The filter of the complement is the complement of the filter."""
    assert (median_mask(~mask, size) == ~median_mask(mask, size)).all()


@settings(max_examples=50, deadline=None)
@given(mask=arrays(bool, volumes), size=odd, data=st.data())
def test_more_lesion_before_is_more_after(mask, size, data):
    """A larger mask never gives less anywhere."""
    larger = mask | data.draw(arrays(bool, mask.shape))
    assert (median_mask(mask, size) <= median_mask(larger, size)).all()


def test_a_window_of_one_pixel_changes_nothing_and_the_input_stays():
    """The result is a new array in any case."""
    mask = np.random.default_rng(0).random((2, 8, 9)) < 0.3
    before = mask.copy()
    same = median_mask(mask, 1)
    assert (same == mask).all()
    assert not np.shares_memory(same, mask)
    median_mask(mask, 5)
    assert (mask == before).all()


@pytest.mark.parametrize("shape", [(2, 9, 8), (0, 4, 4)])
def test_an_empty_mask_stays_empty(shape):
    """Without lesion, and without slices."""
    filtered = median_mask(np.zeros(shape, bool), 5)
    assert filtered.shape == shape
    assert not filtered.any()


def test_a_view_is_filtered_as_its_copy():
    """Slices of a transposed array."""
    mask = (np.random.default_rng(0).random((9, 8, 3)) < 0.5).transpose(2, 1, 0)
    assert (median_mask(mask, 3) == median_mask(mask.copy(), 3)).all()


@pytest.mark.parametrize("size", [0, 2, 4, -3])
def test_an_even_size_is_refused(size):
    """With an even number of votes there are ties."""
    with pytest.raises(UsageError, match=f"a median of {size} px"):
        median_mask(np.zeros((1, 4, 4), bool), size)


@pytest.mark.parametrize("mask", [np.zeros((4, 4), bool), np.zeros((1, 4, 4), np.float32)])
def test_only_boolean_volumes_are_taken(mask):
    """A slice without its axis, and probabilities that were not thresholded."""
    with pytest.raises(InputError, match="a mask of shape"):
        median_mask(mask, 3)
