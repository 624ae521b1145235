"""Contrast in the artery: a gamma-variate first pass, its recirculation and a tail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.perfusion.config import ArterialConfig


@dataclass(frozen=True)
class ArterialInput:
    """Arterial enhancement over time.

    ``A [g(t - t0; a, b) + r g(t - t0 - lag; a, w b) + q P(a + 1, (t - t0) / b)]``, where g is the
    gamma variate with peak 1 and P, the share of the first pass that has gone by, makes the tail.

    Parameters
    ----------
    amplitude_hu
        Peak A of the first pass.
    arrival_s
        Arrival t0 of the bolus.
    shape, scale_s
        Exponent a and scale b of the gamma variate; its peak is ``a * b`` after the arrival.
    recirculation_share, recirculation_lag_s, recirculation_widening
        Height r, lag and widening w of the second pass.
    tail_share
        Height q of contrast that stays mixed into the blood.
    """

    amplitude_hu: float
    arrival_s: float
    shape: float
    scale_s: float
    recirculation_share: float
    recirculation_lag_s: float
    recirculation_widening: float
    tail_share: float

    def at(self, time_s: FloatArray) -> FloatArray:
        """Enhancement in HU at `time_s` ``(T,)``; 0 before the arrival."""
        since_s = np.maximum(np.asarray(time_s, dtype=np.float64) - self.arrival_s, 0.0)
        again_s = np.maximum(since_s - self.recirculation_lag_s, 0.0)
        first = gamma_variate(since_s, self.shape, self.scale_s)
        second = gamma_variate(again_s, self.shape, self.scale_s * self.recirculation_widening)
        passed = special.gammainc(self.shape + 1.0, since_s / self.scale_s)
        return np.asarray(
            self.amplitude_hu
            * (first + self.recirculation_share * second + self.tail_share * passed)
        )


def gamma_variate(since_s: FloatArray, shape: float, scale_s: float) -> FloatArray:
    """Gamma variate ``(t / (a b))**a exp(a - t / b)``: peak 1 at ``a b``, and 0 at ``t = 0``.

    Parameters
    ----------
    since_s
        Time since the arrival, not negative.
    shape, scale_s
        Exponent a and scale b, positive.
    """
    relative = since_s / (shape * scale_s)
    return np.asarray((relative * np.exp(1.0 - relative)) ** shape)


def draw_arterial_input(rng: np.random.Generator, config: ArterialConfig) -> ArterialInput:
    """Draw the bolus of one examination.

    Parameters
    ----------
    rng
        Random stream.
    config
        Ranges of its parameters.
    """
    return ArterialInput(
        amplitude_hu=float(rng.uniform(*config.amplitude_hu)),
        arrival_s=float(rng.uniform(*config.arrival_s)),
        shape=config.shape,
        scale_s=config.scale_s * float(rng.uniform(*config.widening)),
        recirculation_share=float(rng.uniform(*config.recirculation_share)),
        recirculation_lag_s=float(rng.uniform(*config.recirculation_lag_s)),
        recirculation_widening=config.recirculation_widening,
        tail_share=float(rng.uniform(*config.tail_share)),
    )


def measured_input(
    rng: np.random.Generator,
    arterial: ArterialInput,
    time_s: FloatArray,
    noise_hu: float,
    config: ArterialConfig,
) -> FloatArray:
    """Arterial enhancement as a reader would measure it: late or early, too high or low, noisy.

    Parameters
    ----------
    rng
        Random stream.
    arterial
        The true input.
    time_s
        ``(T,)`` times of the frames.
    noise_hu
        Noise SD of one pixel of the series.
    config
        SD of shift and gain, and the number of pixels averaged.

    Returns
    -------
    ndarray
        ``(T,)`` HU above the baseline.
    """
    shift_s = rng.normal(0.0, config.measured_shift_sd_s)
    gain = math.exp(rng.normal(0.0, config.measured_gain_sd))
    noise_sd = noise_hu / math.sqrt(config.measured_pixels)
    noise = noise_sd * rng.standard_normal(len(time_s))
    return np.asarray(gain * arterial.at(np.asarray(time_s) - shift_s) + noise)
