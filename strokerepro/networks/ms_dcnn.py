"""Dual-path dense U-Net of Liu et al. 2018 ("MS-DCNN") for maps of CT perfusion.

The paper lists the parts (Sec. 2.2): per path a stem convolution, a pooling, four dense blocks,
three transition blocks and four up-sampling blocks; then two convolutions on both paths' maps.
Its 123 layers come out of this list without another number if a dense unit is DenseNet's pair of
a 1x1 and a 3x3 convolution, counted (6, 12, 24, 16) as in DenseNet-121, and if the transitions
have no convolution, which is how the paper describes them: 1 + 116 + 4 + 2. Widths follow
DenseNet-121; every choice that the paper leaves open is a switch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from strokerepro.errors import InputError, UsageError
from strokerepro.networks.blocks import require_choice, require_multiple
from strokerepro.networks.ms_dcnn_blocks import (
    BlockKind,
    ConvBlock,
    DropoutKind,
    Layer,
    Transition,
    TransitionBlock,
    UpBlock,
    conv,
    double,
    norm_relu,
)

Head = Literal["sigmoid1", "softmax2"]
CHANNELS_OF_HEAD = {"sigmoid1": 1, "softmax2": 2}


class PathPlan(NamedTuple):
    """What both paths have in common, see `MsDcnn`."""

    units: Sequence[int]
    growth: int
    stem_width: int
    stem_stride: int
    bottleneck: bool
    transition: Transition
    up_widths: Sequence[int]
    block: BlockKind


class Path(nn.Module):
    """One U-shaped path: dense encoder, bilinear decoder.

    Parameters
    ----------
    plan
        What both paths have in common.
    layer
        Dropout of this path.
    in_channels, stem_kernel
        Channels of the image and side of the first kernel.
    """

    def __init__(self, plan: PathPlan, layer: Layer, in_channels: int, stem_kernel: int) -> None:
        super().__init__()
        width = plan.stem_width
        stem = conv(in_channels, width, stem_kernel, plan.stem_stride)
        self.stem = nn.Sequential(stem, *norm_relu(width))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.blocks, self.transitions = nn.ModuleList(), nn.ModuleList()
        skips = [width]
        for number, units in enumerate(plan.units):
            if number:
                transition = TransitionBlock(layer, plan.transition, width)
                self.transitions.append(transition)
                width = transition.after
            block = ConvBlock(layer, plan.block, width, units, plan.growth, plan.bottleneck)
            self.blocks.append(block)
            width = block.after
            skips.append(width)
        self.ups = nn.ModuleList()
        below = skips.pop()
        for after in plan.up_widths:
            self.ups.append(UpBlock(below, skips.pop(), after, layer.checkpointing))
            below = after

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, C, Y, X) to the decoder's last maps, (B, last up width, Y, X) with stride 1."""
        skips = self.encode(image)
        x = skips.pop()
        for up in self.ups:
            x = up(x, skips.pop())
        return x

    def encode(self, image: Tensor) -> list[Tensor]:
        """Output of the stem and of each block, finest first; all but the last are the skips."""
        maps = [self.stem(image)]
        for number, block in enumerate(self.blocks):
            halve = self.transitions[number - 1] if number else self.pool
            maps.append(block(halve(maps[-1])))
        return maps


class MsDcnn(nn.Module):
    """Two dense U-Nets with kernels and dropout of their own, fused before the output.

    Parameters
    ----------
    in_channels
        Channels of the image that each path sees, in order: the first ones go to path A. One
        path or more.
    units
        Units of each dense block; (6, 12, 24, 16) as in DenseNet-121.
    growth
        Maps that a dense unit adds.
    stem_width
        Maps of the first convolution.
    stem_kernels
        Side of the first kernel, of each path; odd.
    stem_stride
        1, or 2: the logits are then doubled bilinearly.
    bottleneck
        Whether a unit has a 1x1 convolution before its 3x3 convolution.
    transition
        ``"none"``: no convolution between blocks; ``"compress0.5"``: one that halves the maps.
    up_widths
        Maps after each up-sampling block, coarsest first; as many as blocks.
    dropout
        Rate of each path, after the convolutions of the units and in the transitions.
    dropout_kind
        ``"element"``: each value on its own, as in Eqs. 1-3; ``"channel"``: whole maps.
    head
        ``"sigmoid1"``: one logit; ``"softmax2"``: two.
    head_width
        Maps between the two last convolutions.
    block
        ``"dense"``, or ``"plain"``: chains without concatenation, with about as many parameters
        and the same maps outside of the blocks.
    checkpointing
        Compute activations again in the backward pass instead of keeping them.
    generator
        Source of the initial weights; None: PyTorch's global one.

    Raises
    ------
    UsageError
        An impossible value.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int] = (3, 1),
        units: Sequence[int] = (6, 12, 24, 16),
        growth: int = 32,
        stem_width: int = 64,
        stem_kernels: Sequence[int] = (3, 5),
        stem_stride: int = 1,
        bottleneck: bool = True,
        transition: Transition = "none",
        up_widths: Sequence[int] = (256, 128, 64, 32),
        dropout: Sequence[float] = (0.01, 0.5),
        dropout_kind: DropoutKind = "element",
        head: Head = "sigmoid1",
        head_width: int = 32,
        block: BlockKind = "dense",
        checkpointing: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require_choice("transition", transition, Transition)
        require_choice("dropout", dropout_kind, DropoutKind)
        require_choice("head", head, Head)
        require_choice("block", block, BlockKind)
        _require_paths(in_channels, stem_kernels, dropout)
        _require_widths(
            units,
            up_widths,
            growth=growth,
            stem_width=stem_width,
            head_width=head_width,
            stem_stride=stem_stride,
        )
        plan = PathPlan(
            units, growth, stem_width, stem_stride, bottleneck, transition, up_widths, block
        )
        self.in_channels = tuple(in_channels)
        self.stem_stride = stem_stride
        self.multiple = stem_stride * 2 ** len(units)
        self.paths = nn.ModuleList(
            Path(plan, Layer(dropout_kind, rate, checkpointing), channels, kernel)
            for channels, kernel, rate in zip(in_channels, stem_kernels, dropout, strict=True)
        )
        self.head = nn.Sequential(
            conv(len(in_channels) * up_widths[-1], head_width, 3),
            *norm_relu(head_width),
            nn.Conv2d(head_width, CHANNELS_OF_HEAD[head], 1),
        )
        initialise_he_normal(self, generator)

    def forward(self, image: Tensor) -> Tensor:
        """Segment slices.

        Parameters
        ----------
        image
            (B, C, Y, X) with the channels of all paths; sides multiples of 16 with four blocks.

        Returns
        -------
        Tensor
            Logits (B, 1, Y, X), or (B, 2, Y, X) with ``head="softmax2"``.

        Raises
        ------
        InputError
            Sides or channels that do not suit the network.
        """
        require_multiple(image, self.multiple)
        if image.shape[1] != sum(self.in_channels):
            raise InputError(
                f"an image of {image.shape[1]} channels",
                f"{sum(self.in_channels)}: those of path after path, {self.in_channels}",
                "set in_channels to the channels of each path",
            )
        parts = torch.split(image, list(self.in_channels), dim=1)
        maps = [path(part) for path, part in zip(self.paths, parts, strict=True)]
        logits: Tensor = self.head(torch.cat(maps, dim=1))
        return double(logits) if self.stem_stride == 2 else logits

    def count_layers(self) -> int:
        """Convolutions along one path and in the head: 123 in the paper's network."""
        along = [*self.paths[0].modules(), *self.head.modules()]
        return sum(isinstance(layer, nn.Conv2d) for layer in along)


def initialise_he_normal(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draw the weights of all convolutions from N(0, 2 / inputs x kernel), and set biases to 0.

    References
    ----------
    He et al. 2015, doi:10.1109/ICCV.2015.123, Eq. 10.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            with torch.no_grad():
                deviation = math.sqrt(2 / layer.weight[0].numel())
                layer.weight.normal_(0, deviation, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()


def _require_paths(
    in_channels: Sequence[int], stem_kernels: Sequence[int], dropout: Sequence[float]
) -> None:
    """One value of each kind for each path."""
    got = f"in_channels {in_channels}, stem_kernels {stem_kernels}, dropout {dropout}"
    if not len(in_channels) == len(stem_kernels) == len(dropout) > 0:
        raise UsageError(got, "one value of each for each path", "give all three together")
    if min(in_channels) < 1 or any(kernel < 1 or kernel % 2 == 0 for kernel in stem_kernels):
        raise UsageError(got, "channels in each path and odd kernels", "use (3, 1) and (3, 5)")
    if not all(0 <= rate < 1 for rate in dropout):
        raise UsageError(got, "rates of dropout in [0, 1)", "use 0 for none")


def _require_widths(
    units: Sequence[int],
    up_widths: Sequence[int],
    *,
    growth: int,
    stem_width: int,
    head_width: int,
    stem_stride: int,
) -> None:
    """Positive counts, as many widths as blocks, and a stride that can be undone."""
    if not len(units) == len(up_widths) > 0:
        raise UsageError(
            f"units {units} and up_widths {up_widths}",
            "one width for each block",
            "use (256, 128, 64, 32) with four blocks",
        )
    if min(*units, *up_widths, growth, stem_width, head_width) < 1:
        raise UsageError(
            f"units {units}, up_widths {up_widths}, growth {growth}, "
            f"stem_width {stem_width}, head_width {head_width}",
            "counts of at least 1",
            "leave out what you need not change",
        )
    if stem_stride not in (1, 2):
        raise UsageError(f"stem_stride {stem_stride}", "1 or 2", "use 1 as the paper")


NETWORKS: dict[str, Callable[..., nn.Module]] = {"ms_dcnn": MsDcnn}
