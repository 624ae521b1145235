"""Networks of Liu 2018: a generator from CT perfusion to DWI, a discriminator, a segmentor.

Generator and segmentor are U-Nets "based on" that of Ronneberger et al. (Sec. 2.2, Fig. 4), here
with its depth and widths; convolutions are padded, so that maps keep the slice's size. The
discriminator is five strided convolutions. Where the paper is silent or impossible, such as a
normalisation of the discriminator's only map, each reading is a switch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from strokerepro.errors import InputError, UsageError
from strokerepro.networks.blocks import (
    initialise_torch_default,
    require_choice,
    require_multiple,
)
from strokerepro.networks.ctp_gan_blocks import (
    Norm,
    SelfAttention,
    double_conv,
    full_precision,
    maxout,
    normalisation,
)

LEVELS = 5
KERNEL, STRIDE = 5, 2  # of the discriminator (Sec. 2.2)

Attention = Literal["none", "bottleneck"]
Last = Literal["raw", "gn_relu_linear", "gn_pool", "gn_relu_pool"]
Pool = Literal["mean", "none"]


class CtpGanUNet(nn.Module):
    """U-Net of the generator and of the segmentor.

    Parameters
    ----------
    in_channels
        5 maps of CT perfusion for the generator, 1 DWI for the segmentor.
    out_channels
        Maps of the generator's linear output; only without `background_maps`.
    base
        Channels at full resolution; they double at each of the four halvings.
    norm, gn_channels_per_group
        See `strokerepro.networks.ctp_gan_blocks.Normalisation`.
    background_maps
        0: a regression, `out_channels` maps. k: a segmentation, whose background logit is the
        largest of k maps; 3 in the paper (Sec. 2.2), 1 is the usual head of two classes.
    self_attention
        ``"bottleneck"``: attention after the coarsest convolutions.
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
        in_channels: int = 5,
        out_channels: int = 1,
        base: int = 64,
        norm: Norm = "gn",
        gn_channels_per_group: int = 16,
        background_maps: int = 0,
        self_attention: Attention = "none",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require_choice("self-attention", self_attention, Attention)
        _require_outputs(in_channels, out_channels, base, background_maps)
        layer = normalisation(norm, gn_channels_per_group)
        widths = [base * 2**level for level in range(LEVELS)]
        self.in_channels = in_channels
        self.background_maps = background_maps
        self.encoder = nn.ModuleList(
            double_conv(before, after, layer) for before, after in pairwise([in_channels, *widths])
        )
        self.pool = nn.MaxPool2d(2)
        attends = self_attention == "bottleneck"
        self.attention = SelfAttention(widths[-1]) if attends else nn.Identity()
        # In the order of use: deepest first.
        above = widths[-2::-1]
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in above)
        self.decoder = nn.ModuleList(double_conv(2 * w, w, layer) for w in above)
        self.head = nn.Conv2d(base, background_maps + 1 if background_maps else out_channels, 1)
        initialise_torch_default(self, generator)

    def forward(self, image: Tensor) -> Tensor:
        """Translate or segment slices.

        Parameters
        ----------
        image
            (B, C, Y, X), sides multiples of 16.

        Returns
        -------
        Tensor
            (B, out_channels, Y, X), unbounded; with `background_maps` the logits (B, 2, Y, X)
            of background and lesion.

        Raises
        ------
        InputError
            Sides or channels that do not suit the network.
        """
        maps = self.maps(image)
        return maxout(maps) if self.background_maps else maps

    def maps(self, image: Tensor) -> Tensor:
        """Maps before the maxout: background maps first, the foreground last."""
        *skips, x = self.encode(image)
        for up, block in zip(self.ups, self.decoder, strict=True):
            x = block(torch.cat([skips.pop(), up(x)], dim=1))
        if self.background_maps:
            out: Tensor = self.head(x)
            return out
        # A linear output has no softmax to forgive its rounding: 8 bits are coarse for an image.
        with full_precision(x.device):
            regression: Tensor = self.head(x.to(self.head.weight.dtype))
        return regression

    def encode(self, image: Tensor) -> list[Tensor]:
        """Outputs of the encoder's blocks, finest first; the last one is the bottleneck."""
        require_multiple(image, 2 ** (LEVELS - 1))
        _require_channels(image, self.in_channels)
        features: list[Tensor] = []
        x = image
        for level, block in enumerate(self.encoder):
            x = block(self.pool(x) if level else x)
            features.append(x)
        features[-1] = self.attention(x)
        return features


class LayerView(NamedTuple):
    """What the maps after a layer of the discriminator see of its input, along one side.

    Attributes
    ----------
    size
        Places of the map.
    field_px
        Pixels that one place sees by convolutions.
    jump_px
        Distance of the fields of two neighbouring places.
    covered_px
        Pixels from the first one on that any place sees.
    """

    size: int
    field_px: int
    jump_px: int
    covered_px: int


class PatchDiscriminator(nn.Module):
    """Scores of how real an image looks: five 5x5 convolutions of stride 2, without padding.

    Parameters
    ----------
    in_channels
        1: the DWI alone; more to show it the maps of CT perfusion as well.
    widths
        Maps after each convolution; the last is 1, the score of a patch.
    last
        What follows the last convolution. ``"raw"``: nothing. ``"gn_pool"`` is the paper's
        sentence (Sec. 2.2) without its ReLU: a normalised single map has the same mean whatever
        the image is, so that the averaged score is constant. ``"gn_relu_pool"`` is the sentence
        with it: nearly constant. ``"gn_relu_linear"``: the last convolution keeps the width of
        the one before, is normalised, and a linear layer makes the score.
    norm, gn_channels_per_group
        See `strokerepro.networks.ctp_gan_blocks.Normalisation`.
    pool
        ``"mean"``: one score, the mean over patches, as in the paper; ``"none"``: the patches'.
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
        in_channels: int = 1,
        widths: Sequence[int] = (32, 64, 128, 256, 1),
        last: Last = "raw",
        norm: Norm = "gn",
        gn_channels_per_group: int = 16,
        pool: Pool = "mean",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require_choice("last layer", last, Last)
        require_choice("pooling", pool, Pool)
        _require_widths(in_channels, widths)
        layer = normalisation(norm, gn_channels_per_group)
        self.in_channels = in_channels
        self.convolutions = len(widths)
        self.pool = pool
        layers: list[nn.Module] = []
        for before, after in pairwise([in_channels, *widths[:-1]]):
            layers += [nn.Conv2d(before, after, KERNEL, stride=STRIDE), *layer.relu(after)]
        final = widths[-2] if last == "gn_relu_linear" else 1
        layers.append(nn.Conv2d(widths[-2], final, KERNEL, stride=STRIDE))
        if last == "gn_pool":
            layers.append(layer.layer(final))
        elif last != "raw":
            layers += layer.relu(final)
        if last == "gn_relu_linear":
            # A linear layer on each patch: the mean over patches may come before or after it.
            layers.append(nn.Conv2d(final, 1, 1))
        self.layers = nn.Sequential(*layers)
        initialise_torch_default(self, generator)

    def forward(self, image: Tensor) -> Tensor:
        """Score images.

        Parameters
        ----------
        image
            (B, C, Y, X).

        Returns
        -------
        Tensor
            (B,), or (B, 1, Y', X') with ``pool="none"``; 1 means real and 0 generated in the
            least-squares loss. Unbounded.

        Raises
        ------
        InputError
            An image that is too small or has other channels.
        """
        _require_channels(image, self.in_channels)
        if min(image.shape[-2:]) < self.smallest_px():
            raise InputError(
                f"an image of {image.shape[-2]} x {image.shape[-1]} px",
                f"sides of at least {self.smallest_px()} px for {self.convolutions} convolutions",
                "use a larger matrix or leave out one of the widths",
            )
        scores: Tensor = self.layers(image)
        # The mean of many low-precision scores would be rounded again.
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        return scores.mean(dim=(1, 2, 3)) if self.pool == "mean" else scores

    def smallest_px(self) -> int:
        """Side of the smallest image: 125 px with five convolutions."""
        side = 1
        for _ in range(self.convolutions):
            side = (side - 1) * STRIDE + KERNEL
        return side

    def views(self, side_px: int) -> list[LayerView]:
        """Sizes and fields of the image and of each convolution's map, along a side.

        By convolutions alone: a normalisation's statistics also see places of a map that the
        next convolution steps over.
        """
        found = [LayerView(side_px, 1, 1, side_px)]
        for _ in range(self.convolutions):
            size, field, jump, _covered = found[-1]
            size = (size - KERNEL) // STRIDE + 1
            field, jump = field + (KERNEL - 1) * jump, jump * STRIDE
            found.append(LayerView(size, field, jump, (size - 1) * jump + field))
        return found


def _require_channels(image: Tensor, channels: int) -> None:
    if image.ndim != 4 or image.shape[1] != channels:
        raise InputError(
            f"an image of shape {tuple(image.shape)}",
            f"(B, {channels}, Y, X)",
            "set in_channels to the channels of the image",
        )


def _require_outputs(in_channels: int, out_channels: int, base: int, background_maps: int) -> None:
    got = (
        f"in_channels {in_channels}, out_channels {out_channels}, base {base}, "
        f"background_maps {background_maps}"
    )
    if min(in_channels, out_channels, base) < 1 or background_maps < 0:
        raise UsageError(got, "counts of at least 1, no negative one", "use 5, 1, 64 and 0")
    if background_maps and out_channels != 1:
        raise UsageError(
            got,
            "out_channels for a regression or background_maps for a segmentation",
            "leave out out_channels: one foreground map is added to the background_maps",
        )


def _require_widths(in_channels: int, widths: Sequence[int]) -> None:
    if in_channels < 1 or len(widths) < 2 or min(widths) < 1 or widths[-1] != 1:
        raise UsageError(
            f"in_channels {in_channels}, widths {tuple(widths)}",
            "positive counts for two convolutions or more, the last of one map",
            "use (32, 64, 128, 256, 1)",
        )


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "ctp_gan.generator": CtpGanUNet,
    # One U-Net with another input and head.
    "ctp_gan.segmentor": partial(CtpGanUNet, in_channels=1, background_maps=3),
    "ctp_gan.discriminator": PatchDiscriminator,
}
