"""Building blocks that several networks share: convolutions, normalisation, (un)pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from strokerepro.errors import InputError, UsageError
from strokerepro.networks.batch_norm import BatchNorm

Unpooling = Literal["indices", "nearest", "bilinear", "fixed_topleft"]


class Deconv2d(nn.Conv2d):
    """Transposed convolution of stride 1, computed as the convolution it is equal to.

    Without a stride the two differ only in the order of the stored weights; the convolution is
    faster on a CPU. The class exists because Caffe's xavier filler sees the
    two differently (see `initialise_caffe_xavier`).
    """


def conv_bn_relu(
    in_channels: int,
    out_channels: int,
    norm: BatchNorm | None,
    *,
    dilation: int = 1,
    layer: type[nn.Conv2d] = nn.Conv2d,
) -> nn.Sequential:
    """3x3 convolution that keeps the map's size, batch normalisation, ReLU.

    Parameters
    ----------
    in_channels, out_channels
        Channels before and after.
    norm
        Normalisation; None leaves it out.
    dilation
        Distance of the kernel's taps in pixels; the padding follows.
    layer
        `nn.Conv2d`, or `Deconv2d` in a decoder.
    """
    # The bias is redundant before a normalisation, but the released nets and counts have it.
    convolution = layer(in_channels, out_channels, 3, padding=dilation, dilation=dilation)
    middle = [] if norm is None else [norm.layer(out_channels)]
    return nn.Sequential(convolution, *middle, nn.ReLU(inplace=True))


def conv_stack(
    channels: Sequence[int],
    norm: BatchNorm | None,
    *,
    dilation: int = 1,
    layer: type[nn.Conv2d] = nn.Conv2d,
) -> list[nn.Module]:
    """Consecutive `conv_bn_relu` layers.

    Parameters
    ----------
    channels
        Channels before the first layer and after each one.
    norm, dilation, layer
        See `conv_bn_relu`.
    """
    return [
        conv_bn_relu(before, after, norm, dilation=dilation, layer=layer)
        for before, after in pairwise(channels)
    ]


class Encoder(nn.Module):
    """Stacks of 3x3 convolutions with a 2x2 max pooling between each two.

    Parameters
    ----------
    in_channels
        Channels of the image.
    convs
        Number of convolutions of each stack.
    widths
        Channels of each stack.
    norm
        Batch normalisation.
    dilations
        Dilation of each stack; 1 everywhere if None.
    """

    def __init__(
        self,
        in_channels: int,
        convs: Sequence[int],
        widths: Sequence[int],
        norm: BatchNorm,
        dilations: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(
            nn.Sequential(*conv_stack([before] + [width] * count, norm, dilation=dilation))
            for before, count, width, dilation in zip(
                [in_channels, *widths[:-1]],
                convs,
                widths,
                dilations or [1] * len(convs),
                strict=True,
            )
        )

    def forward(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Encode an image.

        Parameters
        ----------
        image
            (B, C, Y, X); Y and X are multiples of 2 to the number of poolings.

        Returns
        -------
        features
            Output of each stack, before its pooling; the last one is the deepest.
        pooling_indices
            For each pooling (B, C, Y/2, X/2) int64: the flat position of each maximum in its
            own channel's map. Of equal values the first in reading order wins, as in Caffe.
        """
        require_multiple(image, 2 ** (len(self.stacks) - 1))
        features: list[Tensor] = []
        pooling_indices: list[Tensor] = []
        x = image
        for number, stack in enumerate(self.stacks):
            if number:
                x, indices = functional.max_pool2d(x, 2, return_indices=True)
                pooling_indices.append(indices)
            x = stack(x)
            features.append(x)
        return features, pooling_indices


def unpool(values: Tensor, indices: Tensor, mode: Unpooling) -> Tensor:
    """Double the size of a map.

    Parameters
    ----------
    values
        (B, C, Y, X).
    indices
        (B, C, Y, X) int64 from the pooling that is undone; used only by ``"indices"``.
    mode
        ``"indices"`` puts each value where its channel's maximum was, zeros elsewhere (Fig. 4
        of the EDD paper); ``"fixed_topleft"`` puts it in the window's first corner, zeros
        elsewhere; ``"nearest"`` and ``"bilinear"`` interpolate.

    Returns
    -------
    Tensor
        (B, C, 2Y, 2X), in the memory format of `values`.

    Notes
    -----
    Poolings without overlap never give two values the same place, so that the result does not
    depend on the order of writing. `torch.use_deterministic_algorithms` cannot know that and
    refuses ``"indices"`` unless it only warns.
    """
    if mode == "indices":
        return functional.max_unpool2d(values, indices, [2, 2], [2, 2])
    if mode == "bilinear":
        return functional.interpolate(
            values, scale_factor=2.0, mode="bilinear", align_corners=False
        )
    doubled = functional.interpolate(values, scale_factor=2.0, mode="nearest")
    if mode == "nearest":
        return doubled
    corners = doubled.new_zeros(doubled.shape[-2:])
    corners[::2, ::2] = 1.0
    return doubled * corners


def initialise_caffe_xavier(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draw all weights as Caffe's ``xavier`` filler does, and set all biases to 0.

    Weights are uniform in +-sqrt(3 / n). Caffe takes for n the stored weight's size over its
    first axis: inputs x kernel for convolutions and fully connected layers, but *outputs* x
    kernel for a Deconvolution, whose weight is stored (inputs, outputs, ky, kx).

    Parameters
    ----------
    network
        Its `nn.Conv2d`, `nn.ConvTranspose2d`, `Deconv2d` and `nn.Linear` layers are changed.
    generator
        Source of the numbers; None takes PyTorch's global one (`torch.manual_seed`).
    """
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        fan_axis = 1 if isinstance(layer, Deconv2d) else 0
        fan = layer.weight.numel() // layer.weight.shape[fan_axis]
        bound = math.sqrt(3.0 / fan)
        with torch.no_grad():
            layer.weight.uniform_(-bound, bound, generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()


def initialise_torch_default(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draw weights and biases uniformly in +-1/sqrt(inputs x kernel), PyTorch's own default.

    Parameters
    ----------
    network
        Its `nn.Conv2d` and `nn.ConvTranspose2d` layers are changed.
    generator
        Source of the numbers; None takes PyTorch's global one (`torch.manual_seed`).
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            # Of a transposed convolution PyTorch counts the outputs.
            bound = 1 / math.sqrt(layer.weight[0].numel())
            with torch.no_grad():
                layer.weight.uniform_(-bound, bound, generator=generator)
                if layer.bias is not None:
                    layer.bias.uniform_(-bound, bound, generator=generator)


def stack_widths(
    convs: Sequence[int], widths: Sequence[int] | None, width_scale: float
) -> tuple[int, ...]:
    """Channels of each stack.

    Parameters
    ----------
    convs
        Number of convolutions of each stack.
    widths
        Channels of each stack; None means 32, 64, 128, ... (the released net's three stacks;
        256 for a fourth is our continuation).
    width_scale
        Factor on all widths, for narrow networks and for the control of capacity.

    Raises
    ------
    UsageError
        No stack, an empty stack, another number of widths than stacks, or a width below 1.
    """
    if not convs or min(convs) < 1:
        raise UsageError(
            f"convs {tuple(convs)}", "one count of at least 1 per stack", "use (2, 4, 5)"
        )
    chosen = [32 * 2**stack for stack in range(len(convs))] if widths is None else widths
    scaled = tuple(max(1, round(width * width_scale)) for width in chosen)
    if len(scaled) != len(convs) or min(chosen) < 1 or width_scale <= 0:
        raise UsageError(
            f"widths {tuple(chosen)} times {width_scale} for {len(convs)} stacks",
            "one positive width per stack",
            f"give {len(convs)} widths and a positive width_scale",
        )
    return scaled


def require_multiple(image: Tensor, multiple: int) -> None:
    """Refuse a map (B, C, Y, X) whose poolings would lose a row or a column.

    Raises
    ------
    InputError
        Y or X is not a multiple of `multiple`.
    """
    rows, columns = image.shape[-2:]
    if rows % multiple or columns % multiple:
        raise InputError(
            f"an image of {rows} x {columns} px",
            f"sides that are multiples of {multiple}",
            "pad the image with zeros",
        )


def require_choice(kind: str, value: str, choices: object) -> None:
    """Refuse a value that is not among the strings of a ``Literal`` type.

    Raises
    ------
    UsageError
        With the known values.
    """
    known = get_args(choices)
    if value not in known:
        raise UsageError.unknown(kind, value, known)
