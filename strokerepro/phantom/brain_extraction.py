"""Zero what is not brain, as the published images of ISLES 2022 are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from strokerepro.phantom.lattice import FloatArray


def extracted_brain(clean: FloatArray, parenchyma: float, floor: float) -> NDArray[np.bool_]:
    """Tell what an extraction tool would keep of an image.

    The image decides, not the anatomy: a lobe that susceptibility shifts or blanks is cut as a
    tool that sees only the image would cut it.

    Parameters
    ----------
    clean
        Signal without noise, ``(X, Y, Z)``.
    parenchyma
        Median signal of the parenchyma.
    floor
        Share of `parenchyma` below which a voxel is not brain.

    Returns
    -------
    ndarray
        ``(X, Y, Z)`` bool; voids inside a slice of brain are kept.
    """
    bright = clean > floor * parenchyma
    slices = [ndimage.binary_fill_holes(bright[:, :, z]) for z in range(clean.shape[2])]
    return np.stack(slices, axis=2)
