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
        Probability of being dropped, in [0, 1); rounded to 1/65536.
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
    if kind == "channel":
        kept, keep = _draw_kept(x.new_empty(*x.shape[:2], 1, 1), rate, generator)
    else:
        kept, keep = _draw_kept(x, rate, generator)
    if kind != "alpha":
        return (x * kept).div_(keep)
    scale = 1 / math.sqrt(keep * (1 + ALPHA_FILL**2 * (1 - keep)))
    shift = -scale * (1 - keep) * ALPHA_FILL
    return torch.where(kept, x * scale + shift, scale * ALPHA_FILL + shift)


def _draw_kept(
    like: Tensor, rate: float, generator: torch.Generator | None
) -> tuple[Tensor, float]:
    """Which values to keep, in the shape and memory format of `like`, and the share that is kept.

    One random 64-bit number decides on four values, which takes a third of the time of a draw
    for each; the rate is therefore rounded to 1/65536.
    """
    dropped = min(round(rate * 2**16), 2**16 - 1)
    words = torch.empty(-(-like.numel() // 4), dtype=torch.int64, device=like.device)
    words.random_(-(2**63), None, generator=generator)
    # 16-bit numbers are uniform from -2**15 on.
    kept = words.view(torch.int16)[: like.numel()] >= dropped - 2**15
    strides = torch.empty_like(like, device="meta").stride()  # without gaps
    return kept.as_strided(like.shape, strides), 1 - dropped / 2**16
