"""An occluded artery: how far collaterals reach, and the flow and delay that are left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtri

from strokerepro.phantom.ctp_config import OcclusionConfig
from strokerepro.phantom.ctp_ranks import Ranks
from strokerepro.phantom.ctp_supply import nearest_mm, nodes_mm, on_nodes, others, supply_share
from strokerepro.phantom.lattice import FloatArray, Lattice
from strokerepro.phantom.random_fields import gaussian_field
from strokerepro.phantom.territories import FEEDING_POINTS

_M2 = ("M2-superior", "M2-inferior")
SITE_TERRITORIES: dict[str, tuple[str, ...]] = {
    "M1": (*_M2, "LSA"),
    "M1-distal": _M2,
    "M2-superior": _M2[:1],
    "M2-inferior": _M2[1:],
    "M3": (),  # one of the two above, drawn
    "ICA-T": (*_M2, "LSA", "ACA", "AChA"),
    "ACA": ("ACA",),
    "LSA": ("LSA",),
}
BRANCHES = ("M2-superior", "M2-inferior", "M3", "LSA")


@dataclass(frozen=True)
class Supply:
    """What an occlusion leaves at ``N`` points.

    Parameters
    ----------
    severity
        ``(N,)`` from 0, not affected, to 1.
    flow
        ``(N,)`` over that at rest, before any reperfusion: what decides the tissue's fate.
    """

    severity: FloatArray
    flow: FloatArray


@dataclass(frozen=True)
class Occlusion:
    """What one occlusion does, as functions of template space.

    Parameters
    ----------
    site
        Name of the occluded artery.
    side
        +1 for the right hemisphere, -1 for the left.
    territories
        Arteries beyond the clot.
    margin_mm
        Depth inside the region without flow from its own artery, before the midline is taken
        into account; negative outside.
    collateral_depth_mm
        Depth at which severity reaches ``1 - 1/e``.
    core_flow
        Relative flow at full severity.
    delay_s
        Delay at full severity.
    flow_noise
        Unit-variance fields, fine and coarse.
    delay_noise
        Unit-variance field.
    reperfused
        Field whose high values mark tissue that is perfused again before CTP; None if none is.
    config
        Knobs.
    """

    site: str
    side: float
    territories: tuple[str, ...]
    margin_mm: Lattice
    collateral_depth_mm: float
    core_flow: float
    delay_s: float
    flow_noise: tuple[Lattice, Lattice]
    delay_noise: Lattice
    reperfused: Lattice | None
    config: OcclusionConfig

    def supply(self, points_mm: FloatArray) -> Supply:
        """Severity and relative flow at ``(3, N)`` template points."""
        severity = self.severity(points_mm)
        return Supply(severity, self.relative_flow(points_mm, severity))

    def severity(self, points_mm: FloatArray) -> FloatArray:
        """Severity ``(N,)`` from 0 to 1: ``1 - exp(-margin / collateral depth)``."""
        midline = self.config.midline_slope * self.side * points_mm[0]
        affected = np.flatnonzero(midline > 0)
        severity = np.zeros(points_mm.shape[1])
        points = points_mm[:, affected]
        margin = np.clip(self.margin_mm.at(points), 0.0, midline[affected])
        spared = np.exp(-margin / self.collateral_depth_mm)
        end = supply_share(("LSA",)).at(points)
        # End arteries have no collaterals: the same margin leaves less.
        spared = spared ** (1.0 + (self.config.end_artery_exponent - 1.0) * end)
        severity[affected] = 1.0 - spared
        return severity

    def relative_flow(self, points_mm: FloatArray, severity: FloatArray) -> FloatArray:
        """Flow ``(N,)`` over that at rest, before any reperfusion."""
        flow = 1.0 - (1.0 - self.core_flow) * severity
        hit = np.flatnonzero(severity)
        amplitude, *weights = self.config.flow_noise
        points = points_mm[:, hit]
        noise = sum(w * field.at(points) for w, field in zip(weights, self.flow_noise, strict=True))
        flow[hit] *= np.exp(amplitude * noise * np.minimum(3.0 * severity[hit], 1.0))
        return flow

    def reperfused_share(self, points_mm: FloatArray) -> FloatArray:
        """Share ``(N,)`` of the tissue that is perfused again at the time of CTP."""
        if self.reperfused is None:
            return np.zeros(points_mm.shape[1])
        _, level, width = self.config.reperfusion_field
        return np.asarray(expit((self.reperfused.at(points_mm) - level) / width))

    def delay(self, points_mm: FloatArray, severity: FloatArray) -> FloatArray:
        """Added delay ``(N,)`` in s of the blood that arrives through collaterals."""
        delay = self.delay_s * severity
        hit = np.flatnonzero(severity)
        noise = 1.0 + self.config.delay_noise[0] * self.delay_noise.at(points_mm[:, hit])
        delay[hit] *= np.clip(noise, *self.config.delay_noise_limits)
        return delay


def draw_occlusion(rng: np.random.Generator, ranks: Ranks, config: OcclusionConfig) -> Occlusion:
    """Draw an occlusion: side, artery, collaterals and the fields that make it irregular."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    names, shares = zip(*config.site_shares, strict=True)
    edges = np.cumsum(shares)
    site = names[int(np.searchsorted(edges, ranks["site"] * edges[-1], side="right"))]
    territories = SITE_TERRITORIES[site] or (_M2[int(rng.random() < 0.5)],)
    # The smaller a territory, the shorter the way that collaterals have to reach into it.
    scale = config.branch_scale if site in BRANCHES else 1.0
    margin = _margin(rng, ranks, site, territories, scale, config)
    median_mm, log_sd = config.collateral_depth_mm
    depth = scale * median_mm * np.exp(log_sd * ndtri(ranks["collateral_depth"]))
    core_flow = _within(config.core_flow, ranks["core_flow"])
    delay = config.delay_s[0] * np.exp(config.delay_s[1] * ndtri(ranks["delay"]))
    fine_mm, coarse_mm = config.flow_noise_sigma_mm
    flow_noise = gaussian_field(rng, fine_mm), gaussian_field(rng, coarse_mm, order=1)
    delay_noise = gaussian_field(rng, config.delay_noise[1], order=1)
    is_reperfused = ranks["reperfusion"] < config.reperfusion_share
    reperfused = (
        gaussian_field(rng, config.reperfusion_field[0], order=1) if is_reperfused else None
    )
    return Occlusion(
        site=site,
        side=side,
        territories=territories,
        margin_mm=on_nodes(margin),
        collateral_depth_mm=float(depth),
        core_flow=core_flow,
        delay_s=float(delay),
        flow_noise=flow_noise,
        delay_noise=delay_noise,
        reperfused=reperfused,
        config=config,
    )


def _within(limits: tuple[float, float], rank: float) -> float:
    low, high = limits
    return low + rank * (high - low)


def _margin(
    rng: np.random.Generator,
    ranks: Ranks,
    site: str,
    territories: tuple[str, ...],
    scale: float,
    config: OcclusionConfig,
) -> FloatArray:
    """Margin ``(N,)`` in mm at the nodes, on both sides alike but for the noise."""
    nodes = nodes_mm()
    amplitude, sigma_mm = config.border_noise
    noise = gaussian_field(rng, sigma_mm, order=1).at(nodes)
    margin = nearest_mm(others(territories)) - nearest_mm(territories)
    margin = margin + amplitude * noise - scale * _within(config.retreat_mm, ranks["retreat"])
    if site == "M3":
        points = FEEDING_POINTS[territories[0]]
        branch = np.asarray(points[int(rng.integers(len(points)))])
        folded = np.abs(nodes[0]), nodes[1], nodes[2]
        offset = [axis - place for axis, place in zip(folded, branch, strict=True)]
        distance = np.sqrt(offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2)
        radius_mm = _within(config.branch_radius_mm, ranks["branch_radius"])
        margin = np.minimum(margin, radius_mm - distance)
    return np.asarray(margin)
