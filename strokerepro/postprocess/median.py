"""Median filter of a mask in the plane of its slices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from strokerepro.errors import InputError, UsageError


def median_mask(mask: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.bool_]:
    """Filter each slice of a mask by the median of a square window: the vote of its pixels.

    Of an odd number of values the median is one of them, and a threshold keeps their order:
    the median of probabilities, then thresholded, is the median of the thresholded mask. A vote
    is a sum, and the sum over a square is one over columns of one over rows.

    Parameters
    ----------
    mask
        Boolean volume, ``(Z, Y, X)``.
    size
        Side of the window in pixels, odd; 1 changes nothing. Beyond the border the slice is
        mirrored with its outermost pixel repeated, as by default in `scipy.ndimage`.

    Returns
    -------
    ndarray
        ``(Z, Y, X)`` bool, a new array.

    Raises
    ------
    InputError
        If `mask` is not boolean with three axes.
    UsageError
        A size that is not odd and positive.
    """
    if mask.ndim != 3 or mask.dtype != np.bool_:
        raise InputError(
            f"a mask of shape {mask.shape} and type {mask.dtype}",
            "a boolean one with three axes (Z, Y, X)",
            "threshold the probabilities first; add the slice axis",
        )
    if size < 1 or size % 2 == 0:
        raise UsageError(
            f"a median of {size} px", "an odd size of 1 or more", "use 5, or no filter"
        )
    filled: npt.NDArray[np.bool_] = np.zeros_like(mask)
    used = mask.any(axis=(1, 2))
    if used.any():
        filled[used] = _majority(mask[used], size)
    return filled


def _majority(mask: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.bool_]:
    reach, (_, height, width) = size // 2, mask.shape
    # Counts go up to size squared: bytes hold those of up to 15 px and are added fastest.
    padded = np.pad(
        mask.astype(np.min_scalar_type(size * size)),
        ((0, 0), (reach, reach), (reach, reach)),
        "symmetric",
    )
    rows = padded[:, :height].copy()
    for shift in range(1, size):
        rows += padded[:, shift : shift + height]
    counts = rows[:, :, :width].copy()
    for shift in range(1, size):
        counts += rows[:, :, shift : shift + width]
    majority: npt.NDArray[np.bool_] = counts > size * size // 2
    return majority
