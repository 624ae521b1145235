"""The bolus in the artery against hand computations and the ranges it is drawn from."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from strokerepro.phantom.config import SOURCES, describe
from strokerepro.phantom.perfusion.arterial_input import (
    ArterialInput,
    draw_arterial_input,
    gamma_variate,
    measured_input,
)
from strokerepro.phantom.perfusion.config import PERFUSION

FRAMES_S = np.arange(60.0)


def test_every_knob_has_a_unit_and_a_known_source() -> None:
    """No number of the physics without its unit and its source or the label of an assumption."""
    rows = list(describe(PERFUSION))
    assert len(rows) > 30
    assert all(row.unit and row.source in SOURCES for row in rows)


def test_the_gamma_variate_by_hand() -> None:
    """Peak 1 at a b = 4.5 s; at 9 s 2**3 exp(-3) = 0.3983; 0 at the start."""
    values = gamma_variate(np.array([0.0, 4.5, 9.0]), 3.0, 1.5)
    np.testing.assert_allclose(values, [0.0, 1.0, 8 * math.exp(-3)], rtol=1e-12)


def test_nothing_arrives_before_the_arrival(arterial: ArterialInput) -> None:
    """The curve is exactly 0 up to the arrival at 7 s, and positive after it."""
    values = arterial.at(FRAMES_S)
    assert not values[:8].any()
    assert (values[8:] > 0).all()


def test_without_recirculation_and_tail_only_the_first_pass_is_left(
    arterial: ArterialInput,
) -> None:
    """Then the peak is the amplitude, at arrival plus a b = 13 s."""
    first = replace(arterial, recirculation_share=0.0, tail_share=0.0)
    assert first.at(np.array([13.0]))[0] == pytest.approx(245.0)
    assert np.argmax(first.at(FRAMES_S)) == 13


def test_late_contrast_is_the_tail(arterial: ArterialInput) -> None:
    """Long after the passes, the tail's share of the amplitude stays mixed into the blood."""
    assert arterial.at(np.array([500.0]))[0] == pytest.approx(0.08 * 245.0)


def test_drawn_inputs_stay_in_their_ranges_and_repeat() -> None:
    """Peaks lie between the amplitude's limits, but for recirculation; a seed gives one input."""
    config = PERFUSION.arterial
    drawn = [draw_arterial_input(np.random.default_rng(seed), config) for seed in range(200)]
    assert draw_arterial_input(np.random.default_rng(3), config) == drawn[3]
    assert min(item.arrival_s for item in drawn) >= 5.0
    assert max(item.arrival_s for item in drawn) <= 10.0
    peaks = [item.at(np.arange(0.0, 60.0, 0.1)).max() for item in drawn]
    assert min(peaks) > 170.0
    assert max(peaks) < 320.0 * 1.2


def test_a_measured_input_has_no_error_when_there_is_none(arterial: ArterialInput) -> None:
    """Without shift, gain and noise the reader measures the truth."""
    exact = replace(PERFUSION.arterial, measured_shift_sd_s=0.0, measured_gain_sd=0.0)
    measured = measured_input(np.random.default_rng(0), arterial, FRAMES_S, 0.0, exact)
    np.testing.assert_array_equal(measured, arterial.at(FRAMES_S))


def test_noise_of_the_measured_input_is_that_of_six_pixels(arterial: ArterialInput) -> None:
    """Before the arrival the SD of a measured curve is the pixel's over the root of 6."""
    quiet_s = np.linspace(0.0, 5.0, 20_000)
    measured = measured_input(np.random.default_rng(0), arterial, quiet_s, 4.2, PERFUSION.arterial)
    assert measured.std() == pytest.approx(4.2 / math.sqrt(6), rel=0.02)


def test_measured_inputs_spread_in_gain(arterial: ArterialInput) -> None:
    """The logarithm of the measured area has the configured SD of 0.12."""
    rng = np.random.default_rng(0)
    true_area = arterial.at(FRAMES_S).sum()
    areas = [
        measured_input(rng, arterial, FRAMES_S, 0.0, PERFUSION.arterial).sum() / true_area
        for _ in range(400)
    ]
    assert np.std(np.log(areas)) == pytest.approx(0.12, rel=0.1)
