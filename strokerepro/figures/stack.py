"""The encoded slices of a case: which image goes to which panel, slice by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokerepro.errors import InputError
from strokerepro.figures.encode import overlay_source, to_display, to_grey, webp_source
from strokerepro.figures.style import PALETTE

Volume = NDArray[Any]  # (Z, Y, X)
# name -> (mask (Z, Y, X), or (panels, Z, Y, X) for one mask a panel; colour)
Overlays = Mapping[str, tuple[Volume, str]]
_CONFUSION = {"true positive": "green", "false positive": "vermillion", "false negative": "blue"}


@dataclass(frozen=True)
class BrowsedCase:
    """One entry of a case browser.

    Parameters
    ----------
    label
        Shown in the list, such as ``"best: case 0012, Dice 0.91"``.
    volumes
        Panels by name, each ``(Z, Y, X)`` with the same number of slices.
    overlays
        Masks by name with their colours; each is drawn on the panels of its own shape. A mask
        ``(panels, Z, Y, X)`` has one mask for each panel.
    spacing_mm
        Voxel size (z, y, x).
    orientation
        As for `slice_viewer`.
    """

    label: str
    volumes: Mapping[str, Volume]
    overlays: Overlays = field(default_factory=dict)
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)
    orientation: str = "LAS"


def stored_cases(
    arrays: Mapping[str, NDArray[Any]],
    titles: Mapping[str, str],
    overlays: Mapping[str, str],
    spacing_mm: Sequence[float] | None = None,
    panel: str = "DWI",
) -> list[BrowsedCase]:
    """Cases whose arrays are stored under ``<case>/image`` and ``<case>/<overlay>``.

    Parameters
    ----------
    arrays
        Volumes ``(Z, Y, X)`` by such names; ``<case>/spacing_mm`` (z, y, x) if `spacing_mm` is
        not given.
    titles
        Name of a case in `arrays` to its entry in the list.
    overlays
        Name of a mask in `arrays` to its colour.
    spacing_mm
        Voxel size (z, y, x) of all cases.
    panel
        What the image shows.
    """
    return [
        BrowsedCase(
            title,
            {panel: arrays[f"{case}/image"]},
            {name: (arrays[f"{case}/{name}"], colour) for name, colour in overlays.items()},
            arrays[f"{case}/spacing_mm"].tolist() if spacing_mm is None else spacing_mm,
        )
        for case, title in titles.items()
    ]


def confusion_overlays(
    truth: Volume, predictions: Mapping[str, Volume]
) -> dict[str, tuple[Volume, str]]:
    """True and false positives and false negatives of several predictions, one a panel.

    Parameters
    ----------
    truth
        Reference mask ``(Z, Y, X)``.
    predictions
        Predicted masks ``(Z, Y, X)`` by panel.

    Returns
    -------
    dict
        Name to ``(mask (panels, Z, Y, X), colour)``, for a `BrowsedCase`.
    """
    predicted = np.stack([mask > 0 for mask in predictions.values()])
    lesion = truth > 0
    masks = (predicted & lesion, predicted & ~lesion, ~predicted & lesion)
    return {
        name: (mask, PALETTE[colour])
        for (name, colour), mask in zip(_CONFUSION.items(), masks, strict=True)
    }


@dataclass(frozen=True)
class Stack:
    """The encoded slices of one case: which image goes to which panel, slice by slice."""

    case: BrowsedCase
    panel_of: tuple[int, ...]  # per trace
    overlay_of: tuple[str, ...]  # per trace; "" for the image itself
    sources: tuple[tuple[str, ...], ...]  # per slice, per trace
    labels: tuple[str, ...]  # per slice
    start: int

    def shape(self, panel: int) -> tuple[int, int]:
        """Rows and columns of a panel's image."""
        _, rows, columns = list(self.case.volumes.values())[panel].shape
        return rows, columns


def encode_case(
    case: BrowsedCase,
    windows: Mapping[str, tuple[float, float]],
    slices: Sequence[int] | None,
) -> Stack:
    """Encode the chosen slices of every panel and of every overlay that fits it.

    Raises
    ------
    InputError
        No volume, unequal numbers of slices, or a mask that fits no panel.
    """
    depths = {volume.shape[0] for volume in case.volumes.values()}
    if len(depths) != 1:
        raise InputError(
            f"volumes with {sorted(depths)} slices",
            "one or more volumes with the same number of slices",
            "resample them to one grid",
        )
    depth = depths.pop()
    chosen = list(range(depth)) if slices is None else list(slices)
    masks = {name: _by_panel(case, name) for name in case.overlays}
    columns: list[list[str]] = []
    panel_of: list[int] = []
    overlay_of: list[str] = []
    for panel, (name, volume) in enumerate(case.volumes.items()):
        grey = to_grey(to_display(volume, case.orientation), windows.get(name))
        columns.append([webp_source(grey[index]) for index in chosen])
        panel_of.append(panel)
        overlay_of.append("")
        for overlay, by_panel in masks.items():
            if by_panel[panel].shape == grey.shape:
                colour = case.overlays[overlay][1]
                columns.append([overlay_source(by_panel[panel][k], colour) for k in chosen])
                panel_of.append(panel)
                overlay_of.append(overlay)
    for overlay in set(masks) - set(overlay_of):
        raise InputError(
            f"overlay {overlay!r} of shape {case.overlays[overlay][0].shape}",
            f"the shape of a panel, {[volume.shape for volume in case.volumes.values()]}",
            "resample the mask to the image's grid",
        )
    return Stack(
        case=case,
        panel_of=tuple(panel_of),
        overlay_of=tuple(overlay_of),
        sources=tuple(zip(*columns, strict=True)),
        labels=tuple(f"{index + 1} of {depth}" for index in chosen),
        start=_start(masks, chosen),
    )


def _by_panel(case: BrowsedCase, overlay: str) -> list[NDArray[np.bool_]]:
    """One mask a panel, as displayed."""
    mask, panels = case.overlays[overlay][0], len(case.volumes)
    if mask.ndim == 4 and len(mask) != panels:
        raise InputError(
            f"overlay {overlay!r} with {len(mask)} masks", f"{panels}, one a panel", "add the rest"
        )
    masks = list(mask) if mask.ndim == 4 else [mask] * panels
    return [to_display(item, case.orientation) > 0 for item in masks]


def _start(masks: Mapping[str, list[NDArray[np.bool_]]], chosen: Sequence[int]) -> int:
    """Position of the slice that shows most of the first mask, else the middle one."""
    for by_panel in masks.values():
        areas = by_panel[0][chosen].sum(axis=(1, 2))
        if areas.max() > 0:
            return int(np.argmax(areas))
    return len(chosen) // 2
