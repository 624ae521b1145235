"""The maximum of the CT perfusion series, a DWI and the rule with a delay, as they are prepared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.cohort import Case, Series
from strokerepro.errors import InputError, UsageError
from strokerepro.preprocess import prepare_ctp, rcbf_core, unit_range

Float = npt.NDArray[np.float32]

MAPS = ("cbf", "cbv", "mtt", "tmax")
FIVE = (*MAPS, "ctp_max")
SPACING_MM = (10.0, 2.0, 2.0)
SHAPE = (2, 24, 20)


def a_case(*, dwi: bool = True, series: bool = True, seed: int = 0) -> Case:
    """Brain in a box, a lesion in one corner of it, contrast agent passing after 6 s."""
    rng = np.random.default_rng(seed)
    brain = np.zeros(SHAPE, bool)
    brain[:, 3:-3, 3:-3] = True
    lesion = np.zeros(SHAPE, bool)
    lesion[:, 5:15, 5:11] = True
    maps = {
        "cbf": np.where(lesion, 20, 300) + rng.uniform(0, 30, SHAPE),
        "cbv": np.where(lesion, 8, 25) + rng.uniform(0, 5, SHAPE),
        "mtt": 5 + rng.uniform(0, 1, SHAPE),
        "tmax": np.where(lesion, 8, 1) + rng.uniform(0, 1, SHAPE),
    }
    arrays = {name: np.where(brain, values, 0).astype("f4") for name, values in maps.items()}
    diffusion = (400 + 400 * lesion + rng.uniform(0, 200, SHAPE)).astype("f4")
    if dwi:
        arrays["dwi"] = diffusion
    found = {}
    if series:
        passing = np.maximum(0, 1 - np.abs(np.arange(20) - 9) / 3)  # HU over time, peak at 9 s
        frames = 30 + rng.uniform(0, 20, SHAPE) * passing[:, None, None, None]
        found["ctp"] = Series(frames.astype("f4"), 1.0)
    label = lesion.astype(np.uint8)
    return Case("case_3", "p2", arrays, np.eye(4), SPACING_MM, label, series=found)


def channel(name: str, case: Case | None = None, **options: Any) -> Float:
    """Return one channel as prepared."""
    case = a_case() if case is None else case
    return prepare_ctp(case, modalities=(name,), symmetry="none", **options).image[0]


def with_series(frames: Any, dt_s: float = 1.0) -> Case:
    """Replace the series by frames (T,) or (T, 1, 1, X) that fill the case's grid."""
    values = np.asarray(frames, "f4")
    values = values.reshape(len(values), *([1, 1, 1] if values.ndim == 1 else values.shape[1:]))
    return replace(
        a_case(), series={"ctp": Series(np.broadcast_to(values, (len(values), *SHAPE)), dt_s)}
    )


# The maximum over time


def test_the_maximum_is_taken_over_time_then_scored_over_the_brain() -> None:
    """As the maps: mean 0 and variance 1 in the brain, 0 outside, in the order of the values."""
    case = a_case()
    brightest = case.series["ctp"].array.max(axis=0)
    found = channel("ctp_max", case)
    brain = case.arrays["cbf"] > 0
    expected = (brightest - brightest[brain].mean()) / brightest[brain].std()
    assert np.allclose(found[brain], expected[brain], atol=1e-5)
    assert (found[~brain] == 0).all()


def test_the_skull_does_not_count() -> None:
    """Bone and metal in the series leave the scores of the brain alone."""
    case = a_case()
    frames = case.series["ctp"].array.copy()
    frames[:, case.arrays["cbf"] == 0] = 3000
    bony = replace(case, series={"ctp": Series(frames, 1.0)})
    assert (channel("ctp_max", bony) == channel("ctp_max", case)).all()


@pytest.mark.parametrize(("dt_s", "baseline"), [(1.0, 2.5), (2.0, 1.5), (4.0, 1.0), (9.0, 1.0)])
def test_the_baseline_is_the_mean_of_the_first_four_seconds(dt_s: float, baseline: float) -> None:
    """Frames 1, 2, 3, 4, 50: 50 less 2.5, 1.5, 1 or 1, however far apart they are."""
    ramp = np.arange(SHAPE[-1], dtype="f4")  # contrast, so that scores exist
    frames = np.array([1, 2, 3, 4, 50])[:, None, None, None] * (1 + ramp)
    case = with_series(frames, dt_s)
    found = channel("ctp_max", case, pwi_feature="max-baseline")
    brain = case.arrays["cbf"] > 0
    above = np.broadcast_to((50 - baseline) * (1 + ramp), SHAPE)
    expected = (above - above[brain].mean()) / above[brain].std()
    assert np.allclose(found[brain], expected[brain], atol=1e-5)


def test_a_tissue_offset_shows_in_the_maximum_and_not_above_the_baseline() -> None:
    """The paper's feature holds the density of the tissue as well."""
    case = a_case()
    offset = np.where(case.label, 40, 0).astype("f4")
    shifted = replace(case, series={"ctp": Series(case.series["ctp"].array + offset, 1.0)})
    assert not np.allclose(channel("ctp_max", shifted), channel("ctp_max", case), atol=0.1)
    above = [channel("ctp_max", each, pwi_feature="max-baseline") for each in (shifted, case)]
    assert np.allclose(*above, atol=1e-4)


def test_without_the_series_its_name_is_asked_for() -> None:
    """One line that says what the channel is made of."""
    with pytest.raises(InputError, match=r"case_3 without ctp;.*CT_4DPWI.*`modalities`"):
        channel("ctp_max", a_case(series=False))


# DWI


def test_a_dwi_is_divided_by_its_bright_end_in_the_brain_and_cut_off() -> None:
    """0..1 in the brain, 0 outside; a bright spot outside the brain counts for nothing."""
    case = a_case()
    dwi, brain = case.arrays["dwi"], case.arrays["cbf"] > 0
    dwi[0, 0, 0] = 1e6
    found = channel("dwi", case)
    bright = np.percentile(dwi[brain], 99.5)
    assert np.allclose(found[brain], np.minimum(dwi[brain] / bright, 1), atol=1e-6)
    assert (found[~brain] == 0).all()
    assert found.max() == 1


def test_the_unit_range_by_hand() -> None:
    """0, 1, ..., 200: the 99.5th percentile is 199; negative values become 0."""
    values = np.arange(201, dtype="f4")
    found = unit_range(values, np.ones(201, bool), "x")
    assert found[[0, 100, 199, 200]] == pytest.approx([0, 100 / 199, 1, 1])
    assert unit_range(values - 50, np.ones(201, bool), "x")[:51].max() == 0
    assert found.dtype == np.float32


@given(scale=st.floats(0.01, 1000))
@settings(max_examples=10, deadline=None)
def test_the_unit_of_a_dwi_cancels(scale: float) -> None:
    """Scanners have arbitrary units."""
    case = a_case()
    other = replace(case, arrays={**case.arrays, "dwi": case.arrays["dwi"] * np.float32(scale)})
    assert np.allclose(channel("dwi", case), channel("dwi", other), atol=1e-5)


@pytest.mark.parametrize("values", [0.0, -3.0])
def test_a_dwi_without_a_bright_voxel_in_the_brain_is_refused(values: float) -> None:
    """There is nothing to divide by."""
    case = a_case()
    dark = replace(case, arrays={**case.arrays, "dwi": np.full(SHAPE, values, "f4")})
    with pytest.raises(InputError, match=r"dwi of case_3 with a 99\.5th percentile"):
        channel("dwi", dark)


@pytest.mark.parametrize("normalise", ["zscore_brain", "zscore_volume"])
def test_the_scale_of_a_dwi_does_not_depend_on_that_of_the_maps(normalise: Any) -> None:
    """Neither of the original nor of its mirrored copy."""
    both = prepare_ctp(
        a_case(), modalities=("tmax", "dwi"), symmetry="flip", normalise=normalise
    ).image
    assert (both[1] == channel("dwi")).all()
    assert (both[3] == both[1][..., ::-1]).all()


def test_a_case_without_dwi_names_the_release_that_has_it() -> None:
    """In one line: today's download of ISLES 2018 has none."""
    with pytest.raises(InputError, match=r"case_3 without dwi;.*June 2018") as caught:
        channel("dwi", a_case(dwi=False))
    assert "\n" not in str(caught.value)


# Channels that may be absent


def test_an_optional_dwi_is_the_last_channel_where_there_is_one() -> None:
    """The others keep their places and values without it."""
    wanted = (*FIVE, "dwi")
    whole, without = (
        prepare_ctp(a_case(dwi=dwi), modalities=wanted, symmetry="none", optional_dwi=True)
        for dwi in (True, False)
    )
    assert whole.channels == wanted
    assert without.channels == FIVE
    assert (without.image == whole.image[:5]).all()
    assert without.foreground is not None
    assert (without.foreground == whole.foreground).all()


@pytest.mark.parametrize(
    ("modalities", "symmetry"), [(("dwi", *MAPS), "none"), ((*MAPS, "dwi"), "flip")]
)
def test_an_optional_dwi_that_would_shift_others_is_refused(
    modalities: tuple[str, ...], symmetry: Any
) -> None:
    """With a DWI as without: an option must not work for some cases of a cohort only."""
    for dwi in (True, False):
        with pytest.raises(UsageError, match="last"):
            prepare_ctp(
                a_case(dwi=dwi), modalities=modalities, symmetry=symmetry, optional_dwi=True
            )


def test_a_dwi_alone_cannot_be_left_out() -> None:
    """Nothing would remain."""
    with pytest.raises(UsageError, match="no modality"):
        prepare_ctp(a_case(dwi=False), modalities=("dwi",), symmetry="none", optional_dwi=True)


def test_channels_have_names() -> None:
    """Mirrored copies as well."""
    names = prepare_ctp(a_case(), modalities=("tmax", "ctp_max"), symmetry="flip").channels
    assert names == ("tmax", "ctp_max", "mirrored tmax", "mirrored ctp_max")


# Rules


def test_the_rule_with_a_delay_needs_low_flow_and_a_late_maximum() -> None:
    """Of a lesion of 2 slices x 10 x 6 voxels of 40 mm3, the half with a Tmax above 3 s."""
    case = a_case()
    tmax = case.arrays["tmax"].copy()
    tmax[:, 10:15, 5:11] = 2.9
    case = replace(case, arrays={**case.arrays, "tmax": tmax})
    rules = ("rcbf30", "rcbf30_delay3")
    prepared = prepare_ctp(case, modalities=FIVE, symmetry="none", rules=rules)
    assert tuple(prepared.baselines) == rules
    assert prepared.baselines["rcbf30"].sum() == 120
    expected = np.zeros(SHAPE, np.uint8)
    expected[:, 5:10, 5:11] = 1
    assert (prepared.baselines["rcbf30_delay3"] == expected).all()
    assert (prepared.native_baselines["rcbf30_delay3"] == expected).all()
    brain = case.arrays["cbf"] > 0
    gated = rcbf_core(case.arrays["cbf"], tmax, brain, SPACING_MM, gate_tmax_s=3.0)
    assert (gated == expected).all()


@pytest.mark.parametrize(
    ("options", "known"),
    [({"pwi_feature": "mean"}, "max, max-baseline"), ({"rules": ("rcbf31",)}, "rcbf30_delay3")],
)
def test_an_unknown_option_lists_the_known_ones(options: dict[str, Any], known: str) -> None:
    """A typing error is answered with the right names."""
    with pytest.raises(UsageError, match=known):
        prepare_ctp(a_case(), modalities=MAPS, symmetry="none", **options)


def test_resized_channels_are_those_of_the_resized_images() -> None:
    """The DWI is scaled after the resizing: its brightest kept voxel is still 1."""
    prepared = prepare_ctp(a_case(), modalities=("ctp_max", "dwi"), symmetry="none", resize_px=12)
    assert prepared.image.shape == (2, 2, 12, 12)
    brain = prepared.foreground
    assert brain is not None
    assert prepared.image[1].max() == 1
    assert prepared.image[0][brain].std() == pytest.approx(1, rel=1e-4)
