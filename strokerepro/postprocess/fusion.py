"""Bayesian fusion of a pixel-wise probability with an instance classifier.

Sec. 3.2 of doi:10.1016/j.nicl.2017.06.016 says "using Bayes' theorem" and prints no formula. The
default reads it as two pieces of evidence, pixel and instance, that are independent given the
label; the other readings are switches.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from strokerepro.errors import InputError, UsageError
from strokerepro.postprocess.candidates import Candidates, window_corners, window_indices

FusionRule = Literal["bayes_odds", "product", "gate", "none"]
FusionScope = Literal["component", "window16"]
FUSION_RULES: tuple[str, ...] = get_args(FusionRule)
FUSION_SCOPES: tuple[str, ...] = get_args(FusionScope)
_WINDOW_PX = 16


def fuse(
    probability: npt.NDArray[np.float32],
    candidates: Candidates,
    q: npt.NDArray[Any],
    *,
    rule: FusionRule = "bayes_odds",
    prior: float = 0.5,
    scope: FusionScope = "component",
) -> npt.NDArray[np.float32]:
    r"""Combine each pixel's probability p with the probability q of its candidate.

    ``bayes_odds`` multiplies odds, :math:`\frac{p'}{1-p'}=\frac{p}{1-p}\,\frac{q}{1-q}\,
    \frac{1-\pi}{\pi}`, so with :math:`\pi = 0.5` a pixel stays above one half exactly if
    p + q > 1. ``product`` is the law of total probability, p' = pq. ``gate`` keeps p where
    q is at least one half and gives 0 elsewhere. ``none`` changes nothing.

    Parameters
    ----------
    probability
        The probability that `candidates` were extracted from, ``(Z, Y, X)``.
    candidates
        The small components of the volume.
    q
        ``(N,)`` probability that each candidate is a real lesion.
    rule
        One of `FUSION_RULES`.
    prior
        :math:`\pi`, the share of real lesions among the examples the classifier was trained on.
    scope
        ``component``: only the candidates' own pixels change. All of them exceed the candidate
        threshold already, so at this or a lower threshold no pixel is switched on.
        ``window16``: pixels at or below the threshold inside a candidate's 16-pixel window change
        too, by the largest q among the windows that cover them, and may be switched on; pixels
        of other components keep to their own evidence.

    Returns
    -------
    ndarray
        ``(Z, Y, X)`` float32, a new array.

    Raises
    ------
    InputError
        If the shapes or the number of candidates differ, or q or the prior is out of range.
    UsageError
        If the rule or the scope is unknown.
    """
    q = np.asarray(q, np.float64)
    _check(probability, candidates, q, rule, prior, scope)
    pixel_q, governed = _pixel_evidence(probability, candidates, q, scope)
    p = probability[governed].astype(np.float64)
    fused = probability.astype(np.float32)
    fused[governed] = _RULES[rule](p, pixel_q[governed], prior)
    return fused


def _pixel_evidence(
    probability: npt.NDArray[np.float32],
    candidates: Candidates,
    q: npt.NDArray[np.float64],
    scope: FusionScope,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Give each pixel the q that governs it, and tell which pixels are governed at all."""
    own = candidates.labels > 0
    pixel_q = np.concatenate([[0.0], q])[candidates.labels]
    if scope == "component":
        return pixel_q, own
    slice_shape = (probability.shape[1], probability.shape[2])
    corners = window_corners(candidates.centroid, _WINDOW_PX, slice_shape)
    indices = window_indices(candidates.slice, corners, _WINDOW_PX)
    covering_q = np.full(probability.shape, -1.0)  # -1: no window covers the pixel
    np.maximum.at(covering_q, indices, q[:, None, None])
    around = (covering_q >= 0) & (probability <= candidates.threshold)
    return np.where(around, covering_q, pixel_q), own | around


def _bayes_odds(
    p: npt.NDArray[np.float64], q: npt.NDArray[np.float64], prior: float
) -> npt.NDArray[np.float64]:
    real = p * q * (1 - prior)
    false = (1 - p) * (1 - q) * prior
    total = real + false
    # p and q contradict each other with certainty (1 and 0): neither wins.
    contradiction = total == 0
    return np.where(contradiction, 0.5, real / np.where(contradiction, 1.0, total))


def _product(
    p: npt.NDArray[np.float64], q: npt.NDArray[np.float64], _prior: float
) -> npt.NDArray[np.float64]:
    return p * q


def _gate(
    p: npt.NDArray[np.float64], q: npt.NDArray[np.float64], _prior: float
) -> npt.NDArray[np.float64]:
    return np.where(q >= 0.5, p, 0.0)


def _none(
    p: npt.NDArray[np.float64], _q: npt.NDArray[np.float64], _prior: float
) -> npt.NDArray[np.float64]:
    return p


_RULES = {"bayes_odds": _bayes_odds, "product": _product, "gate": _gate, "none": _none}


def _check(
    probability: npt.NDArray[np.float32],
    candidates: Candidates,
    q: npt.NDArray[np.float64],
    rule: str,
    prior: float,
    scope: str,
) -> None:
    if rule not in FUSION_RULES:
        raise UsageError.unknown("fusion rule", rule, FUSION_RULES)
    if scope not in FUSION_SCOPES:
        raise UsageError.unknown("fusion scope", scope, FUSION_SCOPES)
    if probability.shape != candidates.labels.shape or q.shape != (len(candidates),):
        raise InputError(
            f"a probability of shape {probability.shape} and {q.size} instance probabilities",
            f"shape {candidates.labels.shape} and {len(candidates)} candidates",
            "pass the volume that the candidates were extracted from and one q for each",
        )
    if not ((q >= 0) & (q <= 1)).all() or not 0 < prior < 1:
        raise InputError(
            f"instance probabilities or a prior ({prior}) out of range",
            "q from 0 to 1 and a prior strictly between 0 and 1",
            "pass the softmax of the classifier's logits",
        )
