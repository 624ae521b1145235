"""Dice of whole cases from slices that come in batches of any order, without leaving the device."""

from __future__ import annotations

import torch
from torch import Tensor

from strokerepro.store import Store


class SliceDice:
    """Voxels that are found, true and both, summed by case.

    Parameters
    ----------
    store
        Where the slices come from.
    """

    def __init__(self, store: Store) -> None:
        self._case_of = store.slice_case
        self._voxels = torch.zeros(len(store.case_ids), 3, dtype=torch.float64, device=store.device)

    def add(self, slices: Tensor, found: Tensor, truth: Tensor) -> None:
        """Count some slices ``(B,)`` of the store with masks ``(B, Y, X)``, bool."""
        sizes = torch.stack([found & truth, found, truth], dim=1).sum(dim=(2, 3))  # (B, 3)
        rows = self._case_of[slices.to(self._case_of.device)]
        self._voxels.index_add_(0, rows, sizes.to(self._voxels.dtype))

    def mean(self) -> float:
        """Mean Dice over the cases with a lesion; NaN if none has one."""
        both, predicted, true = self._voxels.cpu().unbind(1)
        return float((2 * both / (predicted + true))[true > 0].mean())
