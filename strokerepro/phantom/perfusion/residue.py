"""How long contrast stays: residue functions, and the exponential dispersion on the way there.

Both are kernels of a convolution with the arterial input. They enter it through the second
antiderivative of their unit-area form: with that, the convolution of a piecewise linear input is
exact, and so are the area and the mean delay of the result, however short the kernel.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from strokerepro.phantom.lattice import FloatArray


def residue(time_s: FloatArray, mtt_s: float, alpha: float) -> FloatArray:
    """Share of the contrast still in the tissue: ``R(t) = Q(alpha, alpha t / MTT)``.

    Q is the regularised upper incomplete gamma function: transit times are gamma distributed with
    shape `alpha` and mean `mtt_s`; ``alpha = 1`` is the exponential of a well-mixed compartment.

    Parameters
    ----------
    time_s
        Time since arrival; R is 0 before it.
    mtt_s
        Mean transit time, positive; the area under R.
    alpha
        Shape, positive.
    """
    since_s = np.maximum(time_s, 0.0)
    return np.where(time_s < 0.0, 0.0, special.gammaincc(alpha, alpha * since_s / mtt_s))


def residue_moment_s(time_s: FloatArray, mtt_s: float, alpha: float) -> FloatArray:
    """Second antiderivative of ``R / MTT``, vanishing with its derivative at 0.

    ``t**2 Q(a, x) / (2 MTT) + t P(a + 1, x) - (a + 1) MTT P(a + 2, x) / (2 a)``, ``x = a t / MTT``,
    by partial integration; it tends to t for ``MTT -> 0``.

    Parameters
    ----------
    time_s
        Time since arrival, not negative.
    mtt_s
        Mean transit time, not negative.
    alpha
        Shape, positive.
    """
    if mtt_s == 0.0:
        return time_s
    x = alpha * time_s / mtt_s
    still = time_s**2 * special.gammaincc(alpha, x) / (2.0 * mtt_s)
    gone = time_s * special.gammainc(alpha + 1.0, x)
    late = (alpha + 1.0) * mtt_s * special.gammainc(alpha + 2.0, x) / (2.0 * alpha)
    return np.asarray(still + gone - late)


def dispersion_moment_s(time_s: FloatArray, dispersion_s: float) -> FloatArray:
    """Second antiderivative of the vascular transport ``exp(-t / tau) / tau``.

    ``t - tau (1 - exp(-t / tau))``; it tends to t for ``tau -> 0``.

    Parameters
    ----------
    time_s
        Time, not negative.
    dispersion_s
        Time constant tau, that is mean and SD of the added transit time; not negative.
    """
    if dispersion_s == 0.0:
        return time_s
    return np.asarray(time_s + dispersion_s * np.expm1(-time_s / dispersion_s))


def kernel_weights(moment_s: FloatArray, step_s: float) -> FloatArray:
    """Weights of the convolution with a piecewise linear function.

    Parameters
    ----------
    moment_s
        ``(..., n + 1)`` second antiderivative of the kernel at ``0, step, 2 step, ...``.
    step_s
        Distance of the nodes.

    Returns
    -------
    ndarray
        ``(..., n)``: integrals of the kernel against the hat functions of the nodes.
    """
    slopes = np.diff(moment_s, axis=-1, prepend=0.0) / step_s
    return np.diff(slopes, axis=-1)
