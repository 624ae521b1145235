"""How like a synthesised image is to the real one, and whether its lesions stand out as much.

SSIM: Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Processing 13 (2004), 600-612,
doi:10.1109/TIP.2003.819861, with their Gaussian window of 1.5 px, 11 px wide, and constants.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from strokerepro.errors import InputError

_NAN = float("nan")
_SIGMA_PX, _RADIUS_PX = 1.5, 5
_K1, _K2 = 0.01, 0.03

SYNTHESIS_KEYS = (
    *("mse", "mse_lesion", "psnr_db", "ssim"),
    *("lesion_contrast_generated", "lesion_contrast_real"),
)


def score_synthesis(
    generated: npt.NDArray[Any],
    real: npt.NDArray[Any],
    brain: npt.NDArray[np.bool_],
    lesion: npt.NDArray[Any],
) -> dict[str, float]:
    """Compare a synthesised image with the real one inside the brain.

    Parameters
    ----------
    generated, real
        Images (Z, Y, X) on the scale of `strokerepro.preprocess.unit_range`: the real one in
        0..1, the generated one as the network gave it.
    brain
        Where images are compared (Z, Y, X); outside of it both count as 0.
    lesion
        Reference mask (Z, Y, X); what of it lies outside the brain is left out.

    Returns
    -------
    dict
        Keys `SYNTHESIS_KEYS`: mean squared error in the brain and in the lesion; peak
        signal-to-noise ratio in dB for a peak of 1; structural similarity in plane, mean over
        the brain; mean in the lesion over mean in the rest of the brain, of both images. NaN
        where undefined: without brain, without lesion or without rest, without a positive mean
        to compare with, and for the signal-to-noise ratio of equal images.

    Raises
    ------
    InputError
        Shapes that differ, or a value that is not finite.
    """
    _check(generated, real, brain, lesion)
    inside = brain != 0
    one, other = (np.where(inside, image, 0).astype(np.float64) for image in (generated, real))
    core, rest = inside & (lesion != 0), inside & (lesion == 0)
    squared = (one - other) ** 2
    mse = _mean(squared, inside)
    return {
        "mse": mse,
        "mse_lesion": _mean(squared, core),
        "psnr_db": -10 * float(np.log10(mse)) if mse > 0 else _NAN,
        "ssim": _mean(structural_similarity(one, other), inside),
        "lesion_contrast_generated": _contrast(one, core, rest),
        "lesion_contrast_real": _contrast(other, core, rest),
    }


def structural_similarity(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """SSIM of two images around each pixel, slice by slice.

    Slices are too far apart for windows across them. Beyond the edges images are mirrored.

    Parameters
    ----------
    one, other
        Images (Z, Y, X) with a range of 1.

    Returns
    -------
    ndarray
        SSIM (Z, Y, X), -1 to 1: Eq. 13 of Wang et al.
    """
    mean_one, mean_other = _blur(one), _blur(other)
    variance_one = _blur(one * one) - mean_one**2
    variance_other = _blur(other * other) - mean_other**2
    covariance = _blur(one * other) - mean_one * mean_other
    luminance, contrast = _K1**2, _K2**2  # for a range of 1
    similarity: npt.NDArray[np.float64] = (
        (2 * mean_one * mean_other + luminance)
        * (2 * covariance + contrast)
        / (mean_one**2 + mean_other**2 + luminance)
        / (variance_one + variance_other + contrast)
    )
    return similarity


def _blur(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    blurred: npt.NDArray[np.float64] = ndimage.gaussian_filter(
        image, _SIGMA_PX, radius=_RADIUS_PX, axes=(-2, -1)
    )
    return blurred


def _contrast(
    image: npt.NDArray[np.float64],
    lesion: npt.NDArray[np.bool_],
    rest: npt.NDArray[np.bool_],
) -> float:
    outside = _mean(image, rest)
    return _mean(image, lesion) / outside if outside > 0 else _NAN


def _mean(values: npt.NDArray[np.float64], where: npt.NDArray[np.bool_]) -> float:
    return float(values[where].mean()) if where.any() else _NAN


def _check(*arrays: npt.NDArray[Any]) -> None:
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1 or len(shapes[0]) != 3:
        raise InputError(
            f"generated, real, brain and lesion of shapes {', '.join(map(str, shapes))}",
            "one common shape (Z, Y, X)",
            "pass images and masks of one case on one grid",
        )
    for name, image in zip(("generated", "real"), arrays, strict=False):
        if not np.isfinite(image).all():
            raise InputError(
                f"a {name} image with values that are not finite",
                "finite numbers",
                "check the training: its losses may have diverged",
            )
