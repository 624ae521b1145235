"""Small components of a probability map as inputs of an instance classifier.

The facts follow Sec. 3.2 and Figs. 5-6 of Chen, Bentley & Rueckert (2017),
doi:10.1016/j.nicl.2017.06.016; where the paper is silent, the authors' released configuration:
8-connected components per slice, windows of 16, 24 and 32 pixels, shifted at the borders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from strokerepro.errors import InputError
from strokerepro.postprocess.components import label_slices


@dataclass(frozen=True)
class Candidates:
    """The N small components of one volume.

    Attributes
    ----------
    patches
        ``(N, C, side, side)`` float32: the image at each scale, then the probability.
    labels
        ``(Z, Y, X)`` int32: 0, or the number 1 ... N of the candidate.
    size_px
        ``(N,)`` pixels of each candidate.
    slice
        ``(N,)`` slice index of each candidate.
    centroid
        ``(N, 2)`` mean row and column of each candidate, pixels.
    threshold
        Probability above which a pixel belongs to a component.
    """

    patches: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    size_px: npt.NDArray[np.int64]
    slice: npt.NDArray[np.int64]
    centroid: npt.NDArray[np.float64]
    threshold: float

    def __len__(self) -> int:
        return len(self.size_px)


def extract_candidates(
    probability: npt.NDArray[np.float32],
    image: npt.NDArray[np.float32],
    *,
    threshold: float = 0.5,
    max_px: int = 60,
    scales: Sequence[int] = (16, 24, 32),
    side: int = 16,
) -> Candidates:
    """Find the small components of a probability map and cut their windows.

    Parameters
    ----------
    probability
        Pixel-wise lesion probability, ``(Z, Y, X)``.
    image
        The image that the probability was computed from, ``(Z, Y, X)``.
    threshold
        A pixel belongs to a component if its probability is greater.
    max_px
        Largest component that is a candidate (Sec. 5.4: 99 % of the false positives).
    scales
        Sides of the square image windows around the centroid, pixels.
    side
        Side to which every image window is resized, and side of the probability window, pixels.

    Raises
    ------
    InputError
        If the shapes differ, a probability is not in [0, 1], or a window exceeds the slice.
    """
    _check(probability, image, max(*scales, side))
    components, n_components = label_slices(probability > threshold)
    labels, size_px, slice_index, centroid = _small_components(components, n_components, max_px)
    channels = [_resize(windows(image, slice_index, centroid, scale), side) for scale in scales]
    channels.append(windows(probability, slice_index, centroid, side))
    patches = np.stack(channels, axis=1).astype(np.float32, copy=False)  # (N, C, side, side)
    return Candidates(patches, labels, size_px, slice_index, centroid, threshold)


def candidate_labels(
    candidates: Candidates, truth: npt.NDArray[np.generic], pos_iou: float = 0.0
) -> npt.NDArray[np.bool_]:
    """Tell which candidates are real lesions.

    Parameters
    ----------
    candidates
        The candidates of one volume.
    truth
        Binary reference mask, ``(Z, Y, X)``.
    pos_iou
        0: real if at least one pixel lies in the reference. Greater: the intersection over union
        of the candidate and the reference components that it touches must reach this value.

    Returns
    -------
    ndarray
        ``(N,)`` bool.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if truth.shape != candidates.labels.shape:
        raise InputError(
            f"a reference of shape {truth.shape}",
            f"the shape of the candidates, {candidates.labels.shape}",
            "use the reference of the same case on the same grid",
        )
    n = len(candidates)
    lesions, n_lesions = label_slices(truth != 0)
    inside = (candidates.labels > 0) & (lesions > 0)
    touched = candidates.labels[inside] - 1
    overlap_px = np.bincount(touched, minlength=n)
    if pos_iou <= 0:
        return overlap_px > 0
    lesion_px = np.bincount(lesions.ravel(), minlength=n_lesions + 1)
    pairs = np.unique(np.stack([touched, lesions[inside]]), axis=1)
    touched_px = np.bincount(pairs[0], weights=lesion_px[pairs[1]], minlength=n)
    iou = overlap_px / (candidates.size_px + touched_px - overlap_px)
    return (overlap_px > 0) & (iou >= pos_iou)


def window_corners(
    centroid: npt.NDArray[np.float64], side_px: int, slice_shape: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """First row and column of the windows around `centroid`, shifted to lie inside the slice.

    Parameters
    ----------
    centroid
        ``(N, 2)`` row and column, pixels.
    side_px
        Side of the window.
    slice_shape
        Rows and columns of a slice.

    Returns
    -------
    ndarray
        ``(N, 2)`` int64.
    """
    # Signed integers: the released code clamps after a cast to uint8, where -6 has become 250.
    corners = np.floor(centroid + 0.5).astype(np.int64) - side_px // 2
    return np.clip(corners, 0, np.asarray(slice_shape, np.int64) - side_px)


def window_indices(
    slice_index: npt.NDArray[np.int64], corners: npt.NDArray[np.int64], side_px: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Index arrays that select N windows of a ``(Z, Y, X)`` volume as ``(N, side, side)``."""
    offsets = np.arange(side_px)
    rows = corners[:, 0, None] + offsets
    columns = corners[:, 1, None] + offsets
    return slice_index[:, None, None], rows[:, :, None], columns[:, None, :]


def windows(
    volume: npt.NDArray[np.float32],
    slice_index: npt.NDArray[np.int64],
    centroid: npt.NDArray[np.float64],
    side_px: int,
) -> npt.NDArray[np.float32]:
    """Cut one square window around each centroid out of a ``(Z, Y, X)`` volume.

    Returns
    -------
    ndarray
        ``(N, side_px, side_px)``, a copy.
    """
    corners = window_corners(centroid, side_px, (volume.shape[1], volume.shape[2]))
    return volume[window_indices(slice_index, corners, side_px)]


def _small_components(
    components: npt.NDArray[np.int32], n_components: int, max_px: int
) -> tuple[
    npt.NDArray[np.int32],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.float64],
]:
    """Keep components up to `max_px`, renumber them, give size, slice and centroid."""
    z, y, x = np.nonzero(components)
    owner = components[z, y, x] - 1
    size_px = np.bincount(owner, minlength=n_components)
    kept = np.flatnonzero(size_px <= max_px)
    number = np.zeros(n_components + 1, np.int32)
    number[kept + 1] = np.arange(1, len(kept) + 1)

    def mean(coordinate: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        total = np.bincount(owner, weights=coordinate, minlength=n_components)
        return total[kept] / size_px[kept]

    # A component lies in one slice, so the mean slice index is that slice, exactly.
    slice_index = mean(z).astype(np.int64)
    return number[components], size_px[kept], slice_index, np.stack([mean(y), mean(x)], axis=1)


def _resize(patches: npt.NDArray[np.float32], side_px: int) -> npt.NDArray[np.float32]:
    """Bilinear resampling of ``(N, h, w)`` to ``(N, side, side)``; the paper names no kernel."""
    if patches.shape[-1] == side_px:
        return patches
    if not len(patches):  # interpolate refuses an empty batch
        return np.zeros((0, side_px, side_px), np.float32)
    stacked = torch.from_numpy(np.ascontiguousarray(patches, np.float32))[:, None]
    resized = functional.interpolate(
        stacked, size=(side_px, side_px), mode="bilinear", align_corners=False
    )
    return resized[:, 0].numpy()


def _check(
    probability: npt.NDArray[np.float32], image: npt.NDArray[np.float32], largest_px: int
) -> None:
    if probability.ndim != 3 or probability.shape != image.shape:
        raise InputError(
            f"a probability of shape {probability.shape} and an image of shape {image.shape}",
            "one common shape (Z, Y, X)",
            "pass one image channel on the grid of the probability",
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise InputError(
            "a probability outside [0, 1], or one that is not a number",
            "values from 0 to 1",
            "pass the softmax of the logits",
        )
    if min(probability.shape[1:]) < largest_px:
        raise InputError(
            f"slices of {probability.shape[1]} x {probability.shape[2]} pixels",
            f"at least the largest window, {largest_px} pixels a side",
            "pad the slices or choose smaller scales",
        )
