"""Marginals of a diffusion cohort beside published ones: the only thing the knobs were set on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.writing import read_hashes

PIXEL_MM = 1.6
SMALL_PX = 37.0

# Chen, Bentley, Rueckert 2017, Sec. 5.5: 361 test subjects, mean of their mean lesion sizes in
# pixels of 1.6 mm; 271 of them have a mean below 37 pixels.
EDD_MEAN_SIZE_PX = 36.21
EDD_SMALL_SHARE = 271 / 361
# Eastwood et al., AJNR 2003 (PMC8148666): 10**(0.13 + 0.11), effects of ADC and of T2.
EASTWOOD_SIGNAL_RATIO = 1.74

# Stroke Outcome Optimization Project, OpenNeuro ds004889, CC0: 1140 acute lesions that passed
# quality control. They are larger than those of Chen et al. and of this cohort, because both
# select other patients; shown for comparison, never fitted.
SOOP_PERCENTILES = (5, 10, 25, 50, 75, 90, 95)
SOOP_VOLUME_ML = (0.81, 1.14, 2.9, 13.13, 44.22, 97.39, 127.97)
SOOP_MEAN_VOLUME_ML = 32.09
SOOP_COMPONENT_PERCENTILES = (5, 25, 50, 75, 95)
SOOP_COMPONENTS = (1, 1, 3, 6, 14)

_IN_SLICE_8 = np.zeros((3, 3, 3), dtype=bool)
_IN_SLICE_8[:, :, 1] = True
_NORMAL_ADC = (300, 1500)  # 1e-6 mm2/s: leaves out background and cerebrospinal fluid


@dataclass(frozen=True)
class _Subject:
    sizes_px: NDArray[np.int64]  # 2D components at 1.6 mm
    volume_ml: float
    components_3d: int
    signal_ratio: float
    interior_ratio: float  # NaN when no lesion is three pixels wide


def acceptance(root: Path) -> dict[str, Any]:
    """Lesion sizes and contrast of a diffusion cohort.

    Parameters
    ----------
    root
        A complete cohort made by ``make_cohort("dwi", ...)``.

    Returns
    -------
    dict
        Plain numbers and lists: sizes of 2D 8-connected components at 1.6 mm, share of subjects
        whose mean size is below 37 px, ratio of the median signal in the lesion to that of all
        normal tissue, the same without the lesion's outermost pixels (Eastwood et al. measured in
        regions inside the lesions), volumes, and the published values under ``reference``.

    Raises
    ------
    InputError
        When `root` is not a complete phantom cohort.
    """
    subjects = [_measure(root, name) for name in read_hashes(root) if name.endswith("_msk.nii.gz")]
    means = np.array([subject.sizes_px.mean() for subject in subjects])
    volumes = np.array([subject.volume_ml for subject in subjects])
    ratios = np.array([subject.signal_ratio for subject in subjects])
    interior = np.array([subject.interior_ratio for subject in subjects])
    counts = np.array([subject.components_3d for subject in subjects])
    pooled = np.concatenate([subject.sizes_px for subject in subjects])
    return {
        "subjects": len(subjects),
        "mean_size_px": float(means.mean()),
        "median_mean_size_px": float(np.median(means)),
        "small_share": float(np.mean(means < SMALL_PX)),
        "median_component_px": float(np.median(pooled)),
        "components_2d_per_subject": float(pooled.size / len(subjects)),
        "signal_ratio_percentiles_5_50_95": _percentiles(ratios, (5, 50, 95)),
        "interior_ratio_percentiles_5_50_95": _percentiles(
            interior[~np.isnan(interior)], (5, 50, 95)
        ),
        "subjects_with_interior": int(np.sum(~np.isnan(interior))),
        "volume_ml_percentiles": _percentiles(volumes, SOOP_PERCENTILES),
        "volume_ml_mean": float(volumes.mean()),
        "components_3d_percentiles": _percentiles(counts, SOOP_COMPONENT_PERCENTILES),
        "type_counts": _type_counts(root),
        "reference": {
            "edd_mean_size_px": EDD_MEAN_SIZE_PX,
            "edd_small_share": EDD_SMALL_SHARE,
            "eastwood_signal_ratio": EASTWOOD_SIGNAL_RATIO,
            "soop_percentiles": list(SOOP_PERCENTILES),
            "soop_volume_ml": list(SOOP_VOLUME_ML),
            "soop_volume_ml_mean": SOOP_MEAN_VOLUME_ML,
            "soop_component_percentiles": list(SOOP_COMPONENT_PERCENTILES),
            "soop_components": list(SOOP_COMPONENTS),
        },
    }


def component_sizes_px(
    mask: NDArray[Any], spacing_mm: tuple[float, float], pixel_mm: float = PIXEL_MM
) -> NDArray[np.int64]:
    """Sizes of the 8-connected components of every slice, after in-plane resampling.

    Parameters
    ----------
    mask
        ``(X, Y, Z)``, 0 or 1.
    spacing_mm
        Pixel size (x, y) of `mask`.
    pixel_mm
        Pixel size of the result; the mask is interpolated linearly and cut at one half.

    Returns
    -------
    ndarray
        ``(n,)`` pixels per component.
    """
    labels, _ = ndimage.label(_resample(mask, spacing_mm, pixel_mm), structure=_IN_SLICE_8)
    return np.asarray(np.bincount(labels.ravel())[1:])


def _resample(
    mask: NDArray[Any], spacing_mm: tuple[float, float], pixel_mm: float
) -> NDArray[np.bool_]:
    nx, ny = (
        int(np.floor((n - 1) * s / pixel_mm)) + 1
        for n, s in zip(mask.shape[:2], spacing_mm, strict=True)
    )
    x, y, z = np.indices((nx, ny, mask.shape[2]), dtype=np.float64)
    coordinates = np.stack([x * pixel_mm / spacing_mm[0], y * pixel_mm / spacing_mm[1], z])
    values = ndimage.map_coordinates(mask.astype(np.float64), coordinates, order=1, mode="nearest")
    return np.asarray(values >= 0.5)


def _measure(root: Path, mask_name: str) -> _Subject:
    image = nib.load(root / mask_name)
    mask = np.asanyarray(image.dataobj) > 0
    x, y, z = (float(zoom) for zoom in image.header.get_zooms())
    scans = mask_name.removeprefix("derivatives/").replace("/ses-0001/", "/ses-0001/dwi/")
    dwi, adc = (
        np.asanyarray(nib.load(root / scans.replace("_msk", suffix)).dataobj)
        for suffix in ("_dwi", "_adc")
    )
    normal = (adc > _NORMAL_ADC[0]) & (adc < _NORMAL_ADC[1]) & ~mask
    reference = np.median(dwi[normal])
    interior = ndimage.binary_erosion(mask, structure=_IN_SLICE_8)
    sizes = component_sizes_px(mask, (x, y))
    return _Subject(
        # A lesion that the coarser pixels lose altogether counts as one of a single pixel.
        sizes_px=sizes if sizes.size else np.ones(1, dtype=np.int64),
        volume_ml=float(mask.sum()) * x * y * z / 1000.0,
        components_3d=int(ndimage.label(mask, structure=np.ones((3, 3, 3)))[1]),
        signal_ratio=float(np.median(dwi[mask]) / reference),
        interior_ratio=float(np.median(dwi[interior]) / reference) if interior.any() else np.nan,
    )


def _percentiles(values: FloatArray, levels: tuple[int, ...]) -> list[float]:
    return [float(value) for value in np.percentile(values, levels)]


def _type_counts(root: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for path in sorted(root.glob("derivatives/*/*/*_facts.json")):
        kind = json.loads(path.read_text())["facts"]["lesion_type"]
        counts[kind] = counts.get(kind, 0) + 1
    return counts
