"""Mirror lines are found where they were put, and mirroring at them is exact."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from strokerepro.errors import InputError, UsageError
from strokerepro.preprocess.reflection import (
    Reflection,
    ReflectionModel,
    fit_reflection,
    reflect,
)
from strokerepro.preprocess.reflection.geometry import InPlaneImage

Float = npt.NDArray[np.float32]

LINES = st.builds(
    Reflection,
    angle_rad=st.floats(-0.3, 0.3),
    offset_mm=st.floats(-12, 12),
    shear=st.floats(-0.05, 0.05),
)


def grid_mm(shape: tuple[int, ...], spacing_yx_mm: tuple[float, float]) -> tuple[Any, Any]:
    """Positions (x, y) of the pixels (Y, X) from the centre of the slice."""
    y, x = (
        (np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape[-2:], spacing_yx_mm, strict=True)
    )
    return np.meshgrid(x, y)


def head(
    line: Reflection,
    shape: tuple[int, int, int] = (4, 128, 128),
    spacing_yx_mm: tuple[float, float] = (1.8, 1.8),
    *,
    noise: float = 0.0,
    lesion: float = 0.0,
) -> Float:
    """Evaluate a head that is symmetric about a line: oval, with bright and dark structures.

    Pixel values are those of a continuous function at the pixel centres, so that the line is
    exact; the oval differs from slice to slice. `lesion` is taken off in a disc of 22 mm on one
    side only.
    """
    rng = np.random.default_rng(7)
    x, y = grid_mm(shape, spacing_yx_mm)
    across = line.normal[0] * x + line.normal[1] * y - line.offset_mm
    beside = line.along[0] * x + line.along[1] * y - line.shear * across
    slices = []
    for z in range(shape[0]):
        radius = np.sqrt((across / (58 + 2 * z)) ** 2 + ((beside - 4) / (76 + z)) ** 2)
        values = np.full_like(x, 30.0)
        for _ in range(25):
            centre = rng.uniform(0, 50), rng.uniform(-65, 65)
            width, height = rng.uniform(5, 12), rng.normal(0, 9)
            for side in (-1, 1):
                distance = (across - side * centre[0]) ** 2 + (beside - centre[1]) ** 2
                values += height * np.exp(-distance / (2 * width**2))
        values -= lesion * ((across - 33) ** 2 + beside**2 < 22**2)
        values += rng.normal(0, 1, x.shape) * noise
        slices.append(values / (1 + np.exp(np.clip(60 * (radius - 1), -50, 50))))
    volume = np.array(slices, np.float32)
    volume[volume < 0.5] = 0
    return volume


def error_px(
    found: Reflection,
    line: Reflection,
    shape: tuple[int, ...] = (4, 128, 128),
    spacing_yx_mm: tuple[float, float] = (1.8, 1.8),
) -> float:
    """Largest distance, within 70 mm of the centre, between points mirrored at both lines."""
    x, y = grid_mm(shape, spacing_yx_mm)
    inside = np.hypot(x, y) < 70
    points = np.stack([x[inside], y[inside], np.ones(inside.sum())])
    return float(np.hypot(*((found.matrix - line.matrix) @ points)).max() / min(spacing_yx_mm))


# Mirroring


@given(line=LINES)
def test_mirroring_twice_is_nothing(line: Reflection) -> None:
    """Linear part and shift undo themselves, with shear too, and the orientation turns."""
    square = np.vstack([line.matrix, [0, 0, 1]])
    assert np.allclose(square @ square, np.eye(3), atol=1e-9)
    assert np.linalg.det(square) == pytest.approx(-1)


@given(line=LINES, distance_mm=st.floats(-100, 100))
def test_points_of_the_line_stay(line: Reflection, distance_mm: float) -> None:
    """Whatever the shear."""
    point = line.offset_mm * line.normal + distance_mm * line.along
    assert np.allclose(line.matrix @ [*point, 1], point, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 4, 5), (2, 1, 6), (3, 7, 1), (2, 3, 4, 4)])
def test_the_plain_reflection_is_a_flip(shape: tuple[int, ...]) -> None:
    """Of odd, even and single columns, and of volumes with more leading axes."""
    volume = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    mirrored = reflect(volume, Reflection(), (2.0, 0.7))
    assert mirrored.shape == shape
    assert mirrored.dtype == np.float32
    assert np.allclose(mirrored, volume[..., ::-1], atol=1e-5)


def test_an_offset_moves_the_line_by_hand() -> None:
    """Columns at -4, -2, 0, 2, 4 mm, line at 1 mm: x comes from 2 - x = 6, 4, 2, 0, -2."""
    row = np.array([[[10, 20, 30, 40, 50]]], np.float32)
    mirrored = reflect(row, Reflection(offset_mm=1.0), (1.0, 2.0))
    assert mirrored[0, 0] == pytest.approx([0, 50, 40, 30, 20], abs=1e-4)


def test_half_a_pixel_is_interpolated() -> None:
    """Line at 0.5 mm with columns 2 mm apart: x comes from 1 - x, half-way between two."""
    row = np.array([[[10, 20, 30, 40, 50]]], np.float32)
    mirrored = reflect(row, Reflection(offset_mm=0.5), (1.0, 2.0))
    assert mirrored[0, 0] == pytest.approx([25, 45, 35, 25, 15], abs=1e-4)


def test_a_right_angle_mirrors_up_and_down() -> None:
    """The normal points along y."""
    volume = np.random.default_rng(0).normal(size=(2, 6, 5)).astype(np.float32)
    mirrored = reflect(volume, Reflection(angle_rad=np.pi / 2), (1.5, 0.8))
    assert np.allclose(mirrored, volume[:, ::-1], atol=1e-5)


def test_shear_leans_the_direction_by_hand() -> None:
    """With a shear of 1 the point (1, 0) goes to (1, 0) - 2 (1, 1) = (-1, -2)."""
    assert Reflection(shear=1.0).matrix @ [1, 0, 1] == pytest.approx([-1, -2])


# Fitting


@settings(max_examples=12, deadline=None)
@given(angle_rad=st.floats(-0.35, 0.35), offset_mm=st.floats(-15, 15))
def test_a_known_tilt_and_shift_are_found(angle_rad: float, offset_mm: float) -> None:
    """To a tenth of a pixel anywhere in the head; with more unknowns, in less noise."""
    line = Reflection(angle_rad, offset_mm)
    models: tuple[tuple[ReflectionModel, float], ...] = (("rigid", 2.0), ("affine", 0.5))
    for model, noise in models:
        fit = fit_reflection(head(line, noise=noise), (1.8, 1.8), model=model)
        assert fit.note is None
        assert error_px(fit.reflection, line) < 0.1


@settings(max_examples=8, deadline=None)
@given(line=LINES)
def test_a_known_shear_is_found(line: Reflection) -> None:
    """By the affine model to a tenth of a pixel."""
    fit = fit_reflection(head(line, noise=0.5), (1.8, 1.8), model="affine")
    assert fit.note is None
    assert error_px(fit.reflection, line) < 0.1


def test_the_rigid_model_has_no_shear() -> None:
    """Even for a head that has."""
    line = Reflection(0.1, 3.0, shear=0.03)
    rigid = fit_reflection(head(line), (1.8, 1.8), model="rigid")
    assert rigid.reflection.shear == 0
    assert rigid.ncc < fit_reflection(head(line), (1.8, 1.8), model="affine").ncc


@pytest.mark.parametrize(
    ("shape", "spacing_yx_mm"),
    [
        ((2, 128, 128), (1.8, 1.8)),
        ((1, 128, 128), (1.8, 1.8)),
        ((3, 101, 153), (1.9, 1.5)),
        ((3, 160, 97), (1.4, 2.0)),
        ((2, 256, 256), (0.9, 0.9)),
        ((2, 300, 270), (0.8, 0.9)),
    ],
)
def test_slices_of_any_number_and_shape(
    shape: tuple[int, int, int], spacing_yx_mm: tuple[float, float]
) -> None:
    """Two slices, one, not square, odd, pixels not square, sizes that do not divide."""
    line = Reflection(-0.12, 5.0)
    volume = head(line, shape, spacing_yx_mm)
    fit = fit_reflection(volume, spacing_yx_mm, model="affine")
    assert fit.note is None
    assert error_px(fit.reflection, line, shape, spacing_yx_mm) < 0.1


def test_a_symmetric_image_is_left_where_it_is() -> None:
    """The line is the middle of the slice."""
    fit = fit_reflection(head(Reflection()), (1.8, 1.8))
    assert error_px(fit.reflection, Reflection()) < 0.01
    assert fit.ncc > 0.9999


def test_the_mirrored_copy_of_a_symmetric_head_is_the_head() -> None:
    """Up to the error of linear interpolation, although the head is tilted and shifted."""
    volume = head(Reflection(0.15, 6.0))
    fit = fit_reflection(volume, (1.8, 1.8))
    difference = np.abs(reflect(volume, fit.reflection, (1.8, 1.8)) - volume)
    flipped = np.abs(volume[..., ::-1] - volume)
    assert difference.mean() < 0.02 * flipped.mean()


def test_a_flipped_volume_has_the_flipped_line() -> None:
    """Angle and offset change their signs."""
    volume = head(Reflection(0.2, -7.0), noise=2.0)
    one = fit_reflection(volume, (1.8, 1.8)).reflection
    other = fit_reflection(np.flip(volume, -1), (1.8, 1.8)).reflection
    expected = Reflection(-one.angle_rad, -one.offset_mm, -one.shear)
    assert error_px(other, expected) < 0.02


def test_a_lesion_on_one_side_hardly_moves_the_line() -> None:
    """Of a size of 22 mm and half the contrast of the head; plain squares are moved more."""
    line = Reflection(0.1, 4.0)
    volume = head(line, noise=1.0, lesion=15.0)
    robust, ncc = (
        error_px(fit_reflection(volume, (1.8, 1.8), similarity=similarity).reflection, line)
        for similarity in ("robust", "ncc")
    )
    assert robust < 0.1
    assert robust < 0.5 * ncc


def test_blank_slices_have_no_say() -> None:
    """Above, below and between."""
    line = Reflection(-0.2, 2.0)
    volume = head(line)
    blank = np.zeros((9, *volume.shape[1:]), np.float32)
    blank[1:8:2] = volume
    fit = fit_reflection(blank, (1.8, 1.8))
    assert fit.note is None
    assert error_px(fit.reflection, line) < 0.05


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_unit_of_the_image_does_not_matter(scale: float) -> None:
    """Times any constant the line is the same."""
    volume = head(Reflection(0.1, 4.0), noise=2.0)
    scaled = fit_reflection((scale * volume).astype(np.float32), (1.8, 1.8)).reflection
    assert error_px(scaled, fit_reflection(volume, (1.8, 1.8)).reflection) < 1e-3


def test_a_head_at_the_edge_of_the_slice_is_found() -> None:
    """A part of it is cut off."""
    line = Reflection(0.05, 12.0)
    volume = head(line, (4, 128, 80))
    fit = fit_reflection(volume, (1.8, 1.8), model="rigid")
    assert error_px(fit.reflection, line, (4, 128, 80)) < 0.2


def test_of_a_free_affine_transform_the_best_undoes_itself() -> None:
    """All six numbers set free by a general optimiser, the result is still a reflection.

    This is what lets the fit do with three, for a head with a lesion on one side too.
    """
    line = Reflection(0.06, 2.0, 0.02)
    volume = head(line, (2, 64, 64), (3.2, 3.2), lesion=10.0)
    image = InPlaneImage.of(volume, (3.2, 3.2))
    start = fit_reflection(volume, (3.2, 3.2), similarity="ncc").reflection

    def moved(change: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return start.matrix + change.reshape(2, 3) * [0.01, 0.01, 1.0]

    def cost(change: npt.NDArray[np.float64]) -> float:
        mirrored = image.through(SimpleNamespace(matrix=moved(change)))  # type: ignore[arg-type]
        return float((mirrored - image.values).square().mean())

    best = moved(optimize.minimize(cost, np.full(6, 0.3), method="Powell").x)
    square = np.vstack([best, [0, 0, 1]])
    corners = np.array([[60, 60, 1], [-60, 60, 1], [60, -60, 1], [0, 0, 1.0]]).T
    assert np.abs((square @ square - np.eye(3)) @ corners).max() < 0.1 * 3.2


# What cannot be fitted


def test_an_unknown_model_or_similarity_lists_the_known_ones() -> None:
    """A typing error is answered with the right names."""
    with pytest.raises(UsageError, match="affine, rigid"):
        fit_reflection(head(Reflection()), (1.8, 1.8), model="afine")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="ncc, robust"):
        fit_reflection(head(Reflection()), (1.8, 1.8), similarity="mi")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0.0, 30.0])
def test_an_image_without_contrast_is_refused(value: float) -> None:
    """A blank volume has no mirror line."""
    with pytest.raises(InputError, match="one value everywhere"):
        fit_reflection(np.full((2, 32, 32), value, np.float32), (1.0, 1.0))


def test_bad_values_and_shapes_are_refused() -> None:
    """The message counts the bad values."""
    volume = head(Reflection())
    volume[0, 3, 4:6] = np.nan
    with pytest.raises(InputError, match="2 bad values"):
        fit_reflection(volume, (1.8, 1.8))
    with pytest.raises(InputError, match=r"shape \(128, 128\)"):
        fit_reflection(volume[1], (1.8, 1.8))


def test_an_image_too_small_to_mirror_is_refused() -> None:
    """Fewer than 8 pixels across are no head."""
    with pytest.raises(InputError, match="8 pixels or more"):
        fit_reflection(np.eye(40, 7, dtype=np.float32)[None], (1.0, 1.0))


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(8, 40), st.integers(8, 40)),
    spacing_yx_mm=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)),
    filled=st.floats(0.0, 1),
    seed=st.integers(0, 999),
)
def test_any_image_with_contrast_has_a_finite_line(
    shape: tuple[int, int, int], spacing_yx_mm: tuple[float, float], filled: float, seed: int
) -> None:
    """Noise of either sign in one pixel, a few or all: no error, no bad number."""
    rng = np.random.default_rng(seed)
    volume = np.where(rng.random(shape) < filled, rng.normal(0, 100, shape), 0).astype(np.float32)
    volume[0, 3, 4] = 50
    fit = fit_reflection(volume, spacing_yx_mm)
    assert np.isfinite(fit.reflection.matrix).all()
    assert np.isfinite(fit.ncc)


def test_a_fit_that_leans_too_far_falls_back_and_says_so() -> None:
    """A shear of 0.5 is no head: the rigid fit is returned with a note."""
    fit = fit_reflection(head(Reflection(shear=0.5)), (1.8, 1.8), model="affine")
    assert fit.note is not None
    assert "affine reflection" in fit.note
    assert fit.reflection.shear == 0


def test_a_refinement_that_does_not_converge_falls_back_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a single step allowed, the result of the search is returned with a note on both."""
    monkeypatch.setattr("strokerepro.preprocess.reflection.refine._MAX_STEPS", 1)
    line = Reflection(0.07, 4.0)
    fit = fit_reflection(head(line), (1.8, 1.8), model="affine")
    assert fit.note == (
        "the affine reflection did not converge; the rigid reflection did not converge: "
        "the result of the coarse search is used"
    )
    assert error_px(fit.reflection, line) < 6


def test_noise_alone_does_not_break_the_fit() -> None:
    """Whatever is returned is finite, and within the slice."""
    noise = np.random.default_rng(0).normal(size=(3, 40, 40)).astype(np.float32)
    reflection = fit_reflection(noise, (1.0, 1.0)).reflection
    assert np.isfinite(reflection.matrix).all()
    assert abs(reflection.offset_mm) < 40


def test_a_single_pixel_does_not_break_the_fit() -> None:
    """It has a mirror line at any angle; the line goes through it."""
    volume = np.zeros((1, 33, 33), np.float32)
    volume[0, 16, 20] = 5
    fit = fit_reflection(volume, (1.0, 1.0), model="rigid")
    assert fit.reflection.matrix @ [4, 0, 1] == pytest.approx([4, 0], abs=1)
