import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.augment import FlipRotation, apply_flip_rotation, draw_flip_rotation, window_px
from strokerepro.errors import UsageError
from strokerepro.sampling import PatchSampler
from strokerepro.store import Store


def make_case(label, *, case_id="a"):
    """Stand-in for a prepared case: random image, given mask."""
    label = np.asarray(label, dtype=np.uint8)
    image = np.random.default_rng(0).normal(size=(1, *label.shape)).astype(np.float32)
    return SimpleNamespace(
        image=image, label=label, foreground=None, case_id=case_id, patient_id=case_id
    )


def generator(seed=0):
    """Seeded source of randomness."""
    return torch.Generator().manual_seed(seed)


def make_batch(batch=3, channels=2, size=12, seed=0):
    """Random images and masks."""
    images = torch.randn(batch, channels, size, size, generator=generator(seed))
    labels = torch.randint(0, 2, (batch, size, size), generator=generator(seed + 1))
    return images.contiguous(memory_format=torch.channels_last), labels.to(torch.uint8)


def params(batch=3, flip=False, degrees=None):
    """Give every sample the same flip and angle."""
    angle = None if degrees is None else torch.full((batch,), math.radians(degrees))
    return FlipRotation(torch.full((batch,), flip), angle)


def crop(tensor, border=2):
    """Central part without `border` pixels on each side."""
    return tensor[..., border:-border, border:-border]


class TestExactCases:
    def test_without_rotation_and_flip_the_centre_is_cut_out_exactly(self):
        """No resampling: the result equals the crop bit by bit."""
        images, labels = make_batch()
        out_images, out_labels = apply_flip_rotation(images, labels, params(), 8)
        assert torch.equal(out_images, crop(images))
        assert torch.equal(out_labels, crop(labels))

    def test_a_flip_is_a_flip_exactly_and_sample_by_sample(self):
        """Only the flagged sample is mirrored, left to right."""
        images, labels = make_batch()
        mixed = FlipRotation(torch.tensor([False, True, False]), None)
        out_images, out_labels = apply_flip_rotation(images, labels, mixed, 8)
        assert torch.equal(out_images[1], crop(images)[1].flip(-1))
        assert torch.equal(out_labels[1], crop(labels)[1].flip(-1))
        assert torch.equal(out_images[::2], crop(images)[::2])

    @pytest.mark.parametrize("size", [12, 13])
    @pytest.mark.parametrize("quarters", [-1, 0, 1, 2, 3])
    @pytest.mark.parametrize("flip", [False, True])
    def test_quarter_turns_are_rot90_then_flip(self, size, quarters, flip):
        """Even and odd sizes; labels exactly, images to the rounding of the grid."""
        images, labels = make_batch(size=size)
        out_images, out_labels = apply_flip_rotation(
            images, labels, params(flip=flip, degrees=90 * quarters), size - 4
        )
        expected = torch.rot90(crop(images), quarters, dims=(-2, -1))
        expected_labels = torch.rot90(crop(labels), quarters, dims=(-2, -1))
        if flip:
            expected, expected_labels = expected.flip(-1), expected_labels.flip(-1)
        torch.testing.assert_close(out_images, expected, atol=2e-5, rtol=0)
        assert torch.equal(out_labels, expected_labels)

    @settings(deadline=None, max_examples=30)
    @given(
        channels=st.integers(1, 5),
        out_px=st.integers(1, 9),
        border=st.integers(0, 3),
        flips=st.lists(st.booleans(), min_size=1, max_size=4),
    )
    def test_the_way_without_resampling_equals_the_way_with_it(
        self, channels, out_px, border, flips
    ):
        """Zero angles through grid_sample give what the crop gives."""
        images, labels = make_batch(len(flips), channels, out_px + 2 * border)
        flip = torch.tensor(flips)
        fast = apply_flip_rotation(images, labels, FlipRotation(flip, None), out_px)
        slow = apply_flip_rotation(
            images, labels, FlipRotation(flip, torch.zeros(len(flips))), out_px
        )
        torch.testing.assert_close(fast[0], slow[0], atol=2e-5, rtol=0)
        assert torch.equal(fast[1], slow[1])


class TestRotation:
    def test_a_small_turn_moves_a_distant_point_counter_clockwise(self):
        """A point 20 px to the right rises by 20 sin(30) = 10 px at 30 degrees."""
        images, labels = torch.zeros(1, 1, 61, 61), torch.zeros(1, 61, 61, dtype=torch.uint8)
        images[0, 0, 30, 50] = 1
        rotated, _ = apply_flip_rotation(images, labels, params(1, degrees=30), 61)
        y, x = np.unravel_index(int(rotated[0, 0].argmax()), (61, 61))
        assert (y, x) == (20, 47)  # 30 - 10, 30 + 17.3

    def test_image_and_mask_stay_together(self):
        """A disc rotated as image (0.5 level) and as mask agrees but for its rim."""
        y, x = torch.meshgrid(torch.arange(46), torch.arange(46), indexing="ij")
        disc = ((y - 15) ** 2 + (x - 28) ** 2 < 49)[None]
        turned, mask = apply_flip_rotation(
            disc[:, None].float(), disc.to(torch.uint8), params(1, degrees=37), 32
        )
        differing = ((turned[:, 0] > 0.5) != mask.bool()).sum().item()
        assert mask.sum().item() == pytest.approx(disc.sum().item(), rel=0.05)
        assert differing <= 0.1 * disc.sum().item()

    @settings(deadline=None, max_examples=40)
    @given(patch=st.integers(1, 70), max_deg=st.floats(0, 180))
    def test_the_window_leaves_no_empty_corner(self, patch, max_deg):
        """A window of ones stays all ones at the largest angle and at 45 degrees if allowed."""
        window = window_px(patch, max_deg)
        ones = torch.ones(1, 1, window, window)
        for degrees in {max_deg, min(max_deg, 45.0)}:
            turned, mask = apply_flip_rotation(
                ones, ones[:, 0].to(torch.uint8), params(1, degrees=degrees), patch
            )
            torch.testing.assert_close(turned, torch.ones_like(turned), atol=1e-4, rtol=0)
            assert mask.all()

    @pytest.mark.parametrize(
        ("patch", "max_deg", "expected"), [(64, 0, 64), (64, 180, 92), (63, 180, 91), (64, 15, 80)]
    )
    def test_window_sizes(self, patch, max_deg, expected):
        """64 sqrt 2 = 90.5 -> 92 (even); 63 sqrt 2 = 89.1 -> 91; 64 (cos + sin) 15 = 78.4 -> 80."""
        assert window_px(patch, max_deg) == expected

    def test_a_lesion_stays_in_its_patch_when_the_sampler_knows_the_angle(self):
        """A 3 x 3 lesion drawn anywhere in the patch is still there after any rotation."""
        label = np.zeros((1, 40, 40))
        label[0, 18:21, 20:23] = 1
        store = Store.from_cases([make_case(label)], "cpu")
        window = window_px(16, 180)
        drawn = draw_flip_rotation(2000, 0.5, 180, generator(1))
        shares = []
        for angle in (drawn.angle_rad, None):
            sampler = PatchSampler(store, "pixel", 16, window, 0.0, generator(2))
            cut = store.window(sampler.corners(2000, angle), window)
            _, labels = apply_flip_rotation(*cut, drawn, 16)
            shares.append(labels.flatten(1).any(dim=1).float().mean().item())
        assert shares[0] > 0.99
        assert shares[1] < 0.97


class TestDrawing:
    def test_draws_follow_probability_and_range(self):
        """Flips at their probability; angles uniform over plus and minus the largest."""
        drawn = draw_flip_rotation(4000, 0.25, 30, generator())
        assert drawn.flip.float().mean().item() == pytest.approx(0.25, abs=0.03)
        degrees = torch.rad2deg(drawn.angle_rad)
        assert degrees.abs().max().item() <= 30
        quarters = torch.histc(degrees, 4, -30, 30) / 4000
        torch.testing.assert_close(quarters, torch.full((4,), 0.25), atol=0.03, rtol=0)

    def test_no_rotation_draws_no_angles(self):
        """With a largest angle of 0 the resampling is not even prepared."""
        assert draw_flip_rotation(5, 0.5, 0, generator()).angle_rad is None

    @pytest.mark.parametrize(("probability", "expected"), [(0.0, False), (1.0, True)])
    def test_probabilities_0_and_1_are_certain(self, probability, expected):
        """Never and always mean what they say."""
        flips = draw_flip_rotation(500, probability, 0, generator()).flip
        assert flips.eq(expected).all()

    def test_kept_parameters_replay_the_same_augmentation(self):
        """Drawn once, applied twice: identical."""
        images, labels = make_batch(size=16)
        drawn = draw_flip_rotation(3, 0.5, 180, generator())
        first = apply_flip_rotation(images, labels, drawn, 10)
        second = apply_flip_rotation(images, labels, drawn, 10)
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])


class TestShape:
    @pytest.mark.parametrize("degrees", [None, 20])
    @pytest.mark.parametrize("channels", [1, 4])
    def test_results_are_channels_last_float_and_uint8(self, degrees, channels):
        """Both ways give the formats that the network and the loss expect."""
        images, labels = make_batch(channels=channels)
        out_images, out_labels = apply_flip_rotation(images, labels, params(degrees=degrees), 6)
        assert out_images.shape == (3, channels, 6, 6)
        assert out_images.is_contiguous(memory_format=torch.channels_last)
        assert out_labels.shape == (3, 6, 6)
        assert out_labels.dtype == torch.uint8

    @pytest.mark.parametrize("out_px", [0, 7, 14])
    def test_a_patch_must_fit_centrally_into_the_window(self, out_px):
        """Nothing, half a pixel off, or larger than the window."""
        with pytest.raises(UsageError, match=f"out_px={out_px}"):
            apply_flip_rotation(*make_batch(), params(), out_px)
