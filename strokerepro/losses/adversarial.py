"""Adversarial losses: by least squares, or by logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from strokerepro.errors import UsageError

Kind = Literal["lsgan", "log"]


@dataclass(frozen=True)
class AdversarialLoss:
    """What the discriminator and the generator minimise, given the discriminator's scores.

    ``"lsgan"``: mean squared errors to 1 (real) and 0 (generated), Eqs. 2-3. The equations as
    printed compare images with these numbers; the scores of the images are meant. ``"log"``:
    the cross-entropies that least squares replace, of the scores as logits; the generator's is
    the non-saturating one, -log D(G(x)).

    Scores may have any shape: one for each image, or one for each patch.

    Raises
    ------
    UsageError
        An unknown kind.

    References
    ----------
    Mao et al. 2017, doi:10.1109/ICCV.2017.304, Eq. 9; Goodfellow et al. 2014,
    arXiv:1406.2661, Sec. 3; Liu 2018, Eqs. 2-3.
    """

    kind: Kind = "lsgan"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UsageError.unknown("adversarial loss", self.kind, get_args(Kind))

    def discriminator(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Loss of the discriminator (Eq. 2), a scalar.

        Parameters
        ----------
        real_scores
            Of real images, any shape.
        fake_scores
            Of generated images, detached from the generator.
        """
        return self._distance(real_scores, 1) + self._distance(fake_scores, 0)

    def generator(self, fake_scores: Tensor) -> Tensor:
        """Loss of the generator (Eq. 3), a scalar, from the scores of generated images."""
        return self._distance(fake_scores, 1)

    def _distance(self, scores: Tensor, target: Literal[0, 1]) -> Tensor:
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if self.kind == "lsgan":
            return (scores - target).square().mean()
        return functional.softplus(-scores if target else scores).mean()
