"""Scaling, rotation, horizontal flip and translation of whole batches with one resampling."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from strokerepro.augment.resampling import resample, turned_grid
from strokerepro.errors import UsageError


class Affine(NamedTuple):
    """Parameters of a scaling and rotation about the centre, a flip, a shift: in this order.

    Keep them to replay it.

    Parameters
    ----------
    flip
        ``(B,)`` bool: mirror left and right.
    angle_rad
        ``(B,)`` float32, counter-clockwise as displayed with y downwards.
    scale
        ``(B,)`` float32, above 1 enlarges.
    shift_px
        ``(B, 2)`` float32 ``[y, x]``: downwards and to the right, as displayed in the result.
    """

    flip: Tensor
    angle_rad: Tensor
    scale: Tensor
    shift_px: Tensor


def draw_affine(
    batch: int,
    *,
    flip_probability: float = 0.5,
    rotation_deg: float = 15.0,
    scale: tuple[float, float] = (0.9, 1.1),
    shift_px: float = 10.0,
    generator: torch.Generator,
) -> Affine:
    """Draw one transform an image, each parameter uniformly and independently.

    Liu (Sec. 2.1) names scaling, flipping, rotation and translation without a range; the defaults
    are moderate choices of ours.

    Parameters
    ----------
    batch
        Number of images.
    flip_probability
        Probability of a horizontal flip.
    rotation_deg
        Angles lie in ``[-rotation_deg, rotation_deg]``, degrees.
    scale
        Smallest and largest factor.
    shift_px
        Shifts along y and x lie in ``[-shift_px, shift_px]``; on a coarser grid the same number
        moves more of the anatomy.
    generator
        Source of all randomness; the parameters live on its device.

    Raises
    ------
    UsageError
        A scale that is not positive, or a range whose ends are exchanged.
    """
    smallest, largest = scale
    if not 0 < smallest <= largest:
        raise UsageError(
            f"scale {smallest} to {largest}",
            "two positive factors, the smaller first",
            "(0.9, 1.1)",
        )
    uniform = torch.rand(5, batch, generator=generator, device=generator.device)
    signed = 2 * uniform - 1
    return Affine(
        flip=uniform[0] < flip_probability,
        angle_rad=signed[1] * math.radians(rotation_deg),
        scale=smallest + (largest - smallest) * uniform[2],
        shift_px=(signed[3:] * shift_px).T,
    )


def apply_affine(images: Tensor, labels: Tensor, drawn: Affine) -> tuple[Tensor, Tensor]:
    """Transform images and masks alike; what comes from outside the image is 0.

    Parameters
    ----------
    images
        ``(B, C, Y, X)`` float32, resampled bilinearly: all channels by the same transform.
    labels
        ``(B, Y, X)`` uint8, resampled by nearest neighbour on the same grid.
    drawn
        What to apply to each image.

    Returns
    -------
    images
        ``(B, C, Y, X)`` in channels-last memory format.
    labels
        ``(B, Y, X)`` uint8.

    Raises
    ------
    UsageError
        Transforms of another number than the images, or images and masks that do not fit.
    """
    batch, _, height, width = images.shape
    if labels.shape != (batch, height, width) or len(drawn.flip) != batch:
        raise UsageError(
            f"{len(drawn.flip)} transforms for images {tuple(images.shape)} and masks "
            f"{tuple(labels.shape)}",
            "one transform and one mask an image",
            "draw as many transforms as there are images",
        )
    on_device = Affine(*(part.to(images.device, non_blocking=True) for part in drawn))
    return resample(images, labels, _grid(on_device, height, width))


def _grid(drawn: Affine, height: int, width: int) -> Tensor:
    """``(B, Y, X, 2)`` of ``[x, y]`` in -1..1: each transform undone, the last one first."""
    device = drawn.scale.device
    y, x = (torch.arange(size, device=device) - (size - 1) / 2 for size in (height, width))
    shrink = 1 / drawn.scale
    mirror = shrink * (1 - 2 * drawn.flip.to(shrink.dtype))
    y = (y - drawn.shift_px[:, :1]) * shrink[:, None]  # (B, Y)
    x = (x - drawn.shift_px[:, 1:]) * mirror[:, None]  # (B, X)
    grid = turned_grid(x[:, None, :], y[:, :, None], drawn.angle_rad)
    # In pixels up to here, so that a rectangle is turned and not sheared.
    return grid.mul_(grid.new_tensor([2 / width, 2 / height]))
