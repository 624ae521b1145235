"""Discriminator of Liu 2018: five strided convolutions that score how real a DWI looks.

Read to the letter the paper normalises the discriminator's only map, which cannot work; each
reading is a switch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from strokerepro.errors import InputError, UsageError
from strokerepro.networks.blocks import initialise_torch_default, require_choice
from strokerepro.networks.ctp_gan_blocks import Norm, normalisation, require_channels

KERNEL, STRIDE = 5, 2  # Sec. 2.2

Last = Literal["raw", "gn_relu_linear", "gn_pool", "gn_relu_pool"]
Pool = Literal["mean", "none"]


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
        require_channels(image, self.in_channels)
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


def _require_widths(in_channels: int, widths: Sequence[int]) -> None:
    if in_channels < 1 or len(widths) < 2 or min(widths) < 1 or widths[-1] != 1:
        raise UsageError(
            f"in_channels {in_channels}, widths {tuple(widths)}",
            "positive counts for two convolutions or more, the last of one map",
            "use (32, 64, 128, 256, 1)",
        )
