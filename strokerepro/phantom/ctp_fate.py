"""What has died when the DWI is made: the part of the outcome that CTP cannot see.

Tissue dies where its flow is below a threshold that differs between patients, grows with time and
varies from place to place. None of these draws enters the perfusion series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, ndtri

from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.ctp_chronic import (
    parenchyma_nodes,
    plain_roughness,
    random_node,
    rough_ellipsoid,
)
from strokerepro.phantom.ctp_config import FateConfig, TimingConfig
from strokerepro.phantom.ctp_occlusion import Occlusion, Supply
from strokerepro.phantom.ctp_ranks import Ranks
from strokerepro.phantom.ctp_supply import nearest_mm, others
from strokerepro.phantom.lattice import FloatArray, Lattice
from strokerepro.phantom.lesions import Lesion, Roughness, lesion_coverage
from strokerepro.phantom.random_fields import gaussian_field, slice_field

# Where the margin is undefined nothing dies.
_SAFE = -50.0


@dataclass(frozen=True)
class Timing:
    """Course of one stroke.

    Parameters
    ----------
    onset_h
        From onset to CTP.
    gap_h
        From CTP to the DWI.
    growth
        Rise of the log threshold over the gap.
    shift_sd_mm
        SD of the mis-registration of the DWI.
    """

    onset_h: float
    gap_h: float
    growth: float
    shift_sd_mm: float


def draw_timing(rng: np.random.Generator, config: TimingConfig) -> Timing:
    """Draw the times; growth and mis-registration rise with the gap between the scans."""
    onset = config.onset_h[0] * np.exp(rng.normal(0.0, config.onset_h[1]))
    relative_gap = float(np.exp(rng.normal(0.0, config.gap_h[1])))
    growth = abs(rng.normal(0.0, config.growth_sd)) * relative_gap**config.growth_exponent
    shift = config.shift_sd_mm * relative_gap**config.shift_exponent
    return Timing(float(onset), config.gap_h[0] * relative_gap, float(growth), shift)


@dataclass(frozen=True)
class Fate:
    """Which tissue dies.

    Parameters
    ----------
    log_threshold
        Log of the relative flow below which tissue dies.
    vulnerability
        Unit-variance fields, fine and coarse.
    satellites
        Small infarcts from fragments that came loose after CTP.
    roughness
        Irregularity of their outlines.
    config
        Knobs.
    """

    log_threshold: float
    vulnerability: tuple[Lattice, Lattice]
    satellites: list[Lesion]
    roughness: Roughness
    config: FateConfig

    def margin(self, points_mm: FloatArray, tissue: FloatArray, supply: Supply) -> FloatArray:
        """Log of threshold over flow ``(N,)``: tissue dies where it is positive.

        Parameters
        ----------
        points_mm
            ``(3, N)`` template coordinates.
        tissue
            ``(3, N)`` shares of grey matter, white matter and CSF.
        supply
            What the occlusion leaves at the points.
        """
        hit = np.flatnonzero(supply.severity > self.config.least_severity)
        points = points_mm[:, hit]
        amplitude, *weights = self.config.vulnerability
        fields = zip(weights, self.vulnerability, strict=True)
        margin = np.full(supply.severity.shape, _SAFE)
        grey, white = self.config.tissue_margin
        margin[hit] = (
            self.log_threshold
            - np.log(supply.flow[hit])
            + amplitude * sum(weight * field.at(points) for weight, field in fields)
            + grey * tissue[0, hit]
            + white * tissue[1, hit]
        )
        return margin

    def infarct(self, points_mm: FloatArray, margin: FloatArray) -> FloatArray:
        """Share ``(N,)`` of dead tissue, satellites included."""
        dead = expit(margin / self.config.edge)
        emboli, _ = lesion_coverage(
            points_mm, self.satellites, self.roughness, self.config.satellite_edge_mm
        )
        return np.asarray(np.maximum(dead, emboli))


def draw_fate(
    rng: np.random.Generator,
    ranks: Ranks,
    occlusion: Occlusion,
    timing: Timing,
    atlas: Atlas,
    config: FateConfig,
) -> Fate:
    """Draw the fate of the tissue beyond one occlusion."""
    median, log_sd = config.threshold
    rise = 1.0 + config.threshold_per_h * (timing.onset_h - config.threshold_at_h)
    log_threshold = np.log(median * rise) + log_sd * ndtri(ranks["threshold"]) + timing.growth
    fine_mm, coarse_mm = config.vulnerability_sigma_mm
    fields = gaussian_field(rng, fine_mm), gaussian_field(rng, coarse_mm, order=1)
    nodes, parenchyma = parenchyma_nodes(atlas)
    home = nearest_mm(occlusion.territories) < nearest_mm(others(occlusion.territories))
    weight = parenchyma * home * (occlusion.side * nodes[0] > 0)
    satellites = [
        rough_ellipsoid(
            rng,
            random_node(rng, nodes, weight),
            config.satellite_radius_mm,
            config.elongation_sd,
        )
        for _ in range(int(rng.poisson(config.satellites)))
    ]
    roughness = plain_roughness(config.roughness, fields[0])
    return Fate(float(log_threshold), fields, satellites, roughness, config)


def draw_label(
    rng: np.random.Generator,
    infarct: FloatArray,
    parenchyma: FloatArray,
    pixel_mm: float,
    config: FateConfig,
) -> NDArray[np.uint8]:
    """Outline the infarct as a reader would: by the share of tissue that is dead.

    Parameters
    ----------
    rng
        Random stream.
    infarct
        ``(X, Y, Z)`` dead tissue as a share of the voxel.
    parenchyma
        ``(X, Y, Z)`` tissue as a share of the voxel; narrow furrows do not interrupt an outline.
    pixel_mm
        Edge of the square pixels.
    config
        Threshold, blur and uncertainty of the border.

    Returns
    -------
    ndarray
        ``(X, Y, Z)`` uint8, 0 or 1.
    """
    amplitude, sigma_mm = config.label_noise
    opening = max(2, round(config.opening_mm / pixel_mm))
    label = np.zeros(infarct.shape, dtype=np.uint8)
    for k in range(infarct.shape[2]):
        dead, tissue = (
            ndimage.gaussian_filter(volume[:, :, k], config.label_blur_mm / pixel_mm)
            for volume in (infarct, parenchyma)
        )
        is_tissue = tissue > config.least_parenchyma
        share = np.divide(dead, tissue, out=np.zeros_like(dead), where=is_tissue)
        noise = slice_field(rng, share.shape, pixel_mm, sigma_mm)
        # 4 s (1 - s) is 1 on the border and 0 where the image leaves no doubt.
        drawn = share + amplitude * noise * 4.0 * share * (1.0 - share) > config.label_threshold
        label[:, :, k] = ndimage.binary_opening(drawn, np.ones((opening, opening), dtype=bool))
    return label
