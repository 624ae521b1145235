"""Focal loss of two classes."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from strokerepro.errors import UsageError
from strokerepro.losses.cross_entropy import lesion_sign, true_class_margin


class FocalLoss(nn.Module):
    """Cross-entropy in which a pixel counts less, the better it is already classified.

    The mean over all pixels of (1 - p)^gamma (-log p), with p the probability of the true class.

    Parameters
    ----------
    gamma
        How fast well-classified pixels lose weight; 0 is cross-entropy.
    lesion_weight
        Weight of lesion pixels in (0, 1), 1 minus it that of the others (alpha of Lin et al.);
        None weighs both by 1.

    Raises
    ------
    UsageError
        A negative `gamma` or a weight outside (0, 1).

    References
    ----------
    Lin et al. 2017, doi:10.1109/ICCV.2017.324, Eq. 4 and 5.
    """

    def __init__(self, gamma: float = 2.0, lesion_weight: float | None = None) -> None:
        super().__init__()
        if gamma < 0 or (lesion_weight is not None and not 0 < lesion_weight < 1):
            raise UsageError(
                f"gamma {gamma!r} and lesion_weight {lesion_weight!r}",
                "a gamma of at least 0 and a weight between 0 and 1",
                "use 2 and no weight",
            )
        self.gamma = gamma
        self.lesion_weight = lesion_weight

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
            Scalar.

        Raises
        ------
        InputError
            Logits that are not of two classes, or whose shape is not that of the labels.
        """
        sign = lesion_sign(labels)
        margin = true_class_margin(logits, sign)
        # log(1 - p) instead of 1 - p: neither vanishes for extreme logits.
        ease = (self.gamma * functional.logsigmoid(-margin)).exp()
        losses = -functional.logsigmoid(margin) * ease
        if self.lesion_weight is not None:
            losses = losses * (0.5 + (self.lesion_weight - 0.5) * sign)
        return losses.mean()
