"""Pictures without JavaScript, for GitHub's preview and for print."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strokerepro.errors import InputError
from strokerepro.figures.encode import CONVENTION, to_display, to_grey
from strokerepro.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLE_INCHES = 4.5  # what the title needs
_TILE_INCHES = 2.2
_COLUMNS = 3  # few enough for a phone


@dataclass(frozen=True)
class Picture:
    """A PNG with alternative text, shown by notebooks, by GitHub's preview and in the book.

    Parameters
    ----------
    png
        The file's bytes.
    alt
        What the picture shows.
    """

    png: bytes
    alt: str

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        content = base64.b64encode(self.png).decode("ascii")
        # `strokerepro.bookext` reads the alternative text from the output's metadata.
        return {"image/png": content, "text/plain": self.alt}, {"image/png": {"alt": self.alt}}


def picture_of(figure: Figure, alt: str, colours: int | None = None) -> Picture:
    """Write a matplotlib figure as a PNG with alternative text.

    Parameters
    ----------
    figure
        What to write.
    alt
        What it shows.
    colours
        Reduce it to so many colours, which takes a quarter of the bytes where most is grey.
    """
    buffer = io.BytesIO()
    # Without the library's version in the file, the same picture has the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    if colours is None:
        return Picture(buffer.getvalue(), alt)
    reduced = io.BytesIO()
    palette = Image.open(buffer).convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    palette.save(reduced, format="png", optimize=True)
    return Picture(reduced.getvalue(), alt)


def static_overview(
    image: NDArray[Any],
    overlays: Mapping[str, tuple[NDArray[Any], str]],
    *,
    orientation: str = "LAS",
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
    tiles: int = 6,
    title: str = "",
    path: Path | None = None,
) -> Picture:
    """Draw rows of slices with the masks' outlines, on a white ground.

    Parameters
    ----------
    image
        ``(Z, Y, X)``.
    overlays
        Masks by name with their colours, ``(mask (Z, Y, X), colour)``.
    orientation
        Towards what the X, Y and Z indices increase (`nibabel.aff2axcodes` of the affine).
    spacing_mm
        Voxel size (z, y, x).
    tiles
        Number of slices, spread over those that hold a mask (over all where there is none).
    title
        Text above the slices; it becomes part of the alternative text.
    path
        Where to write the PNG as well.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    grey = to_grey(to_display(image, orientation))
    masks = {
        name: (to_display(mask, orientation) > 0, colour)
        for name, (mask, colour) in overlays.items()
    }
    chosen = _spread(grey.shape[0], [mask for mask, _ in masks.values()], tiles)
    rows, columns = -(-len(chosen) // _COLUMNS), min(len(chosen), _COLUMNS)
    figure = Figure(
        figsize=(max(_TILE_INCHES * columns, _TITLE_INCHES), _TILE_INCHES * rows + 0.7),
        dpi=120,
        facecolor="white",
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    aspect = spacing_mm[1] / spacing_mm[2]
    for axis, index in zip(axes, chosen, strict=False):
        axis.imshow(grey[index], cmap="gray", vmin=0, vmax=255, aspect=aspect)
        for mask, colour in masks.values():
            if mask[index].any():
                axis.contour(mask[index], levels=[0.5], colors=[colour], linewidths=1.1)
        axis.set_title(f"slice {index + 1}", fontsize=9, pad=3)
    handles = [Line2D([], [], color=colour, label=name) for name, (_, colour) in masks.items()]
    if handles:
        figure.legend(handles=handles, loc="lower center", ncols=len(handles), fontsize=9)
    figure.suptitle(f"{title} ({CONVENTION})" if title else CONVENTION, fontsize=9)
    figure.tight_layout(rect=(0, 0.06 if handles else 0, 1, 1), h_pad=1.8)
    names = f" with outlines of {', '.join(masks)}" if masks else ""
    picture = picture_of(figure, f"{title or 'Axial slices'}: {len(chosen)} slices{names}.")
    if path is not None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(picture.png)
    return picture


def _spread(depth: int, masks: Sequence[NDArray[Any]], tiles: int) -> list[int]:
    """Slices spread evenly over those that hold a mask, else over the whole volume."""
    held = np.zeros(depth, bool)
    for mask in masks:
        held |= mask.any(axis=(1, 2))
    candidates = np.flatnonzero(held) if held.any() else np.arange(depth)
    picks = np.linspace(0, len(candidates) - 1, min(tiles, len(candidates)))
    return [int(candidates[round(pick)]) for pick in picks]


def lesion_frequency_map(
    volume: NDArray[Any], affine: NDArray[Any], *, title: str = "Lesion frequency"
) -> Picture:
    """Draw lesion frequency over nilearn's MNI152 template.

    Parameters
    ----------
    volume
        ``(Z, Y, X)``: share of cases with a lesion at each voxel, 0..1, in MNI152 space.
    affine
        ``(4, 4)``: voxel indices in the order (x, y, z) to millimetres in MNI152 space.
    title
        Text above the map; it becomes part of the alternative text.

    Raises
    ------
    InputError
        A map without any lesion, of which no slice could be chosen.
    """
    if not np.any(volume > 0):
        raise InputError(
            "an empty map", "a share above 0 somewhere", "check the masks and their space"
        )
    import matplotlib.pyplot as plt
    from nibabel.nifti1 import Nifti1Image
    from nilearn import plotting

    image = Nifti1Image(np.ascontiguousarray(volume.T, dtype=np.float32), affine)  # (X, Y, Z)
    figure = plt.figure(figsize=(9.6, 2.6), dpi=110, facecolor="white")
    plotting.plot_stat_map(
        image,
        display_mode="z",
        cut_coords=6,
        threshold=1e-6,
        vmin=0,
        vmax=float(volume.max()),
        cmap="inferno",
        radiological=True,
        black_bg=False,
        figure=figure,
    )
    figure.suptitle(f"{title} ({CONVENTION})", fontsize=9)
    picture = picture_of(figure, f"{title} over the MNI152 template, six axial slices.")
    plt.close(figure)
    return picture
