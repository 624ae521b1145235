"""Which tissue dies, and how it is outlined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.ctp_config import CTP
from strokerepro.phantom.ctp_fate import Timing, draw_fate, draw_label, draw_timing
from strokerepro.phantom.ctp_occlusion import Supply, draw_occlusion
from strokerepro.phantom.ctp_ranks import RANKED
from strokerepro.phantom.lattice import FloatArray

PLAIN = replace(
    CTP.fate,
    threshold=(0.25, 0.0),
    vulnerability=(0.0, 0.8, 0.6),
    satellites=0.0,
    tissue_margin=(0.0, 0.0),
)
AT_THREE_HOURS = Timing(onset_h=3.0, gap_h=0.65, growth=0.0, shift_sd_mm=2.0)
MIDDLE = dict.fromkeys(RANKED, 0.5)
GREY = np.array([[1.0], [0.0], [0.0]])


def _margin(flow: float, severity: float, atlas: Atlas, timing: Timing = AT_THREE_HOURS) -> float:
    rng = np.random.default_rng(0)
    fate = draw_fate(rng, MIDDLE, draw_occlusion(rng, MIDDLE, CTP.occlusion), timing, atlas, PLAIN)
    supply = Supply(np.array([severity]), np.array([flow]))
    return float(fate.margin(np.array([[40.0], [0.0], [10.0]]), GREY, supply)[0])


@pytest.mark.parametrize(("flow", "expected"), [(0.25, 0.0), (0.125, np.log(2)), (0.5, -np.log(2))])
def test_the_margin_is_the_log_of_threshold_over_flow(
    atlas: Atlas, flow: float, expected: float
) -> None:
    """Half the threshold flow gives ln 2, twice the threshold -ln 2."""
    assert _margin(flow, 0.8, atlas) == pytest.approx(expected)


def test_tissue_that_the_occlusion_hardly_reaches_never_dies(atlas: Atlas) -> None:
    """Below the least severity even the lowest flow is safe."""
    assert _margin(0.01, 0.5 * PLAIN.least_severity, atlas) < -10.0


def test_growth_between_the_scans_raises_the_margin_by_itself(atlas: Atlas) -> None:
    """A growth of 0.3 in the log threshold is 0.3 in the margin."""
    grown = replace(AT_THREE_HOURS, growth=0.3)
    assert _margin(0.25, 0.8, atlas, grown) == pytest.approx(0.3)


def test_a_longer_gap_means_more_growth_and_a_larger_shift() -> None:
    """Over many draws both rise with the gap between CTP and DWI, by the stated exponents."""
    timings = [draw_timing(np.random.default_rng(seed), CTP.timing) for seed in range(300)]
    gaps = np.array([timing.gap_h for timing in timings])
    shifts = np.array([timing.shift_sd_mm for timing in timings])
    growths = np.array([timing.growth for timing in timings])
    assert shifts == pytest.approx(2.5 * (gaps / 0.65) ** 0.25)
    assert growths.min() >= 0.0
    late = gaps > np.median(gaps)
    assert growths[late].mean() > 1.3 * growths[~late].mean()


def _label(dead: FloatArray, tissue: FloatArray) -> NDArray[np.uint8]:
    config = replace(CTP.fate, label_noise=(0.0, 4.0), label_blur_mm=0.1)
    return draw_label(np.random.default_rng(0), dead, tissue, 2.0, config)


def test_the_label_marks_what_is_mostly_dead_and_drops_specks() -> None:
    """A block with half of its tissue dead is drawn; a single pixel and a fifth are not."""
    dead, tissue = np.zeros((12, 12, 1)), np.ones((12, 12, 1))
    dead[2:6, 2:6] = 0.5
    dead[9, 9] = 1.0
    dead[8:, 0:3] = 0.2
    label = _label(dead, tissue)
    expected = np.zeros((12, 12, 1), dtype=np.uint8)
    expected[2:6, 2:6] = 1
    assert np.array_equal(label, expected)


def test_the_label_counts_tissue_and_not_the_fluid_between() -> None:
    """Where half of the voxel is fluid and all of its tissue is dead, the voxel is lesion."""
    dead, tissue = np.zeros((8, 8, 1)), np.full((8, 8, 1), 0.5)
    dead[2:6, 2:6] = 0.5
    assert _label(dead, tissue).sum() == 16
    assert _label(dead, np.ones((8, 8, 1))).sum() == 16
    assert _label(0.6 * dead, np.ones((8, 8, 1))).sum() == 0


def test_satellites_lie_in_the_occluded_territory(atlas: Atlas) -> None:
    """Fragments lodge on the side of the clot."""
    rng = np.random.default_rng(4)
    occlusion = draw_occlusion(rng, MIDDLE, CTP.occlusion)
    many = replace(CTP.fate, satellites=20.0)
    fate = draw_fate(rng, MIDDLE, occlusion, AT_THREE_HOURS, atlas, many)
    assert len(fate.satellites) > 8
    assert all(occlusion.side * lesion.centre_mm[0] > 0 for lesion in fate.satellites)
    centres = np.stack([lesion.centre_mm for lesion in fate.satellites], axis=1)
    safe = np.full(centres.shape[1], -50.0)
    assert fate.infarct(centres, safe).min() > 0.5
