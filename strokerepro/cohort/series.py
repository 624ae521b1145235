"""Read a perfusion series: a volume with a time axis and a uniform time step."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from strokerepro.cohort.case import Series, Volume
from strokerepro.cohort.nifti import load_image, volume_of
from strokerepro.errors import InputError

# What a header without a time step means: the ISLES 2018 series were resampled to 1 s.
UNSTATED_STEP_S = 1.0
_STEP_TOLERANCE = 0.01  # relative; published times are rounded
_PER_SECOND = {"sec": 1.0, "msec": 1e3, "usec": 1e6, "unknown": 1.0}
_TIMES = ("VolumeTiming", "FrameTimesStart")  # of the BIDS sidecars for MR and PET


def read_series(path: Path, root: Path) -> tuple[Series, Volume]:
    """Read one series.

    Parameters
    ----------
    path
        A NIfTI file (X, Y, Z, T) or (X, Y, Z, 1, T); a JSON file of the same name beside it may
        announce the times of the volumes.
    root
        The data root, which links must not leave.

    Returns
    -------
    series : Series
        Values (T, Z, Y, X) and the time step. A header without one, or with 0, means 1 s.
    first : Volume
        The first volume with the file's affine and spacing, for checks of the grid.

    Raises
    ------
    InputError
        What makes `strokerepro.cohort.read_volume` fail; fewer than two time points; a time
        step that makes no sense; times that are not uniform, or differ from the header.
    """
    image, values = load_image(path, root, series=True)
    shape = values.shape
    time_points = shape[-1] if len(shape) > 3 else 1
    if time_points < 2 or any(length != 1 for length in shape[3:-1]):
        raise InputError(
            f"{path.name} of shape {shape}, {time_points} time point{'s' * (time_points > 1)}",
            "a series (X, Y, Z, T) of at least two time points",
            "take the 4D file of the release, not one of its volumes",
        )
    values = values.reshape(*shape[:3], time_points)  # (X, Y, Z, 1, T) -> (X, Y, Z, T)
    frames = np.ascontiguousarray(values.transpose(3, 2, 1, 0))
    return Series(frames, _step_s(path, image, time_points)), volume_of(image, values[..., 0])


def _step_s(path: Path, image: Any, time_points: int) -> float:
    announced = _announced_step_s(path, time_points)
    stated = float(image.header.get_zooms()[-1])
    try:
        unit = image.header.get_xyzt_units()[1]
    except KeyError as error:
        unit = f"unit {error}"
    if not 0 <= stated < float("inf") or unit not in _PER_SECOND:
        raise InputError(
            f"{path.name} with a time step of {stated} ({unit})",
            "seconds between two volumes",
            "correct the header",
        )
    step_s = round(stated / _PER_SECOND[unit], 6)
    if announced is None:
        return step_s or UNSTATED_STEP_S
    if step_s and abs(step_s - announced) > _STEP_TOLERANCE * announced:
        raise InputError(
            f"{path.name} with a time step of {step_s:g} s, and {announced:g} s in its JSON file",
            "one time step",
            "correct the wrong one of the two",
        )
    return announced


def _announced_step_s(path: Path, time_points: int) -> float | None:
    """Time step that the JSON file beside a series announces, or None."""
    sidecar = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    if not sidecar.is_file():
        return None
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        times = next((content[key] for key in _TIMES if key in content), None)
        starts_s = None if times is None else [float(time) for time in times]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{sidecar.name}: {error}", "a JSON object", "correct the file") from error
    if starts_s is None:
        return None
    steps_s = [later - earlier for earlier, later in pairwise(starts_s)]
    if len(starts_s) != time_points:
        raise InputError(
            f"{len(starts_s)} times in {sidecar.name} for {time_points} volumes",
            "one time for each volume",
            "take both files from one release",
        )
    smallest, largest = min(steps_s), max(steps_s)
    if not 0 < smallest <= largest <= smallest * (1 + _STEP_TOLERANCE):  # false for NaN as well
        raise InputError(
            f"{path.name} with {smallest:g} to {largest:g} s between its volumes",
            "volumes at equal times apart",
            "resample the series to a uniform time step first",
        )
    return round((starts_s[-1] - starts_s[0]) / (time_points - 1), 6)
