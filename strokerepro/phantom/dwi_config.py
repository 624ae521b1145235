"""Knobs of the diffusion-weighted phantom; frozen, see ``VERSIONS``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from strokerepro.phantom.config import AnatomyConfig, Knob

Pair = tuple[float, float]
Triple = tuple[float, float, float]
Shares = tuple[tuple[str, float], ...]
TerritoryShares = tuple[tuple[tuple[str, ...], float], ...]


@dataclass(frozen=True)
class AcquisitionConfig:
    """Scanner and sequence."""

    matrices_px: Annotated[tuple[int, ...], Knob("pixels, square", "EDD")] = (128, 192)
    voxels_mm: Annotated[Pair, Knob("mm in plane, one per matrix", "EDD")] = (1.8, 1.4)
    slices: Annotated[tuple[int, int], Knob("1, inclusive range", "EDD")] = (19, 23)
    thickness_mm: Annotated[float, Knob("mm", "EDD")] = 5.0
    gap_mm: Annotated[Pair, Knob("mm, range", "EDD")] = (1.0, 1.5)
    subslices: Annotated[int, Knob("1, samples across the slice thickness", "A")] = 3
    slab_centre_mm: Annotated[Pair, Knob("mm above the pivot: mean, SD", "A")] = (7.0, 3.0)
    echo_time_ms: Annotated[Pair, Knob("ms, range; the paper: 90-93", "A")] = (80.0, 100.0)
    b_value_s_mm2: Annotated[float, Knob("s/mm2", "A")] = 1000.0
    share_3t: Annotated[float, Knob("1; the others 1.5 T", "A")] = 0.5
    bandwidth_15t_hz_px: Annotated[Pair, Knob("Hz/px along the phase encoding, range", "A")] = (
        13.0,
        18.0,
    )
    bandwidth_3t_hz_px: Annotated[Pair, Knob("Hz/px, range; with parallel imaging", "A")] = (
        22.0,
        30.0,
    )
    reference_voxel_mm: Annotated[float, Knob("mm; the pixel the bandwidths refer to", "EDD")] = 1.8
    snr: Annotated[Pair, Knob("1, range; median parenchyma at b over noise SD", "A")] = (14.0, 28.0)
    parenchyma_level: Annotated[Pair, Knob("stored units, range", "A")] = (120.0, 400.0)
    bias: Annotated[Pair, Knob("log amplitude; mm", "A")] = (0.07, 45.0)
    flare: Annotated[Pair, Knob("relative gain at the surface; mm of decay", "A")] = (0.09, 12.0)
    adc_floor_sd: Annotated[
        float, Knob("noise SD of the b = 0 image below which ADC is 0", "A")
    ] = 8.0
    brain_floor: Annotated[
        float, Knob("1, of the parenchyma's signal at b = 0; below it is not brain", "ISLES")
    ] = 0.2
    adc_max: Annotated[float, Knob("1e-6 mm2/s", "A")] = 4000.0


@dataclass(frozen=True)
class SusceptibilityConfig:
    """Air-filled cavities and what they do to an echo-planar image."""

    air_minus_tissue_ppm: Annotated[float, Knob("ppm", "physics")] = 9.0
    larmor_15t_mhz: Annotated[float, Knob("MHz, that is Hz per ppm, at 1.5 T", "physics")] = 63.87
    head_layers_mm: Annotated[float, Knob("mm of CSF, skull and scalp outside the brain", "A")] = (
        14.0
    )
    cavity_clearance_mm: Annotated[float, Knob("mm between a cavity and the brain", "A")] = 3.0
    max_shift_mm: Annotated[float, Knob("mm, soft limit", "A")] = 8.0
    pileup: Annotated[Pair, Knob("1, limits of the intensity factor", "A")] = (0.3, 2.6)
    dephasing_ms: Annotated[float, Knob("ms of free dephasing across the slice", "A")] = 8.0


@dataclass(frozen=True)
class TissueConfig:
    """Magnetic resonance constants, in the order grey matter, white matter, CSF."""

    proton_density: Annotated[Triple, Knob("1", "A")] = (0.82, 0.70, 1.0)
    t2_ms: Annotated[Triple, Knob("ms", "A")] = (96.0, 79.0, 1400.0)
    adc_um2_ms: Annotated[Triple, Knob("1e-3 mm2/s", "A")] = (0.83, 0.73, 3.0)
    t1_ms: Annotated[Triple, Knob("ms", "A")] = (1150.0, 750.0, 4200.0)
    tract_gain: Annotated[Pair, Knob("relative DWI gain: corticospinal tract, insula", "A")] = (
        0.13,
        0.10,
    )
    tract_radius_mm: Annotated[Pair, Knob("mm: corticospinal tract, insula", "A")] = (4.0, 5.0)
    lesion_adc_factor: Annotated[Pair, Knob("1: mean, SD", "S4")] = (0.60, 0.06)
    lesion_t2_gain: Annotated[Pair, Knob("1: mean, SD at onset", "A")] = (0.03, 0.05)
    lesion_t2_gain_per_h: Annotated[float, Knob("1/h", "A")] = 0.02
    lesion_t2_gain_max: Annotated[float, Knob("1", "A")] = 0.45
    lesion_adc_limits: Annotated[Pair, Knob("1", "A")] = (0.4, 0.85)
    lesion_texture: Annotated[Pair, Knob("relative amplitude; mm", "A")] = (0.14, 4.0)
    lesion_texture_min: Annotated[float, Knob("1", "A")] = 0.2
    wmh_adc_factor: Annotated[float, Knob("1", "A")] = 1.45
    wmh_t2_factor: Annotated[float, Knob("1", "A")] = 1.65
    old_infarct_t2_ms: Annotated[float, Knob("ms", "A")] = 260.0
    old_infarct_adc_um2_ms: Annotated[float, Knob("1e-3 mm2/s", "A")] = 2.0
    age_days: Annotated[Pair, Knob("gamma shape; scale in days", "EDD")] = (1.3, 1.5)


@dataclass(frozen=True)
class LesionConfig:
    """Kinds, sizes and shapes of acute and chronic lesions."""

    type_shares: Annotated[Triple, Knob("1: lacune, shower, territorial", "fit")] = (
        0.28,
        0.42,
        0.30,
    )
    lacune_radius_mm: Annotated[Pair, Knob("mm median; SD of the logarithm", "fit")] = (4.4, 0.30)
    shower_radius_mm: Annotated[Pair, Knob("mm median; SD of the logarithm", "fit")] = (2.8, 0.42)
    shower_count: Annotated[tuple[int, float], Knob("least; Poisson mean of the rest", "fit")] = (
        2,
        5.5,
    )
    territorial_radius_mm: Annotated[Pair, Knob("mm median; SD of the logarithm", "fit")] = (
        14.5,
        0.42,
    )
    satellites: Annotated[float, Knob("Poisson mean beside a territorial infarct", "fit")] = 2.5
    shower_sources: Annotated[Shares, Knob("1: where emboli come from", "A")] = (
        ("carotid", 0.60),
        ("posterior", 0.20),
        ("cardiac", 0.20),
    )
    shower_border_weight: Annotated[float, Knob("1, weight of GM times WM beside GM", "A")] = 4.0
    infarct_territories: Annotated[TerritoryShares, Knob("1: site of larger infarcts", "A")] = (
        (("M2-superior",), 0.33),
        (("M2-inferior",), 0.29),
        (("PCA",), 0.15),
        (("ACA",), 0.09),
        (("SCA", "AICA", "PICA"), 0.14),
    )
    lacune_deep_white: Annotated[Triple, Knob("mm least depth; least WM; weight", "A")] = (
        18.0,
        0.7,
        0.5,
    )
    conspicuity: Annotated[Pair, Knob("1: mean, SD of the contrast share", "fit")] = (1.0, 0.15)
    conspicuity_limits: Annotated[Pair, Knob("1", "A")] = (0.4, 1.4)
    elongation_sd: Annotated[float, Knob("SD of the logarithm of each axis", "A")] = 0.25
    coarse_from_mm: Annotated[float, Knob("mm of radius; smaller ones are rough finely", "A")] = 6.0
    roughness: Annotated[Triple, Knob("share of the radius; mm fine; mm coarse", "A")] = (
        0.25,
        3.0,
        8.0,
    )
    edge_mm: Annotated[float, Knob("mm, width of the logistic edge", "A")] = 0.5
    border_noise: Annotated[Pair, Knob("mm: amplitude, sigma of the territory border", "A")] = (
        3.0,
        8.0,
    )
    label_threshold: Annotated[float, Knob("share of the voxel", "A")] = 0.4
    min_label_ml: Annotated[float, Knob("ml; smaller draws are repeated", "A")] = 0.02
    max_redraws: Annotated[int, Knob("1", "A")] = 20
    wmh_log_threshold: Annotated[Pair, Knob("log of the field level: mean, SD", "A")] = (0.55, 0.25)
    wmh_sigma_mm: Annotated[float, Knob("mm", "A")] = 6.0
    wmh_depth_mm: Annotated[float, Knob("mm from the surface: half of full strength", "A")] = 12.0
    wmh_edge: Annotated[float, Knob("1, width of the edge in units of the field", "A")] = 0.15
    old_infarct_share: Annotated[float, Knob("1", "A")] = 0.30
    old_infarct_radius_mm: Annotated[Pair, Knob("mm median; SD of the logarithm", "A")] = (6.0, 0.5)


@dataclass(frozen=True)
class FlairConfig:
    """The fluid-attenuated scan, on a grid of its own."""

    field_of_view_mm: Annotated[float, Knob("mm", "A")] = 230.4
    matrix_factor: Annotated[float, Knob("1, relative to size_px", "A")] = 1.5
    matrix_max: Annotated[int, Knob("pixels, that is 1.2 mm", "A")] = 192
    thickness_mm: Annotated[float, Knob("mm", "A")] = 5.0
    gap_mm: Annotated[float, Knob("mm", "A")] = 0.5
    slices: Annotated[int, Knob("1", "A")] = 26
    tilt_sd_deg: Annotated[float, Knob("deg about x and z", "A")] = 4.0
    echo_time_ms: Annotated[float, Knob("ms", "A")] = 110.0
    repetition_time_ms: Annotated[float, Knob("ms", "A")] = 9000.0
    inversion_time_ms: Annotated[float, Knob("ms", "A")] = 2400.0
    snr: Annotated[Pair, Knob("1, range", "A")] = (18.0, 35.0)
    parenchyma_level: Annotated[Pair, Knob("stored units, range", "A")] = (150.0, 500.0)


@dataclass(frozen=True)
class DwiConfig:
    """All knobs of the diffusion-weighted phantom."""

    anatomy: AnatomyConfig = field(default_factory=AnatomyConfig)
    acquisition: AcquisitionConfig = field(default_factory=AcquisitionConfig)
    susceptibility: SusceptibilityConfig = field(default_factory=SusceptibilityConfig)
    tissue: TissueConfig = field(default_factory=TissueConfig)
    lesion: LesionConfig = field(default_factory=LesionConfig)
    flair: FlairConfig = field(default_factory=FlairConfig)


DWI = DwiConfig()
