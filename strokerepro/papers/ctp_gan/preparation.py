"""Which images of a case are needed, and how they become the channels of the networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from strokerepro.cohort import Case
from strokerepro.errors import InputError
from strokerepro.papers.ctp_gan.settings import MAPS, CtpGanSettings
from strokerepro.preprocess import PreparedCase, prepare_ctp
from strokerepro.preprocess.ctp import Rule
from strokerepro.preprocess.ctp_channels import DWI, SERIES, SERIES_MAXIMUM
from strokerepro.preprocess.geometry import Window

CT = "ct"
#: The threshold rules that are scored beside the networks.
RULES: tuple[Rule, ...] = ("rcbf30", "tmax6", "rcbf30_delay3")
#: What the sides of a window are multiples of, so that four halvings leave no rest.
_MULTIPLE = 16


def needed_images(settings: CtpGanSettings, training: bool) -> tuple[str, ...]:
    """Modalities that a case must have.

    Parameters
    ----------
    settings
        Pipeline and inputs.
    training
        Whether to train: a generator learns from the DWI, but predicts without it.
    """
    used = settings.inputs if settings.pipeline != "dwi" else ()
    ct = (CT,) if CT in used else ()
    series = (SERIES,) if SERIES_MAXIMUM in used else ()
    learns = settings.pipeline == "gan" and training
    dwi = (DWI,) if learns or settings.pipeline == "dwi" else ()
    return (*MAPS, *ct, *series, *dwi)


def prepare(case: Case, settings: CtpGanSettings) -> PreparedCase:
    """Normalise the channels of a case and cut out the window around its brain (Sec. 2.1)."""
    channels: tuple[str, ...] = settings.inputs
    if settings.pipeline != "direct":
        channels = (*(channels if settings.pipeline == "gan" else ()), DWI)
    prepared = prepare_ctp(
        case,
        modalities=channels,
        symmetry="none",
        normalise=settings.normalise,
        resize_px=settings.matrix_px,
        pwi_feature=settings.pwi_feature,
        optional_dwi=settings.pipeline == "gan",
        rules=RULES,
    )
    return crop_to_brain(with_background_zero(prepared), settings.window_px)


def with_background_zero(case: PreparedCase) -> PreparedCase:
    """Shift each channel so that it is 0 outside the brain, as everything that fills up is.

    Statistics of the whole volume leave another constant there; what augmentation, padding and
    slices of another size bring in is 0 and would be tissue to the network.
    """
    brain = case.foreground
    assert brain is not None  # `prepare_ctp` gives one
    if brain.all():
        return case
    outside = tuple(place[0] for place in np.nonzero(~brain))
    background = case.image[(slice(None), *outside)]  # (C,)
    if not background.any():
        return case
    return replace(case, image=case.image - background[:, None, None, None])


def require_dwi(cases: list[PreparedCase]) -> None:
    """Refuse to train a generator on cases that lack what it has to generate.

    Raises
    ------
    InputError
        For the first case without a DWI.
    """
    for case in cases:
        if DWI not in case.channels:
            raise InputError(
                f"{case.case_id} without {DWI}",
                "the DWI that the generator learns from",
                "train on cases with one, or choose --ablation stage2_direct, which needs none",
            )


def crop_to_brain(case: PreparedCase, window_px: int) -> PreparedCase:
    """Cut a square out of all slices of a case; scores on the file's grid are not affected.

    Parameters
    ----------
    case
        As prepared, square slices.
    window_px
        Side of the square. Where the brain is larger, it is the smallest multiple of 16 that
        holds it.

    Returns
    -------
    PreparedCase
        Around the middle of the brain, as far as the slices reach.
    """
    side = case.image.shape[-1]
    if window_px >= side:
        return case
    brain = case.foreground
    assert brain is not None  # `prepare_ctp` gives one
    spans = [_span(np.any(brain, axis=others)) for others in ((0, 2), (0, 1))]
    largest = max(end - first for first, end in spans)
    cut_px = min(side, max(window_px, -(-largest // _MULTIPLE) * _MULTIPLE))
    top, left = (
        int(np.clip((first + end) // 2 - cut_px // 2, 0, side - cut_px)) for first, end in spans
    )
    box = (..., slice(top, top + cut_px), slice(left, left + cut_px))
    old = case.geometry.window
    window = Window(old.top + top, old.left + left, cut_px, cut_px)
    return replace(
        case,
        image=np.ascontiguousarray(case.image[box]),
        label=None if case.label is None else np.ascontiguousarray(case.label[box]),
        foreground=np.ascontiguousarray(brain[box]),
        baselines={name: np.ascontiguousarray(mask[box]) for name, mask in case.baselines.items()},
        geometry=replace(case.geometry, window=window),
    )


def _span(any_brain: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """First position with brain and the one after the last, of a profile ``(N,)``."""
    places = np.flatnonzero(any_brain)
    return int(places[0]), int(places[-1]) + 1
