"""Elastic deformation: the field's statistics, the resampling, and only the patches asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from strokerepro.augment import ElasticField, apply_elastic, draw_elastic
from strokerepro.errors import UsageError

ALPHA, SIGMA = 2.5, 0.12  # Sec. 3.1 of the paper


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _batch(batch: int = 3, channels: int = 2, side: int = 16) -> tuple[Tensor, Tensor]:
    images = torch.randn(batch, channels, side, side, generator=_seeded(1))
    labels = (torch.rand(batch, side, side, generator=_seeded(2)) < 0.3).to(torch.uint8)
    return images.contiguous(memory_format=torch.channels_last), labels


def _shifts(alpha: float, sigma: float, units: str, patch_px: int = 64) -> Tensor:
    field = draw_elastic(100, patch_px, alpha, sigma, units=units, generator=_seeded())
    return field.shift_px.double()


def _rms(shift_px: Tensor) -> float:
    return shift_px.square().mean().sqrt().item()


def _folded(shift_px: Tensor) -> float:
    """Share of neighbours along an axis whose order the deformation swaps."""
    swaps = torch.cat([(1 + shift_px[:, axis].diff(dim=axis + 1)).flatten() for axis in (0, 1)])
    return swaps.le(0).double().mean().item()


class TestField:
    def test_relative_units_bend_a_patch_without_tearing_it(self) -> None:
        """At 64 px the paper's numbers shift by 3.1 px in each direction; nothing folds."""
        shift_px = _shifts(ALPHA, SIGMA, "relative")
        assert _rms(shift_px) == pytest.approx(3.15, abs=0.1)
        assert _folded(shift_px) < 2e-3

    def test_pixel_units_are_white_jitter(self) -> None:
        """Read as pixels they are noise of 1.4 px without any smoothing; a third folds."""
        shift_px = _shifts(ALPHA, SIGMA, "pixel")
        assert _rms(shift_px) == pytest.approx(2.5 / math.sqrt(3), abs=0.01)
        assert _folded(shift_px) == pytest.approx(0.32, abs=0.01)
        neighbours = (shift_px[..., 1:] * shift_px[..., :-1]).mean() / _rms(shift_px) ** 2
        assert neighbours.item() == pytest.approx(0, abs=0.01)

    def test_mixed_units_do_nothing(self) -> None:
        """With alpha in pixels and sigma in patch widths the shift is a twentieth of a pixel."""
        assert _rms(_shifts(2.5, SIGMA * 64, "pixel")) == pytest.approx(0.05, abs=2e-3)

    def test_relative_units_are_pixels_times_the_patch(self) -> None:
        """0.12 of 64 px is 7.68 px, bit by bit the same field."""
        relative = draw_elastic(2, 64, ALPHA, SIGMA, generator=_seeded())
        pixels = draw_elastic(
            2, 64, ALPHA * 64, SIGMA * 64, units="pixel", generator=_seeded()
        )  # fmt: skip
        assert torch.equal(relative.shift_px, pixels.shift_px)

    @pytest.mark.parametrize("patch_px", [16, 48, 96])
    def test_relative_shifts_in_pixels_are_those_of_any_patch(self, patch_px: int) -> None:
        """The smoothing averages over more pixels as alpha grows: 3.1 px at every size."""
        assert _rms(_shifts(ALPHA, SIGMA, "relative", patch_px)) == pytest.approx(3.15, abs=0.2)

    @settings(max_examples=20, deadline=None)
    @given(side=st.integers(1, 24), sigma_px=st.floats(0.3, 12.0), seed=st.integers(0, 2**31 - 1))
    def test_it_is_filtered_uniform_noise(self, side: int, sigma_px: float, seed: int) -> None:
        """The field equals scipy's Gaussian filter, zero outside, of noise uniform in -1..1."""
        noise = 2 * torch.rand(2, 2, side, side, generator=_seeded(seed)) - 1
        filtered = ndimage.gaussian_filter(
            noise.double().numpy(), sigma_px, axes=(2, 3), mode="constant", truncate=12
        )
        field = draw_elastic(2, side, 3.0, sigma_px, units="pixel", generator=_seeded(seed))
        np.testing.assert_allclose(field.shift_px, 3 * filtered, atol=2e-5)

    def test_a_seed_repeats_its_fields(self) -> None:
        """The generator is the only source of chance; fields of a batch and their axes differ."""
        one, same = (draw_elastic(2, 32, ALPHA, SIGMA, generator=_seeded(5)) for _ in range(2))
        assert torch.equal(one.shift_px, same.shift_px)
        assert not torch.equal(one.shift_px[0], one.shift_px[1])
        assert not torch.equal(one.shift_px[0, 0], one.shift_px[0, 1])
        generator = _seeded(5)
        first, second = (draw_elastic(1, 32, ALPHA, SIGMA, generator=generator) for _ in range(2))
        assert not torch.equal(first.shift_px, second.shift_px)

    def test_no_shift_prefers_a_direction(self) -> None:
        """Over many fields the mean shift is zero to four standard errors."""
        field = draw_elastic(400, 32, ALPHA, SIGMA, generator=_seeded())
        means = field.shift_px.mean(dim=(0, 2, 3))
        spread = field.shift_px.mean(dim=(2, 3)).std(0) / math.sqrt(400)
        assert (means.abs() < 4 * spread).all()

    @pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
    def test_a_sigma_that_smooths_nothing_is_refused(self, sigma: float) -> None:
        """Zero, negative and undefined widths are named."""
        with pytest.raises(UsageError, match="elastic sigma"):
            draw_elastic(1, 8, 1.0, sigma, generator=_seeded())

    def test_unknown_units_are_refused(self) -> None:
        """Millimetres are not known here."""
        with pytest.raises(UsageError, match="unknown elastic units 'mm'"):
            draw_elastic(1, 8, 1.0, 1.0, units="mm", generator=_seeded())


class TestResampling:
    def test_no_shift_changes_nothing(self) -> None:
        """A field of zeros gives the images to rounding and the labels exactly."""
        images, labels = _batch()
        out_images, out_labels = apply_elastic(
            images, labels, ElasticField(torch.zeros(3, 2, 16, 16))
        )
        torch.testing.assert_close(out_images, images, atol=1e-5, rtol=0)
        assert torch.equal(out_labels, labels)

    def test_whole_pixels_are_taken_from_where_the_field_points(self) -> None:
        """[y, x] = [2, -1] takes the value two rows below and one column to the left."""
        images, labels = _batch()
        shift_px = torch.tensor([2.0, -1.0]).reshape(1, 2, 1, 1).expand(3, 2, 16, 16)
        out_images, out_labels = apply_elastic(images, labels, ElasticField(shift_px))
        torch.testing.assert_close(
            out_images[..., :-2, 1:], images[..., 2:, :-1], atol=1e-5, rtol=0
        )
        assert torch.equal(out_labels[:, :-2, 1:], labels[:, 2:, :-1])

    def test_beyond_the_edge_the_edge_counts(self) -> None:
        """What comes from outside is the nearest pixel inside, not a strip of zeros."""
        images, labels = _batch()
        far = ElasticField(torch.full((3, 2, 16, 16), 100.0))
        out_images, out_labels = apply_elastic(images, labels, far)
        torch.testing.assert_close(out_images, images[..., -1:, -1:].expand(3, 2, 16, 16))
        assert torch.equal(out_labels, labels[:, -1:, -1:].expand(3, 16, 16))

    @settings(max_examples=15, deadline=None)
    @given(side=st.integers(2, 20), seed=st.integers(0, 2**31 - 1))
    def test_it_is_linear_interpolation_at_the_shifted_places(self, side: int, seed: int) -> None:
        """Images equal scipy's order-1 interpolation, labels its order 0 except at ties."""
        images = torch.randn(2, 3, side, side, generator=_seeded(seed))
        labels = torch.randint(0, 2, (2, side, side), generator=_seeded(seed)).to(torch.uint8)
        field = draw_elastic(2, side, 3.0, 1.0, units="pixel", generator=_seeded(seed))
        out_images, out_labels = apply_elastic(images, labels, field)
        places = np.indices((side, side)) + field.shift_px.double().numpy()
        for n in range(2):
            for c in range(3):
                expected = ndimage.map_coordinates(
                    images[n, c].numpy(), places[n], order=1, mode="nearest"
                )
                np.testing.assert_allclose(out_images[n, c], expected, atol=1e-4)
            row, column = np.clip(np.rint(places[n]), 0, side - 1).astype(int)
            tie = (np.abs(places[n] % 1 - 0.5) < 1e-4).any(axis=0)
            assert ((out_labels[n].numpy() == labels[n].numpy()[row, column]) | tie).all()

    def test_image_and_mask_move_together(self) -> None:
        """A square that is brighter than its surroundings stays where its mask is."""
        labels = torch.zeros(4, 64, 64, dtype=torch.uint8)
        labels[:, 20:44, 16:48] = 1
        field = draw_elastic(4, 64, ALPHA, SIGMA, generator=_seeded())
        out_images, out_labels = apply_elastic(labels[:, None].float(), labels, field)
        assert ((out_images[:, 0] > 0.5) != out_labels.bool()).float().mean() < 1e-3
        assert (out_labels != labels).float().mean() > 0.02

    def test_dtype_and_memory_format(self) -> None:
        """Masks stay bytes of 0 and 1, images become channels-last float32."""
        images, labels = _batch(channels=5)
        field = draw_elastic(3, 16, ALPHA, SIGMA, generator=_seeded())
        out_images, out_labels = apply_elastic(images, labels, field)
        assert (out_images.dtype, out_labels.dtype) == (torch.float32, torch.uint8)
        assert out_images.is_contiguous(memory_format=torch.channels_last)
        assert set(out_labels.unique().tolist()) <= {0, 1}

    def test_given_rows_alone_are_deformed(self) -> None:
        """Deforming rows 0 and 2 of a batch is deforming a batch of those two."""
        images, labels = _batch()
        kept = images.clone(), labels.clone()
        field = draw_elastic(2, 16, ALPHA, SIGMA, generator=_seeded())
        rows = torch.tensor([True, False, True])
        out_images, out_labels = apply_elastic(images[rows], labels[rows], field)
        alone = apply_elastic(images[2:], labels[2:], ElasticField(field.shift_px[1:]))
        torch.testing.assert_close(out_images[1:], alone[0])
        assert torch.equal(out_labels[1:], alone[1])
        assert torch.equal(images, kept[0])
        assert torch.equal(labels, kept[1])

    def test_no_row_is_no_work(self) -> None:
        """A batch without repeated patches passes through."""
        field = draw_elastic(0, 16, ALPHA, SIGMA, generator=_seeded())
        images, labels = _batch(batch=0)
        out_images, out_labels = apply_elastic(images, labels, field)
        assert out_images.shape == (0, 2, 16, 16)
        assert out_labels.shape == (0, 16, 16)

    @pytest.mark.parametrize(("batch", "side"), [(2, 16), (3, 12)])
    def test_fields_that_do_not_fit_are_refused(self, batch: int, side: int) -> None:
        """Another number or another size of fields is one clear line."""
        field = draw_elastic(batch, side, ALPHA, SIGMA, generator=_seeded())
        with pytest.raises(UsageError, match="one field a patch"):
            apply_elastic(*_batch(), field)
