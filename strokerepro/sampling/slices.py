"""Whole slices in a new order every epoch, a batch at a time."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from strokerepro.errors import InputError, UsageError
from strokerepro.store import Store

KeptSlices = Literal["all", "lesion_only"]


class SliceBatches:
    """Every slice of a store once an epoch.

    A batch is a function of the seed and its number alone, so an interrupted training continues
    identically and nothing of the sampler needs to be saved.

    Parameters
    ----------
    store
        The cases.
    seed
        Decides the orders.
    keep
        ``"all"``: every slice with foreground or lesion; ``"lesion_only"``: those with lesion.

    Attributes
    ----------
    slices
        ``(N,)`` int64: the slices that are visited, in the order of the store.

    Raises
    ------
    UsageError
        An unknown `keep`.
    InputError
        No slice is left.
    """

    def __init__(self, store: Store, *, seed: int, keep: KeptSlices = "all") -> None:
        if keep not in get_args(KeptSlices):
            raise UsageError.unknown("choice of slices", keep, get_args(KeptSlices))
        kept = (store.labels != 0).flatten(1).any(dim=1)
        if keep == "all":
            kept |= store.foreground.flatten(1).any(dim=1)
        self.slices = kept.nonzero()[:, 0].cpu()
        if len(self.slices) == 0:
            raise InputError(
                f"{len(kept)} slices, none with {'brain' if keep == 'all' else 'lesion'}",
                "at least one slice to train on",
                "check the masks and the training split",
            )
        self.seed = seed
        self._size_px = store.slice_size_px.cpu()
        self._epoch, self._order = -1, self.slices

    def steps_per_epoch(self, batch: int) -> int:
        """Batches in which every slice is visited once; the last one may be smaller."""
        return -(-len(self.slices) // batch)

    def batch(self, index: int, size: int) -> Tensor:
        """Slices ``(B,)`` int64 of batch number `index` since the start of training.

        Parameters
        ----------
        index
            Number of batches before it.
        size
            Slices in a batch. The last batch of an epoch holds what is left of it, and the next
            epoch begins with a full one.
        """
        epoch, step = divmod(index, self.steps_per_epoch(size))
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            order = torch.from_numpy(rng.permutation(len(self.slices)))
            self._epoch, self._order = epoch, self.slices[order]
        return self._order[step * size : (step + 1) * size].clone()

    def largest_px(self, slices: Tensor) -> int:
        """Longest side of some slices ``(B,)``."""
        return int(self._size_px[slices].max())

    def corners(self, slices: Tensor, window_px: int) -> Tensor:
        """Where windows around whole slices begin, for ``Store.window``.

        Parameters
        ----------
        slices
            ``(B,)`` as `batch` gives them.
        window_px
            Side of the windows: the slice's own, or a larger one to rotate the slice in.

        Returns
        -------
        Tensor
            ``(B, 3)`` int64 ``[slice, y, x]`` of the first pixel. Slice and window share their
            centre if both are even or both odd, and else lie half a pixel apart.
        """
        first = self._size_px[slices] // 2 - window_px // 2
        return torch.cat([slices[:, None], first], dim=1)
