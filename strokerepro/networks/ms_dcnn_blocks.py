"""Blocks of the dual-path dense U-Net of Liu et al. 2018: dense units, transitions, up-sampling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from strokerepro.errors import UsageError

BOTTLENECK = 4  # maps of a unit's 1x1 convolution, in growth rates (DenseNet-BC)

BlockKind = Literal["dense", "plain"]
DropoutKind = Literal["element", "channel"]
Transition = Literal["none", "compress0.5"]


class UnitWidths(NamedTuple):
    """Channels of one unit: before, after its 1x1 convolution (None: it has none), and after."""

    before: int
    middle: int | None
    after: int

    def convolutions(self) -> list[tuple[int, int, int]]:
        """Channels before and after, and kernel, of each convolution."""
        if self.middle is None:
            return [(self.before, self.after, 3)]
        return [(self.before, self.middle, 1), (self.middle, self.after, 3)]

    def parameters(self) -> int:
        """Weights of the convolutions, scales and offsets of their normalisations."""
        return sum(2 * a + a * b * kernel**2 for a, b, kernel in self.convolutions())


def dense_widths(before: int, units: int, growth: int, bottleneck: bool) -> list[UnitWidths]:
    """Units that each see the block's input and all earlier outputs, and add `growth` maps."""
    middle = BOTTLENECK * growth if bottleneck else None
    return [UnitWidths(before + unit * growth, middle, growth) for unit in range(units)]


def plain_widths(before: int, units: int, growth: int, bottleneck: bool) -> list[UnitWidths]:
    """Units in a mere chain, with about the parameters of the dense block.

    Input, output, number and order of the convolutions are those of `dense_widths`; the width in
    between is the one whose number of parameters comes nearest.

    Raises
    ------
    UsageError
        A single unit of a single convolution, which leaves no width to choose.
    """
    if units == 1 and not bottleneck:
        raise UsageError(
            "a plain block of one convolution",
            "two convolutions or more, whose width can match a dense block's parameters",
            "use bottleneck=True or more units",
        )
    after = before + units * growth
    wanted = sum(unit.parameters() for unit in dense_widths(before, units, growth, bottleneck))

    def chain(width: int) -> list[UnitWidths]:
        middle = width if bottleneck else None
        edges = [before, *[width] * (units - 1), after]
        return [UnitWidths(edges[unit], middle, edges[unit + 1]) for unit in range(units)]

    def excess(width: int) -> int:
        return sum(unit.parameters() for unit in chain(width)) - wanted

    # Parameters grow with the width, so that the best one is next to the first excess.
    width = 1
    while excess(width) < 0:
        width += 1
    return chain(min((max(width - 1, 1), width), key=lambda candidate: abs(excess(candidate))))


class Layer(NamedTuple):
    """What all blocks of one path share."""

    dropout_kind: DropoutKind
    rate: float
    checkpointing: bool

    def dropout(self) -> list[nn.Module]:
        """Dropout of a constant rate, in training only."""
        if self.rate == 0:
            return []
        return [
            nn.Dropout(self.rate) if self.dropout_kind == "element" else nn.Dropout2d(self.rate)
        ]

    def unit(self, widths: UnitWidths) -> nn.Sequential:
        """Batch normalisation, ReLU, convolution, dropout; twice with a 1x1 convolution."""
        layers: list[nn.Module] = []
        for before, after, kernel in widths.convolutions():
            layers += [*norm_relu(before), conv(before, after, kernel), *self.dropout()]
        return nn.Sequential(*layers)


def norm_relu(channels: int) -> list[nn.Module]:
    """Batch normalisation and ReLU."""
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


def conv(before: int, after: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Convolution that keeps the map's size but for its stride, without bias."""
    # A normalisation follows each of them, next or after the concatenation, and removes a bias.
    return nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)


class ConvBlock(nn.Module):
    """Chain of units; in a dense block each of them sees all that precedes it in the block.

    Parameters
    ----------
    layer
        What the path's blocks share.
    kind
        ``"dense"``, or ``"plain"``: each unit sees only the output of the one before.
    before
        Channels of the input; there are `units` times `growth` more in the output.
    units, growth, bottleneck
        See `dense_widths`.
    """

    def __init__(
        self,
        layer: Layer,
        kind: BlockKind,
        before: int,
        units: int,
        growth: int,
        bottleneck: bool,
    ) -> None:
        super().__init__()
        self.dense = kind == "dense"
        self.checkpointing = layer.checkpointing
        widths = (dense_widths if self.dense else plain_widths)(before, units, growth, bottleneck)
        self.units = nn.ModuleList(layer.unit(unit) for unit in widths)
        self.after = before + units * growth

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, before, Y, X) to (B, after, Y, X)."""
        features = [x]
        for unit in self.units:
            new = run_joined(unit, features, self.checkpointing)
            features = [*features, new] if self.dense else [new]
        return torch.cat(features, dim=1) if self.dense else features[0]


class TransitionBlock(nn.Module):
    """Batch normalisation, ReLU, dropout, average pooling: half the size.

    Parameters
    ----------
    layer
        What the path's blocks share.
    kind
        ``"none"`` keeps the channels, as the paper's list of layers; ``"compress0.5"`` halves
        them by a 1x1 convolution before the dropout, as in DenseNet-BC.
    before
        Channels of the input.
    """

    def __init__(self, layer: Layer, kind: Transition, before: int) -> None:
        super().__init__()
        self.checkpointing = layer.checkpointing
        self.after = before // 2 if kind == "compress0.5" else before
        compress = [conv(before, self.after, 1)] if kind == "compress0.5" else []
        pool = nn.AvgPool2d(2)
        self.layers = nn.Sequential(*norm_relu(before), *compress, *layer.dropout(), pool)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, before, Y, X) to (B, after, Y/2, X/2)."""
        return run_joined(self.layers, [x], self.checkpointing)


class UpBlock(nn.Module):
    """Bilinear doubling, concatenation with the encoder's maps, normalisation, ReLU, convolution.

    Parameters
    ----------
    below, skip, after
        Channels of the coarser input, of the encoder's maps and of the output.
    checkpointing
        See `run_joined`.
    """

    def __init__(self, below: int, skip: int, after: int, checkpointing: bool) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        joined = below + skip
        self.layers = nn.Sequential(*norm_relu(joined), conv(joined, after, 3))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (B, below, Y, X) and (B, skip, 2Y, 2X) to (B, after, 2Y, 2X)."""
        return run_joined(self.layers, [double(x), skip], self.checkpointing)


def double(x: Tensor) -> Tensor:
    """Double the size of maps (B, C, Y, X) bilinearly."""
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def run_joined(layers: nn.Module, features: Sequence[Tensor], checkpointing: bool) -> Tensor:
    """Apply layers to concatenated maps.

    Parameters
    ----------
    layers
        What maps (B, sum of C, Y, X) to the output.
    features
        Maps (B, C, Y, X) of equal size.
    checkpointing
        Keep nothing in between for the backward pass, and compute it again there, with the same
        dropout masks. Running statistics of the normalisations see each batch once all the same.
    """

    def run(*maps: Tensor) -> Tensor:
        joined = torch.cat(maps, dim=1) if len(maps) > 1 else maps[0]
        out: Tensor = layers(joined)
        return out

    if not (checkpointing and torch.is_grad_enabled()):
        return run(*features)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(layers)

    out: Tensor = checkpoint(run, *features, use_reentrant=False, context_fn=contexts)
    return out


@contextmanager
def _statistics_kept(layers: nn.Module) -> Iterator[None]:
    """Leave the running statistics alone, while training still normalises by the batch's own."""
    norms = [layer for layer in layers.modules() if isinstance(layer, nn.BatchNorm2d)]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # Weight 0 for the newest batch: without statistics autograd would save other tensors.
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, counter in kept:
            norm.momentum, norm.num_batches_tracked = momentum, counter
