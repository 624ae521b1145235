"""Generalised Dice loss plus cross-entropy, of two classes, with its gradient in closed form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from strokerepro.errors import UsageError
from strokerepro.losses.cross_entropy import lesion_sign, true_class_margin


class GeneralizedDiceCE(nn.Module):
    """Weighted sum of the generalised Dice loss and cross-entropy.

    With the one-hot reference r and the softmax p, all sums over the whole batch,

    ``1 - 2 (sum_l w_l sum_n r_ln p_ln) / (sum_l w_l sum_n (r_ln + p_ln)) - mean_n log p_true``,

    where ``w_l = (sum_n r_ln) ** -power``. The weight of a class that is absent would be
    infinite; it takes the largest finite one.

    Parameters
    ----------
    power
        2: Sudre's weights, as in the paper cited; 1: as in the authors' released tool; 0: none.
    dice_weight, ce_weight
        Weights of the two terms; 0 leaves one out.

    Raises
    ------
    UsageError
        A negative value, or two weights of 0.

    References
    ----------
    Sudre et al. 2017, doi:10.1007/978-3-319-67558-9_28, Sec. 2; the sum with cross-entropy:
    Clerigues et al. 2019, doi:10.1016/j.compbiomed.2019.103487, Sec. 3.1.
    """

    def __init__(
        self, power: float = 2.0, dice_weight: float = 1.0, ce_weight: float = 1.0
    ) -> None:
        super().__init__()
        if min(power, dice_weight, ce_weight) < 0 or dice_weight + ce_weight == 0:
            raise UsageError(
                f"power {power!r}, dice_weight {dice_weight!r}, ce_weight {ce_weight!r}",
                "values of at least 0, one weight above it",
                "use 2, 1 and 1",
            )
        self.power = power
        self.dice_weight = dice_weight
        self.ce_weight = ce_weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        logits
            (B, 2, ...); computed in float32 at least.
        labels
            (B, ...); whatever is not 0 is lesion.

        Returns
        -------
        Tensor
            Scalar, in float32, or float64 for logits in float64. It cannot be differentiated
            twice.

        Raises
        ------
        InputError
            Logits that are not of two classes, or whose shape is not that of the labels.
        """
        loss: Tensor = _FusedLoss.apply(  # type: ignore[no-untyped-call]
            logits, lesion_sign(labels), self.power, self.dice_weight, self.ce_weight
        )
        return loss


class _FusedLoss(Function):
    """The loss as a function of the margin m = z_true - z_other of each pixel.

    Let t = sigmoid(m) = p_true. All sums of the loss are sums over t: with n_1 lesion pixels and
    T_1 their sum of t (n_0 and T_0: the others),

    ``overlap = w_1 T_1 + w_0 T_0``,
    ``total = w_1 (n_1 + T_1 + n_0 - T_0) + w_0 (n_0 + T_0 + n_1 - T_1)``.

    The Dice term's slope by t therefore has one value for all lesion pixels and one for all
    others, and the slope of the whole by m is (1 - t) (that value * t - ce_weight / n).
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, sign: Tensor, power: float, dice_weight: float, ce_weight: float
    ) -> Tensor:
        margin = true_class_margin(logits, sign)
        sign = sign.to(margin.dtype)
        probability = margin.sigmoid()
        loss, slopes = margin.new_zeros(()), margin.new_zeros(2)
        if dice_weight:
            counts = by_class(torch.full_like(loss, margin.numel()), sign.sum())
            sums = by_class(probability.sum(), (probability * sign).sum())
            dice_loss, slopes = _generalised_dice(counts, sums, power)
            loss, slopes = dice_weight * dice_loss, dice_weight * slopes
        if ce_weight:
            loss = loss - ce_weight * functional.logsigmoid(margin).mean()
        ctx.save_for_backward(logits, probability, sign, slopes)
        ctx.ce_slope = ce_weight / margin.numel()
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        logits, probability, sign, (background, lesion) = ctx.saved_tensors
        # By z_1, which is sign times the slope by m: sign * (1 - t) * (slope_by_t * t - ce_slope).
        slope = torch.addcmul((lesion - background) / 2, sign, (lesion + background) / 2)
        slope.mul_(probability).sub_(sign, alpha=ctx.ce_slope)
        slope.addcmul_(slope, probability, value=-1)
        by_logits = torch.empty_like(logits)
        torch.mul(slope, grad, out=by_logits[:, 1])
        torch.neg(by_logits[:, 1], out=by_logits[:, 0])
        return by_logits, None, None, None, None


def by_class(total: Tensor, signed: Tensor) -> Tensor:
    """Sums over the background and over the lesion, (2,), from lesion + and - background."""
    return torch.stack([total - signed, total + signed]) / 2


def generalised_weights(counts: Tensor, power: float) -> Tensor:
    """Weights of the classes, up to a common factor: (2,) from the (2,) pixels of each class."""
    # Only the ratio of the weights matters: relative to the rarest present class they are
    # at most 1. An absent class has the largest finite weight, which is that class's.
    rarest = torch.where(counts > 0, counts, counts.sum()).min()
    return (rarest / torch.maximum(counts, rarest)) ** power


def weighted_overlap(counts: Tensor, sums: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Numerator (without its 2) and denominator of a Dice coefficient of two weighted classes.

    Parameters
    ----------
    counts, sums
        (2,): pixels of each class, and the sums of p_true over them.
    weights
        (2,): of each class; (0, 1) leaves the lesion's own Dice coefficient.
    """
    overlap = (weights * sums).sum()
    total = (weights * (counts + sums + (counts - sums).flip(0))).sum()
    return overlap, total


def _generalised_dice(counts: Tensor, sums: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Generalised Dice loss and its slopes.

    Parameters
    ----------
    counts, sums, power
        See `weighted_overlap` and `generalised_weights`.

    Returns
    -------
    loss
        Scalar.
    slopes
        (2,): derivative of the loss by p_true of a pixel of each class.
    """
    weights = generalised_weights(counts, power)
    difference = weights - weights.flip(0)
    overlap, total = weighted_overlap(counts, sums, weights)
    slopes = -2 * (weights * total - overlap * difference) / total**2
    return 1 - 2 * overlap / total, slopes
