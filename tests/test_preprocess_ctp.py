"""A prepared CT perfusion case has the stated channels, intensities, mask and grid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.cohort import Case
from strokerepro.errors import InputError, UsageError
from strokerepro.preprocess import (
    Reflection,
    brain_mask,
    prepare_ctp,
    prepare_dwi,
    rcbf_core,
    tmax_region,
)
from strokerepro.preprocess.orientation import left_right_axis
from strokerepro.preprocess.reflection import ReflectionFit

Float = npt.NDArray[np.float32]

MODALITIES = ("ct", "cbf", "cbv", "mtt", "tmax")
SPACING_MM = (10.0, 1.6, 1.6)


def a_case(
    line: Reflection | None = None,
    shape: tuple[int, int, int] = (3, 96, 88),
    affine: npt.NDArray[np.float64] | None = None,
    **replaced: Float,
) -> Case:
    """Make a case with a head that is symmetric about a line, save for a lesion on one side.

    The maps share the structure of the CT, so that one mirror line serves all. In the lesion,
    a disc of 12 mm, CBF is a tenth and Tmax 9 s. A skull surrounds the brain.
    """
    line = Reflection() if line is None else line
    rng = np.random.default_rng(5)
    y, x = ((np.arange(n) - (n - 1) / 2) * 1.6 for n in shape[1:])
    x, y = np.meshgrid(x, y)
    across = line.normal[0] * x + line.normal[1] * y - line.offset_mm
    beside = line.along[0] * x + line.along[1] * y
    structure = np.zeros((shape[0], *x.shape))
    for _ in range(20):
        centre = rng.uniform(5, 40), rng.uniform(-50, 50)
        height = rng.normal(0, 1, (shape[0], 1, 1))
        for side in (-1, 1):
            distance = (across - side * centre[0]) ** 2 + (beside - centre[1]) ** 2
            structure += height * np.exp(-distance / 100)
    radius = np.hypot(across / 48, beside / 62)
    brain = np.broadcast_to(radius < 1, shape)
    lesion = np.broadcast_to(np.hypot(across - 25, beside) < 12, shape)
    structure = np.tanh(structure)
    maps = {
        "ct": np.where(brain, 30 + 8 * structure, 0),
        "cbf": np.where(brain, (200 + 60 * structure) * np.where(lesion, 0.1, 1), 0),
        "cbv": np.where(brain, 20 + 6 * structure, 0),
        "mtt": np.where(brain, 5 + structure, 0),
        "tmax": np.where(brain, np.where(lesion, 9, 1.5 + 0.5 * structure), 0),
    }
    maps["ct"] += np.where((radius > 1.05) & (radius < 1.15), 900, 0)
    arrays = {name: values.astype(np.float32) for name, values in maps.items()} | replaced
    affine = np.eye(4) if affine is None else affine
    return Case("case_3", "p2", arrays, affine, SPACING_MM, lesion.astype(np.uint8))


def likeness(one: Float, other: Float, where: npt.NDArray[np.bool_]) -> float:
    """Correlation over a mask."""
    return float(np.corrcoef(one[where], other[where])[0, 1])


# The brain


def test_the_brain_is_where_any_map_has_a_value() -> None:
    """One map is enough; CT is not asked."""
    arrays = {name: np.zeros((1, 2, 3), np.float32) for name in MODALITIES}
    arrays["ct"] += 40
    arrays["cbf"][0, 0, 0] = arrays["cbv"][0, 0, 1] = arrays["mtt"][0, 1, 0] = 1
    arrays["tmax"][0, 1, 2] = 0.01
    case = replace(a_case(), arrays=arrays)
    assert brain_mask(case)[0].tolist() == [[True, True, False], [True, False, True]]


def test_the_skull_is_stripped_and_the_brain_is_the_foreground() -> None:
    """Outside the brain every channel is exactly 0; the skull of the CT is gone."""
    case = a_case()
    prepared = prepare_ctp(case, symmetry="none")
    brain = case.arrays["cbv"] > 0
    assert prepared.foreground is not None
    assert prepared.foreground.dtype == np.bool_
    assert (prepared.foreground == brain).all()
    assert (prepared.image[:, ~brain] == 0).all()
    assert case.arrays["ct"][~brain].max() == 900


# Channels


def test_channels_are_the_originals_then_their_mirrored_copies() -> None:
    """In the order asked for; with a plain flip, bit for bit."""
    order = ("tmax", "ct", "cbf")
    single = prepare_ctp(a_case(), modalities=order, symmetry="none").image
    double = prepare_ctp(a_case(), modalities=order, symmetry="flip").image
    assert single.shape == (3, 3, 96, 88)
    assert double.shape == (6, 3, 96, 88)
    assert double.dtype == np.float32
    assert (double[:3] == single).all()
    assert (double[3:] == single[..., ::-1]).all()
    whole = prepare_ctp(a_case(), symmetry="none").image
    assert (single == whole[[4, 0, 1]]).all()


def test_other_modalities_may_be_channels() -> None:
    """Whatever lies on the common grid is stripped and normalised like the rest."""
    delay = np.random.default_rng(0).uniform(50, 500, (3, 96, 88)).astype(np.float32)
    prepared = prepare_ctp(a_case(delay=delay), modalities=("delay",), symmetry="flip")
    brain = prepared.foreground
    assert brain is not None
    assert prepared.image.shape[0] == 2
    assert prepared.image[0][brain].std() == pytest.approx(1, rel=1e-4)
    assert (prepared.image[0][~brain] == 0).all()


@settings(max_examples=6, deadline=None)
@given(angle_rad=st.floats(-0.25, 0.25), offset_mm=st.floats(-6, 6))
def test_registered_copies_match_where_flipped_ones_do_not(
    angle_rad: float, offset_mm: float
) -> None:
    """In all five modalities by one transform, outside the lesion and its mirror image."""
    case = a_case(Reflection(angle_rad, offset_mm))
    for symmetry in ("rigid", "affine"):
        prepared = prepare_ctp(case, symmetry=symmetry)  # type: ignore[arg-type]
        assert prepared.notes == ()
        originals, mirrored = prepared.image[:5], prepared.image[5:]
        both = (originals != 0).all(axis=0) & (mirrored[2] != 0)
        tmax, mirrored_tmax = originals[4], mirrored[4]
        healthy = both & (tmax < 2) & (mirrored_tmax < 0)
        for original, copy in zip(originals, mirrored, strict=True):
            assert likeness(original, copy, healthy) > 0.97


def test_a_lesion_appears_on_the_other_side() -> None:
    """At the place that the tilted line maps it to."""
    line = Reflection(0.2, 5.0)
    prepared = prepare_ctp(a_case(line), symmetry="rigid")
    late = prepared.image[4] > 2
    mirrored_late = prepared.image[9] > 2
    assert late.any()
    assert not (late & mirrored_late).any()
    y, x = ((late.nonzero()[axis].mean() - centre) * 1.6 for axis, centre in ((1, 47.5), (2, 43.5)))
    found = [
        (mirrored_late.nonzero()[axis].mean() - centre) * 1.6
        for axis, centre in ((2, 43.5), (1, 47.5))
    ]
    assert found == pytest.approx(line.matrix @ [x, y, 1], abs=0.5)


def test_the_registration_uses_the_ct_that_it_is_told_to() -> None:
    """Brain and skull have other mirror lines here: stripped follows the one, unstripped both."""
    case = a_case(Reflection(0.0, 0.0))
    skull = a_case(Reflection(0.2, 5.0)).arrays["ct"] > 100
    ct = np.where(skull, 900, np.where(case.arrays["cbf"] > 0, case.arrays["ct"], 0))
    case = replace(case, arrays={**case.arrays, "ct": ct.astype(np.float32)})
    inside = np.zeros((3, 96, 88), bool)
    inside[:, 24:72, 24:64] = True
    stripped, unstripped = (
        prepare_ctp(case, symmetry="rigid", register_on=on).image  # type: ignore[arg-type]
        for on in ("stripped", "unstripped")
    )
    assert likeness(stripped[2], stripped[7], inside) > 0.97
    assert likeness(unstripped[2], unstripped[7], inside) < 0.9


def test_without_a_registration_no_ct_is_needed() -> None:
    """Maps alone can be flipped; a registration asks for the CT by name."""
    case = a_case()
    maps = {name: case.arrays[name] for name in MODALITIES[1:]}
    case = replace(case, arrays=maps)
    assert prepare_ctp(case, modalities=MODALITIES[1:], symmetry="flip").image.shape[0] == 8
    with pytest.raises(InputError, match="case_3 without ct"):
        prepare_ctp(case, modalities=MODALITIES[1:], symmetry="affine")


# Intensities


def test_scores_over_the_brain() -> None:
    """Mean 0 and variance 1 there; a mirrored copy takes the statistics of its original."""
    prepared = prepare_ctp(a_case(), symmetry="flip")
    brain = prepared.foreground
    assert brain is not None
    values = prepared.image[:5][:, brain]
    assert values.mean(axis=1) == pytest.approx(np.zeros(5), abs=1e-5)
    assert values.std(axis=1) == pytest.approx(np.ones(5), rel=1e-5)


def test_scores_by_hand() -> None:
    """CBV 1, 2, 3 in the brain, 0 outside: -1.2247, 0, 1.2247, and 0."""
    arrays = {name: np.array([[[5, 7, 9, 0]]], np.float32) for name in MODALITIES}
    arrays["cbv"] = np.array([[[1, 2, 3, 0]]], np.float32)
    arrays["tmax"] = np.array([[[1, 2, 3, 0]]], np.float32)
    case = Case("c", "p", arrays, np.eye(4), SPACING_MM)
    image = prepare_ctp(case, modalities=("cbv",), symmetry="none").image
    assert image[0, 0, 0] == pytest.approx([-1.224745, 0, 1.224745, 0])
    whole = prepare_ctp(case, modalities=("cbv",), symmetry="none", normalise="zscore_volume").image
    assert whole[0, 0, 0] == pytest.approx([-0.447214, 0.447214, 1.341641, -1.341641])


@pytest.mark.parametrize("symmetry", ["none", "flip", "affine"])
def test_scores_over_the_volume(symmetry: Any) -> None:
    """As released: every channel, mirrored ones too, has mean 0 and variance 1 with its zeros."""
    prepared = prepare_ctp(a_case(), symmetry=symmetry, normalise="zscore_volume")
    flat = prepared.image.reshape(len(prepared.image), -1)
    assert flat.mean(axis=1) == pytest.approx(np.zeros(len(flat)), abs=1e-5)
    assert flat.std(axis=1) == pytest.approx(np.ones(len(flat)), rel=1e-5)
    assert (prepared.image[:, 0, 0, 0] < -0.5).all()


@given(scale=st.floats(0.05, 50))
@settings(max_examples=10, deadline=None)
def test_the_arbitrary_unit_of_a_case_cancels(scale: float) -> None:
    """CBF times a constant changes neither a channel nor a rule."""
    case = a_case()
    scaled = a_case(cbf=(case.arrays["cbf"] * scale).astype(np.float32))
    one, other = (prepare_ctp(each, symmetry="flip") for each in (case, scaled))
    assert np.allclose(one.image, other.image, atol=1e-3)
    assert all((one.baselines[name] == other.baselines[name]).all() for name in one.baselines)


# Rules, label and grid


def test_the_rules_are_those_of_the_raw_maps() -> None:
    """Both find the lesion, 3 slices of about 177 voxels."""
    case = a_case()
    prepared = prepare_ctp(case)
    brain = prepared.foreground
    assert brain is not None
    cbf, tmax = case.arrays["cbf"], case.arrays["tmax"]
    assert set(prepared.baselines) == {"rcbf30", "tmax6"}
    assert (prepared.baselines["rcbf30"] == rcbf_core(cbf, tmax, brain, SPACING_MM)).all()
    assert (prepared.baselines["tmax6"] == tmax_region(tmax, brain)).all()
    assert case.label is not None
    for mask in prepared.baselines.values():
        assert mask.dtype == np.uint8
        assert (mask == case.label).all()


def test_the_grid_stays_and_the_way_back_is_exact() -> None:
    """Label and spacing are those of the file; restored values are bit-equal."""
    case = a_case()
    prepared = prepare_ctp(case)
    assert prepared.spacing_mm == SPACING_MM
    assert prepared.geometry.prepared_shape == case.shape
    assert prepared.geometry.prepared_spacing_mm == SPACING_MM
    assert case.label is not None
    assert prepared.label is not None
    assert (prepared.label == case.label).all()
    assert prepared.native_lesion_voxels == case.label.sum() > 0
    for channel in prepared.image:
        assert (prepared.geometry.restore(channel) == channel).all()


def test_a_case_without_a_label_is_prepared() -> None:
    """As the test set has none."""
    prepared = prepare_ctp(replace(a_case(), label=None))
    assert prepared.label is None
    assert prepared.native_lesion_voxels == 0
    assert (prepared.case_id, prepared.patient_id) == ("case_3", "p2")


def test_preparation_repeats_and_leaves_the_case_alone() -> None:
    """Twice the same bits, from arrays that are not written to."""
    case = a_case(Reflection(0.1, 3))
    before = {name: values.copy() for name, values in case.arrays.items()}
    one, other = prepare_ctp(case), prepare_ctp(case)
    assert (one.image == other.image).all()
    assert all((case.arrays[name] == before[name]).all() for name in before)


def test_a_prepared_dwi_has_neither_foreground_nor_rules() -> None:
    """The defaults say: wherever a channel differs from 0."""
    dwi = np.random.default_rng(0).uniform(1, 9, (2, 64, 64)).astype(np.float32)
    prepared = prepare_dwi(Case("c", "p", {"dwi": dwi}, np.eye(4), (5.0, 1.6, 1.6)))
    assert prepared.foreground is None
    assert dict(prepared.baselines) == {}
    assert prepared.notes == ()


# The left-right axis


def with_axes(*columns: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    """Affine with the world directions of the file's axes (X, Y, Z)."""
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack(columns)
    return affine


@pytest.mark.parametrize(
    ("affine", "axis"),
    [
        (np.eye(4), -1),
        (np.diag([-0.9, -0.9, 5, 1]), -1),
        (with_axes((0.9, 0.3, 0), (-0.3, 0.9, 0), (0, 0, 5)), -1),
        (with_axes((0, 0.9, 0), (0.9, 0, 0), (0, 0, 5)), -2),
        (with_axes((0, 0, 1), (-1, 0, 0), (0, 5, 0)), -2),
    ],
)
def test_the_left_right_axis_comes_from_the_affine(
    affine: npt.NDArray[np.float64], axis: int
) -> None:
    """Identity-like, flipped, oblique, with x and y exchanged, coronal."""
    assert left_right_axis(affine, "case") == axis


@pytest.mark.parametrize(
    ("affine", "found"),
    [
        (with_axes((0, 1, 0), (0, 0, 1), (5, 0, 0)), "A, S, R"),
        (np.diag([0.0, 1, 5, 1]), "None"),
        (np.full((4, 4), np.nan), "None"),
    ],
)
def test_without_a_left_right_axis_in_plane_nothing_is_mirrored(
    affine: npt.NDArray[np.float64], found: str
) -> None:
    """Sagittal slices and broken affines are refused, unless no mirroring is wanted."""
    case = a_case(affine=affine)
    with pytest.raises(InputError, match=found):
        prepare_ctp(case)
    assert prepare_ctp(case, symmetry="none").image.shape[0] == 5


@pytest.mark.parametrize("symmetry", ["flip", "rigid", "affine"])
def test_an_array_on_its_side_is_mirrored_along_its_other_axis(symmetry: Any) -> None:
    """With x and y exchanged in array and affine, the channels are exchanged and else the same."""
    case = a_case(Reflection(0.1, 3.0))
    sideways = replace(
        case,
        arrays={name: values.swapaxes(1, 2) for name, values in case.arrays.items()},
        label=None,
        affine=with_axes((0, 1, 0), (1, 0, 0), (0, 0, 1)),
    )
    upright = prepare_ctp(case, symmetry=symmetry).image
    assert np.allclose(
        prepare_ctp(sideways, symmetry=symmetry).image.swapaxes(2, 3), upright, atol=1e-4
    )


# Bad input


@pytest.mark.parametrize("name", MODALITIES)
def test_a_missing_modality_is_named(name: str) -> None:
    """One line, with the case."""
    case = a_case()
    arrays = {key: values for key, values in case.arrays.items() if key != name}
    with pytest.raises(InputError, match=f"case_3 without {name}"):
        prepare_ctp(replace(case, arrays=arrays))


@pytest.mark.parametrize("name", MODALITIES[1:])
def test_a_map_of_zeros_is_refused(name: str) -> None:
    """Whether or not it would be a channel: it makes the brain mask."""
    case = a_case(**{name: np.zeros((3, 96, 88), np.float32)})
    with pytest.raises(InputError, match=f"{name} of case_3 with 0 everywhere"):
        prepare_ctp(case, modalities=("ct",))


@pytest.mark.parametrize("value", [-0.5, np.nan, np.inf])
@pytest.mark.parametrize("name", ["cbf", "tmax"])
def test_an_impossible_value_in_a_map_is_refused(name: str, value: float) -> None:
    """Negative, not a number, infinite."""
    volume = a_case().arrays[name].copy()
    volume[1, 50, 50] = value
    with pytest.raises(InputError, match=f"{name} of case_3 with values down to (-0.5|nan)"):
        prepare_ctp(a_case(**{name: volume}))


def test_a_ct_without_contrast_in_the_brain_is_refused() -> None:
    """A skull alone does not help."""
    ct = np.where(a_case().arrays["ct"] > 100, 900, 0).astype(np.float32)
    for symmetry in ("none", "affine"):
        with pytest.raises(InputError, match="one value everywhere"):
            prepare_ctp(a_case(ct=ct), symmetry=symmetry)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "known"),
    [
        ("symmetry", "affine, flip, none, rigid"),
        ("normalise", "zscore_brain, zscore_volume"),
        ("register_on", "stripped, unstripped"),
        ("similarity", "ncc, robust"),
    ],
)
def test_an_unknown_option_lists_the_known_ones(option: str, known: str) -> None:
    """A typing error is answered with the right names."""
    with pytest.raises(UsageError, match=known):
        prepare_ctp(a_case(), **{option: "affin"})  # type: ignore[arg-type]


def test_no_channel_at_all_is_refused() -> None:
    """An empty list has nothing to stack."""
    with pytest.raises(UsageError, match="no modality"):
        prepare_ctp(a_case(), modalities=())


def test_a_failed_registration_is_noted_and_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The note goes with the prepared case and names it."""

    def failed(*_: Any, **__: Any) -> ReflectionFit:
        return ReflectionFit(Reflection(), 0.5, "the rigid reflection did not converge")

    monkeypatch.setattr("strokerepro.preprocess.ctp.fit_reflection", failed)
    with pytest.warns(UserWarning, match="case_3: the rigid reflection did not converge"):
        prepared = prepare_ctp(a_case())
    assert prepared.notes == ("case_3: the rigid reflection did not converge",)
