"""CT and perfusion maps as the lesion-core network takes them, with their mirrored copies.

Source: Clèrigues et al., Computers in Biology and Medicine (2019),
doi:10.1016/j.compbiomed.2019.103487, Sec. 2.1.1, and what its authors released.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from strokerepro.cohort import Case
from strokerepro.errors import InputError, UsageError
from strokerepro.preprocess.geometry import Float, Geometry, Window
from strokerepro.preprocess.intensity import zscore
from strokerepro.preprocess.orientation import left_right_axis
from strokerepro.preprocess.prepared import PreparedCase
from strokerepro.preprocess.reflection import Similarity, fit_reflection, reflect
from strokerepro.preprocess.threshold_rule import rcbf_core, tmax_region

Symmetry = Literal["none", "flip", "rigid", "affine"]
Normalise = Literal["zscore_brain", "zscore_volume"]
RegisterOn = Literal["stripped", "unstripped"]

_Mask = npt.NDArray[np.bool_]
_Mirror = Callable[[Float], Float]

_PERFUSION = ("cbf", "cbv", "mtt", "tmax")
# Soft tissue in HU: without a window, bone and air would outweigh the brain of an unstripped CT.
_WINDOW_HU = (0.0, 80.0)
_MIN_CLUSTER_ML = 1.0


def prepare_ctp(
    case: Case,
    *,
    modalities: tuple[str, ...] = ("ct", "cbf", "cbv", "mtt", "tmax"),
    symmetry: Symmetry = "affine",
    normalise: Normalise = "zscore_brain",
    register_on: RegisterOn = "stripped",
    similarity: Similarity = "robust",
) -> PreparedCase:
    """Strip the skull, append mirrored copies, normalise; the grid stays that of the file.

    Parameters
    ----------
    case
        The examination; it needs the four perfusion maps, of which the brain mask is made, and
        CT for a registration.
    modalities
        Channels of the image in this order; their mirrored copies follow in the same order.
    symmetry
        How an image is mirrored: by a flip of the left-right axis alone, by a flip followed by a
        rigid or an affine registration in plane of the flipped CT to the CT, whose transform
        holds for all modalities and slices, or not at all. Paper: affine, with FLIRT, which is
        replaced here by `fit_reflection`; the released code is rigid.
    normalise
        ``"zscore_brain"``: zero mean and unit variance over the brain, 0 outside (paper silent);
        a mirrored copy takes the statistics of its original, so that equal sides have equal
        values. ``"zscore_volume"``: each channel over the whole volume with its background, as
        released.
    register_on
        The CT that is registered: skull-stripped (the order of the paper's text) or not (as
        released).
    similarity
        See `fit_reflection`.

    Returns
    -------
    PreparedCase
        `foreground` is the brain; `baselines` has ``"rcbf30"`` and ``"tmax6"``, see
        `threshold_rule`; `notes` says if a registration failed, which is warned of as well.

    Raises
    ------
    UsageError
        An unknown option.
    InputError
        A modality that was not read, an impossible map, or an image without contrast.
    """
    for kind, value, known in (
        ("symmetry", symmetry, Symmetry),
        ("normalisation", normalise, Normalise),
        ("CT to register on", register_on, RegisterOn),
    ):
        if value not in get_args(known):
            raise UsageError.unknown(kind, value, get_args(known))
    if not modalities:
        raise UsageError("no modality", "at least one channel", "name one, such as tmax")
    brain = brain_mask(case)
    volumes = [np.where(brain, _volume(case, name), 0) for name in modalities]
    mirror, notes = _mirror(case, brain, symmetry, register_on, similarity)
    names = [f"{name} of {case.case_id}" for name in modalities]
    image = _channels(volumes, names, brain, mirror, normalise)
    (_, y_mm, x_mm), (_, height, width) = case.spacing_mm, case.shape
    window = Window(0, 0, height, width)
    return PreparedCase(
        case_id=case.case_id,
        patient_id=case.patient_id,
        image=image,
        label=case.label,
        spacing_mm=case.spacing_mm,
        geometry=Geometry(case.shape, case.spacing_mm, 1, (y_mm, x_mm), window),
        native_lesion_voxels=0 if case.label is None else int(case.label.sum()),
        foreground=brain,
        baselines=_baselines(case, brain),
        notes=notes,
    )


def brain_mask(case: Case) -> _Mask:
    """Brain where the sum of the four perfusion maps is not 0 (Sec. 2.1.1).

    Parameters
    ----------
    case
        The examination with its maps.

    Returns
    -------
    ndarray
        Brain (Z, Y, X), bool: maps have no value on the skull, in air, and where their software
        has taken out fluid and vessels.

    Raises
    ------
    InputError
        A map that was not read, that is 0 everywhere, or that holds negative or bad values.
    """
    total = np.zeros(case.shape, np.float32)
    for name in _PERFUSION:
        volume = _volume(case, name)
        lowest = float(volume.min()) if np.isfinite(volume).all() else float("nan")
        if not lowest >= 0:
            raise InputError(
                f"{name} of {case.case_id} with values down to {lowest:.4g}",
                "finite values of 0 and above",
                "check the file: a perfusion map has none of these",
            )
        if not volume.any():
            raise InputError(
                f"{name} of {case.case_id} with 0 everywhere",
                "a perfusion map",
                "check the file, or exclude the case by moving its folder away",
            )
        total += volume
    brain: _Mask = total != 0
    return brain


def _volume(case: Case, name: str) -> Float:
    if name not in case.arrays:
        raise InputError(
            f"{case.case_id} without {name}",
            f"{', '.join(_PERFUSION)} and all channels among the modalities that were read",
            "name it in `modalities` when the cohort is loaded",
        )
    return case.arrays[name]


def _mirror(
    case: Case, brain: _Mask, symmetry: Symmetry, register_on: RegisterOn, similarity: Similarity
) -> tuple[_Mirror | None, tuple[str, ...]]:
    """How volumes (..., Z, Y, X) of this case are mirrored, and what went wrong."""
    if symmetry == "none":
        return None, ()
    axis = left_right_axis(case.affine, case.case_id)
    if symmetry == "flip":
        return lambda volumes: np.flip(volumes, axis), ()
    # The reflection is fitted to arrays whose last axis is left-right.
    ct = np.clip(_volume(case, "ct"), *_WINDOW_HU)
    if register_on == "stripped":
        ct = np.where(brain, ct, 0)
    spacing_yx_mm = (case.spacing_mm[1], case.spacing_mm[2])
    if axis == -2:
        ct, spacing_yx_mm = ct.swapaxes(-1, -2), spacing_yx_mm[::-1]
    fit = fit_reflection(ct, spacing_yx_mm, model=symmetry, similarity=similarity)
    notes = () if fit.note is None else (f"{case.case_id}: {fit.note}",)
    for note in notes:
        warnings.warn(note, stacklevel=3)

    def mirror(volumes: Float) -> Float:
        if axis == -1:
            return reflect(volumes, fit.reflection, spacing_yx_mm)
        return reflect(volumes.swapaxes(-1, -2), fit.reflection, spacing_yx_mm).swapaxes(-1, -2)

    return mirror, notes


def _channels(
    volumes: list[Float], names: list[str], brain: _Mask, mirror: _Mirror | None, how: Normalise
) -> Float:
    """Normalised originals, then their mirrored copies, (C, Z, Y, X)."""
    if how == "zscore_brain":
        originals = np.stack(
            [zscore(volume, brain, name) for volume, name in zip(volumes, names, strict=True)]
        )
        return originals if mirror is None else np.concatenate([originals, mirror(originals)])
    raw = np.stack(volumes)
    if mirror is not None:
        raw, names = np.concatenate([raw, mirror(raw)]), names * 2
    return np.stack([zscore(volume, None, name) for volume, name in zip(raw, names, strict=True)])


def _baselines(case: Case, brain: _Mask) -> Mapping[str, npt.NDArray[np.uint8]]:
    tmax_s = case.arrays["tmax"]
    masks = {
        "rcbf30": rcbf_core(case.arrays["cbf"], tmax_s, brain, case.spacing_mm),
        "tmax6": tmax_region(
            tmax_s, brain, spacing_mm=case.spacing_mm, min_cluster_ml=_MIN_CLUSTER_ML
        ),
    }
    return {name: mask.astype(np.uint8) for name, mask in masks.items()}
