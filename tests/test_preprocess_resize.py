"""Slices are stretched to a square and back: positions, masks, background, scores at home."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn import functional

from strokerepro.cohort import Case
from strokerepro.errors import InputError, UsageError
from strokerepro.preprocess import (
    PreparedCase,
    brain_mask,
    plan_geometry,
    plan_resize,
    prepare_ctp,
    prepare_dwi,
    rcbf_core,
    tmax_region,
)

Float = npt.NDArray[np.float32]

MAPS = ("cbf", "cbv", "mtt", "tmax")
SPACING_MM = (5.0, 0.9, 0.7)  # pixels that are no squares
sides = st.integers(20, 90)


def smooth(shape: tuple[int, ...], seed: int = 0, sigma_px: float = 5) -> Float:
    """Random map in -1..1 that changes over some pixels."""
    noise = np.random.default_rng(seed).normal(size=shape)
    values = ndimage.gaussian_filter(noise, (0, sigma_px, sigma_px))
    return np.asarray(values / np.abs(values).max(), dtype=np.float32)


def a_case(shape: tuple[int, int, int] = (2, 70, 54)) -> Case:
    """Elliptic brain with a hole and a disc of lesion: CBF a tenth, Tmax 9 s."""
    _, height, width = shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    brain = (np.hypot(y, x) < 0.9) & (np.hypot(y + 0.3, x) > 0.15)
    lesion = brain & (np.hypot(y - 0.1, x - 0.4) < 0.3)
    structure = smooth(shape)
    maps = {
        "cbf": (200 + 60 * structure) * np.where(lesion, 0.1, 1),
        "cbv": 20 + 6 * structure,
        "mtt": 5 + structure,
        "tmax": np.where(lesion, 9, 1.5 + 0.5 * structure),
        "ct": 30 + 8 * structure,
    }
    arrays = {name: np.where(brain, values, 0).astype(np.float32) for name, values in maps.items()}
    label = np.broadcast_to(lesion, shape).astype(np.uint8)
    return Case("case_3", "p2", arrays, np.eye(4), SPACING_MM, label)


def prepare(case: Case, resize_px: int | None) -> PreparedCase:
    """As the multi-scale network has it."""
    return prepare_ctp(case, modalities=MAPS, symmetry="none", resize_px=resize_px)


def foreground(prepared: PreparedCase) -> npt.NDArray[np.bool_]:
    """Brain of the prepared grid."""
    assert prepared.foreground is not None
    return prepared.foreground


# The grid


def test_four_pixels_become_two_by_hand() -> None:
    """Edges coincide: new centres lie at 0.5 and 2.5, halfway between two old ones."""
    geometry = plan_resize((1, 4, 2), SPACING_MM, size_px=2)
    columns = np.array([[[0, 10], [1, 20], [6, 30], [9, 40]]], np.float32)
    assert geometry.resample(columns).tolist() == [[[0.5, 15.0], [7.5, 35.0]]]
    # The way back: old centres at -0.25, 0.25, 0.75, 1.25 of the new, held beyond the outermost.
    back = geometry.restore(np.array([[[0, 0], [8, 8]]], np.float32))
    assert back.tolist() == [[[0, 0], [2, 2], [6, 6], [8, 8]]]


def test_of_two_equally_near_pixels_the_upper_one_is_taken() -> None:
    """Four mask pixels become two; the centres 0.5 and 2.5 take rows 1 and 3."""
    geometry = plan_resize((1, 4, 4), SPACING_MM, size_px=2)
    mask = np.zeros((1, 4, 4), np.uint8)
    mask[0, 1, 3] = 1
    assert geometry.resample_mask(mask, "nearest", "vote").tolist() == [[[0, 1], [0, 0]]]


def test_equally_near_stays_equally_near_when_positions_are_rounded() -> None:
    """Of 256 px of 0.4297 mm, 96 take rows (16 i + 8) // 6: every third place is a tie."""
    geometry = plan_resize((1, 256, 256), (5.0, 0.4297, 0.4297), size_px=96)
    taken = (16 * np.arange(96) + 8) // 6
    mask = np.random.default_rng(0).integers(0, 2, (1, 256, 256), np.uint8)
    expected = mask[:, taken[:, None], taken]
    assert (geometry.resample_mask(mask, "nearest", "vote") == expected).all()


@settings(max_examples=40, deadline=None)
@given(
    height=sides,
    width=sides,
    size_px=st.sampled_from([16, 32, 48, 80, 96]),
    y_mm=st.sampled_from([0.4297, 0.8, 0.9, 1.797]),
)
def test_the_square_is_that_of_an_interpolation_without_aligned_corners(
    height: int, width: int, size_px: int, y_mm: float
) -> None:
    """Linear and nearest, there and back, for any shape and spacing."""
    shape, spacing_mm = (2, height, width), (5.0, y_mm, 0.9)
    geometry = plan_resize(shape, spacing_mm, size_px=size_px)
    assert geometry.slice_shape == (size_px, size_px)
    assert geometry.prepared_shape == (2, size_px, size_px)
    rng = np.random.default_rng(height)
    values = rng.normal(size=shape).astype(np.float32)
    expected = functional.interpolate(
        torch.from_numpy(values)[None].double(), (size_px, size_px), mode="bilinear"
    )
    np.testing.assert_allclose(geometry.resample(values), expected[0], atol=1e-5)
    small = rng.normal(size=geometry.prepared_shape).astype(np.float32)
    expected = functional.interpolate(
        torch.from_numpy(small)[None].double(), (height, width), mode="bilinear"
    )
    np.testing.assert_allclose(geometry.restore(small), expected[0], atol=1e-5)
    # Nearest in whole numbers, so that a tie is one: floor((i + 1/2) old / new).
    y, x = (((2 * np.arange(size_px) + 1) * n) // (2 * size_px) for n in shape[1:])
    mask = (values > 0.5).astype(np.uint8)
    assert (geometry.resample_mask(mask, "nearest", "vote") == mask[:, y[:, None], x]).all()


@settings(max_examples=20, deadline=None)
@given(height=sides, width=sides, size_px=st.integers(1, 120))
def test_certainty_everywhere_is_restored_as_certainty(
    height: int, width: int, size_px: int
) -> None:
    """Ones come back as ones, up to the borders, and a half as a half."""
    geometry = plan_resize((1, height, width), SPACING_MM, size_px=size_px)
    ones = np.ones(geometry.prepared_shape, np.float32)
    restored = geometry.restore(ones)
    assert restored.shape == (1, height, width)
    np.testing.assert_allclose(restored, 1, atol=1e-6)
    np.testing.assert_allclose(geometry.restore(ones / 2), 0.5, atol=1e-6)


@pytest.mark.parametrize(("size_px", "largest"), [(48, 0.06), (80, 0.03), (160, 0.01)])
def test_a_smooth_map_survives_the_way_there_and_back(size_px: int, largest: float) -> None:
    """A map of range 2 whose features are 5 px wide, on 70 x 54 px: the finer, the closer."""
    values = smooth((2, 70, 54))
    geometry = plan_resize(values.shape, SPACING_MM, size_px=size_px)
    error = np.abs(geometry.restore(geometry.resample(values)) - values)
    assert error.max() < largest


def test_the_spacing_is_that_of_the_same_field_of_view() -> None:
    """70 pixels of 0.9 mm and 54 of 0.7 mm, shared by 32."""
    prepared = prepare(a_case(), 32)
    assert prepared.spacing_mm == pytest.approx((5.0, 70 * 0.9 / 32, 54 * 0.7 / 32))
    assert prepared.native_spacing_mm == SPACING_MM
    assert prepared.geometry.shape == (2, 70, 54)


@pytest.mark.parametrize("size_px", [0, -16])
def test_a_side_below_one_is_refused(size_px: int) -> None:
    """By name."""
    with pytest.raises(UsageError, match=f"resize_px {size_px}"):
        prepare(a_case(), size_px)


def test_by_spacing_the_field_of_view_is_kept_only_roughly() -> None:
    """Why there is a plan of its own: of 71 pixels of 1 mm at 2 mm, 36 would cover 72 mm."""
    by_spacing = plan_geometry((1, 71, 71), (5.0, 1.0, 1.0), px_mm=2.0, block=1)
    by_size = plan_resize((1, 71, 71), (5.0, 1.0, 1.0), size_px=36)
    assert by_spacing.slice_shape == by_size.slice_shape == (36, 36)
    assert by_size.px_mm == (71 / 36, 71 / 36)
    assert by_spacing.px_mm == (2.0, 2.0)


# The case


def test_a_resized_case_has_all_its_parts_on_one_square() -> None:
    """Image, label, brain and rules; the types stay."""
    prepared = prepare(a_case(), 48)
    assert prepared.image.shape == (4, 2, 48, 48)
    assert prepared.image.dtype == np.float32
    assert prepared.label is not None
    for mask in (prepared.label, *prepared.baselines.values()):
        assert mask.shape == (2, 48, 48)
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 1}
    assert foreground(prepared).shape == (2, 48, 48)
    assert foreground(prepared).dtype == np.bool_


@pytest.mark.parametrize("size_px", [31, 48, 96])
def test_scores_are_taken_after_the_resize_and_the_background_stays_zero(size_px: int) -> None:
    """Mean 0 and variance 1 over the brain of the square, exactly 0 outside and in the hole."""
    prepared = prepare(a_case(), size_px)
    brain = foreground(prepared)
    assert (prepared.image[:, ~brain] == 0).all()
    assert not brain[:, round(0.35 * size_px), size_px // 2].any()
    values = prepared.image[:, brain]
    assert values.mean(axis=1) == pytest.approx(np.zeros(4), abs=1e-5)
    assert values.std(axis=1) == pytest.approx(np.ones(4), rel=1e-5)


def test_channels_are_the_resized_maps_up_to_a_scale() -> None:
    """In the order asked for: each correlates perfectly with its map, resized by another tool."""
    case = a_case()
    prepared = prepare(case, 40)
    brain = foreground(prepared)
    for channel, name in zip(prepared.image, MAPS, strict=True):
        volume = torch.from_numpy(case.arrays[name])[None]
        resized = functional.interpolate(volume, (40, 40), mode="bilinear")[0].numpy()
        assert np.corrcoef(channel[brain], resized[brain])[0, 1] == pytest.approx(1, abs=1e-5)


def test_scores_are_judged_at_the_original_resolution() -> None:
    """The native label is that of the file, and the rules are those of its maps."""
    case = a_case()
    for size_px in (None, 32):
        prepared = prepare(case, size_px)
        brain = brain_mask(case)
        cbf, tmax = case.arrays["cbf"], case.arrays["tmax"]
        rules = {
            "rcbf30": rcbf_core(cbf, tmax, brain, SPACING_MM, min_cluster_ml=1.0),
            "tmax6": tmax_region(tmax, brain, spacing_mm=SPACING_MM, min_cluster_ml=1.0),
        }
        assert case.label is not None
        assert prepared.native_label is not None
        assert (prepared.native_label == case.label).all()
        assert prepared.native_lesion_voxels == case.label.sum()
        assert set(prepared.native_baselines) == set(rules)
        for name, mask in rules.items():
            assert mask.any()
            assert (prepared.native_baselines[name] == mask).all()


def test_without_a_resize_both_grids_are_one() -> None:
    """The masks of the prepared grid are those of the file."""
    prepared = prepare(a_case(), None)
    assert prepared.label is not None
    assert prepared.native_label is not None
    assert (prepared.label == prepared.native_label).all()
    for name, mask in prepared.baselines.items():
        assert (mask == prepared.native_baselines[name]).all()


def test_a_square_of_the_files_own_size_changes_no_bit() -> None:
    """64 x 64 px to 64 px."""
    case = a_case((2, 64, 64))
    resized, native = prepare(case, 64), prepare(case, None)
    assert (resized.image == native.image).all()
    assert (foreground(resized) == foreground(native)).all()


def test_a_lesion_finds_its_way_back_from_a_square() -> None:
    """Its label as a probability, restored and thresholded, overlaps it by a Dice above 0.95."""
    case = a_case()
    prepared = prepare(case, 80)
    assert prepared.label is not None
    assert case.label is not None
    back = prepared.geometry.restore(prepared.label.astype(np.float32)) > 0.5
    truth = case.label.astype(bool)
    assert 2 * (back & truth).sum() / (back.sum() + truth.sum()) > 0.95


def test_a_lesion_that_the_square_loses_is_flagged() -> None:
    """One pixel between the centres that are taken."""
    case = a_case()
    label = np.zeros(case.shape, np.uint8)
    label[0, 40, 30] = 1
    prepared = prepare(replace(case, label=label), 10)
    assert prepared.lesion_vanished
    assert prepared.native_label is not None
    assert prepared.native_label.sum() == 1


def test_a_case_without_a_label_has_none_on_either_grid() -> None:
    """As the test set."""
    prepared = prepare(replace(a_case(), label=None), 32)
    assert prepared.label is None
    assert prepared.native_label is None
    assert prepared.native_lesion_voxels == 0


@pytest.mark.parametrize("symmetry", ["flip", "rigid"])
def test_mirrored_copies_are_resized_alike(symmetry: str) -> None:
    """A copy of the square is the square of the copy, also of a head 5 px beside the centre."""
    case = a_case((2, 64, 80))
    beside = {name: np.roll(values, 5, axis=2) for name, values in case.arrays.items()}
    resized, native = (
        prepare_ctp(
            replace(case, arrays=beside),
            modalities=("mtt",),
            symmetry=symmetry,  # type: ignore[arg-type]
            resize_px=size,
        )
        for size in (48, None)
    )
    square = plan_resize(case.shape, SPACING_MM, size_px=48).resample(native.image[1])
    assert resized.image.shape == (2, 2, 48, 48)
    inner = ndimage.binary_erosion(square != 0, np.ones((1, 9, 9)))
    assert np.corrcoef(resized.image[1][inner], square[inner])[0, 1] > 0.98


def test_scores_over_the_volume_see_a_background_of_zero() -> None:
    """What linear weights bring across the brain's edge is gone before, so outside is one value."""
    prepared = prepare_ctp(
        a_case(), modalities=MAPS, symmetry="none", normalise="zscore_volume", resize_px=48
    )
    for channel in prepared.image:
        assert len(np.unique(channel[~foreground(prepared)])) == 1
        assert channel.mean() == pytest.approx(0, abs=1e-5)
        assert channel.std() == pytest.approx(1, rel=1e-5)


def test_a_map_without_contrast_is_refused_after_the_resize() -> None:
    """By its name and the case's."""
    case = a_case()
    # Linear weights across the brain's edge give a constant map a rim; a full slice has none.
    full = {name: values + 1 for name, values in case.arrays.items()}
    full["mtt"] = np.full_like(full["mtt"], 5)
    with pytest.raises(InputError, match="mtt of case_3 with one value everywhere"):
        prepare(replace(case, arrays=full), 32)


def test_a_prepared_dwi_keeps_no_native_mask() -> None:
    """Its scores are taken on the prepared grid."""
    dwi = np.random.default_rng(0).uniform(1, 9, (2, 64, 64)).astype(np.float32)
    prepared = prepare_dwi(Case("c", "p", {"dwi": dwi}, np.eye(4), (5.0, 1.6, 1.6)))
    assert prepared.native_label is None
    assert dict(prepared.native_baselines) == {}
    assert prepared.native_spacing_mm == (5.0, 1.6, 1.6)
