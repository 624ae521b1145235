"""Soft Dice loss with sums over a batch or over each image, alone or with cross-entropy."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from strokerepro.errors import InputError, UsageError

DiceReduce = Literal["batch", "sample"]


class SoftDice(nn.Module):
    """One minus the soft Dice overlap, averaged over the classes of the head.

    With the reference q and the predicted probability p of a class,

    ``1 - (2 sum_n p_n q_n + eps) / (sum_n (p_n + q_n) + eps)``.

    A head of one logit has one class, the lesion, by the sigmoid; a head of two logits has two,
    by the softmax, and the loss is the mean over both.

    Parameters
    ----------
    reduce
        ``"batch"``: one sum over all pixels of the batch (our choice; the paper does not say what
        N is). ``"sample"``: a sum for each image, then the mean; of an image without lesion the
        term is near 1 whatever is predicted, and so has next to no gradient.
    eps
        Keeps 0/0 away where neither reference nor prediction has any lesion.
    bce_weight, dice_weight
        Weights of the cross-entropy and of the Dice term; 0 leaves one out. Eq. 4 has no
        cross-entropy, the paper's text mentions one.

    Raises
    ------
    UsageError
        An unknown `reduce`, an `eps` that is not positive, a negative weight, or two of 0.

    References
    ----------
    Liu et al., Multi-scale deep convolutional neural network for stroke lesions segmentation on
    CT images, Eq. 4, where the class stands as an exponent and is an index.
    """

    def __init__(
        self,
        reduce: DiceReduce = "batch",
        eps: float = 1.0,
        bce_weight: float = 0.0,
        dice_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if reduce not in get_args(DiceReduce):
            raise UsageError.unknown("reduction", reduce, get_args(DiceReduce))
        if not eps > 0 or min(bce_weight, dice_weight) < 0 or bce_weight + dice_weight == 0:
            raise UsageError(
                f"eps {eps!r}, bce_weight {bce_weight!r}, dice_weight {dice_weight!r}",
                "a positive eps, weights of at least 0, one weight above it",
                "use 1, 0 and 1",
            )
        self.reduce = reduce
        self.eps = eps
        self.bce_weight = bce_weight
        self.dice_weight = dice_weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        logits
            (B, 1, ...) or (B, 2, ...); computed in float32 at least, also under autocast.
        labels
            (B, ...); whatever is not 0 is lesion.

        Returns
        -------
        Tensor
            Scalar, in float32, or float64 for logits in float64.

        Raises
        ------
        InputError
            Logits of more than two classes, or whose shape is not that of the labels.
        """
        margin = _lesion_margin(logits, labels)
        lesion = labels.bool()
        loss = margin.new_zeros(())
        if self.dice_weight:
            terms = [self._dice(margin, lesion)]
            if logits.shape[1] == 2:
                terms.append(self._dice(-margin, ~lesion))
            loss = loss + self.dice_weight * torch.stack(terms).mean()
        if self.bce_weight:
            true_margin = torch.where(lesion, margin, -margin)
            loss = loss - self.bce_weight * functional.logsigmoid(true_margin).mean()
        return loss

    def _dice(self, margin: Tensor, reference: Tensor) -> Tensor:
        """Loss of one class with the probability sigmoid(margin)."""
        rows = 1 if self.reduce == "batch" else len(margin)
        probability = margin.sigmoid().reshape(rows, -1)
        reference = reference.to(margin.dtype).reshape(rows, -1)
        overlap = (probability * reference).sum(dim=1)
        total = probability.sum(dim=1) + reference.sum(dim=1)
        return 1 - ((2 * overlap + self.eps) / (total + self.eps)).mean()


def _lesion_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Number (B, ...) whose sigmoid is the lesion's probability, for either head."""
    classes = logits.shape[1] if logits.ndim > 1 else 0
    if classes not in (1, 2) or logits[:, 0].shape != labels.shape:
        raise InputError(
            f"logits of shape {tuple(logits.shape)} for labels of shape {tuple(labels.shape)}",
            "logits (B, 1, ...) or (B, 2, ...) for labels (B, ...)",
            "check the network's head and the crop of the labels",
        )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits[:, 0] if classes == 1 else logits[:, 1] - logits[:, 0]
