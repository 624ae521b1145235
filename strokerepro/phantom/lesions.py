"""Lesions as rough ellipsoids in template space: where, how large, how much of each point."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from strokerepro.phantom.lattice import FloatArray, Lattice
from strokerepro.phantom.territories import territory_margin


@dataclass(frozen=True)
class Lesion:
    """One rough ellipsoid.

    Parameters
    ----------
    centre_mm
        Template coordinates of the centre.
    radius_mm
        Geometric mean of the semi-axes.
    to_unit
        ``(3, 3)`` volume-preserving map from offsets to offsets of a sphere.
    conspicuity
        Share of the full contrast that the lesion shows.
    territories
        Arteries whose territory bounds the lesion; empty for none.
    """

    centre_mm: FloatArray
    radius_mm: float
    to_unit: FloatArray = field(default_factory=lambda: np.eye(3))
    conspicuity: float = 1.0
    territories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Roughness:
    """Random fields that make outlines irregular.

    Parameters
    ----------
    amplitude
        SD of the outline's radius as a share of the radius.
    fine, coarse
        Unit-variance fields for small and for large lesions.
    coarse_from_mm
        Radius from which a lesion counts as large.
    border
        Unit-variance field that moves the territory border.
    border_mm
        SD of that movement in mm.
    """

    amplitude: float
    fine: Lattice
    coarse: Lattice
    coarse_from_mm: float
    border: Lattice
    border_mm: float


def random_shape(rng: np.random.Generator, elongation_sd: float) -> FloatArray:
    """Volume-preserving ``(3, 3)`` map with random axes, log-axes of SD `elongation_sd`."""
    normal = rng.standard_normal((3, 3))
    logs = rng.normal(0.0, elongation_sd, size=3)
    axes, _ = np.linalg.qr(normal)
    stretch = np.exp(-(logs - logs.mean()))
    return np.asarray(stretch[:, None] * axes.T)


def lesion_depth_mm(points_mm: FloatArray, lesion: Lesion, roughness: Roughness) -> FloatArray:
    """Depth ``(N,)`` in mm of ``(3, N)`` template points in a lesion, negative outside."""
    x, y, z = points_mm - lesion.centre_mm[:, None]
    unit = [row[0] * x + row[1] * y + row[2] * z for row in lesion.to_unit]
    distance = np.sqrt(unit[0] ** 2 + unit[1] ** 2 + unit[2] ** 2)
    # A lesion's outline is shaped by structures of its own size.
    is_small = lesion.radius_mm < roughness.coarse_from_mm
    outline = (roughness.fine if is_small else roughness.coarse).at(points_mm)
    depth = lesion.radius_mm * (1.0 + roughness.amplitude * outline) - distance
    if lesion.territories:
        side = 1.0 if lesion.centre_mm[0] > 0 else -1.0
        margin = territory_margin(points_mm, lesion.territories, side)
        depth = np.minimum(depth, margin + roughness.border_mm * roughness.border.at(points_mm))
    return np.asarray(depth)


# Beyond this many radii no point belongs to a lesion, whatever its roughness and elongation.
_REACH_RADII = 3.0


def lesion_coverage(
    points_mm: FloatArray, lesions: list[Lesion], roughness: Roughness, edge_mm: float
) -> tuple[FloatArray, FloatArray]:
    """How much of each point is lesion, and how strongly it shows.

    Parameters
    ----------
    points_mm
        ``(3, N)`` template coordinates.
    lesions
        The lesions; where several overlap the largest coverage counts.
    roughness
        Irregularity of the outlines.
    edge_mm
        Width of the logistic edge.

    Returns
    -------
    coverage
        ``(N,)`` from 0 to 1.
    conspicuity
        ``(N,)``, that of the lesion that covers the point; 0 far from all lesions.
    """
    coverage = np.zeros(points_mm.shape[1])
    conspicuity = np.zeros(points_mm.shape[1])
    for lesion in lesions:
        offset = np.abs(points_mm - lesion.centre_mm[:, None]).max(axis=0)
        near = np.flatnonzero(offset < _REACH_RADII * lesion.radius_mm)
        share = expit(lesion_depth_mm(points_mm[:, near], lesion, roughness) / edge_mm)
        more = share > coverage[near]
        coverage[near[more]] = share[more]
        conspicuity[near[more]] = lesion.conspicuity
    return coverage, conspicuity
