"""Acute and chronic lesions of the diffusion cohort: lacunes, embolic showers, infarcts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from strokerepro.phantom.atlas import COARSE_STEP_MM, Atlas
from strokerepro.phantom.dwi_config import LesionConfig
from strokerepro.phantom.lattice import FloatArray, Lattice, box_shape, node_points
from strokerepro.phantom.lesions import Lesion, Roughness, random_shape
from strokerepro.phantom.random_fields import component_rng, gaussian_field
from strokerepro.phantom.territories import TERRITORIES, scaled_distances

T = TypeVar("T")

LESION_TYPES = ("lacune", "shower", "territorial")

_PERFORATORS = ("LSA", "AChA", "thalamic", "basilar")
_ANTERIOR = ("ACA", "M2-superior", "M2-inferior")
_POSTERIOR = ("PCA", "SCA", "AICA", "PICA")


@dataclass(frozen=True)
class Sites:
    """Template points of the brain with what decides whether a lesion starts there.

    Parameters
    ----------
    points_mm
        ``(3, N)`` coordinates.
    territory
        ``(N,)`` index into ``TERRITORIES``.
    gm, wm
        ``(N,)`` probabilities.
    depth_mm
        ``(N,)`` distance to the brain's surface.
    """

    points_mm: FloatArray
    territory: NDArray[np.int64]
    gm: FloatArray
    wm: FloatArray
    depth_mm: FloatArray

    def within(self, names: tuple[str, ...]) -> NDArray[np.bool_]:
        """Mask ``(N,)`` of the points in any of the named territories."""
        return np.isin(self.territory, [TERRITORIES.index(name) for name in names])


@lru_cache(maxsize=2)
def lesion_sites(atlas: Atlas) -> Sites:
    """All points of the 2 mm grid inside the brain."""
    points = node_points(box_shape(COARSE_STEP_MM), COARSE_STEP_MM)
    depth = np.asarray(atlas.depth_mm.values, dtype=np.float64).ravel()
    inside = depth > 0
    points = points[:, inside]
    gm, wm, _ = atlas.tissue(points)
    territory = scaled_distances(points).argmin(axis=0)
    return Sites(points, territory, gm, wm, depth[inside])


def type_of_case(seed: int, case: int, config: LesionConfig) -> str:
    """Kind of stroke of one case, so that any run of cases has about the configured shares.

    Steps of the golden ratio from a random start spread evenly over 0 to 1; independent draws
    would leave a cohort of three dozen cases with a third too many or too few large infarcts.
    """
    start = component_rng(seed, "dwi", 0, "lesions").random()
    position = (start + case * _GOLDEN_RATIO) % 1.0
    edges = np.cumsum(config.type_shares)
    return LESION_TYPES[int(np.searchsorted(edges, position * edges[-1], side="right"))]


_GOLDEN_RATIO = 0.6180339887498949


def draw_roughness(rng: np.random.Generator, config: LesionConfig) -> Roughness:
    """Draw the fields that make the outlines of one case irregular."""
    amplitude, fine_mm, coarse_mm = config.roughness
    border_mm, border_sigma_mm = config.border_noise
    fine, coarse, border = (
        gaussian_field(rng, sigma) for sigma in (fine_mm, coarse_mm, border_sigma_mm)
    )
    return Roughness(amplitude, fine, coarse, config.coarse_from_mm, border, border_mm)


def draw_acute_lesions(
    rng: np.random.Generator, lesion_type: str, sites: Sites, config: LesionConfig
) -> list[Lesion]:
    """Draw the acute lesions of one subject.

    Parameters
    ----------
    rng
        Random stream.
    lesion_type
        One of :data:`LESION_TYPES`.
    sites
        Where lesions may start.
    config
        Sizes and counts.
    """
    if lesion_type == "lacune":
        return [_lacune(rng, sites, config)]
    if lesion_type == "shower":
        least, mean_rest = config.shower_count
        weight = _shower_weight(rng, sites, config)
        return _emboli(rng, least + int(rng.poisson(mean_rest)), weight, sites, config)
    return _infarct(rng, sites, config)


def draw_old_infarcts(rng: np.random.Generator, sites: Sites, config: LesionConfig) -> list[Lesion]:
    """Draw at most one chronic infarct, anywhere in the parenchyma."""
    if rng.random() >= config.old_infarct_share:
        return []
    return [_lesion(rng, sites.gm + sites.wm, config.old_infarct_radius_mm, sites, config)]


def white_matter_lesions(
    points_mm: FloatArray, field: Lattice, level: float, atlas: Atlas, config: LesionConfig
) -> FloatArray:
    """Share ``(N,)`` of white-matter hyperintensity at ``(3, N)`` template points.

    Deep white matter where a smooth random field exceeds `level`.
    """
    deep = np.clip(atlas.depth_mm.at(points_mm) / config.wmh_depth_mm - 0.5, 0.0, 1.0)
    above = np.clip((field.at(points_mm) - level) / config.wmh_edge, 0.0, 1.0)
    return np.asarray(deep * above * atlas.wm.at(points_mm))


def _lacune(rng: np.random.Generator, sites: Sites, config: LesionConfig) -> Lesion:
    least_depth_mm, least_wm, share = config.lacune_deep_white
    deep_white = (sites.depth_mm > least_depth_mm) & (sites.wm > least_wm)
    weight = sites.within(_PERFORATORS) * (sites.gm + sites.wm) + share * deep_white
    return _lesion(rng, weight, config.lacune_radius_mm, sites, config)


def _shower_weight(rng: np.random.Generator, sites: Sites, config: LesionConfig) -> FloatArray:
    source = _choose(rng, config.shower_sources)
    is_right = rng.random() < 0.5
    # Emboli lodge in the cortex and at its border with the white matter; those from the heart
    # on both sides.
    weight: FloatArray = sites.gm + config.shower_border_weight * sites.gm * sites.wm
    if source == "cardiac":
        return weight
    if source == "posterior":
        return np.asarray(weight * sites.within((*_POSTERIOR, "thalamic")))
    same_side = (sites.points_mm[0] > 0) == is_right
    return np.asarray(weight * sites.within((*_ANTERIOR, "LSA")) * same_side)


def _infarct(rng: np.random.Generator, sites: Sites, config: LesionConfig) -> list[Lesion]:
    territories = _choose(rng, config.infarct_territories)
    is_right = rng.random() < 0.5
    home = sites.within(territories) & ((sites.points_mm[0] > 0) == is_right)
    weight = home * (sites.gm + sites.wm)
    radius = config.territorial_radius_mm
    main = _lesion(rng, weight, radius, sites, config, territories)
    count = int(rng.poisson(config.satellites))
    return [main, *_emboli(rng, count, weight, sites, config)]


def _emboli(
    rng: np.random.Generator, count: int, weight: FloatArray, sites: Sites, config: LesionConfig
) -> list[Lesion]:
    return [_lesion(rng, weight, config.shower_radius_mm, sites, config) for _ in range(count)]


def _lesion(
    rng: np.random.Generator,
    weight: FloatArray,
    radius_mm: tuple[float, float],
    sites: Sites,
    config: LesionConfig,
    territories: tuple[str, ...] = (),
) -> Lesion:
    cumulative = np.cumsum(weight)
    chosen = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
    jitter = rng.uniform(-0.5, 0.5, size=3) * COARSE_STEP_MM
    median, log_sd = radius_mm
    return Lesion(
        centre_mm=sites.points_mm[:, chosen] + jitter,
        radius_mm=float(median * np.exp(rng.normal(0.0, log_sd))),
        to_unit=random_shape(rng, config.elongation_sd),
        conspicuity=float(np.clip(rng.normal(*config.conspicuity), *config.conspicuity_limits)),
        territories=territories,
    )


def _choose(rng: np.random.Generator, shares: Sequence[tuple[T, float]]) -> T:
    edges = np.cumsum([share for _, share in shares])
    index = int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))
    return shares[index][0]
