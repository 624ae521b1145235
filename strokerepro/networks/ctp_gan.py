"""Networks of Liu 2018: a generator from CT perfusion to DWI, a discriminator, a segmentor.

Generator and segmentor are U-Nets "based on" that of Ronneberger et al. (Sec. 2.2, Fig. 4), here
with its depth and widths; convolutions are padded, so that maps keep the slice's size. Where the
paper is silent, each reading is a switch. The discriminator has a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from strokerepro.errors import UsageError
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
    require_channels,
)
from strokerepro.networks.ctp_gan_discriminator import PatchDiscriminator

LEVELS = 5

Attention = Literal["none", "bottleneck"]


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
        require_channels(image, self.in_channels)
        features: list[Tensor] = []
        x = image
        for level, block in enumerate(self.encoder):
            x = block(self.pool(x) if level else x)
            features.append(x)
        features[-1] = self.attention(x)
        return features


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


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "ctp_gan.generator": CtpGanUNet,
    # One U-Net with another input and head.
    "ctp_gan.segmentor": partial(CtpGanUNet, in_channels=1, background_maps=3),
    "ctp_gan.discriminator": PatchDiscriminator,
}
