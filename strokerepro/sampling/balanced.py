"""Balanced patches: half of them around lesion voxels, half around healthy ones, case by case.

Source: Clèrigues et al., Computers in Biology and Medicine (2019),
doi:10.1016/j.compbiomed.2019.103487, Sec. 3.1 and 3.3.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from strokerepro.errors import InputError, UsageError
from strokerepro.sampling.voxels import case_voxels, choose
from strokerepro.store import Store

BalancedKind = Literal["balanced", "uniform"]
Selection = Literal["regular", "random"]
Negatives = Literal["healthy", "any_brain"]

# Separate streams of the seed, so that orders do not depend on how positions were selected.
_SELECTION, _EPOCH = 0, 1


class PatchBatch(NamedTuple):
    """Where the patches of one batch are cut.

    Attributes
    ----------
    corners
        ``(B, 3)`` int64 ``[slice, y, x]`` of the first pixel, for ``Store.window``.
    is_repeat
        ``(B,)`` bool: the voxel was taken before in the same epoch, so the patch is to be
        deformed (Sec. 3.1).
    """

    corners: Tensor
    is_repeat: Tensor


class BalancedPatches:
    """A fixed list of positions, as many for each case, visited in a new order every epoch.

    A batch is a function of the seed and its number alone, so an interrupted training continues
    identically and nothing of the sampler needs to be saved.

    Parameters
    ----------
    store
        The cases.
    patch_px
        Side of the patch.
    per_case
        Positions for each case (4000 in the paper; 376,000 over its 94 cases show that it is per
        case and not per patient).
    seed
        Decides orders, offsets and random selections.
    kind
        ``"balanced"``: half the positions on lesion voxels, half on negatives; a case without
        lesion has negatives only. ``"uniform"``: all on foreground voxels of either label.
    selection
        ``"regular"``: equal steps through the case's voxels in raster order; if there are fewer
        than wanted, all of them as often as they fit, and the rest in equal steps.
        ``"random"``: the same with a random choice in place of the equal steps.
    offset
        Whether a lesion voxel lies at a uniformly random place of the patch, drawn anew at each
        visit; all other positions are the patch's centre, ``[patch_px // 2]``.
    negatives
        ``"healthy"``: foreground outside lesions; ``"any_brain"``: any foreground.

    Attributes
    ----------
    positions
        ``(N, 3)`` int64 ``[slice, y, x]``, case by case.
    is_lesion
        ``(N,)`` bool: taken as a lesion voxel.
    is_repeat
        ``(N,)`` bool: the same voxel stands in the case's list before.

    Raises
    ------
    UsageError
        An unknown option, or a size or number below 1 (balanced: below 2 positions).
    InputError
        A case with nothing to draw negatives from.
    """

    def __init__(
        self,
        store: Store,
        *,
        patch_px: int,
        per_case: int,
        seed: int,
        kind: BalancedKind = "balanced",
        selection: Selection = "regular",
        offset: bool = True,
        negatives: Negatives = "healthy",
    ) -> None:
        _check(patch_px, per_case, kind, selection, negatives)
        self.patch_px, self.seed, self.offset = patch_px, seed, offset
        rng = np.random.default_rng([seed, _SELECTION]) if selection == "random" else None
        positions, is_lesion, is_repeat = [], [], []
        healthy_only = kind == "balanced" and negatives == "healthy"
        voxels = case_voxels(store, healthy_only=healthy_only)
        for case_id, (lesion, other) in zip(store.case_ids, voxels, strict=True):
            n_lesion = per_case // 2 if kind == "balanced" and len(lesion) else 0
            if len(other) == 0:
                raise _no_negatives(case_id)
            lesion_index, lesion_repeat = choose(len(lesion), n_lesion, rng)
            other_index, other_repeat = choose(len(other), per_case - n_lesion, rng)
            positions += [lesion[lesion_index], other[other_index]]
            is_repeat += [lesion_repeat, other_repeat]
            is_lesion.append(np.arange(per_case) < n_lesion)
        self.positions = torch.from_numpy(np.concatenate(positions))
        self.is_lesion = torch.from_numpy(np.concatenate(is_lesion))
        self.is_repeat = torch.from_numpy(np.concatenate(is_repeat))
        self._epoch, self._visits = -1, PatchBatch(self.positions, self.is_repeat)

    def steps_per_epoch(self, batch: int) -> int:
        """Batches in which every position is visited once; the last one may be smaller."""
        return -(-len(self.positions) // batch)

    def batch(self, index: int, size: int) -> PatchBatch:
        """Batch number `index` since the start of training.

        Parameters
        ----------
        index
            Number of batches before it.
        size
            Positions in a batch. The last batch of an epoch holds what is left of it, and the
            next epoch begins with a full one.
        """
        epoch, step = divmod(index, self.steps_per_epoch(size))
        visits = self._visits_of(epoch)
        part = slice(step * size, (step + 1) * size)
        return PatchBatch(visits.corners[part].clone(), visits.is_repeat[part].clone())

    def _visits_of(self, epoch: int) -> PatchBatch:
        """All patches of an epoch in their order, kept until another epoch is asked for."""
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, _EPOCH, epoch])
            order = torch.from_numpy(rng.permutation(len(self.positions)))
            corners = self.positions[order]
            corners[:, 1:] -= self._places(rng, self.is_lesion[order])
            self._epoch, self._visits = epoch, PatchBatch(corners, self.is_repeat[order])
        return self._visits

    def _places(self, rng: np.random.Generator, is_lesion: Tensor) -> Tensor:
        """``(N, 2)`` ``[y, x]`` of the position in its patch."""
        centre = torch.full((len(is_lesion), 2), self.patch_px // 2)
        if not self.offset:
            return centre
        anywhere = torch.from_numpy(rng.integers(self.patch_px, size=(len(is_lesion), 2)))
        return torch.where(is_lesion[:, None], anywhere, centre)


def _no_negatives(case_id: str) -> InputError:
    return InputError(
        f"case {case_id} without foreground to draw negatives from",
        "voxels outside the lesion",
        "check its mask and its background, or leave the case out",
    )


def _check(patch_px: int, per_case: int, kind: str, selection: str, negatives: str) -> None:
    for option, value, known in (
        ("kind of patches", kind, get_args(BalancedKind)),
        ("selection", selection, get_args(Selection)),
        ("source of negatives", negatives, get_args(Negatives)),
    ):
        if value not in known:
            raise UsageError.unknown(option, value, known)
    least = 2 if kind == "balanced" else 1
    if patch_px < 1 or per_case < least:
        raise UsageError(
            f"patches of {patch_px} px, {per_case} a case",
            f"at least 1 px and {least} a case",
            "the paper has 64 px and 4000 a case",
        )
