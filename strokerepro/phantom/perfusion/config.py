"""Knobs of the contrast bolus, the scan of a perfusion series and the maps computed from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from strokerepro.phantom.config import Knob

Pair = tuple[float, float]


@dataclass(frozen=True)
class ArterialConfig:
    """The bolus in the artery, and how well it is measured."""

    amplitude_hu: Annotated[Pair, Knob("HU of the first pass, range", "A")] = (170.0, 320.0)
    arrival_s: Annotated[Pair, Knob("s, range", "S3")] = (5.0, 10.0)
    shape: Annotated[float, Knob("1, exponent of the gamma variate", "S1")] = 3.0
    scale_s: Annotated[float, Knob("s, of the gamma variate before widening", "S1")] = 1.5
    widening: Annotated[Pair, Knob("1, range, factor of the scale", "S3")] = (1.0, 1.7)
    recirculation_share: Annotated[Pair, Knob("1, of the first pass, range", "A")] = (0.12, 0.22)
    recirculation_lag_s: Annotated[Pair, Knob("s after the arrival, range", "A")] = (9.0, 13.0)
    recirculation_widening: Annotated[float, Knob("1, factor of the scale", "A")] = 2.0
    tail_share: Annotated[Pair, Knob("1, of the first pass, range", "S3")] = (0.05, 0.12)
    measured_shift_sd_s: Annotated[float, Knob("s", "A")] = 0.35
    measured_gain_sd: Annotated[float, Knob("SD of the logarithm", "A")] = 0.12
    measured_pixels: Annotated[int, Knob("1, independent pixels averaged", "A")] = 6


@dataclass(frozen=True)
class TransitConfig:
    """Passage through the tissue, and the table of curves that stands for it."""

    alpha: Annotated[Pair, Knob("1, range; 1 is an exponential residue", "A")] = (1.0, 2.5)
    mtt_s: Annotated[Pair, Knob("s: least node above 0, largest node", "A")] = (1.0, 40.0)
    mtt_nodes: Annotated[int, Knob("1, besides the node at 0", "A")] = 28
    dispersion_max_s: Annotated[float, Knob("s", "A")] = 12.0
    dispersion_nodes: Annotated[int, Knob("1, node at 0 included", "A")] = 16
    step_s: Annotated[float, Knob("s of the table", "A")] = 0.1
    duration_s: Annotated[float, Knob("s of the table", "A")] = 80.0


@dataclass(frozen=True)
class ScanConfig:
    """Noise and storage of the CT frames."""

    noise_hu: Annotated[Pair, Knob("HU at the reference voxel: median; SD of the log", "S7")] = (
        4.2,
        0.18,
    )
    reference_voxel_mm: Annotated[Pair, Knob("mm: pixel, thickness", "A")] = (1.0, 5.0)
    pixel_exponent: Annotated[float, Knob("1; 2 mm pixels have 0.62 of the noise", "A")] = -0.69
    thickness_exponent: Annotated[float, Knob("1, counting statistics", "physics")] = -0.5
    correlation_mm: Annotated[float, Knob("mm, sigma of the smoothing kernel", "A")] = 0.7
    radial_factor: Annotated[Pair, Knob("1: at the surface, in the centre", "A")] = (0.85, 1.15)
    radial_depth_mm: Annotated[float, Knob("mm of depth that count as the centre", "A")] = 60.0
    plain_ct_share: Annotated[float, Knob("1, noise of the plain CT over a frame's", "A")] = 0.75
    range_hu: Annotated[tuple[int, int], Knob("HU, 12 bits", "physics")] = (-1024, 3071)


@dataclass(frozen=True)
class MapConfig:
    """From the stored series to the maps."""

    smoothing_mm: Annotated[float, Knob("mm, in-plane sigma", "S1")] = 1.7
    threshold: Annotated[float, Knob("1, of the largest singular value", "S1")] = 0.10
    rise_share: Annotated[float, Knob("1, of the peak of the slice's mean curve", "A")] = 0.05
    csf_below_hu: Annotated[float, Knob("HU of the smoothed baseline", "A")] = 15.0
    vessel_above_ml_100g: Annotated[float, Knob("ml/100 g of CBV", "A")] = 9.0


@dataclass(frozen=True)
class PerfusionConfig:
    """All knobs of the perfusion physics."""

    arterial: ArterialConfig = field(default_factory=ArterialConfig)
    transit: TransitConfig = field(default_factory=TransitConfig)
    scan: ScanConfig = field(default_factory=ScanConfig)
    maps: MapConfig = field(default_factory=MapConfig)


PERFUSION = PerfusionConfig()
