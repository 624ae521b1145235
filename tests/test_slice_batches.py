"""Whole slices: which are visited, in which order, and where their windows begin."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.errors import InputError, UsageError
from strokerepro.sampling import SliceBatches
from strokerepro.store import Store


def make_store(*cases, shape=(6, 6)):
    """Store of cases drawn a letter a slice: ``l`` with lesion, ``b`` brain only, ``.`` empty."""
    prepared = []
    for number, kinds in enumerate(cases):
        image = np.zeros((2, len(kinds), *shape), np.float32)
        label = np.zeros((len(kinds), *shape), np.uint8)
        for z, kind in enumerate(kinds):
            image[:, z, 1:-1, 1:-1] = 100 * number + z + 1 if kind in "lb" else 0
            label[z, 2, 2] = kind == "l"
        prepared.append(
            SimpleNamespace(
                image=image,
                label=label,
                foreground=None,
                case_id=f"case_{number}",
                patient_id=f"p{number}",
            )
        )
    return Store.from_cases(prepared, "cpu")


def epoch(batches, number, size):
    """All slices of one epoch."""
    steps = batches.steps_per_epoch(size)
    return torch.cat([batches.batch(number * steps + step, size) for step in range(steps)])


class TestSlices:
    def test_all_slices_with_brain_are_visited_those_without_lesion_too(self):
        """Of three cases drawn here, the two slices without brain are left out."""
        batches = SliceBatches(make_store("lb.", "bb", ".l"), seed=0)
        assert batches.slices.tolist() == [0, 1, 3, 4, 6]

    def test_lesion_only_leaves_out_the_others(self):
        """The first slice of the first case and the last of the last have lesion."""
        batches = SliceBatches(make_store("lb.", "bb", ".l"), seed=0, keep="lesion_only")
        assert batches.slices.tolist() == [0, 6]

    def test_lesion_outside_the_brain_mask_counts_all_the_same(self):
        """A slice is kept for its lesion also where the preparation found no brain."""
        store = make_store("bb")
        store.foreground[1] = False
        assert SliceBatches(store, seed=0).slices.tolist() == [0]
        store.labels[1, 3, 3] = 1
        assert SliceBatches(store, seed=0).slices.tolist() == [0, 1]


class TestBatches:
    @settings(max_examples=30, deadline=None)
    @given(count=st.integers(1, 30), size=st.integers(1, 12), number=st.integers(0, 5))
    def test_an_epoch_visits_every_slice_once(self, count, size, number):
        """Whatever the size of a batch."""
        batches = SliceBatches(make_store("b" * count), seed=3)
        assert sorted(epoch(batches, number, size).tolist()) == list(range(count))

    def test_the_last_batch_of_an_epoch_holds_the_rest(self):
        """Ten slices by four: four, four, two; then a full one."""
        batches = SliceBatches(make_store("b" * 10), seed=0)
        assert batches.steps_per_epoch(4) == 3
        assert [len(batches.batch(index, 4)) for index in range(4)] == [4, 4, 2, 4]

    def test_a_batch_depends_on_seed_and_number_alone(self):
        """Asked for in any order, and of a new object, a batch is the same."""
        store = make_store("lbl", "b" * 9)
        one, other = (SliceBatches(store, seed=5) for _ in range(2))
        forwards = [one.batch(index, 5).tolist() for index in range(12)]
        backwards = [other.batch(index, 5).tolist() for index in reversed(range(12))]
        assert forwards == backwards[::-1]
        assert SliceBatches(store, seed=6).batch(0, 5).tolist() != forwards[0]

    def test_epochs_have_different_orders(self):
        """Of 30 slices, two of five epochs in one order would be a repeated stream."""
        batches = SliceBatches(make_store("b" * 30), seed=0)
        assert len({tuple(epoch(batches, number, 7).tolist()) for number in range(5)}) == 5

    def test_a_changed_batch_leaves_the_sampler_as_it_is(self):
        """The batch is the caller's to write to."""
        batches = SliceBatches(make_store("b" * 8), seed=0)
        batch = batches.batch(0, 4)
        before = batch.tolist()
        batch[:] = -1
        assert batches.batch(0, 4).tolist() == before


class TestCorners:
    def test_a_window_of_the_slices_size_is_the_whole_slice(self):
        """Image and label come out as they were stacked, in the order of the batch."""
        store = make_store("lb", "l")
        batches = SliceBatches(store, seed=1)
        slices = batches.batch(0, 3)
        images, labels = store.window(batches.corners(slices, 6), 6)
        assert images.shape == (3, 2, 6, 6)
        margin = store.margin_px
        whole = store.images[slices, margin:-margin, margin:-margin].permute(0, 3, 1, 2)
        assert torch.equal(images, whole)
        assert labels.flatten(1).sum(1).tolist() == [int(number != 1) for number in slices]

    @pytest.mark.parametrize("window_px", [8, 10, 20])
    def test_a_larger_window_has_the_slice_in_its_middle(self, window_px):
        """To rotate it in: zeros all around, as many on each side."""
        store = make_store("b")
        batches = SliceBatches(store, seed=0)
        images, _ = store.window(batches.corners(batches.batch(0, 1), window_px), window_px)
        border = (window_px - 6) // 2
        inner = images[..., border:-border, border:-border]
        assert torch.equal(inner[0, 0, 1:-1, 1:-1], torch.ones(4, 4))
        assert images.sum() == inner.sum() == 2 * 16

    def test_slices_that_are_no_squares_are_centred_too(self):
        """6 x 10 px in a window of 12."""
        batches = SliceBatches(make_store("b", shape=(6, 10)), seed=0)
        assert batches.corners(torch.tensor([0]), 12).tolist() == [[0, -3, -1]]


class TestRefusals:
    @pytest.mark.parametrize(
        ("kinds", "keep", "said"), [("..", "all", "brain"), ("bb", "lesion_only", "lesion")]
    )
    def test_nothing_to_visit_is_refused(self, kinds, keep, said):
        """With the number of slices and what they lack."""
        with pytest.raises(InputError, match=f"2 slices, none with {said}"):
            SliceBatches(make_store(kinds), seed=0, keep=keep)

    def test_an_unknown_choice_lists_the_known_ones(self):
        """A typing error is answered with the right names."""
        with pytest.raises(UsageError, match="all, lesion_only"):
            SliceBatches(make_store("b"), seed=0, keep="lesions")
