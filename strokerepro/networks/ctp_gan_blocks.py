"""Blocks of the networks of Liu 2018: normalisation by groups, convolutions, attention, maxout."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from strokerepro.errors import InputError, UsageError
from strokerepro.networks.blocks import require_choice

ATTENTION_REDUCTION = 8  # channels over channels of a query, as in SAGAN

Norm = Literal["gn", "bn", "in"]


class Normalisation(NamedTuple):
    """What normalises all maps of one network.

    Attributes
    ----------
    kind
        ``"gn"``: each image by groups of channels; ``"bn"``: each channel over the batch;
        ``"in"``: each channel of each image, which is a group of one.
    channels_per_group
        Of ``"gn"``. The paper fixes it at 16, so that the number of groups varies (Sec. 3.1);
        narrower maps than that are one group.
    """

    kind: Norm
    channels_per_group: int

    def layer(self, channels: int) -> nn.Module:
        """Normalise `channels` maps, with a learned scale and offset of each.

        Raises
        ------
        UsageError
            Maps that do not divide into groups of equal size.
        """
        if self.kind == "bn":
            return nn.BatchNorm2d(channels)
        return nn.GroupNorm(self.groups(channels), channels)

    def groups(self, channels: int) -> int:
        """Groups of `channels` maps in ``"gn"`` or ``"in"``, see `layer`."""
        if self.kind == "in":
            return channels
        groups = max(1, channels // self.channels_per_group)
        if channels % groups:
            raise UsageError(
                f"{channels} maps in {groups} groups (gn_channels_per_group "
                f"{self.channels_per_group})",
                "groups of equal size",
                f"use widths that are multiples of {self.channels_per_group}",
            )
        return groups

    def relu(self, channels: int) -> list[nn.Module]:
        """Normalisation and ReLU."""
        return [self.layer(channels), nn.ReLU(inplace=True)]


def normalisation(kind: Norm, channels_per_group: int) -> Normalisation:
    """Check and bundle the two settings, see `Normalisation`.

    Raises
    ------
    UsageError
        An unknown kind or groups of less than one channel.
    """
    require_choice("normalisation", kind, Norm)
    if channels_per_group < 1:
        raise UsageError(
            f"gn_channels_per_group {channels_per_group}", "at least 1", "use 16 as the paper"
        )
    return Normalisation(kind, channels_per_group)


def double_conv(before: int, after: int, norm: Normalisation) -> nn.Sequential:
    """Two 3x3 convolutions that keep the map's size, each normalised and followed by a ReLU."""
    # A normalisation undoes a bias, but PyTorch's convolutions have one unless told otherwise.
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        *norm.relu(after),
        nn.Conv2d(after, after, 3, padding=1),
        *norm.relu(after),
    )


class SelfAttention(nn.Module):
    """Every place of a map draws on all others, weighted by similarity; added with a gain.

    ``x + gain * sum_j softmax_j(q_i . k_j) v_j`` with the gain 0 at first. The paper names
    self-attention once without describing it (Sec. 3.2); this is the block of the GAN
    literature of its time.

    Parameters
    ----------
    channels
        Of the map; queries and keys have an eighth of them.

    References
    ----------
    Zhang et al. 2019, Self-Attention Generative Adversarial Networks, arXiv:1805.08318, Sec. 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = max(1, channels // ATTENTION_REDUCTION)
        self.query = nn.Conv2d(channels, reduced, 1)
        self.key = nn.Conv2d(channels, reduced, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, Y, X) to the same shape."""
        query, key, value = (
            layer(x).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        # As in SAGAN, similarities are not divided by the root of the channels.
        drawn = functional.scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.gain * drawn.transpose(1, 2).reshape(x.shape)


def maxout(maps: Tensor) -> Tensor:
    """Logits of two classes from several background maps and one foreground map (Fig. 3).

    Parameters
    ----------
    maps
        (B, k + 1, Y, X): k background maps, then the foreground.

    Returns
    -------
    Tensor
        (B, 2, Y, X): the largest background value of each pixel, and the foreground.
    """
    background = maps[:, :-1].amax(dim=1, keepdim=True)
    return torch.cat([background, maps[:, -1:]], dim=1)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Compute in the precision of the inputs where the surroundings ask for a lower one."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()  # shapes alone, on the meta device


def require_channels(image: Tensor, channels: int) -> None:
    """Refuse anything but images (B, C, Y, X) of `channels` channels, by an InputError."""
    if image.ndim != 4 or image.shape[1] != channels:
        raise InputError(
            f"an image of shape {tuple(image.shape)}",
            f"(B, {channels}, Y, X)",
            "set in_channels to the channels of the image",
        )
