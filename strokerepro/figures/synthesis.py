"""Generated images beside the real ones, slice by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from strokerepro.errors import InputError
from strokerepro.figures.encode import to_grey
from strokerepro.figures.stack import BrowsedCase
from strokerepro.figures.style import PALETTE
from strokerepro.figures.viewer import case_browser

_EQUAL = 128  # grey of a voxel that is the same in both images


@dataclass(frozen=True)
class DwiPair:
    """Real and generated diffusion image of one case.

    Attributes
    ----------
    label
        Entry of the list, such as ``"best: case_0012"``.
    real, generated
        ``(Z, Y, X)`` on one scale; 8-bit images count from 0 to 255.
    reference
        Lesion mask ``(Z, Y, X)``.
    masks
        Further masks ``(Z, Y, X)`` by name with their colours, drawn over the real image and the
        reference; the generated image and the difference stay legible.
    spacing_mm
        Voxel size (z, y, x).
    """

    label: str
    real: NDArray[Any]
    generated: NDArray[Any]
    reference: NDArray[Any]
    masks: Mapping[str, tuple[NDArray[Any], str]]
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        shapes = {"generated": self.generated.shape, "reference": self.reference.shape}
        shapes |= {name: mask.shape for name, (mask, _) in self.masks.items()}
        for name, shape in shapes.items():
            if shape != self.real.shape:
                raise InputError(
                    f"{name} of shape {shape}",
                    f"{self.real.shape}, that of the real image",
                    "bring both to one grid",
                )


def dwi_pairs(
    pairs: Sequence[DwiPair], *, window: tuple[float, float] = (0.0, 1.0), alt: str = ""
) -> go.Figure:
    """Real and generated image, their difference and the reference, with one slice slider.

    Parameters
    ----------
    pairs
        One entry of the list each.
    window
        Intensities shown as black and white, alike in both images; 8-bit images are shown as they
        are. The difference is grey where both agree, and black or white where the generated
        image is darker or brighter by the whole window.
    alt
        What the figure shows.

    Raises
    ------
    InputError
        No pair.
    """
    if not pairs:
        raise InputError("no pair", "at least one case", "pass the cases of a record")
    cases = []
    for pair in pairs:
        green = PALETTE["green"]
        volumes = {
            "real DWI": to_grey(pair.real, _window(pair.real, window)),
            "generated DWI": to_grey(pair.generated, _window(pair.generated, window)),
            "generated minus real": signed_grey(pair.real, pair.generated, window),
            "reference": np.where(pair.reference > 0, np.uint8(255), np.uint8(0)),
        }
        overlays = {"reference": (pair.reference, green)}
        for name, (mask, colour) in pair.masks.items():
            nothing = np.zeros_like(mask)
            overlays[name] = (np.stack([mask, nothing, nothing, mask]), colour)
        cases.append(BrowsedCase(pair.label, volumes, overlays, pair.spacing_mm))
    text = alt or (
        f"Real DWI, generated DWI, their difference and the reference lesion of {len(pairs)} "
        "cases, slice by slice."
    )
    return case_browser(cases, across=2, alt=text)


def signed_grey(
    real: NDArray[Any], generated: NDArray[Any], window: tuple[float, float]
) -> NDArray[np.uint8]:
    """Difference generated minus real as grey values: 128 where equal, 1 and 255 a window apart.

    Parameters
    ----------
    real, generated
        Images of one shape and scale; 8-bit images have the window 0 to 255.
    window
        Lowest and highest intensity that is shown.
    """
    low, high = _window(real, window) or (0.0, 255.0)
    share = (generated.astype(np.float32) - real.astype(np.float32)) / (high - low)
    grey: NDArray[np.uint8] = (_EQUAL + np.rint(127 * np.clip(share, -1, 1))).astype(np.uint8)
    return grey


def _window(image: NDArray[Any], window: tuple[float, float]) -> tuple[float, float] | None:
    return None if image.dtype == np.uint8 else window
