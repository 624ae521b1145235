"""Old damage that no treatment concerns: an old infarct, white-matter hyperintensity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.ctp_config import ChronicConfig
from strokerepro.phantom.ctp_supply import nodes_mm
from strokerepro.phantom.dwi_config import LesionConfig
from strokerepro.phantom.dwi_lesions import white_matter_lesions
from strokerepro.phantom.lattice import FloatArray, Lattice
from strokerepro.phantom.lesions import Lesion, Roughness, lesion_coverage, random_shape
from strokerepro.phantom.random_fields import gaussian_field


@dataclass(frozen=True)
class Chronic:
    """Old damage of one person.

    Parameters
    ----------
    infarcts
        One rough ellipsoid or none.
    roughness
        Irregularity of its outline.
    wmh_field, wmh_level
        White-matter hyperintensity lies where the field exceeds the level.
    config
        Knobs.
    """

    infarcts: list[Lesion]
    roughness: Roughness
    wmh_field: Lattice
    wmh_level: float
    config: ChronicConfig

    def old_infarct(self, points_mm: FloatArray, tissue: FloatArray) -> FloatArray:
        """Share ``(N,)`` of old infarct."""
        covered, _ = lesion_coverage(
            points_mm, self.infarcts, self.roughness, self.config.old_infarct_edge_mm
        )
        return np.asarray(covered * (tissue[0] + tissue[1]))

    def hyperintensity(self, points_mm: FloatArray, atlas: Atlas) -> FloatArray:
        """Share ``(N,)`` of white-matter hyperintensity."""
        knobs = LesionConfig(wmh_depth_mm=self.config.wmh_depth_mm, wmh_edge=self.config.wmh_edge)
        return white_matter_lesions(points_mm, self.wmh_field, self.wmh_level, atlas, knobs)


def draw_chronic(rng: np.random.Generator, atlas: Atlas, config: ChronicConfig) -> Chronic:
    """Draw the old damage of one person."""
    level = float(np.exp(rng.normal(*config.wmh_log_threshold)))
    field = gaussian_field(rng, config.wmh_sigma_mm)
    is_hit = rng.random() < config.old_infarct_share
    place = random_node(rng, *parenchyma_nodes(atlas))
    infarct = rough_ellipsoid(rng, place, config.old_infarct_radius_mm, config.elongation_sd)
    roughness = plain_roughness(config.roughness, field)
    return Chronic([infarct] if is_hit else [], roughness, field, level, config)


def parenchyma_nodes(atlas: Atlas) -> tuple[FloatArray, FloatArray]:
    """Nodes ``(3, N)`` of the supply lattice and their shares ``(N,)`` of parenchyma."""
    nodes = nodes_mm()
    return nodes, atlas.gm.at(nodes) + atlas.wm.at(nodes)


def random_node(rng: np.random.Generator, nodes: FloatArray, weight: FloatArray) -> FloatArray:
    """One of the nodes ``(3, N)``, with a probability proportional to its weight ``(N,)``."""
    edges = np.cumsum(weight)
    return nodes[:, int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def rough_ellipsoid(
    rng: np.random.Generator,
    centre_mm: FloatArray,
    radius_mm: tuple[float, float],
    elongation_sd: float,
) -> Lesion:
    """Lesion about `centre_mm` whose radius has the stated median and SD of the logarithm."""
    median, log_sd = radius_mm
    radius = float(median * np.exp(rng.normal(0.0, log_sd)))
    return Lesion(centre_mm, radius, random_shape(rng, elongation_sd))


def plain_roughness(amplitude: float, field: Lattice) -> Roughness:
    """Roughness by one field for lesions of all sizes that no territory bounds."""
    return Roughness(amplitude, field, field, 0.0, field, 0.0)
