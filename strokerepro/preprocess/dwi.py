"""Diffusion-weighted MRI as the EDD and MUSCLE networks take it.

Source: Chen, Bentley, Rueckert, NeuroImage: Clinical 15 (2017), doi:10.1016/j.nicl.2017.06.016,
Sec. 4.1, and the configuration that its authors released.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from strokerepro.cohort import Case
from strokerepro.errors import InputError, UsageError
from strokerepro.preprocess.geometry import (
    Geometry,
    MaskResample,
    ThickMask,
    Window,
    plan_geometry,
)
from strokerepro.preprocess.grid import resample_to_case
from strokerepro.preprocess.intensity import Float, Norm, adc_um2_per_ms, normalise
from strokerepro.preprocess.prepared import PreparedCase

Crop = Literal["128", "native_pad4"]
SliceMode = Literal["thick", "native"]

_CROP_PX = 128  # side of the released deployment network's input
_PAD_PX = 8  # three poolings; a multiple of 8 also serves the two poolings that "pad4" is for
_THIN_BELOW_MM = 4.0
_THICK_MM = 6.0  # the paper's 5-mm slices with their gaps of 1.0 to 1.5 mm
_BRAIN_SHARE = 0.2


def prepare_dwi(
    case: Case,
    *,
    px_mm: float = 1.6,
    crop: Crop = "128",
    norm: Norm = "release",
    slice_mode: SliceMode = "thick",
    mask_resample: MaskResample = "linear",
    thick_mask: ThickMask = "vote",
    modalities: tuple[str, ...] = ("dwi",),
) -> PreparedCase:
    """Average thin slices, resample in plane, normalise, and cut a window around the brain.

    Parameters
    ----------
    case
        The examination; it needs a DWI, which the window is placed by.
    px_mm
        Pixel spacing after resampling (Sec. 4.1: 1.6 mm).
    crop
        ``"128"``: 128 x 128 pixels centred on the brain's bounding box, padded with 0 if the
        slice is smaller. ``"native_pad4"``: the whole slice, padded with 0 on all sides to a
        multiple of 8, which serves networks with two and with three poolings.
    norm
        See `normalise`.
    slice_mode
        ``"thick"``: slices thinner than 4 mm are averaged in blocks of about 6 mm, an incomplete
        last block over what it has. ``"native"``: slices stay.
    mask_resample, thick_mask
        See `Geometry.resample_mask`.
    modalities
        Channels of the image in this order. ADC is converted to 1e-3 mm2/s before it is
        normalised; a modality on another grid is resampled to the DWI's.

    Raises
    ------
    UsageError
        An unknown option.
    InputError
        A modality that was not read, an image without contrast, or a crop that would lose lesion.
    """
    _check_option("crop", crop, Crop)
    _check_option("slice mode", slice_mode, SliceMode)
    _check_option("mask resampling", mask_resample, MaskResample)
    _check_option("thick-slice mask", thick_mask, ThickMask)
    channels = _on_one_grid(case, ("dwi", *modalities))
    block = _block(case.spacing_mm[0]) if slice_mode == "thick" else 1
    whole = plan_geometry(case.shape, case.spacing_mm, px_mm=px_mm, block=block)
    dwi = whole.resample(channels["dwi"])
    window = _brain_window(dwi) if crop == "128" else _padded_window(whole)
    geometry = replace(whole, window=window)
    image = np.stack(
        [_channel(name, channels[name], geometry, norm, case.case_id) for name in modalities]
    )
    label = None
    if case.label is not None:
        resampled = whole.resample_mask(case.label, mask_resample, thick_mask)
        label = geometry.cut(resampled)
        _check_nothing_lost(case.case_id, resampled, label)
    return PreparedCase(
        case_id=case.case_id,
        patient_id=case.patient_id,
        image=image,
        label=label,
        spacing_mm=geometry.prepared_spacing_mm,
        geometry=geometry,
        native_lesion_voxels=0 if case.label is None else int(case.label.sum()),
    )


def _check_option(kind: str, value: str, known: object) -> None:
    if value not in get_args(known):
        raise UsageError.unknown(kind, value, get_args(known))


def _block(spacing_z_mm: float) -> int:
    return max(1, round(_THICK_MM / spacing_z_mm)) if spacing_z_mm < _THIN_BELOW_MM else 1


def _on_one_grid(case: Case, names: tuple[str, ...]) -> Mapping[str, Float]:
    channels = {}
    for name in names:
        if name in case.arrays:
            channels[name] = case.arrays[name]
        elif name in case.off_grid:
            channels[name] = resample_to_case(case.off_grid[name], case, name)
        else:
            raise InputError(
                f"{case.case_id} without {name}",
                f"{', '.join(names)} among the modalities that were read",
                "name it in `modalities` when the cohort is loaded",
            )
    return channels


def _channel(name: str, volume: Float, geometry: Geometry, norm: Norm, case_id: str) -> Float:
    if name == "adc":
        volume = adc_um2_per_ms(volume, volume > 0, f"adc of {case_id}")
    resampled = geometry.resample(volume)
    return geometry.cut(normalise(resampled, norm, f"{name} of {case_id}"))


def _brain_window(dwi: Float) -> Window:
    """128 pixels around the centre of the brain's bounding box (paper silent on the place).

    Brain is where the mean over the slices exceeds a fifth of its 99th percentile: stray voxels
    outside a stripped skull, and the noise of an unstripped one, would otherwise widen the box.
    """
    mean = dwi.mean(axis=0)  # (Y, X)
    brain = mean > _BRAIN_SHARE * np.percentile(mean, 99)
    centres = []
    for axis in (0, 1):
        occupied = np.flatnonzero(np.any(brain, axis=1 - axis))
        ends = (occupied[0], occupied[-1] + 1) if occupied.size else (0, brain.shape[axis])
        centres.append((int(ends[0]) + int(ends[1])) // 2)
    return Window(centres[0] - _CROP_PX // 2, centres[1] - _CROP_PX // 2, _CROP_PX, _CROP_PX)


def _padded_window(geometry: Geometry) -> Window:
    height, width = geometry.slice_shape
    padded_height, padded_width = (-(-n // _PAD_PX) * _PAD_PX for n in (height, width))
    return Window(
        -((padded_height - height) // 2),
        -((padded_width - width) // 2),
        padded_height,
        padded_width,
    )


def _check_nothing_lost(
    case_id: str, whole: npt.NDArray[np.uint8], cut: npt.NDArray[np.uint8]
) -> None:
    lost = int(whole.sum()) - int(cut.sum())
    if lost:
        raise InputError(
            f"{case_id} with {lost} lesion pixels outside the {_CROP_PX} x {_CROP_PX} window",
            "a window that holds the whole lesion",
            'prepare with crop="native_pad4"',
        )
