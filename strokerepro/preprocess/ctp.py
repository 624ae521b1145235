"""CT and perfusion maps as the networks take them: with mirrored copies, or resized to a square.

Source: Clèrigues et al., Computers in Biology and Medicine (2019),
doi:10.1016/j.compbiomed.2019.103487, Sec. 2.1.1, and what its authors released; the resizing:
Liu et al., Multi-scale deep convolutional neural network for stroke lesions segmentation on CT
images, Sec. 3.1; the maximum of the series and the DWI: Liu, Stroke lesion segmentation with 2D
novel CNN pipeline and novel loss function (BrainLes 2018), Sec. 2.1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from strokerepro.cohort import Case
from strokerepro.errors import InputError, UsageError
from strokerepro.preprocess.ctp_channels import (
    PERFUSION,
    Mirror,
    Normalise,
    PwiFeature,
    channel_volume,
    map_volume,
    normalised_channels,
    present_channels,
)
from strokerepro.preprocess.geometry import Float, Geometry, Window, plan_resize
from strokerepro.preprocess.orientation import left_right_axis
from strokerepro.preprocess.prepared import PreparedCase
from strokerepro.preprocess.reflection import Similarity, fit_reflection, reflect
from strokerepro.preprocess.threshold_rule import rcbf_core, tmax_region

Symmetry = Literal["none", "flip", "rigid", "affine"]
Rule = Literal["rcbf30", "tmax6", "rcbf30_delay3"]
RegisterOn = Literal["stripped", "unstripped"]

_Mask = npt.NDArray[np.bool_]

# Soft tissue in HU: without a window, bone and air would outweigh the brain of an unstripped CT.
_WINDOW_HU = (0.0, 80.0)
_MIN_CLUSTER_ML = 1.0
_DELAY_S = 3.0


def prepare_ctp(
    case: Case,
    *,
    modalities: tuple[str, ...] = ("ct", "cbf", "cbv", "mtt", "tmax"),
    symmetry: Symmetry = "affine",
    normalise: Normalise = "zscore_brain",
    register_on: RegisterOn = "stripped",
    similarity: Similarity = "robust",
    resize_px: int | None = None,
    pwi_feature: PwiFeature = "max",
    optional_dwi: bool = False,
    rules: tuple[Rule, ...] = ("rcbf30", "tmax6"),
) -> PreparedCase:
    """Strip the skull, resize if asked for, append mirrored copies, normalise.

    Parameters
    ----------
    case
        The examination; it needs the four perfusion maps, of which the brain mask is made, and
        CT for a registration.
    modalities
        Channels of the image in this order; their mirrored copies follow in the same order.
        ``"ctp_max"`` is a feature of the series ``ctp``; ``"dwi"`` is scaled by `unit_range`
        whatever `normalise` says, since a network has to synthesise it.
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
    resize_px
        Side of the square of pixels that every slice is stretched to before it is normalised:
        maps linearly, masks by the nearest voxel (160 in Liu et al., Sec. 3.1, who do not name
        the interpolation). None: the grid stays that of the file.
    pwi_feature
        What ``"ctp_max"`` is: the maximum over time of every voxel (Liu, Sec. 2.1), or what of it
        lies above the mean of the first seconds.
    optional_dwi
        A case without DWI is prepared without that channel, which must then be the last of those
        asked for: whoever only predicts from CT does not need it.
    rules
        Names in `baselines`. ``"rcbf30"`` and ``"tmax6"``: see `threshold_rule`;
        ``"rcbf30_delay3"``: the first where Tmax, for the delay, is above 3 s (Liu, Sec. 1, after
        Yu et al., Scientific Reports 6 (2016), 20932).

    Returns
    -------
    PreparedCase
        `foreground` is the brain; `baselines` has the masks of `rules`, computed on the grid of
        the file; `native_label` and `native_baselines` stay there; `channels` names the channels;
        `notes` says if a registration failed, which is warned of as well.

    Raises
    ------
    UsageError
        An unknown option, a side below 1, or an optional DWI that is not the last channel.
    InputError
        A modality that was not read, an impossible map, or an image without contrast.
    """
    for kind, value, known in (
        ("symmetry", symmetry, Symmetry),
        ("normalisation", normalise, Normalise),
        ("CT to register on", register_on, RegisterOn),
        ("feature of the series", pwi_feature, PwiFeature),
        *(("threshold rule", rule, Rule) for rule in rules),
    ):
        if value not in get_args(known):
            raise UsageError.unknown(kind, value, get_args(known))
    if optional_dwi:
        modalities = present_channels(case, modalities, mirrored=symmetry != "none")
    if not modalities:
        raise UsageError("no modality", "at least one channel", "name one, such as tmax")
    geometry = _geometry(case, resize_px)
    brain = brain_mask(case)
    prepared_brain = _resample_mask(geometry, brain).astype(np.bool_)
    # Linear weights reach across the brain's edge: what they bring outside is cut away.
    volumes = [
        np.where(prepared_brain, _resample(geometry, np.where(brain, volume, 0)), 0)
        for volume in (channel_volume(case, name, pwi_feature) for name in modalities)
    ]
    mirror, notes = _mirror(case, brain, symmetry, register_on, similarity, geometry.px_mm)
    baselines = _baselines(case, brain, rules)
    return PreparedCase(
        case_id=case.case_id,
        patient_id=case.patient_id,
        image=normalised_channels(
            modalities, volumes, prepared_brain, mirror, normalise, case.case_id
        ),
        label=None if case.label is None else _resample_mask(geometry, case.label),
        spacing_mm=geometry.prepared_spacing_mm,
        geometry=geometry,
        native_lesion_voxels=0 if case.label is None else int(case.label.sum()),
        foreground=prepared_brain,
        baselines={name: _resample_mask(geometry, mask) for name, mask in baselines.items()},
        native_label=case.label,
        native_baselines=baselines,
        notes=notes,
        channels=modalities
        if mirror is None
        else (*modalities, *(f"mirrored {name}" for name in modalities)),
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
    for name in PERFUSION:
        volume = map_volume(case, name)
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


def _geometry(case: Case, resize_px: int | None) -> Geometry:
    if resize_px is not None:
        return plan_resize(case.shape, case.spacing_mm, size_px=resize_px)
    (_, height, width), (_, y_mm, x_mm) = case.shape, case.spacing_mm
    return Geometry(case.shape, case.spacing_mm, 1, (y_mm, x_mm), Window(0, 0, height, width))


def _resample(geometry: Geometry, volume: Float) -> Float:
    return volume if geometry.prepared_shape == geometry.shape else geometry.resample(volume)


def _resample_mask(
    geometry: Geometry, mask: npt.NDArray[np.uint8] | _Mask
) -> npt.NDArray[np.uint8]:
    binary = mask.astype(np.uint8)
    if geometry.prepared_shape == geometry.shape:
        return binary
    return geometry.resample_mask(binary, "nearest", "vote")


def _mirror(
    case: Case,
    brain: _Mask,
    symmetry: Symmetry,
    register_on: RegisterOn,
    similarity: Similarity,
    px_mm: tuple[float, float],
) -> tuple[Mirror | None, tuple[str, ...]]:
    """How volumes (..., Z, Y, X) of `px_mm` (y, x) are mirrored, and what went wrong."""
    if symmetry == "none":
        return None, ()
    axis = left_right_axis(case.affine, case.case_id)
    if symmetry == "flip":
        return lambda volumes: np.flip(volumes, axis), ()
    # The reflection is fitted to arrays whose last axis is left-right.
    ct = np.clip(map_volume(case, "ct"), *_WINDOW_HU)
    if register_on == "stripped":
        ct = np.where(brain, ct, 0)
    spacing_yx_mm = (case.spacing_mm[1], case.spacing_mm[2])
    if axis == -2:
        ct, spacing_yx_mm, px_mm = ct.swapaxes(-1, -2), spacing_yx_mm[::-1], px_mm[::-1]
    fit = fit_reflection(ct, spacing_yx_mm, model=symmetry, similarity=similarity)
    notes = () if fit.note is None else (f"{case.case_id}: {fit.note}",)
    for note in notes:
        warnings.warn(note, stacklevel=3)

    def mirror(volumes: Float) -> Float:
        if axis == -1:
            return reflect(volumes, fit.reflection, px_mm)
        return reflect(volumes.swapaxes(-1, -2), fit.reflection, px_mm).swapaxes(-1, -2)

    return mirror, notes


def _baselines(
    case: Case, brain: _Mask, rules: tuple[Rule, ...]
) -> Mapping[str, npt.NDArray[np.uint8]]:
    cbf, tmax_s, spacing_mm = case.arrays["cbf"], case.arrays["tmax"], case.spacing_mm
    masks: Mapping[Rule, Callable[[], _Mask]] = {
        "rcbf30": lambda: rcbf_core(cbf, tmax_s, brain, spacing_mm),
        "tmax6": lambda: tmax_region(
            tmax_s, brain, spacing_mm=spacing_mm, min_cluster_ml=_MIN_CLUSTER_ML
        ),
        "rcbf30_delay3": lambda: rcbf_core(cbf, tmax_s, brain, spacing_mm, gate_tmax_s=_DELAY_S),
    }
    return {rule: masks[rule]().astype(np.uint8) for rule in rules}
