"""U-Net, FCN and DeepLab as Chen et al. 2017 compare them with the DeconvNet (Table 2).

The paper gives only their receptive fields (46, 52 and 44 px) and one sentence on each; the
stacks below are the smallest that have exactly these fields, and every other layer is ours.
All convolutions are followed by the same batch normalisation and ReLU as in the DeconvNet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from strokerepro.errors import UsageError
from strokerepro.networks.batch_norm import BatchNorm
from strokerepro.networks.blocks import (
    Encoder,
    conv_bn_relu,
    conv_stack,
    initialise_caffe_xavier,
    require_choice,
    require_multiple,
    stack_widths,
)
from strokerepro.networks.edd_muscle import CLASSES

Upsampling = Literal["bilinear", "transposed"]


def _upsample(x: Tensor, factor: int) -> Tensor:
    return functional.interpolate(
        x, scale_factor=float(factor), mode="bilinear", align_corners=False
    )


class UNet(nn.Module):
    """U-Net whose decoder upsamples bilinearly (Sec. 5.1) and concatenates the skips.

    Parameters
    ----------
    convs, widths, width_scale, in_channels, bn_affine, bn_momentum, generator
        See `strokerepro.networks.edd_muscle.DeconvNet`. A decoder stack has as many
        convolutions as the encoder stack beside it, after the one that upsamples.
    up
        ``"bilinear"`` and a 3x3 convolution, or a ``"transposed"`` 2x2 convolution of stride 2.
    skips
        Whether the encoder's maps are concatenated.

    Raises
    ------
    UsageError
        An impossible combination of values.
    """

    def __init__(
        self,
        *,
        convs: Sequence[int] = (3, 3, 3),
        widths: Sequence[int] | None = None,
        width_scale: float = 1.0,
        up: Upsampling = "bilinear",
        skips: bool = True,
        in_channels: int = 1,
        bn_affine: bool = False,
        bn_momentum: float = 0.001,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require_choice("upsampling", up, Upsampling)
        widths = stack_widths(convs, widths, width_scale)
        norm = BatchNorm(bn_affine, bn_momentum)
        self.skips = skips
        self.encoder = Encoder(in_channels, convs, widths, norm)
        self.ups = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for stack in range(len(convs) - 2, -1, -1):
            below, width = widths[stack + 1], widths[stack]
            self.ups.append(_up_layer(up, below, width, norm))
            channels = [width * (2 if skips else 1)] + [width] * convs[stack]
            self.decoder.append(nn.Sequential(*conv_stack(channels, norm)))
        self.score = nn.Conv2d(widths[0], CLASSES, 1)
        initialise_caffe_xavier(self, generator)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, 2, Y, X) of an image (B, C, Y, X), sides multiples of 4."""
        features, _ = self.encoder(image)
        x = features.pop()
        for up, stack in zip(self.ups, self.decoder, strict=True):
            x = up(x)
            skip = features.pop()
            x = stack(torch.cat([skip, x], dim=1) if self.skips else x)
        logits: Tensor = self.score(x)
        return logits


def _up_layer(up: Upsampling, in_channels: int, out_channels: int, norm: BatchNorm) -> nn.Module:
    if up == "transposed":
        return nn.Sequential(
            nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2),
            norm.layer(out_channels),
            nn.ReLU(inplace=True),
        )
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        conv_bn_relu(in_channels, out_channels, norm),
    )


class FCN(nn.Module):
    """FCN that adds bilinearly upsampled scores of strides 8, 4 and 2 (Long et al. 2015).

    Parameters
    ----------
    convs, widths, width_scale, in_channels, bn_affine, bn_momentum, generator
        See `strokerepro.networks.edd_muscle.DeconvNet`. All stacks but the first give scores.

    Raises
    ------
    UsageError
        An impossible combination of values, or a single stack.
    """

    def __init__(
        self,
        *,
        convs: Sequence[int] = (2, 2, 2, 1),
        widths: Sequence[int] | None = None,
        width_scale: float = 1.0,
        in_channels: int = 1,
        bn_affine: bool = False,
        bn_momentum: float = 0.001,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        widths = stack_widths(convs, widths, width_scale)
        if len(widths) < 2:
            raise UsageError(f"convs {tuple(convs)}", "two stacks or more", "use (2, 2, 2, 1)")
        self.encoder = Encoder(in_channels, convs, widths, BatchNorm(bn_affine, bn_momentum))
        self.scores = nn.ModuleList(nn.Conv2d(width, CLASSES, 1) for width in widths[1:])
        initialise_caffe_xavier(self, generator)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, 2, Y, X) of an image (B, C, Y, X), sides multiples of 8."""
        features, _ = self.encoder(image)
        deepest, *finer = [score(x) for score, x in zip(self.scores, features[1:], strict=True)][
            ::-1
        ]
        fused: Tensor = deepest
        for scores in finer:
            fused = scores + _upsample(fused, 2)
        return _upsample(fused, 2)


class DeepLab(nn.Module):
    """DeepLab without CRF: dilated branches on a coarse map, summed and upsampled.

    Parameters
    ----------
    convs, widths, width_scale, in_channels, bn_affine, bn_momentum, generator
        See `strokerepro.networks.edd_muscle.DeconvNet`; there is one width more than
        stacks, that of the dilated branches.
    rates
        Dilations of the branches, in pixels of a map of stride 4.
    output_stride
        4, or 2: the second pooling then keeps the map's size, and the rates double, so that
        the receptive field is the same.

    Raises
    ------
    UsageError
        An impossible combination of values.
    """

    def __init__(
        self,
        *,
        convs: Sequence[int] = (2, 3),
        widths: Sequence[int] | None = None,
        width_scale: float = 1.0,
        rates: Sequence[int] = (1, 2, 3),
        output_stride: int = 4,
        in_channels: int = 1,
        bn_affine: bool = False,
        bn_momentum: float = 0.001,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(convs) != 2 or output_stride not in (2, 4) or not rates or min(rates) < 1:
            raise UsageError(
                f"convs {tuple(convs)}, output_stride {output_stride}, rates {tuple(rates)}",
                "two stacks, a stride of 2 or 4, and positive rates",
                "use (2, 3), 4 and (1, 2, 3)",
            )
        *encoder_widths, width = stack_widths([*convs, 1], widths, width_scale)
        norm = BatchNorm(bn_affine, bn_momentum)
        self.output_stride = output_stride
        self.encoder = Encoder(in_channels, convs, encoder_widths, norm)
        self.branches = nn.ModuleList(
            nn.Sequential(
                conv_bn_relu(encoder_widths[-1], width, norm, dilation=rate * 4 // output_stride),
                nn.Conv2d(width, CLASSES, 1),
            )
            for rate in rates
        )
        initialise_caffe_xavier(self, generator)

    def coarse_scores(self, image: Tensor) -> Tensor:
        """Logits (B, 2, Y/s, X/s) at the output stride s."""
        require_multiple(image, 4)
        features, _ = self.encoder(image)
        if self.output_stride == 4:
            x = functional.max_pool2d(features[-1], 2, 2)
        else:
            # Zeros cannot win against the outputs of a ReLU.
            x = functional.max_pool2d(functional.pad(features[-1], (0, 1, 0, 1)), 2, 1)
        scores: Tensor = reduce(torch.add, (branch(x) for branch in self.branches))
        return scores

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, 2, Y, X) of an image (B, C, Y, X), sides multiples of 4."""
        return _upsample(self.coarse_scores(image), self.output_stride)


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "edd_muscle.unet": UNet,
    "edd_muscle.fcn": FCN,
    "edd_muscle.deeplab": DeepLab,
}
