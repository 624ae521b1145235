"""Prediction by overlapping patches, averaged at every voxel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from strokerepro.errors import InputError, UsageError
from strokerepro.inference.probability import lesion_probability

# Patches a forward pass. On a CPU larger batches leave its caches (256 take 1.4 times as long a
# patch) and 64 already need fresh memory for each map. On a GPU small batches leave it idle.
CPU_BATCH = 32
GPU_BATCH = 256


@torch.no_grad()
def predict_patches(
    passes: Callable[[Tensor], Mapping[str, Tensor]],
    image: NDArray[np.float32],
    foreground: NDArray[np.bool_],
    fabric: Fabric,
    *,
    patch_px: int,
    step_px: int,
    batch: int | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Predict a volume as the mean over regular overlapping patches (Sec. 3.3, "Testing").

    Patches are centred on every `step_px`-th row and column from the first on, where that voxel
    lies in the foreground; a foreground voxel that none of them reaches gets the patch of the
    grid position before it. Beyond the image all is 0.

    Parameters
    ----------
    passes
        Maps patches (B, C, p, p) to one or more named maps of the same patches: logits
        (B, 2, p, p), or lesion probabilities (B, p, p), as a mean over several passes is.
    image
        Prepared image (C, Z, Y, X).
    foreground
        (Z, Y, X): where to predict.
    fabric
        Device and precision.
    patch_px
        Side p of the patches. The centre of a patch is its pixel (p // 2, p // 2).
    step_px
        Distance of neighbouring centres, at most half the patch so that no voxel is left out.
    batch
        Patches a forward pass; None: 32 on a CPU, 256 elsewhere. It bounds the memory.

    Returns
    -------
    dict
        For each map the mean lesion probability (Z, Y, X) over the patches that contain a voxel;
        0 outside the foreground.

    Raises
    ------
    InputError
        An image and a foreground that do not fit together, or a map of another shape.
    UsageError
        A step below 1 or above half the patch, or an empty batch.
    """
    _require_fit(image, foreground, patch_px, step_px, batch)
    corners = patch_corners(foreground, patch_px, step_px)
    windows = _Windows.of(image, patch_px, fabric.device)
    size = batch or (CPU_BATCH if fabric.device.type == "cpu" else GPU_BATCH)
    add = _add_slices if fabric.device.type == "cpu" else _add_by_index
    sums: dict[str, Tensor] = {}
    for piece in torch.split(torch.from_numpy(corners), size):
        with fabric.autocast():
            maps = passes(windows.cut(piece))
        for name, values in maps.items():
            probability = _probability(name, values, len(piece), patch_px)
            if name not in sums:
                sums[name] = probability.new_zeros(windows.padded.shape[:3])
            add(sums[name], piece, probability)
    votes = _votes(corners, foreground.shape, patch_px)
    return {
        name: _mean(windows.without_margin(total).cpu().numpy(), votes, foreground)
        for name, total in sums.items()
    }


def patch_corners(foreground: NDArray[np.bool_], patch_px: int, step_px: int) -> NDArray[np.int64]:
    """Where `predict_patches` takes its patches.

    Parameters
    ----------
    foreground, patch_px, step_px
        See `predict_patches`.

    Returns
    -------
    numpy.ndarray
        (N, 3) of [z, y, x] in raster order: first pixel of each patch in the image with a margin
        of ``patch_px // 2``, which is the place of its centre in the image without.
    """
    chosen = np.zeros_like(foreground, dtype=bool)
    grid = (slice(None), slice(None, None, step_px), slice(None, None, step_px))
    chosen[grid] = foreground[grid]
    centres = np.argwhere(chosen)
    missed = np.argwhere(foreground & (_votes(centres, foreground.shape, patch_px) == 0))
    if not len(missed):
        return centres
    missed[:, 1:] -= missed[:, 1:] % step_px
    return np.unique(np.concatenate([centres, missed]), axis=0)


class _Windows(NamedTuple):
    """The image (Z, Y + p, X + p, C) on the device, channels last, inside a margin of zeros."""

    padded: Tensor
    patch_px: int

    @classmethod
    def of(cls, image: NDArray[np.float32], patch_px: int, device: torch.device) -> _Windows:
        before = patch_px // 2
        depth, height, width = image.shape[1:]
        padded = torch.zeros(
            depth, height + patch_px, width + patch_px, image.shape[0], device=device
        )
        channels_last = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, 0, -1)))
        padded[:, before : before + height, before : before + width] = channels_last.to(device)
        return cls(padded, patch_px)

    def cut(self, corners: Tensor) -> Tensor:
        """Patches (B, C, p, p) in channels-last memory format."""
        cut = _copy_patches if self.padded.device.type == "cpu" else _gather_patches
        return cut(self.padded, corners, self.patch_px).permute(0, 3, 1, 2)

    def without_margin(self, total: Tensor) -> Tensor:
        """Cut (Z, Y + p, X + p) back to (Z, Y, X)."""
        before, p = self.patch_px // 2, self.patch_px
        return total[:, before : total.shape[1] - p + before, before : total.shape[2] - p + before]


def _copy_patches(padded: Tensor, corners: Tensor, patch_px: int) -> Tensor:
    """Contiguous slice copies into (B, p, p, C): on a CPU far faster than a gather by index."""
    patches = torch.empty(len(corners), patch_px, patch_px, padded.shape[-1])
    source, target = padded.numpy(), patches.numpy()
    for row, (z, y, x) in enumerate(corners.tolist()):
        target[row] = source[z, y : y + patch_px, x : x + patch_px]
    return patches


def _gather_patches(padded: Tensor, corners: Tensor, patch_px: int) -> Tensor:
    """One gather by index into (B, p, p, C)."""
    z, y, x = corners.to(padded.device)[:, :, None, None].unbind(1)  # (B, 1, 1) each
    offset = torch.arange(patch_px, device=padded.device)
    return padded[z, y + offset[:, None], x + offset]


def _probability(name: str, values: Tensor, count: int, patch_px: int) -> Tensor:
    """Lesion probability (B, p, p) float32 of logits or of probabilities."""
    if values.shape == (count, 2, patch_px, patch_px):
        return lesion_probability(values)
    if values.shape == (count, patch_px, patch_px):
        return values.float()
    raise InputError(
        f"map {name!r} of shape {tuple(values.shape)}",
        f"logits ({count}, 2, {patch_px}, {patch_px}) or "
        f"probabilities ({count}, {patch_px}, {patch_px})",
        "return one map of the patches' size for each name",
    )


def _add_slices(total: Tensor, corners: Tensor, values: Tensor) -> None:
    """Add patches (B, p, p) into `total` (Z, Y', X') in place, one after the other."""
    p = values.shape[-1]
    target, source = total.numpy(), values.numpy()
    for row, (z, y, x) in enumerate(corners.tolist()):
        target[z, y : y + p, x : x + p] += source[row]


def _add_by_index(total: Tensor, corners: Tensor, values: Tensor) -> None:
    """As `_add_slices`, in one call; the order in which patches are added is not fixed."""
    height, width = total.shape[1:]
    offset = torch.arange(values.shape[-1], device=total.device)
    z, y, x = corners.to(total.device)[:, :, None, None].unbind(1)  # (B, 1, 1) each
    place = (z * height + y + offset[:, None]) * width + x + offset
    total.view(-1).index_add_(0, place.flatten(), values.flatten())


def _votes(corners: NDArray[np.int64], shape: tuple[int, ...], patch_px: int) -> NDArray[np.int64]:
    """Count the patches that contain each voxel (Z, Y, X), from the corners of a summed table."""
    depth, height, width = shape
    table = np.zeros((depth, height + patch_px, width + patch_px), dtype=np.int64)
    z, y, x = corners.T
    for sign, dy, dx in ((1, 0, 0), (-1, patch_px, 0), (-1, 0, patch_px), (1, patch_px, patch_px)):
        np.add.at(table, (z, y + dy, x + dx), sign)
    votes: NDArray[np.int64] = table.cumsum(axis=1).cumsum(axis=2)
    before = patch_px // 2
    return votes[:, before : before + height, before : before + width]


def _mean(
    total: NDArray[np.float32], votes: NDArray[np.int64], foreground: NDArray[np.bool_]
) -> NDArray[np.float32]:
    mean = np.zeros(foreground.shape, dtype=np.float32)
    np.divide(total, votes, out=mean, where=foreground, casting="same_kind")
    return mean


def _require_fit(
    image: NDArray[np.float32],
    foreground: NDArray[np.bool_],
    patch_px: int,
    step_px: int,
    batch: int | None,
) -> None:
    if image.ndim != 4 or image.shape[1:] != foreground.shape or foreground.dtype != bool:
        raise InputError(
            f"image {image.shape} and foreground {foreground.dtype} {foreground.shape}",
            "(C, Z, Y, X) and bool (Z, Y, X)",
            "take both from one prepared case",
        )
    if not 1 <= step_px <= patch_px // 2 or (batch is not None and batch < 1):
        raise UsageError(
            f"step_px={step_px}, patch_px={patch_px}, batch={batch}",
            "a step from 1 to half the patch, so that no voxel is left out, and a batch above 0",
            "use a step of an eighth of the patch",
        )
