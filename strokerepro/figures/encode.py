"""Slices of a volume as small images inside a page: WebP for grey values, PNG for masks."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor
from scipy import ndimage

from strokerepro.errors import UsageError

CONVENTION = "radiological view: the patient's left is on the right"
_FILL_ALPHA = 90  # of 255: the image stays visible under the mask
_ORIENTATIONS = ({"L", "R"}, {"A", "P"}, {"S", "I"})


def to_display(volume: NDArray[Any], orientation: str) -> NDArray[Any]:
    """Turn a volume so that a slice is drawn in radiological convention, first slice lowest.

    Parameters
    ----------
    volume
        ``(Z, Y, X)``, its axes along the body's axes.
    orientation
        Towards what the X, Y and Z indices increase, as `nibabel.aff2axcodes` gives it: ``"LAS"``
        for the patient's left, front and top.

    Returns
    -------
    ndarray
        ``(Z, Y, X)``: row 0 is anterior, and the patient's left is on the right of the image.
    """
    if len(orientation) != 3 or any(
        letter not in pair for letter, pair in zip(orientation, _ORIENTATIONS, strict=True)
    ):
        raise UsageError(
            f"orientation {orientation!r}",
            "L or R, then A or P, then S or I, such as 'LAS'",
            "reorient the volume with nibabel.as_closest_canonical first",
        )
    x, y, z = tuple(orientation)
    return volume[
        :: -1 if z == "I" else 1,
        :: -1 if y == "A" else 1,
        :: -1 if x == "R" else 1,
    ]


def to_grey(volume: NDArray[Any], window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Map intensities to 0..255.

    Parameters
    ----------
    volume
        ``(Z, Y, X)``, finite.
    window
        Intensities shown as black and as white; None takes the 0.5 % and 99.5 % quantiles of the
        whole volume, so that all slices share one scale.
    """
    if volume.dtype == np.uint8 and window is None:
        return volume
    low, high = window or np.quantile(volume, (0.005, 0.995))
    if high <= low:  # a constant volume
        return np.zeros(volume.shape, np.uint8)
    scaled = (volume.astype(np.float32) - low) * (255.0 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def webp_source(grey: NDArray[np.uint8], quality: int = 80) -> str:
    """Encode one slice ``(Y, X)`` as a WebP data URI."""
    return _data_uri(Image.fromarray(grey), "webp", quality=quality, method=6)


def overlay_source(mask: NDArray[np.bool_], colour: str) -> str:
    """Encode one mask ``(Y, X)`` as a PNG data URI: opaque outline, translucent inside."""
    inside = ndimage.binary_erosion(mask)
    index = mask.astype(np.uint8) + inside.astype(np.uint8)
    image = Image.fromarray(index)
    image.putpalette([0, 0, 0, *ImageColor.getrgb(colour)[:3], *ImageColor.getrgb(colour)[:3]])
    transparency = bytes([0, 255, _FILL_ALPHA])
    return _data_uri(image, "png", transparency=transparency, bits=2, optimize=True)


def _data_uri(image: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
