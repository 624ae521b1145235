"""Rotation and horizontal flip of whole batches with one resampling."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from strokerepro.augment.resampling import resample, turned_grid
from strokerepro.errors import UsageError


class FlipRotation(NamedTuple):
    """Parameters of a rotation followed by a horizontal flip; keep them to replay it.

    Parameters
    ----------
    flip
        ``(B,)`` bool: mirror left and right after the rotation.
    angle_rad
        ``(B,)`` float32, counter-clockwise as displayed with y downwards (90 degrees is
        ``torch.rot90``); None when nothing is rotated, which needs no resampling.
    """

    flip: Tensor
    angle_rad: Tensor | None


def window_px(patch_px: int, max_deg: float) -> int:
    """Side of the smallest window from which a patch can be rotated without empty corners.

    Parameters
    ----------
    patch_px
        Side of the patch.
    max_deg
        Largest rotation, in degrees; from 45 on the side is the patch's times the square root
        of 2.

    Returns
    -------
    int
        Even for an even patch and odd for an odd one, so that both share their centre.
    """
    angle_rad = math.radians(min(abs(max_deg), 45.0))
    side = math.ceil(patch_px * (math.cos(angle_rad) + math.sin(angle_rad)))
    return side + (side - patch_px) % 2


def draw_flip_rotation(
    batch: int, flip_probability: float, max_deg: float, generator: torch.Generator
) -> FlipRotation:
    """Draw the parameters for one batch.

    Parameters
    ----------
    batch
        Number of patches.
    flip_probability
        Probability of a horizontal flip.
    max_deg
        Angles are uniform in ``[-max_deg, max_deg]`` degrees; 0 means no rotation.
    generator
        Source of all randomness; the parameters live on its device.
    """
    device = generator.device
    flip = torch.rand(batch, generator=generator, device=device) < flip_probability
    if max_deg == 0:
        return FlipRotation(flip, None)
    uniform = torch.rand(batch, generator=generator, device=device)
    return FlipRotation(flip, (2 * uniform - 1) * math.radians(max_deg))


def apply_flip_rotation(
    images: Tensor, labels: Tensor, params: FlipRotation, out_px: int
) -> tuple[Tensor, Tensor]:
    """Rotate about the centre, flip, and keep the central part: one resampling at most.

    Parameters
    ----------
    images
        ``(B, C, w, w)`` float32, resampled bilinearly; zero outside the window.
    labels
        ``(B, w, w)`` uint8, resampled by nearest neighbour on the same grid.
    params
        What to apply to each window.
    out_px
        Side of the result; as even or odd as `w`.

    Returns
    -------
    images
        ``(B, C, out, out)`` in channels-last memory format.
    labels
        ``(B, out, out)`` uint8.

    Raises
    ------
    UsageError
        An `out_px` that does not fit centrally into the window.
    """
    window = images.shape[-1]
    if not 0 < out_px <= window or (window - out_px) % 2:
        raise UsageError(
            f"out_px={out_px} from windows of {window} px",
            "at most the window, both even or both odd",
            "use augment.window_px(patch_px, max_deg)",
        )
    flip = params.flip.to(images.device, non_blocking=True)
    if params.angle_rad is None:
        return _crop_flip(images, labels, flip, out_px)
    grid = _grid(flip, params.angle_rad.to(images.device, non_blocking=True), window, out_px)
    return resample(images, labels, grid)


def _crop_flip(images: Tensor, labels: Tensor, flip: Tensor, out_px: int) -> tuple[Tensor, Tensor]:
    border = (images.shape[-1] - out_px) // 2
    centre = slice(border, border + out_px)
    images, labels = images[..., centre, centre], labels[..., centre, centre]
    cropped = torch.where(flip[:, None, None, None], images.flip(-1), images)
    return (
        cropped.contiguous(memory_format=torch.channels_last),
        torch.where(flip[:, None, None], labels.flip(-1), labels),
    )


def _grid(flip: Tensor, angle_rad: Tensor, window: int, out_px: int) -> Tensor:
    """``(B, out, out, 2)`` of ``[x, y]`` in -1..1 across the window's outer edges.

    Pixel centres map to pixel centres at multiples of 90 degrees because window and patch share
    their centre.
    """
    centred = torch.arange(out_px, device=angle_rad.device) - (out_px - 1) / 2
    y = (centred * (2 / window))[None, :, None]
    sign = 1 - 2 * flip.to(angle_rad.dtype)
    x = (centred * (2 / window))[None, None, :] * sign[:, None, None]
    return turned_grid(x, y, angle_rad)
