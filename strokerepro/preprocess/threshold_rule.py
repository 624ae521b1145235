"""The clinical threshold rule on perfusion maps: relative CBF for the core, Tmax for the rest.

Infarct core: CBF below 30 % of that of normal tissue (Campbell et al., Stroke 42 (2011),
3435-3440, doi:10.1161/STROKEAHA.111.618355: below 31 %). Tissue at risk: Tmax above 6 s (Olivot
et al., Stroke 40 (2009), 469-475, doi:10.1161/STROKEAHA.108.526954: between 4 and 6 s). The
region that commercial software takes for normal tissue, and how it removes small clusters, are
not published. Our choice: normal is all brain with a Tmax below 4 s, by its median, which a few
extreme voxels do not move; clusters connect by faces, edges and corners. A ratio has no unit, so
that the arbitrary scale of a case's CBF cancels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from strokerepro.errors import InputError, UsageError

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]

_NORMAL_TMAX_BELOW_S = 4.0
_TOUCHING = np.ones((3, 3, 3), dtype=bool)  # 26 neighbours
_MM3_PER_ML = 1000.0


def relative_cbf(cbf: Float, tmax_s: Float, brain: Bool) -> Float:
    """CBF over the median CBF of normal tissue, which is brain with a Tmax below 4 s.

    Parameters
    ----------
    cbf
        Cerebral blood flow (Z, Y, X) in any unit.
    tmax_s
        Time to the maximum of the residue function (Z, Y, X) in s.
    brain
        Tissue in which the maps are defined (Z, Y, X), without CSF and large vessels.

    Returns
    -------
    ndarray
        Ratio (Z, Y, X), float32, 0 outside the brain.

    Raises
    ------
    InputError
        Shapes that disagree, no normal tissue, or normal tissue without flow.
    """
    _check_shapes(cbf=cbf, tmax_s=tmax_s, brain=brain)
    normal = cbf[brain & (tmax_s < _NORMAL_TMAX_BELOW_S)]
    reference = float(np.median(normal)) if normal.size else 0.0
    if not reference > 0:
        raise InputError(
            f"maps with a median CBF of {reference:.4g} in {normal.size} voxels of normal tissue",
            f"some brain with a Tmax below {_NORMAL_TMAX_BELOW_S:.0f} s and a CBF above 0",
            "check the two maps: the relative CBF is not defined here",
        )
    return np.where(brain, cbf / np.float32(reference), 0).astype(np.float32)


def rcbf_core(
    cbf: Float,
    tmax_s: Float,
    brain: Bool,
    spacing_mm: Spacing,
    *,
    fraction: float = 0.30,
    gate_tmax_s: float | None = None,
    min_cluster_ml: float = 1.0,
) -> Bool:
    """Infarct core by the rule: relative CBF below a fraction, in clusters that are large enough.

    Parameters
    ----------
    cbf, tmax_s, brain
        See `relative_cbf`.
    spacing_mm
        Voxel spacing (z, y, x).
    fraction
        Core is where the relative CBF is below it.
    gate_tmax_s
        If given, core is only where Tmax is above it as well. Whether commercial software does
        so is not published, hence the switch.
    min_cluster_ml
        Smaller clusters are dropped.

    Returns
    -------
    ndarray
        Core (Z, Y, X), bool.

    Raises
    ------
    UsageError
        A fraction that is not positive, or a negative cluster volume.
    InputError
        See `relative_cbf`.
    """
    if not fraction > 0:
        raise UsageError(f"fraction={fraction}", "a positive share of normal CBF", "use 0.30")
    core = brain & (relative_cbf(cbf, tmax_s, brain) < fraction)
    if gate_tmax_s is not None:
        core &= tmax_s > gate_tmax_s
    return _without_small_clusters(core, spacing_mm, min_cluster_ml)


def tmax_region(
    tmax_s: Float,
    brain: Bool,
    *,
    above_s: float = 6.0,
    spacing_mm: Spacing | None = None,
    min_cluster_ml: float = 0.0,
) -> Bool:
    """Hypoperfused tissue by the rule: brain with a Tmax above a limit.

    Parameters
    ----------
    tmax_s, brain
        See `relative_cbf`.
    above_s
        The limit in s.
    spacing_mm
        Voxel spacing (z, y, x); only needed to drop small clusters.
    min_cluster_ml
        Smaller clusters are dropped.

    Returns
    -------
    ndarray
        Region (Z, Y, X), bool.

    Raises
    ------
    UsageError
        A cluster volume without a spacing, or a negative one.
    InputError
        Shapes that disagree.
    """
    _check_shapes(tmax_s=tmax_s, brain=brain)
    region: Bool = brain & (tmax_s > above_s)
    if spacing_mm is None:
        if min_cluster_ml:
            raise UsageError(
                f"min_cluster_ml={min_cluster_ml} without a spacing",
                "the voxel spacing (z, y, x) in mm",
                "pass spacing_mm",
            )
        return region
    return _without_small_clusters(region, spacing_mm, min_cluster_ml)


def _without_small_clusters(mask: Bool, spacing_mm: Spacing, min_cluster_ml: float) -> Bool:
    if min_cluster_ml < 0:
        raise UsageError(f"min_cluster_ml={min_cluster_ml}", "0 or more", "choose another volume")
    labels, _ = ndimage.label(mask, structure=_TOUCHING)
    voxel_ml = float(np.prod(spacing_mm)) / _MM3_PER_ML
    # Rounding may leave a cluster of exactly the limit a last digit below it.
    large = np.bincount(labels.ravel()) * voxel_ml >= min_cluster_ml * (1 - 1e-9)
    large[0] = False  # the background
    kept: Bool = large[labels]
    return kept


def _check_shapes(**arrays: npt.NDArray[np.generic]) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 3 for shape in shapes.values()):
        raise InputError(
            ", ".join(f"{name} {shape}" for name, shape in shapes.items()),
            "one shape (Z, Y, X)",
            "pass maps and mask of one case on one grid",
        )
