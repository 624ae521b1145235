"""What is prepared has the stated geometry and intensities, and finds its way back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.cohort import Case, Volume, load_cohort
from strokerepro.errors import InputError, UsageError
from strokerepro.preprocess import (
    Geometry,
    Window,
    adc_um2_per_ms,
    normalise,
    plan_geometry,
    prepare_dwi,
    resample_to_case,
)

TinyCohort = Callable[..., Path]


def a_case(
    dwi: npt.NDArray[np.float32],
    label: npt.NDArray[np.uint8] | None = None,
    spacing_mm: tuple[float, float, float] = (6.0, 1.6, 1.6),
    **other: npt.NDArray[np.float32],
) -> Case:
    """Make a case in memory."""
    z_mm, y_mm, x_mm = spacing_mm
    affine = np.diag([x_mm, y_mm, z_mm, 1.0])
    return Case("case", "patient", {"dwi": dwi, **other}, affine, spacing_mm, label)


def brain_and_blob(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], radius_mm: float = 18
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Ellipsoid of brain with noise (Z, Y, X) and a ball of lesion in it."""
    centred = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing_mm, strict=True)]
    z, y, x = np.meshgrid(*centred, indexing="ij")
    brain = (z / 60) ** 2 + (y / 85) ** 2 + (x / 65) ** 2 < 1
    label = (z**2 + (y - 20) ** 2 + (x + 15) ** 2 < radius_mm**2).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 20, shape)
    dwi = np.where(brain, 300 + noise + 400.0 * label, 0).astype(np.float32)
    return dwi, label


def dice(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Dice overlap of two masks."""
    return float(2 * np.sum(one & other) / (one.sum() + other.sum()))


# Intensities


def test_release_normalisation_by_hand() -> None:
    """Of 1 ... 200 the two brightest are set aside: mean 99.5, variance (198^2 - 1) / 12."""
    volume = np.concatenate([[0.0, -3.0], np.arange(1, 201)]).astype(np.float32)
    deviation = np.sqrt((198**2 - 1) / 12)
    out = normalise(volume, "release", "dwi")
    assert out[0] == 0.0
    assert out[1] == pytest.approx(-3 / deviation, rel=1e-6)
    assert out[2] == pytest.approx((1 - 99.5) / deviation, rel=1e-6)
    assert out[-1] == pytest.approx((200 - 99.5) / deviation, rel=1e-6)
    assert out.dtype == np.float32


def test_foreground_normalisation_sets_nothing_aside() -> None:
    """The voxels above 0 have mean 0 and variance 1; the background stays 0."""
    volume = np.concatenate([np.zeros(50), np.arange(1, 201)]).astype(np.float32)
    out = normalise(volume, "foreground", "dwi")
    assert out[50:].mean() == pytest.approx(0, abs=1e-6)
    assert out[50:].std() == pytest.approx(1, rel=1e-6)
    assert (out[:50] == 0).all()


def test_whole_volume_normalisation_shifts_the_background_too() -> None:
    """All voxels together have mean 0 and variance 1."""
    volume = np.concatenate([np.zeros(50), np.arange(1, 201)]).astype(np.float32)
    out = normalise(volume, "whole_volume", "dwi")
    assert out.mean() == pytest.approx(0, abs=1e-6)
    assert out.std() == pytest.approx(1, rel=1e-6)
    assert out[0] < -1


@pytest.mark.parametrize("norm", ["release", "foreground", "whole_volume"])
@given(scale=st.floats(1e-3, 1e3))
def test_normalisation_does_not_see_the_scanners_scale(norm: Any, scale: float) -> None:
    """A DWI times a constant is the same image."""
    volume = np.random.default_rng(3).normal(5, 2, 500).astype(np.float32)
    scaled = (volume * scale).astype(np.float32)
    expected = normalise(volume, norm, "dwi")
    assert np.allclose(normalise(scaled, norm, "dwi"), expected, atol=1e-3)


@pytest.mark.parametrize("norm", ["release", "foreground", "whole_volume"])
@pytest.mark.parametrize("value", [0.0, 7.3, -1.0])
def test_an_image_without_contrast_is_refused(norm: Any, value: float) -> None:
    """A constant image has no variance to divide by."""
    with pytest.raises(InputError, match="dwi of case_7"):
        normalise(np.full((3, 4, 5), value, np.float32), norm, "dwi of case_7")


def test_an_unknown_normalisation_lists_the_known_ones() -> None:
    """A typing error is answered with the right names."""
    with pytest.raises(UsageError, match="foreground, release, whole_volume"):
        normalise(np.ones((1, 2, 3), np.float32), "releas", "dwi")  # type: ignore[arg-type]


@pytest.mark.parametrize("factor", [1.0, 1e-3, 1e3])
@pytest.mark.parametrize("median", [0.7, 0.9, 1.3])
def test_adc_comes_out_in_one_unit(factor: float, median: float) -> None:
    """mm2/s, 1e-6 mm2/s and 1e-3 mm2/s are told apart by the in-brain median."""
    adc = np.array([[[0.0, median, median, 3.0, 0.5, -0.1, 900.0]]], np.float32)
    brain = np.array([[[1, 1, 1, 1, 1, 1, 0]]], bool)
    out = adc_um2_per_ms((adc * factor).astype(np.float32), brain, "adc")
    assert np.allclose(out, adc, rtol=1e-6)


@pytest.mark.parametrize("value", [0.03, 50.0, 0.0, -1.0])
def test_an_adc_between_the_units_is_refused(value: float) -> None:
    """A median of 0.03 or 50 is no brain in any unit; nothing is guessed."""
    adc = np.full((2, 2, 2), value, np.float32)
    with pytest.raises(InputError, match="in-brain median"):
        adc_um2_per_ms(adc, np.ones_like(adc, bool), "adc")


# Geometry


def test_a_ramp_is_resampled_at_voxel_centres() -> None:
    """Four pixels of 2 mm, centres at 1, 3, 5, 7 mm, become five of 1.6 mm: 0.8, 2.4, 4, ... mm.

    The outermost new centres lie beyond the outermost old ones and take their value.
    """
    ramp = np.broadcast_to(np.array([1, 3, 5, 7], np.float32), (1, 4, 4)).copy()
    geometry = plan_geometry((1, 4, 4), (5.0, 2.0, 2.0), px_mm=1.6, block=1)
    assert geometry.slice_shape == (5, 5)
    row = geometry.resample(ramp)[0, 2]
    assert row == pytest.approx([1, 2.4, 4.0, 5.6, 7], rel=1e-6)


def test_blocks_of_slices_are_averaged_and_the_last_over_what_it_has() -> None:
    """Seven slices 0 ... 6 in blocks of three: means 1, 4 and 6."""
    volume = np.arange(7, dtype=np.float32)[:, None, None] * np.ones((7, 2, 2), np.float32)
    geometry = plan_geometry((7, 2, 2), (2.0, 1.6, 1.6), px_mm=1.6, block=3)
    assert geometry.resample(volume)[:, 0, 0].tolist() == [1.0, 4.0, 6.0]
    assert geometry.prepared_shape == (3, 2, 2)
    assert geometry.prepared_spacing_mm == (6.0, 1.6, 1.6)
    back = geometry.restore(geometry.resample(volume))
    assert back[:, 0, 0].tolist() == [1, 1, 1, 4, 4, 4, 6]


#                       slices of one pixel   vote    any
@pytest.mark.parametrize(
    ("slices", "vote", "any_"),
    [
        ([0, 0, 0], 0, 0),
        ([0, 1, 0], 0, 1),  # a third is less than half
        ([0, 1, 1], 1, 1),
        ([1, 0], 1, 1),  # exactly half, in an incomplete block
        ([1], 1, 1),
    ],
)
def test_a_thick_slice_votes_on_its_lesion(slices: list[int], vote: int, any_: int) -> None:
    """At least half of the slices make a lesion, or any one does."""
    mask = np.array(slices, np.uint8)[:, None, None]
    geometry = plan_geometry(mask.shape, (2.0, 1.6, 1.6), px_mm=1.6, block=3)
    assert geometry.resample_mask(mask, "linear", "vote").ravel().tolist() == [vote]
    assert geometry.resample_mask(mask, "linear", "any").ravel().tolist() == [any_]


def test_masks_are_resampled_linearly_or_by_the_nearest_voxel() -> None:
    """Four pixels of 1 mm become two of 2 mm: linear takes the mean of two, ties are lesion."""
    mask = np.array([[[0, 1, 0, 0]]], np.uint8).repeat(4, axis=1)
    geometry = plan_geometry((1, 4, 4), (5.0, 1.0, 1.0), px_mm=2.0, block=1)
    assert geometry.resample_mask(mask, "linear", "vote")[0, 0].tolist() == [1, 0]
    # the new centres lie half-way, at 0.5 and 2.5; the upper neighbours are 1 and 3
    assert geometry.resample_mask(mask, "nearest", "vote")[0, 0].tolist() == [1, 0]
    moved = np.roll(mask, -1, axis=2)
    assert geometry.resample_mask(moved, "linear", "vote")[0, 0].tolist() == [1, 0]
    assert geometry.resample_mask(moved, "nearest", "vote")[0, 0].tolist() == [0, 0]


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 99),
)
def test_an_identity_geometry_changes_no_bit(shape: tuple[int, int, int], seed: int) -> None:
    """Same spacing, no blocks, whole window: there and back are exact."""
    volume = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    mask = (volume > 0).astype(np.uint8)
    geometry = plan_geometry(shape, (6.0, 1.6, 1.6), px_mm=1.6, block=1)
    assert np.array_equal(geometry.cut(geometry.resample(volume)), volume)
    assert np.array_equal(geometry.restore(volume), volume)
    for how in ("linear", "nearest"):
        assert np.array_equal(geometry.resample_mask(mask, how, "vote"), mask)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(2, 30), st.integers(2, 30)),
    spacing_mm=st.tuples(st.floats(1, 6), st.floats(0.5, 3), st.floats(0.5, 3)),
    block=st.integers(1, 4),
)
def test_a_constant_survives_the_way_there_and_back(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], block: int
) -> None:
    """Interpolation weights sum to one, so that a probability of 1 stays 1 on every grid."""
    geometry = plan_geometry(shape, spacing_mm, px_mm=1.6, block=block)
    there = geometry.resample(np.ones(shape, np.float32))
    assert there.shape == geometry.prepared_shape
    assert np.allclose(there, 1, atol=1e-5)
    back = geometry.restore(there)
    assert back.shape == shape
    assert np.allclose(back, 1, atol=1e-5)


def test_a_window_beyond_the_slice_is_zero_and_restores_to_where_it_was() -> None:
    """Cutting and un-cutting move nothing, whether the window crops or pads."""
    volume = np.arange(1, 13, dtype=np.float32).reshape(1, 3, 4)
    whole = plan_geometry((1, 3, 4), (6.0, 1.6, 1.6), px_mm=1.6, block=1)
    geometry = replace(whole, window=Window(top=-1, left=1, height=3, width=2))
    cut = geometry.cut(volume)
    assert cut.tolist() == [[[0, 0], [2, 3], [6, 7]]]
    restored = geometry.restore(cut)
    assert restored.tolist() == [[[0, 2, 3, 0], [0, 6, 7, 0], [0, 0, 0, 0]]]


def test_a_volume_of_another_grid_is_refused() -> None:
    """Restoring something else than what was prepared is one clear line."""
    geometry = plan_geometry((2, 4, 4), (6.0, 1.6, 1.6), px_mm=1.6, block=1)
    with pytest.raises(InputError, match=r"\(2, 4, 4\).*the prepared grid"):
        geometry.restore(np.zeros((2, 4, 5), np.float32))
    with pytest.raises(UsageError, match="positive pixel spacing"):
        plan_geometry((2, 4, 4), (6.0, 1.6, 1.6), px_mm=0.0, block=1)


# The whole preparation

GRIDS = [
    ((72, 112, 112), (2.0, 2.0, 2.0)),
    ((25, 128, 128), (6.5, 1.8, 1.8)),
    ((24, 192, 192), (4.8, 1.15, 1.15)),
    ((50, 110, 120), (2.5, 1.9, 1.7)),
]


@pytest.mark.parametrize(("shape", "spacing_mm"), GRIDS)
@pytest.mark.parametrize("crop", ["128", "native_pad4"])
def test_a_lesion_finds_its_way_back(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], crop: Any
) -> None:
    """A smooth lesion, prepared and restored, overlaps itself by more than 0.9."""
    dwi, label = brain_and_blob(shape, spacing_mm)
    prepared = prepare_dwi(a_case(dwi, label, spacing_mm), crop=crop)
    assert prepared.label is not None
    restored = prepared.geometry.restore(prepared.label.astype(np.float32)) >= 0.5
    assert restored.shape == shape
    assert dice(restored, label > 0) > 0.9
    volume_mm3 = prepared.label.sum() * np.prod(prepared.spacing_mm)
    # in blocks of two slices a tie is lesion, which adds up to a tenth
    assert volume_mm3 == pytest.approx(label.sum() * np.prod(spacing_mm), rel=0.12)


@pytest.mark.parametrize(
    ("spacing_z_mm", "slices", "thick_mm"),
    [(2.0, 3, 6.0), (2.5, 5, 5.0), (3.0, 5, 6.0), (4.0, 9, 4.0), (5.0, 9, 5.0), (6.5, 9, 6.5)],
)
def test_thin_slices_become_blocks_of_about_six_millimetres(
    spacing_z_mm: float, slices: int, thick_mm: float
) -> None:
    """Below 4 mm, round(6 / spacing) slices are averaged; from 4 mm on, slices stay."""
    dwi, label = brain_and_blob((9, 40, 40), (spacing_z_mm, 1.6, 1.6), radius_mm=8)
    case = a_case(dwi, label, (spacing_z_mm, 1.6, 1.6))
    thick, native = prepare_dwi(case), prepare_dwi(case, slice_mode="native")
    assert thick.image.shape == (1, slices, 128, 128)
    assert thick.spacing_mm == pytest.approx((thick_mm, 1.6, 1.6))
    assert native.image.shape == (1, 9, 128, 128)
    assert native.spacing_mm == (spacing_z_mm, 1.6, 1.6)


def test_the_window_is_centred_on_the_brain_and_not_on_the_slice() -> None:
    """A brain in a corner of a wide, noisy slice lies in the middle of the window."""
    dwi = np.random.default_rng(1).rayleigh(10, (2, 300, 300)).astype(np.float32)
    dwi[:, 200:280, 190:290] = np.random.default_rng(0).normal(300, 30, (2, 80, 100))
    dwi[0, 0, 0] = 100.0  # neither a stray voxel nor noise may widen the brain's box
    window = prepare_dwi(a_case(dwi)).geometry.window
    assert window == Window(top=240 - 64, left=240 - 64, height=128, width=128)


def test_a_small_slice_is_padded_with_background() -> None:
    """Around a slice smaller than the window there is exactly 0."""
    dwi, label = brain_and_blob((3, 60, 50), (6.0, 1.6, 1.6), radius_mm=8)
    prepared = prepare_dwi(a_case(dwi, label))
    assert prepared.image.shape == (1, 3, 128, 128)
    assert np.count_nonzero(prepared.image) <= dwi.size
    assert (prepared.image[:, :, :30] == 0).all()


@pytest.mark.parametrize(("side", "padded"), [(64, 64), (65, 72), (140, 144)])
def test_the_native_window_is_padded_to_a_multiple_of_eight(side: int, padded: int) -> None:
    """Networks with two or three poolings need no padding of their own."""
    dwi, label = brain_and_blob((2, side, 64), (6.0, 1.6, 1.6), radius_mm=8)
    prepared = prepare_dwi(a_case(dwi, label), crop="native_pad4")
    assert prepared.image.shape == (1, 2, padded, 64)
    assert prepared.label is not None
    assert np.array_equal(prepared.geometry.restore(prepared.label.astype(np.float32)), label)


def test_a_window_that_would_lose_lesion_is_refused() -> None:
    """The case and the way out are named; the way out works."""
    dwi = np.zeros((2, 200, 200), np.float32)
    dwi[:, 40:160, 40:160] = np.random.default_rng(0).normal(300, 30, (2, 120, 120))
    label = np.zeros((2, 200, 200), np.uint8)
    label[1, 5:8, 100] = 1
    with pytest.raises(InputError, match=r'case with 3 lesion pixels.*crop="native_pad4"'):
        prepare_dwi(a_case(dwi, label))
    prepared = prepare_dwi(a_case(dwi, label), crop="native_pad4")
    assert prepared.label is not None
    assert prepared.label.sum() == 3


def test_a_lesion_that_vanishes_in_a_thick_slice_is_flagged() -> None:
    """One thin slice of lesion loses the vote of three; the case says so and is not 'empty'."""
    dwi, _ = brain_and_blob((6, 40, 40), (2.0, 1.6, 1.6))
    label = np.zeros(dwi.shape, np.uint8)
    label[1, 20:23, 20:23] = 1
    voted = prepare_dwi(a_case(dwi, label, (2.0, 1.6, 1.6)))
    kept = prepare_dwi(a_case(dwi, label, (2.0, 1.6, 1.6)), thick_mask="any")
    assert (voted.lesion_vanished, voted.native_lesion_voxels) == (True, 9)
    assert not kept.lesion_vanished
    assert not prepare_dwi(a_case(dwi, np.zeros_like(label))).lesion_vanished


def test_a_case_without_mask_is_prepared_for_prediction() -> None:
    """No label in, no label out."""
    dwi, _ = brain_and_blob((2, 40, 40), (6.0, 1.6, 1.6))
    prepared = prepare_dwi(a_case(dwi))
    assert prepared.label is None
    assert not prepared.lesion_vanished


def test_modalities_are_channels_in_the_order_asked_for() -> None:
    """ADC beside DWI, each normalised by itself, whatever unit the ADC came in."""
    dwi, label = brain_and_blob((2, 40, 40), (6.0, 1.6, 1.6))
    adc = np.where(dwi > 0, 0.9 + dwi / 3000 - 0.1, 0).astype(np.float32)
    in_mm2_per_s = (adc / 1000).astype(np.float32)
    both = prepare_dwi(a_case(dwi, label, adc=adc), modalities=("adc", "dwi"))
    scaled = prepare_dwi(a_case(dwi, label, adc=in_mm2_per_s), modalities=("adc", "dwi"))
    assert both.image.shape == (2, 2, 128, 128)
    assert np.array_equal(both.image[1], prepare_dwi(a_case(dwi, label)).image[0])
    assert np.allclose(both.image, scaled.image, atol=1e-4)


def test_a_modality_that_was_not_read_is_named() -> None:
    """The message says what to add when the cohort is loaded."""
    dwi, _ = brain_and_blob((2, 40, 40), (6.0, 1.6, 1.6))
    with pytest.raises(InputError, match="case without flair"):
        prepare_dwi(a_case(dwi), modalities=("dwi", "flair"))


@pytest.mark.parametrize(
    "option",
    [
        {"crop": "64"},
        {"norm": "zscore"},
        {"slice_mode": "thin"},
        {"mask_resample": "cubic"},
        {"thick_mask": "all"},
    ],
)
def test_an_unknown_option_lists_the_known_ones(option: dict[str, Any]) -> None:
    """Every switch refuses what it does not know, with exit code 2."""
    dwi, label = brain_and_blob((2, 40, 40), (6.0, 1.6, 1.6))
    with pytest.raises(UsageError, match="one of"):
        prepare_dwi(a_case(dwi, label), **option)


def test_flair_is_brought_to_the_dwi_grid_in_world_coordinates() -> None:
    """A ramp in millimetres on a coarser, shifted grid reads the same millimetres on the case's."""
    case = a_case(np.ones((3, 6, 8), np.float32), spacing_mm=(4.0, 2.0, 2.0))
    affine = np.diag([3.0, 3.0, 5.0, 1.0])
    affine[:3, 3] = [-6.0, -6.0, -5.0]
    x_mm = affine[0, 3] + 3.0 * np.arange(12)
    ramp = np.broadcast_to(x_mm.astype(np.float32), (6, 9, 12)).copy()
    out = resample_to_case(Volume(ramp, affine, (5.0, 3.0, 3.0)), case, "flair")
    assert out.shape == (3, 6, 8)
    assert np.allclose(out[1, 2], 2.0 * np.arange(8), atol=1e-4)


def test_flair_with_an_affine_that_lies_is_not_resampled() -> None:
    """Where the affine is an identity the positions are unknown, and nothing is guessed."""
    case = a_case(np.ones((3, 6, 8), np.float32), spacing_mm=(4.0, 2.0, 2.0))
    flair = Volume(np.ones((3, 6, 8), np.float32), np.eye(4), (5.0, 0.9, 0.9))
    with pytest.raises(InputError, match=r"flair of case.*the spacing in its header"):
        resample_to_case(flair, case, "flair")


def test_a_cohort_on_disk_is_prepared_with_its_flair(tiny_cohort: TinyCohort) -> None:
    """From files to three channels."""
    case = load_cohort("isles2022", tiny_cohort(), ["dwi", "adc", "flair"])[0]
    flair = case.off_grid["flair"]
    noisy = flair.array + np.random.default_rng(0).normal(0, 9, flair.array.shape)
    case = replace(case, off_grid={"flair": replace(flair, array=noisy.astype(np.float32))})
    prepared = prepare_dwi(case, modalities=("dwi", "adc", "flair"))
    assert prepared.image.shape == (3, 3, 128, 128)
    assert np.isfinite(prepared.image).all()


@pytest.mark.parametrize(("shape", "spacing_mm"), GRIDS[:2])
def test_a_case_is_prepared_in_a_fraction_of_a_second(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> None:
    """Below 0.3 s on one core, the best of three; CPU time, since tests share the machine."""
    case = a_case(*brain_and_blob(shape, spacing_mm), spacing_mm)
    seconds = []
    for _ in range(3):
        start = time.thread_time()
        prepare_dwi(case)
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.3


@pytest.mark.real_data
def test_the_real_sample_case_is_prepared_without_loss(real_data: Path) -> None:
    """The published sample case: ADC in one unit, skull stripped, lesion inside the window."""
    root = real_data / "isles2022_sample"
    case = load_cohort("isles2022", root, ["dwi", "adc", "flair"])[0]
    assert case.label is not None
    adc = adc_um2_per_ms(case.arrays["adc"], case.arrays["dwi"] > 0, "adc")
    assert np.median(adc[case.label > 0]) == pytest.approx(0.59, abs=0.05)
    thick = prepare_dwi(case, modalities=("dwi", "adc", "flair"))
    assert thick.image.shape == (3, 25, 128, 128)
    assert np.isfinite(thick.image).all()
    native = prepare_dwi(case, slice_mode="native")
    assert native.label is not None
    volume_ml = native.label.sum() * np.prod(native.spacing_mm) / 1000
    assert volume_ml == pytest.approx(523 * 8 / 1000, rel=0.05)
    restored = native.geometry.restore(native.label.astype(np.float32)) >= 0.5
    assert dice(restored, case.label > 0) > 0.95


def test_a_geometry_is_a_value() -> None:
    """Two equal plans are equal, so that a geometry can be stored and compared."""
    one = plan_geometry((2, 4, 4), (6.0, 1.6, 1.6), px_mm=1.6, block=1)
    assert one == Geometry((2, 4, 4), (6.0, 1.6, 1.6), 1, (1.6, 1.6), Window(0, 0, 4, 4))
