"""Blocks of the residual encoder-decoder of Clerigues et al. 2019: pre-activated convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

BN_EPS = 1e-3

Activation = Literal["prelu", "relu"]
Down = Literal["dual", "strided"]
Up = Literal["transposed_3x3", "transposed_2x2", "bilinear_1x1"]
Drop = Callable[[Tensor], Tensor]


class Layer(NamedTuple):
    """What all convolutions of one network share: normalisation, activation, convolution."""

    act: Activation
    bn_momentum: float

    def __call__(self, before: int, after: int, stride: int = 1) -> list[nn.Module]:
        """Pre-activated 3x3 convolution from `before` to `after` channels."""
        norm = nn.BatchNorm2d(before, eps=BN_EPS, momentum=self.bn_momentum)
        # A slope that starts at 0 makes the network start with ReLUs.
        act = nn.PReLU(before, init=0.0) if self.act == "prelu" else nn.ReLU(inplace=True)
        return [norm, act, nn.Conv2d(before, after, 3, stride=stride, padding=1)]


class ResidualBlock(nn.Module):
    """Pre-activated convolutions around which the input passes unchanged.

    Parameters
    ----------
    layer
        Maker of one convolution with its normalisation and activation.
    before, after
        Channels; if they differ, a 1x1 convolution adapts the passing input.
    convs
        Number of convolutions.
    residual
        Whether the input passes around them at all.
    dropout
        Channel dropout between the convolutions, in training.
    """

    def __init__(
        self,
        layer: Layer,
        before: int,
        after: int,
        convs: int,
        *,
        residual: bool,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers = layer(before, after)
        for _ in range(convs - 1):
            layers += [nn.Dropout2d(dropout)] if dropout else []
            layers += layer(after, after)
        self.layers = nn.Sequential(*layers)
        adapt = nn.Identity() if before == after else nn.Conv2d(before, after, 1)
        self.shortcut = adapt if residual else None

    def forward(self, x: Tensor, drop: Drop | None = None) -> Tensor:
        """Map (B, before, Y, X) to (B, after, Y, X); `drop` acts on what is convolved."""
        y: Tensor = self.layers(x if drop is None else drop(x))
        return y if self.shortcut is None else y + self.shortcut(x)


class DualDown(nn.Module):
    """Halve the size and double the channels: maximum pooling beside a strided convolution."""

    def __init__(self, layer: Layer, channels: int) -> None:
        super().__init__()
        self.strided = nn.Sequential(*layer(channels, channels, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, Y, X) to (B, 2 C, Y/2, X/2)."""
        return torch.cat([functional.max_pool2d(x, 2), self.strided(x)], dim=1)


def make_down(kind: Down, layer: Layer, channels: int) -> nn.Module:
    """Halve the size and double the channels, from `channels` on."""
    if kind == "dual":
        return DualDown(layer, channels)
    return nn.Sequential(*layer(channels, 2 * channels, stride=2))


def make_up(kind: Up, channels: int) -> nn.Module:
    """Double the size, from twice `channels` to `channels`."""
    if kind == "transposed_3x3":
        return nn.ConvTranspose2d(2 * channels, channels, 3, stride=2, padding=1, output_padding=1)
    if kind == "transposed_2x2":
        return nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
    # The 1x1 convolution commutes with the interpolation and is cheaper before it.
    doubling = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(nn.Conv2d(2 * channels, channels, 1), doubling)
