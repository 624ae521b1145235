from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.errors import InputError, UsageError
from strokerepro.store import Store
from strokerepro.store.windows import copy_windows, gather_windows


def make_case(label, *, channels=1, case_id="a", patient_id=None, seed=0):
    """Stand-in for a prepared case: random image, given mask."""
    label = np.asarray(label, dtype=np.uint8)
    image = np.random.default_rng(seed).normal(size=(channels, *label.shape)).astype(np.float32)
    return SimpleNamespace(
        image=image,
        label=label,
        foreground=None,
        case_id=case_id,
        patient_id=patient_id or case_id,
    )


def drawing(*rows):
    """Turn a drawing of a mask, # for lesion, into numbers."""
    return [[int(character != ".") for character in row] for row in rows]


def two_cases(channels=1):
    """Two slices of 5 x 7 px and one of 6 x 4 px, all lesion."""
    return [
        make_case(np.ones((2, 5, 7)), channels=channels, case_id="a", seed=1),
        make_case(np.ones((1, 6, 4)), channels=channels, case_id="b", seed=2),
    ]


class TestStacking:
    def test_slices_of_all_cases_stand_channels_last_inside_a_zero_margin(self):
        """Each case is found at its own coordinates, everything else is zero."""
        cases = two_cases(channels=3)
        store = Store.from_cases(cases, "cpu", margin_px=2)
        assert store.images.shape == (3, 6 + 4, 7 + 4, 3)
        assert store.images.dtype == torch.float32
        assert store.labels.dtype == torch.uint8
        assert store.foreground.dtype == torch.bool
        inner = store.images[2, 2:8, 2:6].permute(2, 0, 1)
        assert torch.equal(inner, torch.from_numpy(cases[1].image[:, 0]))
        for tensor in (store.images, store.labels, store.foreground):
            outside = tensor.clone()
            outside[:2, 2:7, 2:9] = 0
            outside[2:, 2:8, 2:6] = 0
            assert not outside.any()

    def test_each_slice_knows_its_case_and_size(self):
        """Slice numbers lead back to case, patient and size."""
        store = Store.from_cases(two_cases(), "cpu")
        assert store.slice_case.tolist() == [0, 0, 1]
        assert store.slice_size_px.tolist() == [[5, 7], [5, 7], [6, 4]]
        assert store.case_ids == ("a", "b")

    def test_nbytes_counts_all_tensors(self):
        """The footprint is 6 bytes a padded pixel of one channel, plus the small tables."""
        store = Store.from_cases([make_case(np.zeros((2, 8, 8)))], "cpu")
        assert store.nbytes == 6 * 2 * 10 * 10 + 8 * (2 + 4) + 3 * 8

    @pytest.mark.parametrize(
        ("cases", "said"),
        [
            ([], "no case"),
            ([SimpleNamespace(image=np.zeros((1, 1, 4, 4)), label=None, case_id="x")], "x without"),
            ([make_case(np.full((1, 4, 4), 255), case_id="x")], "up to 255"),
            ([*two_cases(1), *two_cases(2)], r"\(2, 2, 5, 7\)"),
        ],
        ids=["none", "no-mask", "mask-255", "channels-differ"],
    )
    def test_cases_that_cannot_be_stacked_are_refused_by_name(self, cases, said):
        """The error says which case is wrong and how."""
        with pytest.raises(InputError, match=said):
            Store.from_cases(cases, "cpu")

    def test_a_store_needs_a_margin(self):
        """Gathered windows find their zeros in the margin, so it cannot be absent."""
        with pytest.raises(UsageError, match="margin_px=0"):
            Store.from_cases(two_cases(), "cpu", margin_px=0)


class TestLesionTable:
    def test_lesions_are_8_connected_within_a_slice_and_separate_between_slices(self):
        """Diagonal neighbours join, the slice above does not, a gap of one pixel separates."""
        label = [drawing("#...", ".#.#", "...#"), drawing("#...", "....", "....")]
        lesions = Store.from_cases([make_case(label)], "cpu").lesions
        assert lesions.lesion_start.tolist() == [0, 2, 4, 5]
        assert lesions.pixels.tolist() == [
            [0, 0, 0],
            [0, 1, 1],
            [0, 1, 3],
            [0, 2, 3],
            [1, 0, 0],
        ]
        assert lesions.slice_start.tolist() == [0, 4, 5]

    def test_the_cases_of_a_patient_form_one_run(self):
        """Patient p has the first and the last case; its three pixels stand together."""
        cases = [
            make_case([drawing("#.", "..")], case_id="a", patient_id="p"),
            make_case([drawing("..", ".#")], case_id="b", patient_id="q"),
            make_case([drawing("##", "..")], case_id="c", patient_id="p"),
        ]
        lesions = Store.from_cases(cases, "cpu").lesions
        assert lesions.patient_start.tolist() == [0, 3, 4]
        assert lesions.lesion_start.tolist() == [0, 1, 3, 4]
        assert lesions.pixels[:, 0].tolist() == [0, 2, 2, 1]
        assert lesions.slice_start.tolist() == [0, 1, 3, 4]

    def test_a_store_without_lesions_has_an_empty_table(self):
        """No lesion is not an error here: a store may serve to look at healthy slices."""
        lesions = Store.from_cases([make_case(np.zeros((2, 4, 4)))], "cpu").lesions
        assert lesions.pixels.shape == (0, 3)
        assert lesions.lesion_start.tolist() == [0]


class TestForeground:
    def test_without_a_mask_a_pixel_counts_when_any_channel_is_not_zero(self):
        """Of three such pixels one is lesion, and two are background positions."""
        case = make_case([drawing("#..", "...")], channels=2)
        case.image[:] = 0
        case.image[0, 0, 0, 0] = case.image[0, 0, 0, 1] = case.image[1, 0, 1, 2] = 3
        store = Store.from_cases([case], "cpu", margin_px=4)
        assert store.background_positions().tolist() == [[0, 0, 1], [0, 1, 2]]

    def test_a_mask_of_the_preparation_is_used_in_its_place(self):
        """The second case brings its own: two pixels, one of them lesion, whatever the image."""
        cases = [make_case([drawing("...")]), make_case([drawing("#..")], case_id="b")]
        cases[0].image[:] = 0
        cases[1].foreground = np.array([drawing("##.")], dtype=bool)
        store = Store.from_cases(cases, "cpu")
        assert store.foreground.nonzero().tolist() == [[1, 1, 1], [1, 1, 2]]
        assert store.background_positions().tolist() == [[1, 0, 1]]

    def test_a_mask_of_another_shape_is_refused_by_name(self):
        """A foreground on another grid than the image would mark the wrong pixels."""
        case = make_case(np.zeros((1, 4, 4)), case_id="x")
        case.foreground = np.ones((1, 4, 5), dtype=bool)
        with pytest.raises(InputError, match=r"case x with foreground \(1, 4, 5\)"):
            Store.from_cases([case], "cpu")


class TestWindow:
    def test_a_window_is_the_slice_and_zero_outside(self):
        """Half a window over the edge: one half is the image, the other is zero."""
        case = make_case(np.ones((1, 4, 4)))
        images, labels = Store.from_cases([case], "cpu").window(torch.tensor([[0, -2, 1]]), 4)
        assert images.shape == (1, 1, 4, 4)
        assert not images[0, 0, :2].any()
        assert not images[0, 0, :, 3].any()
        assert np.array_equal(images[0, 0, 2:, :3], case.image[0, 0, :2, 1:])
        assert labels[0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]

    @settings(deadline=None, max_examples=60)
    @given(
        channels=st.integers(1, 10),
        margin_px=st.integers(1, 5),
        size_px=st.integers(1, 12),
        corners=st.lists(
            st.tuples(st.integers(0, 2), st.integers(-20, 20), st.integers(-20, 20)),
            min_size=1,
            max_size=5,
        ),
    )
    def test_copies_and_gather_agree_everywhere(self, channels, margin_px, size_px, corners):
        """The CPU's slice copies and the GPU's gather cut the same, also far outside."""
        store = Store.from_cases(two_cases(channels), "cpu", margin_px)
        places = torch.tensor(corners)
        stacks = (store.images, store.labels)
        copied, gathered = (cut(stacks, places, size_px) for cut in (copy_windows, gather_windows))
        for ours, theirs in zip(copied, gathered, strict=True):
            assert torch.equal(ours, theirs)
        _, labels = store.window(places - torch.tensor([0, margin_px, margin_px]), size_px)
        assert torch.equal(labels, copied[1])

    def test_a_window_larger_than_the_slices_is_filled_with_zeros(self):
        """A 12-px window around a 4 x 4 slice with a margin of 1 px."""
        case = make_case(np.ones((1, 4, 4)))
        images, labels = Store.from_cases([case], "cpu").window(torch.tensor([[0, -3, -5]]), 12)
        assert int(labels.sum()) == 16
        assert np.array_equal(images[0, 0, 3:7, 5:9], case.image[0, 0])

    @pytest.mark.parametrize("channels", [1, 4, 10])
    def test_batches_come_in_channels_last_format(self, channels):
        """(B, C, h, w) in the memory order that convolutions like."""
        store = Store.from_cases(two_cases(channels), "cpu")
        images, labels = store.window(torch.zeros(3, 3, dtype=torch.long), 4)
        assert images.shape == (3, channels, 4, 4)
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert labels.shape == (3, 4, 4)
        assert labels.dtype == torch.uint8

    def test_a_batch_owns_its_memory(self):
        """Writing into a batch leaves the store and an earlier batch as they were."""
        store = Store.from_cases(two_cases(), "cpu")
        corners = torch.zeros(1, 3, dtype=torch.long)
        first, _ = store.window(corners, 4)
        kept = first.clone()
        second, _ = store.window(corners, 4)
        second.zero_()
        assert torch.equal(first, kept)
        assert torch.equal(store.window(corners, 4)[0], kept)

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_gpu_and_cpu_cut_the_same(self):
        """The same corners give bit-identical batches on both devices."""
        stores = [Store.from_cases(two_cases(3), device, 2) for device in ("cpu", "cuda")]
        corners = torch.tensor([[0, -3, 2], [2, 4, 4], [1, 0, 0]])
        (images, labels), (gpu_images, gpu_labels) = (store.window(corners, 6) for store in stores)
        assert torch.equal(images, gpu_images.cpu())
        assert torch.equal(labels, gpu_labels.cpu())

    def test_a_store_is_immutable(self):
        """Fields are fixed; a changed store is a new one."""
        store = Store.from_cases(two_cases(), "cpu")
        with pytest.raises(AttributeError):
            store.margin_px = 3
        assert replace(store, case_ids=("x", "y")).case_ids == ("x", "y")
