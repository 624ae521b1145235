"""Distances to the feeding arteries on a lattice, for quick reading at many points."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import expit

from strokerepro.files import hash_json
from strokerepro.phantom.cache import Arrays, cached_arrays
from strokerepro.phantom.lattice import BOX_START_MM, FloatArray, Lattice, box_shape, node_points
from strokerepro.phantom.territories import FEEDING_POINTS, REACH, TERRITORIES, scaled_distances

STEP_MM = 4.0
_LAYOUT = 1
_BLEND_MM = 2.0  # scaled mm over which one territory passes into its neighbour

POSTERIOR = ("PCA", "thalamic", "SCA", "AICA", "PICA", "basilar")
_WATERSHED = (("ACA", "PCA"), ("M2-superior", "M2-inferior"))


@lru_cache(maxsize=1)
def _distances() -> FloatArray:
    shape = box_shape(STEP_MM)

    def build() -> Arrays:
        return {"distances_mm": scaled_distances(node_points(shape, STEP_MM))}

    key = hash_json([_LAYOUT, STEP_MM, FEEDING_POINTS, REACH])
    return np.asarray(cached_arrays("supply", key, build)["distances_mm"])


def nearest_mm(names: tuple[str, ...]) -> FloatArray:
    """Scaled distance ``(N,)`` from each node to the nearest artery of a group."""
    return np.asarray(_distances()[np.isin(TERRITORIES, names)].min(axis=0))


def others(names: tuple[str, ...]) -> tuple[str, ...]:
    """All territories but the named ones."""
    return tuple(name for name in TERRITORIES if name not in names)


def on_nodes(values: FloatArray) -> Lattice:
    """Lattice of values ``(N,)`` at the nodes."""
    return Lattice(values.reshape(box_shape(STEP_MM)), BOX_START_MM, STEP_MM)


def nodes_mm() -> FloatArray:
    """Coordinates ``(3, N)`` of the nodes."""
    return node_points(box_shape(STEP_MM), STEP_MM)


@lru_cache(maxsize=8)
def supply_share(names: tuple[str, ...]) -> Lattice:
    """Share of each place that the named arteries feed, 0 to 1, equal on both sides."""
    inside = expit((nearest_mm(others(names)) - nearest_mm(names)) / _BLEND_MM)
    return on_nodes(inside)


@lru_cache(maxsize=2)
def watershed(decay_mm: float) -> Lattice:
    """1 on the border of the middle cerebral artery's territory, less away from it."""
    cortical, middle = (nearest_mm(group) for group in _WATERSHED)
    border = np.exp(-np.abs(cortical - middle) / decay_mm)
    return on_nodes(border)
