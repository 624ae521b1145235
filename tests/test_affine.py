import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.augment import (
    Affine,
    FlipRotation,
    apply_affine,
    apply_flip_rotation,
    draw_affine,
)
from strokerepro.errors import UsageError


def generator(seed=0):
    """Seeded source of randomness."""
    return torch.Generator().manual_seed(seed)


def make_batch(batch=3, channels=2, height=12, width=12):
    """Random images and masks."""
    images = torch.randn(batch, channels, height, width, generator=generator())
    labels = torch.randint(0, 2, (batch, height, width), generator=generator(1))
    return images.contiguous(memory_format=torch.channels_last), labels.to(torch.uint8)


def transform(batch=3, *, flip=False, degrees=0.0, scale=1.0, shift_px=(0.0, 0.0)):
    """Give every image the same transform."""
    return Affine(
        torch.full((batch,), flip),
        torch.full((batch,), math.radians(degrees)),
        torch.full((batch,), scale),
        torch.tensor([shift_px] * batch),
    )


def close(one, other):
    """Require equality up to the rounding of the grid."""
    torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


class TestExactCases:
    @pytest.mark.parametrize(("height", "width"), [(12, 12), (13, 9), (8, 20)])
    def test_the_identity_changes_nothing(self, height, width):
        """Also of rectangles; masks bit by bit."""
        images, labels = make_batch(height=height, width=width)
        moved, mask = apply_affine(images, labels, transform())
        close(moved, images)
        assert torch.equal(mask, labels)

    @pytest.mark.parametrize(("dy", "dx"), [(2, 0), (0, 3), (-1, -4)])
    def test_a_shift_moves_down_and_right_and_leaves_zeros(self, dy, dx):
        """Whole pixels, on a rectangle."""
        images, labels = make_batch(height=10, width=14)
        moved, mask = apply_affine(images, labels, transform(shift_px=(float(dy), float(dx))))
        expected = torch.zeros_like(images)
        expected_mask = torch.zeros_like(labels)
        to = (slice(max(dy, 0), 10 + min(dy, 0)), slice(max(dx, 0), 14 + min(dx, 0)))
        of = (slice(max(-dy, 0), 10 + min(-dy, 0)), slice(max(-dx, 0), 14 + min(-dx, 0)))
        expected[..., to[0], to[1]] = images[..., of[0], of[1]]
        expected_mask[..., to[0], to[1]] = labels[..., of[0], of[1]]
        close(moved, expected)
        assert torch.equal(mask, expected_mask)

    @pytest.mark.parametrize("flip", [False, True])
    @pytest.mark.parametrize("degrees", [0, 17, 90, -140])
    def test_without_scale_and_shift_it_is_the_rotation_with_flip(self, flip, degrees):
        """The two augmentations agree on signs and order."""
        images, labels = make_batch()
        moved = apply_affine(images, labels, transform(flip=flip, degrees=degrees))
        angle = torch.full((3,), math.radians(degrees))
        turned = apply_flip_rotation(
            images, labels, FlipRotation(torch.full((3,), flip), angle), 12
        )
        close(moved[0], turned[0])
        assert torch.equal(moved[1], turned[1])

    def test_a_flip_precedes_the_shift(self):
        """Mirrored first, then moved to the right as displayed."""
        images, labels = make_batch()
        moved, _ = apply_affine(images, labels, transform(flip=True, shift_px=(0.0, 2.0)))
        close(moved[..., 2:], images.flip(-1)[..., :-2])

    def test_scale_two_doubles_about_the_centre(self):
        """A dot one pixel pair from the centre moves twice as far; halves shrink."""
        images, labels = torch.zeros(1, 1, 41, 41), torch.zeros(1, 41, 41, dtype=torch.uint8)
        images[0, 0, 20 + 4, 20 - 6] = 1
        moved, _ = apply_affine(images, labels, transform(1, scale=2.0))
        assert np.unravel_index(int(moved[0, 0].argmax()), (41, 41)) == (28, 8)
        moved, _ = apply_affine(images, labels, transform(1, scale=0.5))
        assert np.unravel_index(int(moved[0, 0].argmax()), (41, 41)) == (22, 17)

    def test_a_rectangle_is_turned_and_not_sheared(self):
        """A quarter turn of a centred square inside it is that of the square alone."""
        images, labels = make_batch(height=8, width=20)
        moved, mask = apply_affine(images, labels, transform(degrees=90))
        centre = (..., slice(6, 14))
        close(moved[centre], torch.rot90(images[centre], 1, dims=(-2, -1)))
        assert torch.equal(mask[centre], torch.rot90(labels[centre], 1, dims=(-2, -1)))


class TestTogether:
    def test_each_image_has_its_own_transform(self):
        """A batch equals its images one by one."""
        images, labels = make_batch(4)
        drawn = draw_affine(4, generator=generator(3))
        moved, mask = apply_affine(images, labels, drawn)
        for row in range(4):
            only = slice(row, row + 1)
            one = apply_affine(images[only], labels[only], Affine(*(part[only] for part in drawn)))
            close(moved[only], one[0])
            assert torch.equal(mask[only], one[1])

    def test_all_channels_and_the_mask_move_alike(self):
        """A channel that holds a mask's disc stays on the mask, as CT perfusion on its DWI."""
        y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
        disc = ((y - 25) ** 2 + (x - 40) ** 2 < 100)[None].expand(6, -1, -1)
        images = torch.stack([disc.float(), 2 * disc.float()], dim=1)
        drawn = draw_affine(6, shift_px=5, generator=generator(1))
        moved, mask = apply_affine(images, disc.to(torch.uint8), drawn)
        torch.testing.assert_close(moved[:, 1], 2 * moved[:, 0])
        differing = ((moved[:, 0] > 0.5) != mask.bool()).sum()
        assert differing <= 0.1 * mask.sum()
        areas = mask.flatten(1).sum(dim=1) / disc[0].sum()
        assert areas.numpy() == pytest.approx(drawn.scale.numpy() ** 2, rel=0.05)

    def test_the_result_is_channels_last_and_the_mask_binary(self):
        """As convolutions and losses take them."""
        images, labels = make_batch()
        moved, mask = apply_affine(images, labels, draw_affine(3, generator=generator()))
        assert moved.is_contiguous(memory_format=torch.channels_last)
        assert mask.dtype == torch.uint8
        assert set(mask.unique().tolist()) <= {0, 1}


class TestDrawing:
    @given(
        degrees=st.floats(0, 180),
        low=st.floats(0.2, 1.0),
        extent=st.floats(0, 2),
        shift_px=st.floats(0, 40),
    )
    @settings(max_examples=20, deadline=None)
    def test_parameters_stay_in_their_ranges(self, degrees, low, extent, shift_px):
        """And fill them: 300 draws come within 5 % of both ends."""
        drawn = draw_affine(
            300,
            rotation_deg=degrees,
            scale=(low, low + extent),
            shift_px=shift_px,
            generator=generator(),
        )
        for values, first, last in (
            (drawn.angle_rad, -math.radians(degrees), math.radians(degrees)),
            (drawn.scale, low, low + extent),
            (drawn.shift_px[:, 0], -shift_px, shift_px),
            (drawn.shift_px[:, 1], -shift_px, shift_px),
        ):
            slack = 0.05 * (last - first)
            assert first - 1e-4 <= values.min().item() <= first + slack + 1e-4
            assert last - slack - 1e-4 <= values.max().item() <= last + 1e-4

    @pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
    def test_flips_are_as_frequent_as_asked_for(self, probability, share):
        """0 never, 1 always."""
        drawn = draw_affine(2000, flip_probability=probability, generator=generator())
        assert drawn.flip.float().mean().item() == pytest.approx(share, abs=0.05)

    def test_a_seed_repeats_and_parameters_are_independent(self):
        """Equal seeds, equal transforms; no two parameters go together."""
        one, other = (draw_affine(2000, generator=generator(7)) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        values = [one.flip.float(), one.angle_rad, one.scale, *one.shift_px.T]
        correlation = np.corrcoef(torch.stack(values).numpy())
        assert np.abs(correlation - np.eye(5)).max() < 0.1


class TestBadInput:
    @pytest.mark.parametrize("scale", [(0.0, 1.0), (1.1, 0.9), (-1.0, 1.0), (math.nan, 1.0)])
    def test_an_impossible_scale_is_refused(self, scale):
        """Zero and negative factors have no inverse."""
        with pytest.raises(UsageError, match="scale"):
            draw_affine(2, scale=scale, generator=generator())

    def test_transforms_of_another_number_are_refused(self):
        """Broadcasting would give all images the first transform."""
        images, labels = make_batch()
        with pytest.raises(UsageError, match="1 transforms"):
            apply_affine(images, labels, transform(1))
        with pytest.raises(UsageError, match="masks"):
            apply_affine(images, labels[:, 1:], transform())
