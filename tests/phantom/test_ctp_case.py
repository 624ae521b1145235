"""One case: geometry, contrast, what slabs share, independence of components, determinism."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest

from strokerepro.errors import InputError
from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.ctp import CtpCase, make_ctp_case
from strokerepro.phantom.ctp_config import CTP
from strokerepro.phantom.volumes import array_sha256

# With another value here the version of the kind "ctp" must be another one too.
PINNED = {"numpy": "2.4.6", "scipy": "1.17.1", "nilearn": "0.14.1"}
GOLDEN: dict[str, tuple[str, float, float]] = {
    "ct": ("f5c4f0bf22acedd0", -439.372, 579.428),
    "series": ("7d2d115940b73d96", -438.4, 580.24),
    "dwi": ("32e4784076bbb26a", 58.9444, 69.7279),
    "label": ("952ce35534d98dfc", 0.00868056, 0.0927642),
    "cbf": ("dcbc7ba54a1ed3fc", 58.1589, 94.1629),
    "cbv": ("2b26db90604abac3", 5.5128, 8.83944),
}
# Maps are floating point: mean and SD, within a tolerance.
GOLDEN_MAPS: dict[str, tuple[float, float]] = {
    "mtt_s": (1.85005, 2.69516),
    "tmax_s": (1.66852, 2.59254),
}
SIZE_PX, SEED = 48, 5

SCRIPT = """
import hashlib
from strokerepro.phantom.ctp import make_ctp_case
from strokerepro.phantom.ctp_config import CTP
case = make_ctp_case(36, size_px=48, seed=5, config=CTP)
for volume in (case.ct, case.series, case.dwi, case.label, case.cbf, case.cbv):
    print(hashlib.sha256(volume.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def case(atlas: Atlas) -> CtpCase:
    """The lower slab of a patient with two, at low resolution."""
    return make_ctp_case(36, size_px=SIZE_PX, seed=SEED, config=CTP)


@pytest.fixture(scope="module")
def upper(atlas: Atlas) -> CtpCase:
    """The other slab of the same patient."""
    return make_ctp_case(37, size_px=SIZE_PX, seed=SEED, config=CTP)


def _integers(case: CtpCase) -> dict[str, np.ndarray]:
    return {
        "ct": case.ct,
        "series": case.series,
        "dwi": case.dwi,
        "label": case.label,
        "cbf": case.cbf,
        "cbv": case.cbv,
    }


def test_volumes_have_the_real_shape_and_the_stated_types(case: CtpCase) -> None:
    """Case 36 has two slices of 12 mm and 46 frames; stored as the archive stores them."""
    assert case.series.shape == (48, 48, 2, 46)
    assert case.grid.spacing_mm == pytest.approx((0.886719 * 256 / 48,) * 2 + (12.0,))
    types = {name: str(volume.dtype) for name, volume in _integers(case).items()}
    assert types == {
        "ct": "int16",
        "series": "int16",
        "dwi": "int16",
        "label": "uint8",
        "cbf": "uint16",
        "cbv": "uint16",
    }
    assert {str(case.mtt_s.dtype), str(case.tmax_s.dtype)} == {"float32"}
    assert case.dt_s == 1.0


def test_the_head_has_bone_air_and_brain(case: CtpCase) -> None:
    """Plain CT: air near -1000 HU, bone above 500, brain around 33, and grey above white."""
    brain = case.cbv > 0
    assert case.ct.min() < -900
    assert case.ct.max() > 500
    assert 28 < np.median(case.ct[brain]) < 40
    grey = brain & (case.cbv > np.percentile(case.cbv[brain], 75))
    white = brain & (case.cbv < np.percentile(case.cbv[brain], 40)) & (case.tmax_s < 4)
    assert case.ct[grey].mean() > case.ct[white].mean() + 1.0


def test_contrast_arrives_and_passes(case: CtpCase) -> None:
    """The brain's mean curve is flat, rises by a few HU, and has fallen again at the end."""
    brain = case.cbv > 0
    curve = case.series[brain].mean(axis=0)
    before, peak, after = curve[:4].mean(), curve.max(), curve[-4:].mean()
    assert 1.0 < peak - before < 15.0
    assert after - before < 0.7 * (peak - before)


@pytest.mark.parametrize("case_number", [36, 44])
def test_the_deficit_is_on_the_side_of_the_clot(atlas: Atlas, case_number: int) -> None:
    """An M1 occlusion raises Tmax and lowers flow in its half; voxel order is LAS."""
    occlusion = replace(CTP.occlusion, site_shares=(("M1", 1.0),), reperfusion_share=0.0)
    config = replace(CTP, occlusion=occlusion, rest=replace(CTP.rest, stenosis_share=0.0))
    made = make_ctp_case(case_number, size_px=SIZE_PX, seed=SEED, config=config)
    brain, half = made.cbv > 0, SIZE_PX // 2
    assert made.grid.affine[0, 0] < 0
    halves = (slice(None, half), slice(half, None))  # right, left
    near, far = halves if made.facts["side"] == "right" else halves[::-1]
    assert made.tmax_s[near][brain[near]].mean() > made.tmax_s[far][brain[far]].mean() + 0.5
    assert made.cbf[near][brain[near]].mean() < made.cbf[far][brain[far]].mean()


def test_the_label_is_bright_on_diffusion_and_at_least_the_smallest(case: CtpCase) -> None:
    """DWI in the label is brighter than in the rest of the brain; its volume is stated."""
    lesion, brain = case.label > 0, case.cbv > 0
    assert np.median(case.dwi[lesion]) > 1.15 * np.median(case.dwi[brain & ~lesion])
    volume_ml = lesion.sum() * np.prod(case.grid.spacing_mm) / 1000.0
    assert volume_ml == pytest.approx(case.facts["lesion_volume_ml"], abs=1e-3)
    assert volume_ml >= CTP.fate.min_label_ml


def test_two_slabs_show_one_patient(case: CtpCase, upper: CtpCase) -> None:
    """Stroke, times and patient agree; noise, units and the label do not."""
    for name in ("patient", "site", "side", "onset_h", "gap_h", "infarct_threshold"):
        assert case.facts[name] == upper.facts[name]
    for name in ("noise_hu", "cbf_unit", "lesion_volume_ml"):
        assert case.facts[name] != upper.facts[name]


def test_mean_transit_time_is_volume_over_flow_in_any_unit(case: CtpCase) -> None:
    """Within rounding, MTT = 60 CBV / CBF once the units of the case are taken out."""
    sure = (case.cbf > 100) & (case.cbv > 15)
    cbf = case.cbf[sure] / case.facts["cbf_unit"]
    cbv = case.cbv[sure] / case.facts["cbv_unit"]
    assert case.mtt_s[sure] == pytest.approx(60.0 * cbv / cbf, rel=0.06)


def test_units_of_flow_differ_from_case_to_case(case: CtpCase, upper: CtpCase) -> None:
    """A pipeline that forgets to normalise must fail: medians differ though the brain does not."""
    one, other = (np.median(c.cbf[c.cbf > 0]) for c in (case, upper))
    assert abs(np.log(one / other)) > 0.05


def test_facts_are_fit_for_json(case: CtpCase) -> None:
    """Whatever was drawn can be written down, the arterial curve with one value a frame."""
    assert json.loads(json.dumps(case.facts)) == case.facts
    assert len(case.facts["arterial_hu"]) == case.series.shape[-1]


def test_another_noise_moves_no_lesion(case: CtpCase) -> None:
    """Components have streams of their own: noisier frames leave label and DWI alone."""
    scan = replace(CTP.perfusion.scan, noise_hu=(9.0, 0.0))
    config = replace(CTP, perfusion=replace(CTP.perfusion, scan=scan))
    noisy = make_ctp_case(36, size_px=SIZE_PX, seed=SEED, config=config)
    assert np.array_equal(noisy.label, case.label)
    assert np.array_equal(noisy.dwi, case.dwi)
    assert not np.array_equal(noisy.series, case.series)


def test_fate_does_not_show_in_the_series(case: CtpCase) -> None:
    """Without oedema the threshold of infarction changes the label and no voxel of the CT."""
    dry = replace(CTP, head=replace(CTP.head, oedema_hu=0.0))
    median, log_sd = CTP.fate.threshold
    frail = replace(dry, fate=replace(CTP.fate, threshold=(1.5 * median, log_sd)))
    one, other = (
        make_ctp_case(36, size_px=SIZE_PX, seed=SEED, config=config) for config in (dry, frail)
    )
    assert one.facts["rejected_draws"] == other.facts["rejected_draws"]
    assert np.array_equal(one.series, other.series)
    assert np.array_equal(one.ct, other.ct)
    assert one.label.sum() < other.label.sum()


def test_an_impossible_label_is_refused_in_one_line(atlas: Atlas) -> None:
    """A cohort that demands more infarct than it draws ends in one line, not in a loop."""
    fate = replace(CTP.fate, min_label_ml=1e6, max_redraws=2)
    with pytest.raises(InputError, match="spare a slab"):
        make_ctp_case(34, size_px=32, seed=0, config=replace(CTP, fate=fate))


def _is_pinned() -> bool:
    found = {name: version(name) for name in PINNED}
    return platform.machine() == "x86_64" and found == PINNED


def test_the_voxels_are_those_of_the_frozen_version(case: CtpCase) -> None:
    """Bit for bit with the pinned libraries on x86-64; elsewhere the same within a tolerance."""
    for name, volume in _integers(case).items():
        sha256, mean, sd = GOLDEN[name]
        assert volume.mean() == pytest.approx(mean, rel=1e-3)
        assert volume.std() == pytest.approx(sd, rel=1e-3)
        if _is_pinned():
            assert array_sha256(volume)[:16] == sha256
    for name, values in (("mtt_s", case.mtt_s), ("tmax_s", case.tmax_s)):
        assert (values.mean(), values.std()) == pytest.approx(GOLDEN_MAPS[name], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
        {"NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3", "OPENBLAS_CORETYPE": "Nehalem"},
    ],
    ids=["one-thread", "two-threads", "old-cpu"],
)
def test_voxels_do_not_depend_on_threads_or_cpu(case: CtpCase, environment: dict[str, str]) -> None:
    """A fresh process with other threads or older vector units makes the same integers."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [hashlib.sha256(volume.tobytes()).hexdigest() for volume in _integers(case).values()]
    assert run.stdout.split() == expected
