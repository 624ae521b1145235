"""Residue functions and kernels against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate

from strokerepro.phantom.perfusion.residue import (
    dispersion_moment_s,
    kernel_weights,
    residue,
    residue_moment_s,
)

ALPHAS = (1.0, 1.7, 2.5)


def test_shape_one_is_the_exponential() -> None:
    """R(t) = exp(-t / MTT): 1 at the start, 1/e at MTT, 0 before the arrival."""
    values = residue(np.array([-1.0, 0.0, 4.0]), 4.0, 1.0)
    np.testing.assert_allclose(values, [0.0, 1.0, math.exp(-1)], rtol=1e-12)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_area_under_the_residue_is_the_mean_transit_time(alpha: float) -> None:
    """Numerical quadrature gives MTT for every shape, and R never rises."""
    area, _ = integrate.quad(lambda t: float(residue(np.array([t]), 6.0, alpha)[0]), 0, 200)
    assert area == pytest.approx(6.0, rel=1e-6)
    assert (np.diff(residue(np.linspace(0, 60, 601), 6.0, alpha)) <= 0).all()


def test_larger_shapes_keep_the_contrast_longer_at_first() -> None:
    """Half-way to MTT more is left when transit times are less spread."""
    left = [float(residue(np.array([2.0]), 4.0, alpha)[0]) for alpha in ALPHAS]
    assert left == sorted(left)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("mtt_s", [0.3, 3.8, 20.0])
def test_the_second_antiderivative_of_the_residue(mtt_s: float, alpha: float) -> None:
    """At 10 s it equals the quadrature of (10 - t) R(t) / MTT."""
    expected, _ = integrate.quad(
        lambda t: (10.0 - t) * float(residue(np.array([t]), mtt_s, alpha)[0]) / mtt_s,
        0,
        10,
        points=[min(mtt_s, 5.0)],
        limit=200,
    )
    value = residue_moment_s(np.array([10.0]), mtt_s, alpha)[0]
    assert value == pytest.approx(expected, rel=1e-6)


def test_the_second_antiderivative_of_the_dispersion_by_hand() -> None:
    """At t = tau = 2 s, t - tau (1 - exp(-t / tau)) is 2 / e."""
    assert dispersion_moment_s(np.array([2.0]), 2.0)[0] == pytest.approx(2 / math.e)


def test_an_instant_kernel_is_the_identity() -> None:
    """Without transit time or dispersion the first weight is 1 and all others 0."""
    time_s = 0.1 * np.arange(50)
    for moment in (residue_moment_s(time_s, 0.0, 1.7), dispersion_moment_s(time_s, 0.0)):
        weights = kernel_weights(moment, 0.1)
        np.testing.assert_allclose(weights, [1.0] + [0.0] * 48, atol=1e-12)


def test_tiny_transit_times_approach_the_instant_kernel() -> None:
    """The limit is smooth: no jump between the branch at 0 and the formula."""
    time_s = 0.1 * np.arange(50)
    weights = kernel_weights(residue_moment_s(time_s, 1e-6, 1.7), 0.1)
    np.testing.assert_allclose(weights, [1.0] + [0.0] * 48, atol=1e-4)


def test_weights_keep_area_and_mean_of_a_kernel_shorter_than_a_step() -> None:
    """For tau = 0.03 s on a grid of 0.1 s: sum 1 and mean 0.03 s."""
    time_s = 0.1 * np.arange(100)
    weights = kernel_weights(dispersion_moment_s(time_s, 0.03), 0.1)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert (weights * time_s[:-1]).sum() == pytest.approx(0.03, abs=1e-12)
    assert (weights >= -1e-12).all()
