"""Signal equations against hand computations."""

from __future__ import annotations

import numpy as np
import pytest

from strokerepro.phantom.dwi_config import DWI
from strokerepro.phantom.mr_signal import (
    apparent_diffusion,
    diffusion_signal,
    inversion_recovery_signal,
    rician_magnitude,
)

ONE = np.ones(1)


def test_the_diffusion_signal_of_grey_matter_by_hand() -> None:
    """0.82 exp(-90/96) exp(-0.83) = 0.1400."""
    signal = diffusion_signal(0.82 * ONE, 96.0 * ONE, 0.83 * ONE, 90.0, 1000.0)
    assert signal[0] == pytest.approx(0.82 * 0.391605 * 0.436049, abs=1e-6)


def test_the_adc_comes_back_from_the_two_images() -> None:
    """ln(S0 / S1000) / 1000 gives 0.73e-3 mm2/s, in units of 1e-6."""
    b0, b1000 = (diffusion_signal(ONE, 80 * ONE, 0.73 * ONE, 90.0, b) for b in (0.0, 1000.0))
    assert apparent_diffusion(b0, b1000, 1000.0)[0] == pytest.approx(730.0)


def test_noise_cannot_make_the_adc_negative() -> None:
    """A weighted signal above the unweighted one gives 0."""
    assert apparent_diffusion(ONE, 2 * ONE, 1000.0)[0] == 0.0


def test_long_t2_shines_through() -> None:
    """A longer T2 brightens the diffusion image without changing the ADC."""
    normal, long = (
        [diffusion_signal(ONE, t2 * ONE, 0.73 * ONE, 90.0, b)[0] for b in (0.0, 1000.0)]
        for t2 in (79.0, 79.0 * 1.65)
    )
    assert long[1] / normal[1] == pytest.approx(np.exp(90 / 79 - 90 / (79 * 1.65)))
    assert long[0] / long[1] == pytest.approx(normal[0] / normal[1])


def test_full_contrast_is_near_the_published_ratio() -> None:
    """The mean lesion's ADC and late T2 change give a ratio within 20 % of 1.74 (Eastwood 2003)."""
    tissue = DWI.tissue
    factor, _ = tissue.lesion_adc_factor
    t2 = tissue.t2_ms[1] * ONE
    adc = tissue.adc_um2_ms[1] * ONE
    normal = diffusion_signal(ONE, t2, adc, 90.0, 1000.0)
    lesion = diffusion_signal(ONE, t2 * (1 + tissue.lesion_t2_gain_max), adc * factor, 90.0, 1000.0)
    conspicuity, _ = DWI.lesion.conspicuity
    assert 1 + conspicuity * (lesion / normal - 1) == pytest.approx(1.74, rel=0.2)


def test_flair_nulls_fluid_and_shows_parenchyma() -> None:
    """At the configured inversion time CSF gives less than a quarter of the white-matter signal."""
    tissue, flair = DWI.tissue, DWI.flair
    gm, wm, csf = inversion_recovery_signal(
        np.asarray(tissue.proton_density),
        np.asarray(tissue.t1_ms),
        np.asarray(tissue.t2_ms),
        flair.echo_time_ms,
        flair.repetition_time_ms,
        flair.inversion_time_ms,
    )
    assert csf < 0.25 * wm
    assert gm > wm


def test_the_background_is_rayleigh_and_bright_signal_is_unbiased() -> None:
    """Mean sigma sqrt(pi/2) without signal; close to the signal where it is strong."""
    rng = np.random.default_rng(0)
    background = rician_magnitude(rng, np.zeros(200_000), 3.0)
    assert background.mean() == pytest.approx(3.0 * np.sqrt(np.pi / 2), rel=0.01)
    assert rician_magnitude(rng, np.full(50_000, 300.0), 3.0).mean() == pytest.approx(300, rel=1e-3)
