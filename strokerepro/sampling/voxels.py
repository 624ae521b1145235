"""Which voxels of a case patches are placed on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from strokerepro.store import Store


def choose(
    count: int, wanted: int, random: np.random.Generator | None = None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Choose `wanted` of `count` voxels, each equally often but for one.

    Parameters
    ----------
    count, wanted
        Voxels there are, at least 1 unless none is wanted, and positions to fill.
    random
        Chooses those that are taken once more than the others; equal steps if None.

    Returns
    -------
    index
        ``(wanted,)`` rising within each round through the voxels.
    is_repeat
        ``(wanted,)`` bool: all but the first round.
    """
    rounds, rest = divmod(wanted, max(count, 1))
    if random is None:
        extra = np.arange(rest) * count // max(rest, 1)
    else:
        extra = np.sort(random.choice(count, rest, replace=False))
    index = np.concatenate([np.tile(np.arange(count), rounds), extra])
    return index, np.arange(wanted) >= count


def case_voxels(
    store: Store, *, healthy_only: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Go through the cases of a store.

    Parameters
    ----------
    store
        The cases.
    healthy_only
        Leave lesions out of the foreground.

    Yields
    ------
    lesion, foreground
        ``(n, 3)`` ``[slice, y, x]`` in raster order, without margin.
    """
    end = np.cumsum(np.bincount(store.slice_case.cpu(), minlength=len(store.case_ids)))
    for case in np.split(np.arange(len(store.labels)), end[:-1]):
        # A case at a time: the coordinates of a whole cohort's brains would fill the memory.
        part = slice(int(case[0]), int(case[-1]) + 1)
        lesion, foreground = store.labels[part] > 0, store.foreground[part]
        if healthy_only:
            foreground = foreground & ~lesion
        yield (
            _coordinates(lesion, part.start, store),
            _coordinates(foreground, part.start, store),
        )


def _coordinates(mask: Tensor, first_slice: int, store: Store) -> NDArray[np.int64]:
    shift = [first_slice, -store.margin_px, -store.margin_px]
    coordinates: NDArray[np.int64] = mask.nonzero().cpu().numpy() + np.array(shift)
    return coordinates
