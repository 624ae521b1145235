"""One volume of a phantom: written without a time stamp, recognised again later.

Integers are recognised by a hash. Floating-point maps differ in their last digits between
processors and library versions, so they are recognised by mean, standard deviation and 64 values.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from strokerepro.phantom.anatomy import Grid
from strokerepro.phantom.lattice import FloatArray

TOLERANCE = 1e-3  # relative and absolute, of the values of a map
SAMPLES = 64
_LITTLE_ENDIAN = {"uint8": "u1", "int16": "<i2", "uint16": "<u2"}
_DESCRIPTION = b"SYNTHETIC strokerepro phantom"

Signature: TypeAlias = "str | dict[str, Any]"


@dataclass(frozen=True)
class Placement:
    """Header of a file whose affine does not hold its spacing, or that has a time axis.

    Parameters
    ----------
    affine
        ``(4, 4)``, as it stands in the file.
    spacing_mm
        Zooms (x, y, z).
    dt_s
        Time step of a series ``(X, Y, Z, T)``, else None.
    """

    affine: FloatArray
    spacing_mm: tuple[float, float, float]
    dt_s: float | None = None


def write_volume(path: Path, volume: NDArray[Any], place: Grid | Placement) -> None:
    """Write a volume whose bytes do not depend on the time of day.

    Parameters
    ----------
    path
        ``.nii.gz`` or ``.nii``; its folder is made if missing.
    volume
        ``(X, Y, Z)`` or ``(X, Y, Z, T)``.
    place
        Of a grid, the affine goes into sform and qform and the spacing into the zooms; of a
        placement, the affine goes into the sform only and says nothing about the zooms.
    """
    image = nib.Nifti1Image(volume, place.affine)
    image.header.set_data_dtype(volume.dtype)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(place.affine, code=1)
    if isinstance(place, Placement):
        image.set_qform(None, code=0)  # it would have to agree with the zooms
        times = (place.dt_s,) if place.dt_s is not None else ()
        image.header.set_zooms((*place.spacing_mm, *times))
    else:
        image.set_qform(place.affine, code=1)
        image.header.set_zooms(place.spacing_mm)
    image.header["descrip"] = _DESCRIPTION
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".gz":
        nib.save(image, path)
        return
    with (
        path.open("wb") as stream,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=stream, mtime=0) as packed,
    ):
        packed.write(image.to_bytes())


def signature(volume: NDArray[Any]) -> Signature:
    """What a volume is recognised by: a hash of integers, numbers of a floating-point map."""
    if np.issubdtype(volume.dtype, np.integer):
        return array_sha256(volume)
    values = volume.ravel(order="F")
    inside = np.flatnonzero(values)  # zeros outside the brain would say little
    spread = np.linspace(0, max(inside.size - 1, 0), min(SAMPLES, inside.size))
    places = inside[spread.astype(np.intp)]
    return {
        "dtype": str(volume.dtype),
        "shape": list(volume.shape),
        "mean": float(values.mean(dtype=np.float64)),
        "sd": float(values.std(dtype=np.float64)),
        "places": [int(place) for place in places],
        "values": [float(values[place]) for place in places],
    }


def matches(volume: NDArray[Any], expected: Signature) -> bool:
    """Whether a volume is the one with this signature, maps within `TOLERANCE`."""
    if isinstance(expected, str):
        return str(volume.dtype) in _LITTLE_ENDIAN and array_sha256(volume) == expected
    if [str(volume.dtype), list(volume.shape)] != [expected["dtype"], expected["shape"]]:
        return False
    values = volume.ravel(order="F")
    found = [values.mean(dtype=np.float64), values.std(dtype=np.float64)]
    found += [values[place] for place in expected["places"]]
    wanted = [expected["mean"], expected["sd"], *expected["values"]]
    return bool(np.allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE))


def array_sha256(volume: NDArray[Any]) -> str:
    """SHA-256 of an integer volume: type, shape and little-endian values in Fortran order."""
    code = _LITTLE_ENDIAN[str(volume.dtype)]
    digest = hashlib.sha256(f"{volume.dtype}{volume.shape}".encode())
    # The last axis is the slowest in Fortran order; part by part, no copy of a series is made.
    for part in np.moveaxis(volume, -1, 0):
        digest.update(part.astype(code).tobytes(order="F"))
    return digest.hexdigest()
