"""Dropout that stays on at prediction: Monte-Carlo passes through a trained network."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

DropoutKind = Literal["element", "channel", "alpha"]

_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805
# What a SELU tends to for very negative inputs; alpha dropout sets dropped values to it.
ALPHA_FILL = -_SELU_SCALE * _SELU_ALPHA


def prediction_dropout(
    x: Tensor, kind: DropoutKind, rate: float, generator: torch.Generator | None = None
) -> Tensor:
    """Drop values at random and rescale the others, whatever the mode of the network.

    Parameters
    ----------
    x
        (B, C, Y, X).
    kind
        ``"element"``: each value on its own; ``"channel"``: whole maps of a sample;
        ``"alpha"``: each value on its own is set to -1.758 instead of 0, and the map is scaled
        and shifted so that inputs of mean 0 and variance 1 keep both.
    rate
        Probability of being dropped, in [0, 1).
    generator
        Source of the noise, on the device of `x`; None: PyTorch's global one.

    Returns
    -------
    Tensor
        As `x`.

    References
    ----------
    Gal, Ghahramani 2016, arXiv:1506.02142; alpha dropout: Klambauer et al. 2017,
    arXiv:1706.02515, Sec. 2.
    """
    keep = 1 - rate
    noise = x.new_empty(*x.shape[:2], 1, 1) if kind == "channel" else torch.empty_like(x)
    noise.bernoulli_(keep, generator=generator)
    if kind != "alpha":
        return x * noise.div_(keep)
    scale = 1 / math.sqrt(keep * (1 + ALPHA_FILL**2 * rate))
    shift = -scale * rate * ALPHA_FILL
    # scale * (x or the fill) + shift, with the noise choosing
    return x * (noise * scale) + (1 - noise) * (scale * ALPHA_FILL) + shift
