"""Which axis of an array runs from left to right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from nibabel.orientations import aff2axcodes

from strokerepro.errors import InputError

_IN_PLANE = {0: -1, 1: -2}  # axis of the file (X, Y, Z) -> axis of the array (..., Y, X)


def left_right_axis(affine: npt.NDArray[np.float64], name: str) -> int:
    """In-plane axis of an array (Z, Y, X) that comes nearest to left-right, from the affine.

    An identity-like affine, which most files of ISLES 2018 have, names the first axis of the file.

    Parameters
    ----------
    affine
        Voxel (X, Y, Z) to world coordinates, (4, 4).
    name
        What the affine belongs to, for the message of an error.

    Returns
    -------
    int
        -1 for X, -2 for Y.

    Raises
    ------
    InputError
        An affine that is not finite or flattens an axis, or slices that are stacked from left to
        right, so that the two halves of the brain do not meet in any of them.
    """
    codes = aff2axcodes(affine) if np.isfinite(affine).all() else (None, None, None)
    axis = next((axis for axis, code in enumerate(codes) if code in ("L", "R")), None)
    if axis not in _IN_PLANE or None in codes:
        raise InputError(
            f"{name} with an affine of axes {', '.join(str(code) for code in codes)}",
            "left-right along the first or second axis of the file",
            'correct the affine, or prepare without mirrored channels (symmetry="none")',
        )
    return _IN_PLANE[axis]
