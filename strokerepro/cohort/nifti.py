"""Read NIfTI files with distrust: every fault is one line that names the file."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from strokerepro.cohort.case import Volume
from strokerepro.errors import InputError
from strokerepro.manifest import leaves_root

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
    image, values = load_image(path, root, series=False)
    return volume_of(image, values.reshape(values.shape[:3]))


def volume_of(image: Any, values: npt.NDArray[np.float32]) -> Volume:
    """Turn values (X, Y, Z) to (Z, Y, X) and add the affine and the zooms of their header."""
    # Headers store float32: 1.6 mm reads as 1.600000024, which would make equal grids unequal.
    x_mm, y_mm, z_mm = (round(float(zoom), 6) for zoom in image.header.get_zooms()[:3])
    return Volume(
        array=np.ascontiguousarray(values.transpose(2, 1, 0)),
        affine=np.asarray(image.affine, dtype=np.float64),
        spacing_mm=(z_mm, y_mm, x_mm),
    )


def load_image(path: Path, root: Path, *, series: bool) -> tuple[Any, npt.NDArray[np.float32]]:
    """Load header and values of a NIfTI file that may be missing, forged or broken.

    Parameters
    ----------
    path, root
        As for `read_volume`.
    series
        Whether the file may have a time axis.

    Returns
    -------
    image : nibabel image
        For its header and affine.
    values : ndarray
        In the axes of the file, (X, Y, Z) or (X, Y, Z, ...), float32 and finite.

    Raises
    ------
    InputError
        See `read_volume`.
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
        _check_header(path, image, series)
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
    return image, values


def _check_header(path: Path, image: Any, series: bool) -> None:
    if not isinstance(image, nib.Nifti1Pair):  # NIfTI-2 and single files are its subclasses
        raise InputError(f"{path.name}, {type(image).__name__}", "a NIfTI image", _AGAIN)
    shape = tuple(int(n) for n in image.shape)
    # A trailing axis of length 1 (X, Y, Z, 1) is a habit of some converters and holds nothing.
    if len(shape) < 3 or min(shape) < 1 or (not series and math.prod(shape[3:]) != 1):
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
