"""Register the mirror image of a head to the head itself: one reflection for all slices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from scipy import ndimage

from strokerepro.errors import InputError, UsageError
from strokerepro.preprocess.reflection.geometry import Float, InPlaneImage, Reflection
from strokerepro.preprocess.reflection.refine import Refinement, refine_reflection
from strokerepro.preprocess.reflection.search import search_reflection

ReflectionModel = Literal["rigid", "affine"]
Similarity = Literal["robust", "ncc"]

_FINE_PX = 128  # resolution of the refinement, along the longer side of the slice
_COARSE_PX = 64  # and of the search
_SMALLEST_PX = 8  # of either side, at any resolution
_SMOOTHING_PX = 1.0  # of the refinement's pixels: linear interpolation smooths less than that
_SHEAR_LIMIT = 0.3
_NCC_SLACK = 0.05  # the best line for most of the head need not be the best for all of it


@dataclass(frozen=True)
class ReflectionFit:
    """A fitted reflection and how well it fits.

    Attributes
    ----------
    reflection
        The mirror line.
    ncc
        Normalised correlation of the smoothed head with its mirrored copy, over where either
        differs from 0.
    note
        What did not go as asked, or None.
    """

    reflection: Reflection
    ncc: float
    note: str | None = None


def fit_reflection(
    volume: Float,
    spacing_yx_mm: tuple[float, float],
    *,
    model: ReflectionModel = "affine",
    similarity: Similarity = "robust",
) -> ReflectionFit:
    """Find the in-plane reflection under which a head is most like itself.

    Registering a flipped image to the original has fewer unknowns than registering two images:
    with every solution its inverse is one too, so that a unique solution undoes itself. Of the
    three unknowns of a rigid transform two are left, the angle and the offset of the mirror line
    (there is no gliding along it); of the six of an affine transform three, with the shear.

    Parameters
    ----------
    volume
        Image (Z, Y, X), 0 outside the head. All slices share one reflection; blank slices have no
        say.
    spacing_yx_mm
        Pixel spacing (y, x).
    model
        ``"rigid"`` or ``"affine"``.
    similarity
        ``"robust"``: differences that stand out, such as those of a lesion on one side, are
        weighted down. ``"ncc"``: squared differences; since a reflection keeps the mean and the
        variance of the image, their minimum is the maximum of the normalised correlation.

    Returns
    -------
    ReflectionFit
        If the refinement fails, the fit before it, with a note that says so.

    Raises
    ------
    UsageError
        An unknown model or similarity.
    InputError
        A volume without contrast, or with values that are not finite.
    """
    for kind, value, known in (
        ("reflection model", model, ReflectionModel),
        ("similarity", similarity, Similarity),
    ):
        if value not in get_args(known):
            raise UsageError.unknown(kind, value, get_args(known))
    fine, coarse = _pyramid(volume, spacing_yx_mm)
    searched = search_reflection(coarse)
    lowest_ncc = _ncc(fine, searched) - _NCC_SLACK
    problems: list[str] = []
    for shear in (True, False) if model == "affine" else (False,):
        # Far from the solution most differences are large: none may be weighted down there. Near
        # it, their scale is that of the noise; a second round takes it where the first ended.
        refined = refine_reflection(coarse, searched, shear=shear, robust=False)
        for _ in range(2 if similarity == "robust" else 1):
            refined = refine_reflection(
                fine, refined.reflection, shear=shear, robust=similarity == "robust"
            )
        ncc = _ncc(fine, refined.reflection)
        problem = _problem(refined, ncc, lowest_ncc)
        if problem is None:
            return ReflectionFit(refined.reflection, ncc, _note(problems, "rigid fit"))
        problems.append(f"the {'affine' if shear else 'rigid'} reflection {problem}")
    return ReflectionFit(searched, _ncc(fine, searched), _note(problems, "coarse search"))


def _note(problems: list[str], used: str) -> str | None:
    return f"{'; '.join(problems)}: the result of the {used} is used" if problems else None


def _pyramid(
    volume: Float, spacing_yx_mm: tuple[float, float]
) -> tuple[InPlaneImage, InPlaneImage]:
    """Smoothed slices for the refinement; their mean, coarser and uncropped, for the search."""
    flat = volume.ndim != 3 or min(volume.shape[1:]) < _SMALLEST_PX
    if flat or not np.isfinite(volume).all():
        raise InputError(
            f"an image of shape {volume.shape} with {np.sum(~np.isfinite(volume))} bad values",
            f"finite values (Z, Y, X), {_SMALLEST_PX} pixels or more a side",
            "check the image that the mirror line is fitted to",
        )
    if not np.ptp(volume) > 0:
        raise InputError(
            "an image with one value everywhere",
            "a head to fit a mirror line to",
            "check the image",
        )
    whole = InPlaneImage.of(volume, spacing_yx_mm)
    shrunk = whole.shrunk(_factor(whole, _FINE_PX))
    smooth = ndimage.gaussian_filter(shrunk.values.numpy(), (0, _SMOOTHING_PX, _SMOOTHING_PX))
    fine = InPlaneImage(torch.from_numpy(smooth), shrunk.x_mm, shrunk.y_mm)
    coarse = fine.mean_slice().shrunk(_factor(fine, _COARSE_PX))
    return fine.cropped(), coarse


def _factor(image: InPlaneImage, target_px: int) -> int:
    sides = image.values.shape[1:]
    return max(1, min(max(sides) // target_px, min(sides) // _SMALLEST_PX))


def _ncc(image: InPlaneImage, reflection: Reflection) -> float:
    """Normalised correlation with the mirrored copy, over where either differs from 0."""
    fixed, mirrored = image.values, image.through(reflection)
    count = int(torch.count_nonzero((fixed != 0) | (mirrored != 0)))
    # Outside both are 0 and add nothing to the sums.
    means = float(fixed.sum()) / count, float(mirrored.sum()) / count
    fixed, mirrored = fixed.flatten(), mirrored.flatten()
    products = (fixed @ mirrored, fixed @ fixed, mirrored @ mirrored)
    pairs = ((0, 1), (0, 0), (1, 1))
    covariance, of_fixed, of_mirrored = (
        float(product) / count - means[one] * means[other]
        for product, (one, other) in zip(products, pairs, strict=True)
    )
    return covariance / max(math.sqrt(of_fixed * of_mirrored), 1e-30)


def _problem(refined: Refinement, ncc: float, lowest_ncc: float) -> str | None:
    shear = refined.reflection.shear
    if not refined.converged:
        return "did not converge"
    if abs(shear) > _SHEAR_LIMIT:
        return f"leans by {shear:.2f}, more than {_SHEAR_LIMIT}"
    if not ncc >= lowest_ncc:
        return f"has a correlation of {ncc:.3f}, less than the coarse search"
    return None
