"""Arterial territories: nearest feeding polyline, distances weighted by the artery's reach.

The points are in MNI mm for the right hemisphere and mirrored for the left; Euclidean distance is
enough because the error across the Sylvian fissure is smaller than the random lesion boundary.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.spatial import KDTree

from strokerepro.phantom.lattice import FloatArray

Points = tuple[tuple[float, float, float], ...]

# Feeding points in MNI mm: assumption, placed by hand on standard vascular anatomy.
FEEDING_POINTS: dict[str, Points] = {
    "ACA": (
        (5, 10, -12), (4, 35, -5), (4, 40, 15), (4, 25, 35), (4, -5, 42),
        (5, -35, 45), (8, -45, 55), (10, 40, 40), (10, 10, 62), (10, -20, 66),
    ),
    "LSA": ((14, 6, -8), (20, 4, 2), (24, 0, 10), (20, 8, 14)),
    "M2-superior": (
        (40, 8, -2), (46, 14, 10), (50, 18, 22), (50, 2, 35),
        (48, -12, 45), (42, 28, 25), (45, 35, 8), (38, 4, 4),
    ),
    "M2-inferior": (
        (42, -8, -8), (52, -20, -5), (56, -38, 8), (52, -55, 18),
        (48, -60, 32), (55, -10, -20), (58, -28, 28),
    ),
    "AChA": ((20, -8, -12), (20, -18, 4)),
    "PCA": (
        (16, -32, -8), (20, -50, 0), (14, -70, 6), (10, -88, 8),
        (25, -45, -15), (30, -70, -10), (38, -35, -25),
    ),
    "thalamic": ((8, -16, 4), (12, -20, 8), (8, -12, 8)),
    "SCA": ((15, -50, -20), (30, -60, -25)),
    "AICA": ((25, -55, -40),),
    "PICA": ((15, -62, -50), (30, -70, -45)),
    "basilar": ((3, -25, -32), (3, -30, -20), (3, -35, -45)),
}  # fmt: skip

# Reach of each artery relative to the others: assumption.
REACH = {
    "ACA": 0.95,
    "LSA": 0.75,
    "M2-superior": 1.25,
    "M2-inferior": 1.25,
    "AChA": 0.6,
    "PCA": 1.05,
    "thalamic": 0.7,
    "SCA": 1.0,
    "AICA": 1.0,
    "PICA": 1.0,
    "basilar": 0.8,
}
TERRITORIES = tuple(FEEDING_POINTS)

_FILL_STEP_MM = 4.0
_LONGEST_FILLED_MM = 45.0


def fill_polyline(points: Points, step_mm: float = _FILL_STEP_MM) -> FloatArray:
    """Points ``(N, 3)`` of a polyline, segments shorter than 45 mm filled every `step_mm`."""
    corners = np.asarray(points, dtype=np.float64)
    pieces = [corners]
    for start, end in pairwise(corners):
        length = float(np.sqrt(np.sum((end - start) ** 2)))
        if length < _LONGEST_FILLED_MM:
            inner = np.arange(step_mm, length, step_mm)[:, None] / length
            pieces.append(start + inner * (end - start))
    return np.concatenate(pieces)


@lru_cache(maxsize=1)
def _trees() -> dict[str, KDTree]:
    return {name: KDTree(fill_polyline(points)) for name, points in FEEDING_POINTS.items()}


def scaled_distances(points_mm: FloatArray) -> FloatArray:
    """Distance to each artery divided by its reach.

    Parameters
    ----------
    points_mm
        ``(3, N)`` template coordinates; the left hemisphere is mirrored onto the right one.

    Returns
    -------
    ndarray
        ``(11, N)`` in mm, in the order of :data:`TERRITORIES`.
    """
    folded = points_mm.T.copy()
    folded[:, 0] = np.abs(folded[:, 0])
    return np.stack([tree.query(folded)[0] / REACH[name] for name, tree in _trees().items()])


def territory_margin(points_mm: FloatArray, members: tuple[str, ...], side: float) -> FloatArray:
    """How far inside a group of territories each point lies.

    Parameters
    ----------
    points_mm
        ``(3, N)`` template coordinates.
    members
        Names of the group's territories.
    side
        +1 for the right hemisphere, -1 for the left.

    Returns
    -------
    ndarray
        ``(N,)`` in scaled mm: 0 at the border, negative outside and in the other hemisphere.
    """
    distances = scaled_distances(points_mm)
    inside = np.isin(TERRITORIES, members)
    margin = distances[~inside].min(axis=0) - distances[inside].min(axis=0)
    return np.asarray(np.minimum(margin, side * points_mm[0]))
