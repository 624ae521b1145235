"""Where the lesion pixels of a store are, in runs that can be drawn from without a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

# 8-connected within a slice, no connection between slices (lesions are 2D in the papers).
_IN_SLICE_8 = np.zeros((3, 3, 3), dtype=bool)
_IN_SLICE_8[1] = True


@dataclass(frozen=True)
class LesionTable:
    """All lesion pixels of a store, in runs: patient by patient, slice by slice, lesion by lesion.

    A run of a group (a lesion, a slice, a patient) `i` is ``pixels[start[i]:start[i + 1]]``, so
    that drawing "a group, then one of its pixels" needs no search.

    Parameters
    ----------
    pixels
        ``(P, 3)`` int64, ``[slice, y, x]`` in coordinates without margin.
    lesion_start, slice_start, patient_start
        ``(groups + 1,)`` int64 boundaries of the runs. A lesion is a 2D 8-connected component.
    """

    pixels: Tensor
    lesion_start: Tensor
    slice_start: Tensor
    patient_start: Tensor

    @classmethod
    def from_masks(
        cls,
        masks: Sequence[NDArray[np.uint8]],
        patient_ids: Sequence[str],
        device: torch.device | str,
    ) -> LesionTable:
        """Find the lesions of the cases' masks, each ``(Z, Y, X)``, in the order of the store."""
        order = {patient: number for number, patient in enumerate(dict.fromkeys(patient_ids))}
        rows = [np.zeros((0, 5), dtype=np.int64)]
        first_slice = first_lesion = 0
        for mask, patient in zip(masks, patient_ids, strict=True):
            components, count = ndimage.label(mask, structure=_IN_SLICE_8)
            z, y, x = components.nonzero()
            lesion = components[z, y, x] + first_lesion
            patient_number = np.full_like(z, order[patient])
            rows.append(np.stack([patient_number, lesion, z + first_slice, y, x], 1))
            first_slice, first_lesion = first_slice + len(mask), first_lesion + count
        table = np.concatenate(rows)
        # Lesion numbers rise with the slice, so patient and lesion order the slices as well.
        table = table[np.lexsort((table[:, 1], table[:, 0]))]
        return cls(
            pixels=torch.from_numpy(table[:, 2:].copy()).to(device),
            lesion_start=_run_starts(table[:, 1]).to(device),
            slice_start=_run_starts(table[:, 2]).to(device),
            patient_start=_run_starts(table[:, 0]).to(device),
        )


def _run_starts(key: NDArray[np.int64]) -> Tensor:
    """Find the ``(runs + 1,)`` boundaries of runs of equal values."""
    changes = np.flatnonzero(np.diff(key, prepend=-1))
    return torch.from_numpy(np.append(changes, len(key)))
