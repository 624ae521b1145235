"""Parting the slices of one prepared case, to show what such a split leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from strokerepro.cohort import slice_folds
from strokerepro.errors import UsageError
from strokerepro.preprocess.prepared import PreparedCase


def slice_parts(
    prepared: PreparedCase, fold: int, k: int, seed: int
) -> tuple[PreparedCase | None, PreparedCase | None]:
    """Part a case into slices to train on and slices to test on.

    Parameters
    ----------
    prepared
        A case whose slices were not averaged into blocks.
    fold
        The fold that is tested, from 0.
    k, seed
        Number of folds and seed; see `strokerepro.cohort.slice_folds`.

    Returns
    -------
    train, test
        The case with some of its slices each, in their order; None where no slice is left, as in
        a case of two slices that a third fold tests.

    Raises
    ------
    UsageError
        There is no such fold, or slices were averaged, whose parts would overlap in the file.
    """
    if not 0 <= fold < k:
        raise UsageError(f"fold {fold}", f"a fold from 0 to {k - 1}", "choose another fold")
    if prepared.geometry.block != 1:
        raise UsageError(
            f"{prepared.case_id} with {prepared.geometry.block} slices averaged into one",
            "one slice for each of the file",
            "prepare the case without thick slices",
        )
    tested = slice_folds(prepared.image.shape[1], k, seed, prepared.case_id) == fold
    return _with_slices(prepared, ~tested), _with_slices(prepared, tested)


def _with_slices(prepared: PreparedCase, kept: npt.NDArray[np.bool_]) -> PreparedCase | None:
    if not kept.any():
        return None
    if kept.all():
        return prepared
    label, foreground = prepared.label, prepared.foreground
    native, geometry = prepared.native_label, prepared.geometry
    counted = label if native is None else native
    return replace(
        prepared,
        image=prepared.image[:, kept],
        label=None if label is None else label[kept],
        geometry=replace(geometry, shape=(int(kept.sum()), *geometry.shape[1:])),
        native_lesion_voxels=0 if counted is None else int(counted[kept].sum()),
        foreground=None if foreground is None else foreground[kept],
        baselines={name: mask[kept] for name, mask in prepared.baselines.items()},
        file_slices=tuple(np.flatnonzero(kept).tolist()),
        native_label=None if native is None else native[kept],
        native_baselines={name: mask[kept] for name, mask in prepared.native_baselines.items()},
    )
