"""Read NIfTI files with distrust: every fault is one line that names the file."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from strokerepro.cohort.case import Case, Volume
from strokerepro.errors import InputError
from strokerepro.manifest import CaseFiles, Manifest, leaves_root

AFFINE_TOLERANCE = 1e-3  # absolute, on every entry; headers of one scan differ by rounding only
# Beyond this a header is broken, not unusual; a spacing may even be a denormal number.
_SPACING_MM = (0.001, 1000.0)
_VOXELS_MAX = 1 << 28  # 1 GiB as float32; a larger header is a broken one
_AGAIN = "fetch or convert the file again"

_NO_IMAGE = (ImageFileError, HeaderDataError)
_BROKEN = (EOFError, OSError, zlib.error, gzip.BadGzipFile, ValueError, TypeError, OverflowError)


def read_volume(path: Path, root: Path) -> Volume:
    """Read one image file.

    Parameters
    ----------
    path
        A NIfTI file, compressed or not.
    root
        The data root, which links must not leave.

    Returns
    -------
    Volume
        Values (Z, Y, X) with the file's affine and spacing.

    Raises
    ------
    InputError
        The file is missing, a link out of the root, no NIfTI, truncated, not three-dimensional,
        or holds values that are not finite.
    """
    if leaves_root(path, root):
        raise InputError(
            f"{path.name}, a link that leads out of {root}",
            "a file inside the data folder",
            "replace the link by the file",
        )
    if not path.is_file():
        raise InputError(f"no file {path}", "this file", "run `strokerepro data verify`")
    try:
        image = nib.load(path)
        _check_header(path, image)
        with np.errstate(over="ignore", invalid="ignore"):  # reported below as not finite
            values = np.asarray(image.dataobj, dtype=np.float32)
    except _NO_IMAGE as error:
        raise InputError(f"{path.name}: {error}", "a NIfTI image", _AGAIN) from error
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(
            f"{path.name}, broken or truncated ({error})", "a complete NIfTI image", _AGAIN
        ) from error
    _check_finite(path, values)
    # Headers store float32: 1.6 mm reads as 1.600000024, which would make equal grids unequal.
    x_mm, y_mm, z_mm = (round(float(zoom), 6) for zoom in image.header.get_zooms()[:3])
    return Volume(
        array=np.ascontiguousarray(values.reshape(values.shape[:3]).transpose(2, 1, 0)),
        affine=np.asarray(image.affine, dtype=np.float64),
        spacing_mm=(z_mm, y_mm, x_mm),
    )


def _check_header(path: Path, image: Any) -> None:
    if not isinstance(image, nib.Nifti1Pair):  # NIfTI-2 and single files are its subclasses
        raise InputError(f"{path.name}, {type(image).__name__}", "a NIfTI image", _AGAIN)
    shape = tuple(int(n) for n in image.shape)
    # A trailing axis of length 1 (X, Y, Z, 1) is a habit of some converters and holds nothing.
    if len(shape) < 3 or math.prod(shape[3:]) != 1 or min(shape) < 1:
        raise InputError(f"{path.name} of shape {shape}", "three axes (X, Y, Z)", _AGAIN)
    if math.prod(shape) > _VOXELS_MAX:
        raise InputError(f"{path.name} of shape {shape}", f"at most {_VOXELS_MAX} voxels", _AGAIN)
    if image.get_data_dtype().kind not in "iuf":
        raise InputError(f"{path.name} of {image.get_data_dtype()}", "real numbers", _AGAIN)
    zooms = np.asarray(image.header.get_zooms()[:3], dtype=np.float64)
    smallest_mm, largest_mm = _SPACING_MM
    if not ((zooms >= smallest_mm) & (zooms <= largest_mm)).all():  # false for NaN as well
        expected = f"a spacing of {smallest_mm} to {largest_mm} mm"
        raise InputError(f"{path.name} with spacing {zooms} mm", expected, _AGAIN)
    if not np.isfinite(image.affine).all():
        raise InputError(f"{path.name} with an affine that is not finite", "numbers", _AGAIN)


def _check_finite(path: Path, values: npt.NDArray[np.float32]) -> None:
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise InputError(f"{path.name} with {bad} NaN or infinite voxels", "finite values", _AGAIN)


def read_case(
    files: CaseFiles, manifest: Manifest, root: Path, modalities: tuple[str, ...]
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

    Raises
    ------
    InputError
        A file that cannot be read, or one that does not fit the reference image.
    """
    layout = manifest.layout
    wanted = [layout.reference, *(name for name in modalities if name != layout.reference)]
    volumes = {name: read_volume(files.images[name], root) for name in wanted}
    reference = volumes[layout.reference]
    on_grid = {name: volumes[name] for name in wanted if name not in layout.off_grid}
    for name, volume in on_grid.items():
        _check_same_grid(files.images[name], volume, reference)
    return Case(
        case_id=files.case_id,
        patient_id=manifest.patients.patient_of(files.case_id),
        arrays={name: volume.array for name, volume in on_grid.items()},
        affine=reference.affine,
        spacing_mm=reference.spacing_mm,
        label=_read_label(files.label, root, reference) if files.label else None,
        off_grid={name: volumes[name] for name in wanted if name in layout.off_grid},
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
