"""Cross-entropy of two classes, of one output or of several supervised heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from strokerepro.errors import InputError


@runtime_checkable
class SupportsLogitMaps(Protocol):
    """Output of a network with several supervised heads."""

    def logit_maps(self) -> tuple[Tensor, ...]:
        """Logits of the heads, in the order of the loss's weights."""


class EnsembleCrossEntropy(nn.Module):
    """Weighted sum of one two-class cross-entropy per head (Eq. 3 of the EDD paper).

    Each term is the mean over all pixels of the batch, without class weights. For the EDD Net
    the heads are refined, ensemble, branch 1, ..., branch N, that is N + 2 terms; a network
    with one output has one term.

    Parameters
    ----------
    weights
        The lambdas of Eq. 3, one per head; None: all 1 (Sec. 3.4).

    References
    ----------
    Chen, Bentley, Rueckert 2017, doi:10.1016/j.nicl.2017.06.016, Eq. 3.
    """

    def __init__(self, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.weights = None if weights is None else tuple(weights)

    def terms(
        self, output: Tensor | Sequence[Tensor] | SupportsLogitMaps, labels: Tensor
    ) -> Tensor:
        """Unweighted cross-entropy of each head.

        Parameters
        ----------
        output
            Logits (B, 2, ...) of one head, a sequence of such, or an output that lists them.
        labels
            (B, ...); whatever is not 0 is lesion.

        Returns
        -------
        Tensor
            (heads,), in float32, or float64 for logits in float64.

        Raises
        ------
        InputError
            Logits that are not of two classes, or whose shape is not that of the labels.
        """
        if isinstance(output, Tensor):
            maps: tuple[Tensor, ...] = (output,)
        elif isinstance(output, SupportsLogitMaps):
            maps = output.logit_maps()
        else:
            maps = tuple(output)
        sign = lesion_sign(labels)
        return torch.stack([two_class_cross_entropy(logits, sign) for logits in maps])

    def forward(
        self, output: Tensor | Sequence[Tensor] | SupportsLogitMaps, labels: Tensor
    ) -> Tensor:
        """Weighted sum of the `terms`, a scalar.

        Raises
        ------
        InputError
            As `terms`, or another number of heads than of weights.
        """
        terms = self.terms(output, labels)
        if self.weights is None:
            return terms.sum()
        if len(self.weights) != len(terms):
            raise InputError(
                f"{len(self.weights)} weights for {len(terms)} heads",
                "one weight per head",
                "give N + 2 weights for N branches, or none",
            )
        return (terms * terms.new_tensor(self.weights)).sum()


def two_class_cross_entropy(logits: Tensor, sign: Tensor) -> Tensor:
    """Mean softmax cross-entropy of two classes, in the closed form of one margin.

    With m = z_true - z_other, -log softmax(z)_true = log(1 + exp(-m)): one subtraction and one
    stable function per pixel.

    Parameters
    ----------
    logits
        (B, 2, ...); computed in float32 at least.
    sign
        (B, ...): +1 where class 1 is true, -1 where class 0 is.

    Returns
    -------
    Tensor
        Scalar.

    Raises
    ------
    InputError
        Logits that are not of two classes, or whose shape is not that of the labels.
    """
    return -functional.logsigmoid(true_class_margin(logits, sign)).mean()


def true_class_margin(logits: Tensor, sign: Tensor) -> Tensor:
    """Logit of the true class minus that of the other one; its sigmoid is p(true class).

    Parameters
    ----------
    logits
        (B, 2, ...); computed in float32 at least.
    sign
        (B, ...): +1 where class 1 is true, -1 where class 0 is.

    Returns
    -------
    Tensor
        (B, ...).

    Raises
    ------
    InputError
        Logits that are not of two classes, or whose shape is not that of the labels.
    """
    if logits.ndim < 2 or logits.shape[1] != 2 or logits[:, 0].shape != sign.shape:
        raise InputError(
            f"logits of shape {tuple(logits.shape)} for labels of shape {tuple(sign.shape)}",
            "logits (B, 2, ...) for labels (B, ...)",
            "check the network's classes and the crop of the labels",
        )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return (logits[:, 1] - logits[:, 0]).mul_(sign.to(logits.dtype))


def lesion_sign(labels: Tensor) -> Tensor:
    """+1 in lesions (labels other than 0), -1 elsewhere: (B, ...) float32."""
    # Bytes of 0 and 1 become numbers six times as fast as truth values do.
    return labels.bool().view(torch.uint8).to(torch.float32).mul_(2.0).sub_(1.0)
