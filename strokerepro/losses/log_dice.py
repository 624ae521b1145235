"""Cross-entropy minus the logarithm of a Dice coefficient, of two classes, and its relatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from strokerepro.errors import UsageError
from strokerepro.losses.cross_entropy import lesion_sign, true_class_margin
from strokerepro.losses.generalized_dice import generalised_weights, weighted_overlap

Kind = Literal["ce_log_gdc", "literal", "bce_log_dice", "ce", "dice", "gdl"]
EmptyClass = Literal["largest", "ignore"]
INVERSE_FREQUENCY = "inverse_frequency"

_WITH_CROSS_ENTROPY = ("ce_log_gdc", "literal", "bce_log_dice", "ce")
_OF_THE_LESION = ("bce_log_dice", "dice")


class LogDiceCE(nn.Module):
    """Cross-entropy minus the log of the generalised Dice coefficient.

    With the coefficient of Sudre et al., GDC = 1 - their loss (see `GeneralizedDiceCE`; sums are
    over the batch), and CE the softmax cross-entropy of the two classes:

    - ``"ce_log_gdc"``: CE - log GDC, what Eq. 5 must mean;
    - ``"literal"``: CE - log(1 - GDC), Eq. 5 as printed, which rewards *less* overlap;
    - ``"bce_log_dice"``: CE - log of the lesion's own Dice coefficient, Eq. 4 read alike;
    - ``"ce"``, ``"dice"`` (1 - Dice of the lesion) and ``"gdl"`` (1 - GDC): single terms.

    Parameters
    ----------
    kind
        Which of these.
    gdc_power
        Power of the classes' inverse pixel counts in the weights of the GDC: 2, 1 or 0.
    gdc_empty
        Weight in the GDC of a class without pixels: ``"largest"`` of the finite ones, or none.
    ce_weight
        Weights of background and lesion in the weighted mean of the cross-entropy, or
        ``"inverse_frequency"``: both classes of a batch count alike. The abstract speaks of a
        weighted cross-entropy, Sec. 2.3 and Eq. 5 of none.
    eps
        What a logarithm is taken of at least. Below it the term is constant, so that only the
        cross-entropy pulls, as with ``"bce_log_dice"`` in each batch without lesion.

    Raises
    ------
    UsageError
        An unknown name, a negative power, a weight or an eps that is not positive.

    References
    ----------
    Liu 2018, Stroke Lesion Segmentation with 2D Novel CNN Pipeline and Novel Loss Function,
    Eqs. 4-5; the coefficient: Sudre et al. 2017, doi:10.1007/978-3-319-67558-9_28, Sec. 2.
    """

    def __init__(
        self,
        kind: Kind = "ce_log_gdc",
        *,
        gdc_power: float = 2.0,
        gdc_empty: EmptyClass = "largest",
        ce_weight: Sequence[float] | Literal["inverse_frequency"] = (1.0, 1.0),
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        for name, value, known in (("loss", kind, Kind), ("empty class", gdc_empty, EmptyClass)):
            if value not in get_args(known):
                raise UsageError.unknown(name, value, get_args(known))
        if isinstance(ce_weight, str):
            if ce_weight != INVERSE_FREQUENCY:
                raise UsageError.unknown("ce_weight", ce_weight, [INVERSE_FREQUENCY])
        elif len(ce_weight) != 2 or not min(ce_weight) > 0:
            raise UsageError(
                f"ce_weight {ce_weight!r}",
                f"positive weights of background and lesion, or {INVERSE_FREQUENCY}",
                "use (1, 1)",
            )
        if gdc_power < 0 or not 0 < eps < 1:
            raise UsageError(
                f"gdc_power {gdc_power!r}, eps {eps!r}",
                "a power of at least 0 and an eps between 0 and 1",
                "use 2 and 1e-6",
            )
        self.kind = kind
        self.gdc_power = gdc_power
        self.gdc_empty = gdc_empty
        self.ce_weight = ce_weight
        self.eps = eps

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        logits
            (B, 2, ...); computed in float32 at least, also under autocast.
        labels
            (B, ...); whatever is not 0 is lesion.

        Returns
        -------
        Tensor
            Scalar, in float32, or float64 for logits in float64.

        Raises
        ------
        InputError
            Logits that are not of two classes, or whose shape is not that of the labels.
        """
        margin = true_class_margin(logits, lesion_sign(labels))
        lesion = labels.bool()
        loss = margin.new_zeros(())
        if self.kind in _WITH_CROSS_ENTROPY:
            loss = loss + self._cross_entropy(margin, lesion)
        if self.kind == "ce":
            return loss
        coefficient = self._coefficient(margin.sigmoid(), lesion)
        if self.kind in ("dice", "gdl"):
            return loss + 1 - coefficient
        inside = 1 - coefficient if self.kind == "literal" else coefficient
        return loss - inside.clamp_min(self.eps).log()

    def coefficient(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Soft Dice coefficient of the loss, in [0, 1]: of the lesion, or generalised.

        Parameters and errors are those of `forward`.
        """
        margin = true_class_margin(logits, lesion_sign(labels))
        return self._coefficient(margin.sigmoid(), labels.bool())

    def _coefficient(self, probability: Tensor, lesion: Tensor) -> Tensor:
        """Coefficient from each pixel's probability of its true class."""
        counts = _by_class(torch.ones_like(probability), lesion)
        if self.kind in _OF_THE_LESION:
            weights = counts.new_tensor([0.0, 1.0])
        else:
            weights = generalised_weights(counts, self.gdc_power)
            if self.gdc_empty == "ignore":
                weights = torch.where(counts > 0, weights, 0.0)
        overlap, total = weighted_overlap(counts, _by_class(probability, lesion), weights)
        # Nothing there and nothing predicted: no overlap rather than 0/0.
        tiny = torch.finfo(total.dtype).tiny
        return 2 * overlap / total.clamp_min(tiny)

    def _cross_entropy(self, margin: Tensor, lesion: Tensor) -> Tensor:
        losses = -functional.logsigmoid(margin)
        if isinstance(self.ce_weight, str):
            counts = _by_class(torch.ones_like(losses), lesion)
            weights = counts.clamp_min(1).reciprocal()
        elif self.ce_weight[0] == self.ce_weight[1]:
            return losses.mean()
        else:
            counts = _by_class(torch.ones_like(losses), lesion)
            weights = losses.new_tensor(self.ce_weight)
        return (weights * _by_class(losses, lesion)).sum() / (weights * counts).sum()


class GradientNorms(NamedTuple):
    """Euclidean norms of a loss's gradient by the logits, over the pixels of either class."""

    background: Tensor
    lesion: Tensor

    @property
    def ratio(self) -> Tensor:
        """Lesion over background."""
        return self.lesion / self.background


def gradient_norms(
    loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor
) -> GradientNorms:
    """How strongly a loss pulls at the logits in lesions and outside of them.

    The paper explains its loss by "a more reasonable ratio between positive and negative
    regions' gradients" (Sec. 2.3) and shows none.

    Parameters
    ----------
    loss
        Function of logits and labels.
    logits
        (B, 2, ...); the graph that they come from is left alone.
    labels
        (B, ...); whatever is not 0 is lesion.
    """
    with torch.enable_grad():
        free = logits.detach().requires_grad_()
        (slopes,) = torch.autograd.grad(loss(free, labels), free)
    squares = slopes.to(torch.promote_types(slopes.dtype, torch.float32)).square().sum(dim=1)
    background, lesion = _by_class(squares, labels.bool()).sqrt()
    return GradientNorms(background, lesion)


def _by_class(values: Tensor, lesion: Tensor) -> Tensor:
    """Sums over the background and over the lesion, (2,)."""
    return torch.stack([values.masked_fill(lesion, 0).sum(), values.masked_fill(~lesion, 0).sum()])
