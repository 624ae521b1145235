"""Read one case: all its files must be there, fit each other, and mean something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from strokerepro.cohort.case import Case, Series, Volume
from strokerepro.cohort.nifti import read_volume
from strokerepro.cohort.series import read_series
from strokerepro.errors import InputError
from strokerepro.manifest import CaseFiles, Manifest

AFFINE_TOLERANCE = 1e-3  # absolute, on every entry; headers of one scan differ by rounding only


def read_case(
    files: CaseFiles,
    manifest: Manifest,
    root: Path,
    modalities: tuple[str, ...],
    *,
    patient_id: str | None = None,
) -> Case:
    """Read and check one case.

    Parameters
    ----------
    files
        Where its files are.
    manifest
        The data set it belongs to.
    root
        The data root.
    modalities
        What to read; the reference image is read in any case.
    patient_id
        Its patient, if the manifest need not know the case.

    Raises
    ------
    InputError
        A file that cannot be read, one that does not fit the reference image, an image that is 0
        everywhere, or a value below zero where none can be.
    """
    layout = manifest.layout
    wanted = [layout.reference, *(name for name in modalities if name != layout.reference)]
    refuse_ambiguous(files, [*wanted, "label"])
    volumes = {
        name: read_volume(files.images[name], root) for name in wanted if name not in layout.series
    }
    reference = volumes[layout.reference]
    on_grid = {name: volume for name, volume in volumes.items() if name not in layout.off_grid}
    for name, volume in volumes.items():
        if name in on_grid:
            _check_same_grid(files.images[name], volume, reference)
        signed = name not in layout.nonnegative
        _check_meaning(files.images[name], volume.array, may_be_negative=signed)
    return Case(
        case_id=files.case_id,
        patient_id=patient_id or manifest.patients.patient_of(files.case_id),
        arrays={name: volume.array for name, volume in on_grid.items()},
        affine=reference.affine,
        spacing_mm=reference.spacing_mm,
        label=_read_label(files.label, root, reference) if files.label else None,
        off_grid={name: volumes[name] for name in wanted if name in layout.off_grid},
        series={
            name: _read_series_on_grid(files.images[name], root, reference)
            for name in wanted
            if name in layout.series
        },
    )


def refuse_ambiguous(files: CaseFiles, names: Iterable[str]) -> None:
    """Refuse a case with several files where only one can be meant.

    Raises
    ------
    InputError
        For the first such modality among `names`.
    """
    for name in names:
        if name in files.ambiguous:
            found = ", ".join(path.name for path in files.ambiguous[name])
            raise InputError(
                f"{len(files.ambiguous[name])} files for {name} of {files.case_id}: {found}",
                "exactly one",
                "keep the files of one release and move the others away",
            )


def _check_same_grid(path: Path, volume: Volume, reference: Volume) -> None:
    if volume.array.shape != reference.array.shape:
        raise InputError(
            f"{path.name} of shape {volume.array.shape} (Z, Y, X)",
            f"{reference.array.shape}, the shape of the reference image",
            "take all files of a case from one release",
        )
    difference = float(np.abs(volume.affine - reference.affine).max())
    if difference > AFFINE_TOLERANCE:
        raise InputError(
            f"{path.name} whose affine differs by {difference:.4g} from the reference image's",
            f"at most {AFFINE_TOLERANCE:g}",
            "resample the file to the grid of the reference image",
        )
    if not np.allclose(volume.spacing_mm, reference.spacing_mm, atol=AFFINE_TOLERANCE):
        raise InputError(
            f"{path.name} with spacing {volume.spacing_mm} mm",
            f"{reference.spacing_mm} mm (z, y, x), as the reference image",
            "take all files of a case from one release",
        )


def _check_meaning(path: Path, values: npt.NDArray[np.float32], *, may_be_negative: bool) -> None:
    if not values.any():
        raise InputError(
            f"{path.name}, which is 0 in every voxel",
            "an image",
            "fetch or compute the file again, or leave the case out",
        )
    if may_be_negative:
        return
    negative = values[values < 0]
    if negative.size:
        raise InputError(
            f"{path.name} with {negative.size} voxels below 0 such as {negative[0]:g}",
            "flow, volume and times of 0 or more, as in the release",
            "set them to 0 if your deconvolution marks voxels without a value so",
        )


def _read_series_on_grid(path: Path, root: Path, reference: Volume) -> Series:
    series, first = read_series(path, root)
    _check_same_grid(path, first, reference)
    _check_meaning(path, series.array, may_be_negative=True)
    return series


def _read_label(path: Path, root: Path, reference: Volume) -> npt.NDArray[np.uint8]:
    volume = read_volume(path, root)
    _check_same_grid(path, volume, reference)
    values = volume.array
    wrong = values[(values != 0) & (values != 1)]
    if wrong.size:
        raise InputError(
            f"{path.name} with {wrong.size} voxels such as {wrong[0]:g}",
            "a lesion mask of 0 and 1",
            "state the mask's coding in the manifest's data set, or fetch it again",
        )
    return values.astype(np.uint8)


def missing_files(
    files: CaseFiles, modalities: tuple[str, ...], *, with_label: bool = True
) -> Mapping[str, Path]:
    """Files of a case that would be read and are not there, by modality or ``"label"``."""
    wanted = {name: files.images[name] for name in modalities}
    if with_label and files.label:
        wanted["label"] = files.label
    return {name: path for name, path in wanted.items() if not path.exists()}
