"""Elastic deformation of whole batches by smoothed noise (Simard et al. 2003)."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from strokerepro.augment.resampling import resample
from strokerepro.errors import UsageError

ElasticUnits = Literal["relative", "pixel"]


class ElasticField(NamedTuple):
    """How far each pixel of the result is taken from its own place; keep it to replay it.

    Parameters
    ----------
    shift_px
        ``(B, 2, p, p)`` float32: ``[y, x]`` from the pixel itself to where its value is taken.
    """

    shift_px: Tensor


def draw_elastic(
    batch: int,
    patch_px: int,
    alpha: float,
    sigma: float,
    *,
    units: ElasticUnits = "relative",
    generator: torch.Generator,
) -> ElasticField:
    """Draw one field a patch: noise uniform in -1..1, Gaussian smoothing, times alpha.

    The noise is zero outside the patch, so that shifts become smaller towards the edges. Far from
    them their standard deviation is alpha / (2 sigma sqrt(3 pi)) px (3.4 for the paper's numbers)
    whatever the patch: on a coarser grid relative units deform more of the anatomy.

    Parameters
    ----------
    batch
        Number of patches.
    patch_px
        Side of the patches.
    alpha, sigma
        Factor on the smoothed noise, and standard deviation of the Gaussian.
    units
        ``"relative"``: both are fractions of the patch's width, the only reading of the paper's
        2.5 and 0.12 that deforms a patch without tearing it; ``"pixel"``: both are pixels.
    generator
        Source of all randomness; the field lives on its device.

    Raises
    ------
    UsageError
        Unknown units, or a sigma that is not positive.

    References
    ----------
    Simard, Steinkraus, Platt 2003, doi:10.1109/ICDAR.2003.1227801, Sec. 2; the parameters:
    Clerigues et al. 2019, doi:10.1016/j.compbiomed.2019.103487, Sec. 3.1.
    """
    if units not in get_args(ElasticUnits):
        raise UsageError.unknown("elastic units", units, get_args(ElasticUnits))
    if not sigma > 0:
        raise UsageError(f"elastic sigma {sigma!r}", "a positive number", "use 0.12")
    unit_px = patch_px if units == "relative" else 1
    shape = (batch, 2, patch_px, patch_px)
    noise = 2 * torch.rand(shape, generator=generator, device=generator.device) - 1
    smooth = _smoothing(patch_px, sigma * unit_px).to(noise)
    return ElasticField(alpha * unit_px * (smooth @ noise @ smooth))


def apply_elastic(images: Tensor, labels: Tensor, field: ElasticField) -> tuple[Tensor, Tensor]:
    """Deform patches, one field each; give only the rows of a batch that are to be deformed.

    Parameters
    ----------
    images
        ``(B, C, p, p)`` float32, resampled bilinearly; beyond the edge the edge's value counts.
    labels
        ``(B, p, p)`` uint8, resampled by nearest neighbour on the same grid.
    field
        Of as many patches of the same size.

    Returns
    -------
    images
        ``(B, C, p, p)`` in channels-last memory format.
    labels
        ``(B, p, p)`` uint8.

    Raises
    ------
    UsageError
        Fields of another number or size than the patches.
    """
    shift = field.shift_px.to(images.device, non_blocking=True)
    batch, _, side, _ = shift.shape
    if (images.shape[0], *images.shape[2:]) != (batch, side, side) or labels.shape != (
        batch,
        side,
        side,
    ):
        raise UsageError(
            f"fields of {batch} x {side} px for images {tuple(images.shape)} "
            f"and labels {tuple(labels.shape)}",
            "one field a patch, of the patch's size",
            "draw as many fields as there are patches to deform",
        )
    return resample(images, labels, _grid(shift), padding="border")


def _grid(shift_px: Tensor) -> Tensor:
    """``(B, p, p, 2)`` of ``[x, y]`` in -1..1 across the patch's outer edges."""
    side = shift_px.shape[-1]
    centred = torch.arange(side, device=shift_px.device) - (side - 1) / 2
    grid = shift_px.new_empty(len(shift_px), side, side, 2)
    torch.add(shift_px[:, 1], centred, out=grid[..., 0])
    torch.add(shift_px[:, 0], centred[:, None], out=grid[..., 1])
    return grid.mul_(2 / side)


def _smoothing(size_px: int, sigma_px: float) -> Tensor:
    """``(p, p)``: Gaussian filter of one axis with zeros outside, as a symmetric matrix.

    A field is small: two products with this matrix take less time than a filter.
    """
    reach = max(size_px, math.ceil(10 * sigma_px))
    distance = torch.arange(-reach, reach + 1, dtype=torch.float64)
    norm = (-(distance**2) / (2 * sigma_px**2)).exp().sum()
    place = torch.arange(size_px, dtype=torch.float64)
    return (-((place[:, None] - place) ** 2) / (2 * sigma_px**2)).exp() / norm
