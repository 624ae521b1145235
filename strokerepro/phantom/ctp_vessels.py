"""Arteries and sinuses large enough to be seen: tubes along polylines in template space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from strokerepro.phantom.ctp_config import VesselConfig
from strokerepro.phantom.ctp_occlusion import Occlusion
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.perfusion.tissue_curves import CurveTable
from strokerepro.phantom.territories import Points, fill_polyline

Branch = tuple[str, float, Points]

# Name, radius in mm and course in MNI mm; placed by hand on standard anatomy. Those off the
# midline exist on both sides.
ARTERIES: tuple[Branch, ...] = (
    ("ICA", 2.4, ((14, 4, -22), (12, 2, -16))),
    ("M1", 1.7, ((12, 2, -16), (25, 4, -16), (38, 2, -12))),
    ("M2-superior", 1.2, ((38, 2, -12), (42, 8, -2), (46, 14, 10), (50, 8, 22))),
    ("M2-inferior", 1.2, ((38, 2, -12), (44, -8, -4), (48, -20, 0), (52, -36, 12))),
    ("ACA", 1.3, ((8, 8, -14), (3, 22, -14), (3, 38, -4), (3, 42, 12), (3, 30, 30), (3, 8, 38))),
    ("PCA", 1.3, ((3, -22, -16), (10, -26, -12), (16, -34, -8), (14, -52, 0))),
)
SINUSES: tuple[Branch, ...] = (
    (
        "sagittal",
        3.0,
        (
            (0, 55, 35), (0, 30, 58), (0, 0, 74), (0, -35, 76),
            (0, -70, 60), (0, -95, 35), (0, -106, 8), (0, -104, -10),
        ),
    ),
    ("transverse", 3.0, ((8, -98, -12), (30, -88, -18), (50, -70, -24), (58, -50, -30))),
    ("internal cerebral", 1.2, ((3, 2, 16), (3, -18, 14), (2, -36, 8), (0, -44, 8))),
    ("straight", 1.8, ((0, -44, 8), (0, -70, -2), (0, -98, -8))),
)  # fmt: skip

_BEYOND_CLOT = {
    "ICA-T": ("ICA", "M1", "M2-superior", "M2-inferior", "ACA"),
    "M1": ("M1", "M2-superior", "M2-inferior"),
    "M1-distal": ("M2-superior", "M2-inferior"),
    "M2-superior": ("M2-superior",),
    "M2-inferior": ("M2-inferior",),
    "M3": (),
    "ACA": ("ACA",),
    "LSA": (),
}
_FILL_STEP_MM = 1.0
_REACH_SD = 3.0


@dataclass(frozen=True)
class VesselShares:
    """Shares of blood at ``N`` points, each ``(N,)``: open arteries, occluded ones, veins."""

    open: FloatArray
    occluded: FloatArray
    venous: FloatArray

    def mean(self, subslices: int) -> VesselShares:
        """Mean over the sub-slices, which follow each other in the points."""
        parts = (self.open, self.occluded, self.venous)
        means = [np.minimum(part.reshape(subslices, -1).mean(axis=0), 1.0) for part in parts]
        return VesselShares(*means)

    def at(self, index: NDArray[np.intp]) -> VesselShares:
        """The shares at some of the points."""
        return VesselShares(self.open[index], self.occluded[index], self.venous[index])

    @property
    def total(self) -> FloatArray:
        """Share of blood of any kind ``(N,)``."""
        return np.minimum(self.open + self.occluded + self.venous, 1.0)


@lru_cache(maxsize=16)
def _tree(points: Points) -> KDTree:
    return KDTree(fill_polyline(points, _FILL_STEP_MM))


def vessel_shares(
    points_mm: FloatArray, occlusion: Occlusion, spacing_mm: float, config: VesselConfig
) -> VesselShares:
    """Blood at ``(3, N)`` template points.

    A tube's profile is a Gaussian of the tube's cross-section, at least so wide that none slips
    between sub-slices `spacing_mm` apart.
    """
    shares = {kind: np.zeros(points_mm.shape[1]) for kind in ("open", "occluded", "venous")}
    folded = points_mm.T.copy()
    folded[:, 0] = np.abs(folded[:, 0])
    is_affected_side = occlusion.side * points_mm[0] > 0
    beyond = _BEYOND_CLOT[occlusion.site]
    for name, radius, course in (*ARTERIES, *SINUSES):
        share = _tube(folded, course, radius, spacing_mm, config)
        if (name, radius, course) in SINUSES:
            shares["venous"] += share
        elif name in beyond:
            shares["occluded"] += share * is_affected_side
            shares["open"] += share * ~is_affected_side
        else:
            shares["open"] += share
    return VesselShares(**shares)


def _tube(
    folded: FloatArray, course: Points, radius: float, spacing_mm: float, config: VesselConfig
) -> FloatArray:
    variance = max(radius**2 / 2.0, config.blur_mm**2, (spacing_mm / 4.0) ** 2)
    reach = _REACH_SD * float(np.sqrt(variance))
    # Points outside the tube's box are far from it; most are.
    low, high = np.min(course, axis=0) - reach, np.max(course, axis=0) + reach
    near = np.flatnonzero(np.all((folded >= low) & (folded <= high), axis=1))
    share = np.zeros(len(folded))
    distance, _ = _tree(course).query(folded[near], distance_upper_bound=reach)
    share[near] = (radius**2 / 2.0 / variance) * np.exp(-(distance**2) / (2.0 * variance))
    return share


def vessel_enhancement(
    shares: VesselShares,
    occlusion: Occlusion,
    table: CurveTable,
    time_s: FloatArray,
    config: VesselConfig,
) -> FloatArray:
    """Enhancement ``(T, N)`` in HU of the blood in large vessels."""
    delay = np.array([0.0, config.occluded_delay * occlusion.delay_s, config.venous_delay_s])
    late = config.arterial_dispersion_s
    dispersion = np.array([late, 2.0 * late, config.venous_dispersion_s])
    curves = table.vessel_curves(delay, dispersion, time_s)
    filling = config.occluded_filling
    return np.asarray(
        curves[:, 0, None] * shares.open
        + filling * curves[:, 1, None] * shares.occluded
        + curves[:, 2, None] * shares.venous
    )
