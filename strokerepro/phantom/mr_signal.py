"""Signal equations of magnetic resonance, receive gain and magnitude noise."""

from __future__ import annotations

import numpy as np

from strokerepro.phantom.lattice import FloatArray

PARENCHYMA = 2  # the first two tissues, grey and white matter, can be diseased


def diffusion_signal(
    proton_density: FloatArray,
    t2_ms: FloatArray,
    adc_um2_ms: FloatArray,
    echo_time_ms: float,
    b_value_s_mm2: float,
) -> FloatArray:
    """Spin-echo diffusion signal ``PD exp(-TE/T2) exp(-b ADC)``.

    Parameters
    ----------
    proton_density, t2_ms, adc_um2_ms
        Tissue constants, arrays of one shape; ADC in 1e-3 mm2/s.
    echo_time_ms
        Echo time TE.
    b_value_s_mm2
        Diffusion weighting b; 0 gives the T2-weighted image.
    """
    return np.asarray(
        proton_density * np.exp(-echo_time_ms / t2_ms - 1e-3 * b_value_s_mm2 * adc_um2_ms)
    )


def inversion_recovery_signal(
    proton_density: FloatArray,
    t1_ms: FloatArray,
    t2_ms: FloatArray,
    echo_time_ms: float,
    repetition_time_ms: float,
    inversion_time_ms: float,
) -> FloatArray:
    """Magnitude of the inversion-recovery spin-echo signal (FLAIR when TI nulls the CSF).

    ``PD |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2)``.
    """
    recovery = 1 - 2 * np.exp(-inversion_time_ms / t1_ms) + np.exp(-repetition_time_ms / t1_ms)
    return np.asarray(proton_density * np.abs(recovery) * np.exp(-echo_time_ms / t2_ms))


def apparent_diffusion(
    b0_signal: FloatArray, b_signal: FloatArray, b_value_s_mm2: float
) -> FloatArray:
    """ADC in 1e-6 mm2/s from two positive magnitudes: ``ln(S0 / Sb) / b``, at least 0."""
    return np.asarray(np.maximum(1e6 * np.log(b0_signal / b_signal) / b_value_s_mm2, 0.0))


def rician_magnitude(rng: np.random.Generator, signal: FloatArray, noise_sd: float) -> FloatArray:
    """Magnitude of `signal` plus complex Gaussian noise of SD `noise_sd` per channel.

    Where the signal is 0 the mean is ``noise_sd * sqrt(pi / 2)`` (Rayleigh).
    """
    real = signal + noise_sd * rng.standard_normal(signal.shape)
    imaginary = noise_sd * rng.standard_normal(signal.shape)
    return np.asarray(np.sqrt(real**2 + imaginary**2))
