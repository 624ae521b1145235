"""Batch normalisation as in Caffe: no learned scale, running statistics without a bias."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from strokerepro.errors import UsageError


class CaffeBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose running statistics are usable from the first step on.

    Caffe keeps a *decaying sum* of the batch statistics and divides it by the decaying count,
    so that its moving fraction of .999 gives a plain mean over a short run and an exponential
    mean over the last ~1000 steps of a long one. PyTorch's ``momentum`` is 1 - fraction (0.001)
    but its average starts at mean 0 and variance 1, which would still weigh 37 % after 1000
    steps. Here it starts at 0, as in Caffe, and is divided by ``1 - (1 - momentum)**steps`` when
    it is used. Training is the same as in `nn.BatchNorm2d`; an untrained layer normalises by
    mean 0 and variance 1.

    Parameters
    ----------
    num_features
        Channels.
    affine
        Whether there are a learned scale and offset.
    momentum
        Weight of the newest batch, 1 - Caffe's ``moving_average_fraction``.
    eps
        Added to the variance.
    """

    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        *,
        affine: bool = False,
        momentum: float = 0.001,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum, affine=affine)

    def reset_running_stats(self) -> None:
        """Forget all batches."""
        super().reset_running_stats()
        self.running_var.zero_()

    def running_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and (unbiased) variance that evaluation normalises by, each (C,)."""
        steps = self.num_batches_tracked
        # expm1 keeps all digits of 1 - (1 - momentum)**steps while it is small.
        weight = -torch.expm1(steps.float() * math.log1p(-self.momentum))
        weight = torch.where(steps > 0, weight, 1.0).to(self.running_mean.dtype)
        variance = torch.where(steps > 0, self.running_var / weight, 1.0)
        return self.running_mean / weight, variance

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, Y, X) by its own statistics in training, else by the running ones."""
        if self.training:
            return super().forward(x)
        mean, variance = self.running_statistics()
        return functional.batch_norm(x, mean, variance, self.weight, self.bias, eps=self.eps)


@dataclass(frozen=True)
class BatchNorm:
    """Settings of the batch normalisation of a whole network."""

    affine: bool = False
    momentum: float = 0.001
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if not 0 < self.momentum < 1:
            raise UsageError(
                f"bn_momentum {self.momentum!r}",
                "a weight of the newest batch in (0, 1)",
                "use 0.001 as in the released nets, or 0.01 to 0.1 for short runs",
            )

    def layer(self, channels: int) -> CaffeBatchNorm2d:
        """One normalisation layer."""
        return CaffeBatchNorm2d(channels, affine=self.affine, momentum=self.momentum, eps=self.eps)
