"""All slices of a cohort, stacked once on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from strokerepro.errors import InputError, UsageError
from strokerepro.store.lesions import LesionTable
from strokerepro.store.windows import copy_windows, gather_windows

if TYPE_CHECKING:
    from strokerepro.preprocess import PreparedCase


@dataclass(frozen=True)
class Store:
    """Slices of a cohort on one device, channels last, inside a zero margin.

    Parameters
    ----------
    images
        ``(S, Y + 2 margin, X + 2 margin, C)`` float32. Cases smaller than the largest are filled
        with zeros at their far ends, so a pixel keeps the coordinates it has in its case.
    labels
        ``(S, Y + 2 margin, X + 2 margin)`` uint8, 1 = lesion.
    foreground
        ``(S, Y + 2 margin, X + 2 margin)`` bool: where patches are drawn. As the preparation
        gave it (`PreparedCase.foreground`), or where any channel differs from 0.
    margin_px
        Zero border around every slice.
    slice_case
        ``(S,)`` int64: position of the slice's case in `case_ids`.
    slice_size_px
        ``(S, 2)`` int64: ``[y, x]`` size of the slice's case before filling up.
    case_ids, patient_ids
        One entry a case.
    lesions
        Where the lesion pixels are.
    """

    images: Tensor
    labels: Tensor
    foreground: Tensor
    margin_px: int
    slice_case: Tensor
    slice_size_px: Tensor
    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    lesions: LesionTable

    @classmethod
    def from_cases(
        cls, prepared: Sequence[PreparedCase], device: torch.device | str, margin_px: int = 1
    ) -> Store:
        """Stack prepared cases on `device`.

        Parameters
        ----------
        prepared
            Cases with ``image (C, Z, Y, X)`` and ``label (Z, Y, X)``; Z, Y, X may differ.
        device
            Where the tensors live.
        margin_px
            Zero border, at least 1. Windows may reach beyond it, since all that is outside is
            zero; a wider border gives the same windows and only costs memory.

        Raises
        ------
        InputError
            No case, a case without a mask, or cases that do not fit together.
        UsageError
            A margin below 1.
        """
        if margin_px < 1:
            raise UsageError(f"margin_px={margin_px}", "at least 1", "leave it at its default")
        labels = _checked_labels(prepared)
        depths = np.array([label.shape[0] for label in labels])
        sizes = np.array([label.shape[1:] for label in labels])
        height, width = (int(size) + 2 * margin_px for size in sizes.max(axis=0))
        shape = (int(depths.sum()), height, width)
        images = torch.zeros(*shape, prepared[0].image.shape[0], device=device)
        stacked_labels = torch.zeros(shape, dtype=torch.uint8, device=device)
        foreground = torch.zeros(shape, dtype=torch.bool, device=device)
        first = 0
        for case, label in zip(prepared, labels, strict=True):
            depth, y, x = label.shape
            box = (
                slice(first, first + depth),
                slice(margin_px, margin_px + y),
                slice(margin_px, margin_px + x),
            )
            channels_last = np.moveaxis(case.image, 0, -1)  # (Z, Y, X, C)
            images[box] = torch.from_numpy(np.ascontiguousarray(channels_last)).to(images)
            stacked_labels[box] = torch.from_numpy(np.ascontiguousarray(label)).to(stacked_labels)
            foreground[box] = torch.from_numpy(_foreground(case, label)).to(foreground)
            first += depth
        patient_ids = tuple(case.patient_id for case in prepared)
        return cls(
            images=images,
            labels=stacked_labels,
            foreground=foreground,
            margin_px=margin_px,
            slice_case=torch.from_numpy(np.repeat(np.arange(len(labels)), depths)).to(device),
            slice_size_px=torch.from_numpy(np.repeat(sizes, depths, axis=0)).to(device),
            case_ids=tuple(case.case_id for case in prepared),
            patient_ids=patient_ids,
            lesions=LesionTable.from_masks(labels, patient_ids, device),
        )

    @property
    def device(self) -> torch.device:
        """Device of all tensors."""
        return self.images.device

    @property
    def nbytes(self) -> int:
        """Memory of all tensors in bytes."""
        parts = [
            getattr(part, field.name) for part in (self, self.lesions) for field in fields(part)
        ]
        return sum(part.nbytes for part in parts if isinstance(part, Tensor))

    def background_positions(self) -> Tensor:
        """``(N, 3)`` int64 ``[slice, y, x]`` of all foreground pixels outside lesions."""
        positions = (self.foreground & (self.labels == 0)).nonzero()
        positions[:, 1:] -= self.margin_px
        return positions

    def window(self, corners: Tensor, size_px: int) -> tuple[Tensor, Tensor]:
        """Cut one square window a row of `corners`; what lies outside a slice is zero.

        Parameters
        ----------
        corners
            ``(B, 3)`` int64 ``[slice, y, x]`` of the first pixel, margin not counted; y and x may
            be negative.
        size_px
            Side of the window.

        Returns
        -------
        images
            ``(B, C, size, size)`` float32 in channels-last memory format.
        labels
            ``(B, size, size)`` uint8.
        """
        cut = copy_windows if self.device.type == "cpu" else gather_windows
        margin = torch.tensor([0, self.margin_px, self.margin_px])
        places = (corners + margin.to(corners.device)).to(self.device, non_blocking=True)
        images, labels = cut((self.images, self.labels), places, size_px)
        return images.permute(0, 3, 1, 2), labels  # (B, h, w, C) -> (B, C, h, w)


def _foreground(case: PreparedCase, label: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where patches of a case are drawn, ``(Z, Y, X)``."""
    if case.foreground is None:
        anywhere: NDArray[np.bool_] = (case.image != 0).any(axis=0)
        return anywhere
    if case.foreground.shape != label.shape:
        raise InputError(
            f"case {case.case_id} with foreground {case.foreground.shape} and mask {label.shape}",
            "one shape (Z, Y, X)",
            "prepare image, mask and foreground on one grid",
        )
    return np.ascontiguousarray(case.foreground)


def _checked_labels(prepared: Sequence[PreparedCase]) -> list[NDArray[np.uint8]]:
    """Masks of the cases, after checking that the cases fit together."""
    if not prepared:
        raise InputError("no case", "at least one case to stack", "check the split or the cohort")
    channels = prepared[0].image.shape[0]
    labels = []
    for case in prepared:
        if case.label is None:
            raise InputError(
                f"case {case.case_id} without a lesion mask",
                "a mask for every case of a store",
                "leave the case out, or use `strokerepro predict` on it",
            )
        if case.image.shape != (channels, *case.label.shape):
            raise InputError(
                f"case {case.case_id} with image {case.image.shape} and mask {case.label.shape}",
                f"image ({channels}, Z, Y, X) and mask (Z, Y, X)",
                "prepare all cases with the same modalities and settings",
            )
        if case.label.max(initial=0) > 1:
            raise InputError(
                f"case {case.case_id} with mask values up to {case.label.max()}",
                "0 and 1",
                "binarise the mask",
            )
        labels.append(case.label)
    return labels
