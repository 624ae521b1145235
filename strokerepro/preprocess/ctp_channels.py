"""What each channel of a CT perfusion case is made of, and how it is scaled.

Source of the maximum over time and of the DWI as a target: Liu, Stroke lesion segmentation with
2D novel CNN pipeline and novel loss function (BrainLes 2018), Sec. 2.1 and 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from strokerepro.cohort import Case, Series
from strokerepro.errors import InputError, UsageError
from strokerepro.preprocess.geometry import Float
from strokerepro.preprocess.intensity import unit_range, zscore

Normalise = Literal["zscore_brain", "zscore_volume"]
PwiFeature = Literal["max", "max-baseline"]
#: How volumes (..., Z, Y, X) are mirrored.
Mirror = Callable[[Float], Float]

#: The maps of which the brain mask is made.
PERFUSION = ("cbf", "cbv", "mtt", "tmax")
DWI, SERIES, SERIES_MAXIMUM = "dwi", "ctp", "ctp_max"
# Short enough to end before the contrast agent reaches the brain.
_BASELINE_S = 4.0
_READ = "name it in `modalities` when the cohort is loaded"


def channel_volume(case: Case, name: str, pwi_feature: PwiFeature) -> Float:
    """Values of one channel before masking and scaling.

    Parameters
    ----------
    case
        The examination.
    name
        A modality on the common grid, or ``"ctp_max"``.
    pwi_feature
        See `series_maximum`.

    Returns
    -------
    ndarray
        Values (Z, Y, X), float32.

    Raises
    ------
    InputError
        The modality is not among those that were read; for a DWI the message says which release
        has one.
    """
    if name != SERIES_MAXIMUM:
        return map_volume(case, name)
    if SERIES not in case.series:
        raise InputError(
            f"{case.case_id} without {SERIES}",
            "the 4D perfusion series (CT_4DPWI), whose maximum over time is a channel",
            _READ,
        )
    return series_maximum(case.series[SERIES], pwi_feature)


def map_volume(case: Case, name: str) -> Float:
    """Values (Z, Y, X) of a modality on the common grid; see `channel_volume`."""
    if name in case.arrays:
        return case.arrays[name]
    if name == DWI:
        raise InputError(
            f"{case.case_id} without {DWI}",
            "the DWI of the patient (MR_DWI)",
            f"{_READ}; of ISLES 2018 only the first release of June 2018 has it, no later "
            "download, and the phantom has one",
        )
    raise InputError(
        f"{case.case_id} without {name}",
        f"{', '.join(PERFUSION)} and all channels among the modalities that were read",
        _READ,
    )


def present_channels(case: Case, modalities: tuple[str, ...], *, mirrored: bool) -> tuple[str, ...]:
    """Channels asked for, without a final DWI that the case does not have.

    Parameters
    ----------
    case
        The examination.
    modalities
        Channels asked for.
    mirrored
        Whether mirrored copies will follow the channels.

    Raises
    ------
    UsageError
        Leaving the DWI out would give other channels another place.
    """
    if DWI in modalities and (modalities[-1] != DWI or mirrored):
        raise UsageError(
            f"an optional DWI among {', '.join(modalities)}{' and their copies' * mirrored}",
            "the DWI as the last channel, so that the others keep their places without it",
            "name it last, and mirror nothing",
        )
    return tuple(name for name in modalities if name != DWI or name in case.arrays)


def series_maximum(series: Series, feature: PwiFeature = "max") -> Float:
    """Brightest value of every voxel over time.

    Parameters
    ----------
    series
        Values (T, Z, Y, X), HU.
    feature
        ``"max"``: as the paper says, tissue and contrast agent together. ``"max-baseline"``: the
        contrast agent alone, above the mean over the first 4 s.

    Returns
    -------
    ndarray
        Values (Z, Y, X), float32, HU.
    """
    brightest: Float = series.array.max(axis=0)
    if feature == "max":
        return brightest
    frames = max(1, min(len(series.array), round(_BASELINE_S / series.dt_s)))
    baseline: Float = series.array[:frames].mean(axis=0, dtype=np.float64).astype(np.float32)
    return brightest - baseline


def normalised_channels(
    modalities: tuple[str, ...],
    volumes: list[Float],
    brain: npt.NDArray[np.bool_],
    mirror: Mirror | None,
    how: Normalise,
    case_id: str,
) -> Float:
    """Bring channels to the ranges that networks take: a DWI to 0..1, all else to z-scores.

    Parameters
    ----------
    modalities
        Name of each channel.
    volumes
        Values (Z, Y, X) of each channel, 0 outside the brain.
    brain
        Brain mask (Z, Y, X).
    mirror
        How copies are made; None for no copies.
    how
        Over which voxels z-scores are taken; see `prepare_ctp`.
    case_id
        For the message of an error.

    Returns
    -------
    ndarray
        Originals, then their mirrored copies, (C, Z, Y, X), float32.

    Raises
    ------
    InputError
        An image without contrast.
    """
    inside = brain if how == "zscore_brain" else None
    names = [f"{name} of {case_id}" for name in modalities]
    originals = np.stack(
        [
            unit_range(volume, brain, name) if channel == DWI else zscore(volume, inside, name)
            for channel, volume, name in zip(modalities, volumes, names, strict=True)
        ]
    )
    if mirror is None:
        return originals
    copies = mirror(originals)
    if how == "zscore_volume":
        raw = mirror(np.stack(volumes))
        copies = np.stack(
            [
                copy if channel == DWI else zscore(values, None, name)
                for channel, copy, values, name in zip(modalities, copies, raw, names, strict=True)
            ]
        )
    return np.concatenate([originals, copies])
