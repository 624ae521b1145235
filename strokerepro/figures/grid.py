"""Several single slices side by side, such as a map beside its mirrored copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokerepro.errors import InputError
from strokerepro.figures.encode import CONVENTION, to_display, to_grey
from strokerepro.figures.static import Picture, picture_of

_TILE_INCHES = 1.75
_TITLE_INCHES = 0.27  # above each row, and above all of them
_FOOT_INCHES = 0.25
_MARGIN_PX = 3  # around the head
_COLOURS = 64


def image_grid(
    images: Mapping[str, NDArray[Any]],
    *,
    across: int = 5,
    windows: Mapping[str, tuple[float, float]] | None = None,
    outlines: Mapping[str, tuple[NDArray[Any], str]] | None = None,
    orientation: str = "LAS",
    title: str = "",
    alt: str = "",
) -> Picture:
    """Draw single slices in rows, each under its name, without the empty margin around the head.

    Parameters
    ----------
    images
        Slices of one shape by name, each ``(Y, X)``, in the order of reading.
    across
        Images in a row.
    windows
        Values shown as black and white, by name; else the central 99 % of the slice.
    outlines
        Masks ``(Y, X)`` by name with their colours, ``(mask, colour)``, drawn on every image.
    orientation
        As for `slice_viewer`; its last letter has no effect.
    title
        Text above the rows.
    alt
        What the picture shows; the names of the images by default.

    Raises
    ------
    InputError
        No image, one that is not a single slice, or images or masks of several shapes.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    _check_slices({**images, **{name: mask for name, (mask, _) in (outlines or {}).items()}})
    shown = {name: to_display(image[None], orientation)[0] for name, image in images.items()}
    head = _head_window(list(shown.values()))
    rows, columns = -(-len(images) // across), min(across, len(images))
    aspect = (head[0].stop - head[0].start) / (head[1].stop - head[1].start)
    tile_inches = _TILE_INCHES * aspect
    height = rows * (tile_inches + _TITLE_INCHES) + (_TITLE_INCHES if title else 0) + _FOOT_INCHES
    figure = Figure(figsize=(_TILE_INCHES * columns, height), dpi=110, facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    masks = {
        name: (to_display(mask[None], orientation)[0][head] > 0, colour)
        for name, (mask, colour) in (outlines or {}).items()
    }
    for axis, (name, image) in zip(axes, shown.items(), strict=False):
        grey = to_grey(image[None], (windows or {}).get(name))[0]
        axis.imshow(grey[head], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(name, fontsize=9, pad=3)
        for mask, colour in masks.values():
            if mask.any():
                axis.contour(mask, levels=[0.5], colors=[colour], linewidths=1.1)
    handles = [Line2D([], [], color=colour, label=name) for name, (_, colour) in masks.items()]
    if handles:
        figure.legend(handles=handles, loc="lower right", ncols=len(handles), fontsize=8)
    figure.text(0.01, 0.01, CONVENTION, fontsize=8)
    if title:
        figure.suptitle(title, fontsize=10)
    figure.tight_layout(rect=(0, _FOOT_INCHES / height, 1, 1), pad=0.3)
    return picture_of(figure, alt or f"{title or 'Slices'}: {_listed(list(images))}.", _COLOURS)


def _check_slices(slices: Mapping[str, NDArray[Any]]) -> None:
    if not slices:
        raise InputError("no image", "at least one slice", "pass the slices by name")
    expected = next(iter(slices.values())).shape
    for name, image in slices.items():
        if image.ndim != 2 or image.shape != expected:
            raise InputError(
                f"{name} of shape {image.shape}",
                "slices (Y, X) of one shape",
                "choose one slice of each volume",
            )


def _head_window(images: Sequence[NDArray[Any]]) -> tuple[slice, slice]:
    """Rows and columns in which some image differs from its own corner."""
    inside = np.any([image != image[0, 0] for image in images], axis=0)
    if not inside.any():
        return slice(0, inside.shape[0]), slice(0, inside.shape[1])
    rows, columns = (
        slice(max(0, int(line[0]) - _MARGIN_PX), int(line[-1]) + _MARGIN_PX + 1)
        for line in (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    )
    return rows, columns


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def window_of(*arrays: NDArray[Any], share: float = 0.99) -> tuple[float, float]:
    """Give the range that holds the central `share` of all values other than 0.

    Parameters
    ----------
    *arrays
        Images that are to be shown with one window.
    share
        Share of the values inside the window.

    Raises
    ------
    InputError
        Only zeros.
    """
    values = np.concatenate([array[array != 0].ravel() for array in arrays])
    if values.size == 0:
        raise InputError("only zeros", "an image with some other values", "choose another slice")
    low, high = np.quantile(values, ((1 - share) / 2, (1 + share) / 2))
    return float(low), float(high)
