"""Knobs of the CT-perfusion phantom; frozen, see ``VERSIONS``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from strokerepro.phantom.config import AnatomyConfig, Knob
from strokerepro.phantom.dwi_config import SusceptibilityConfig, TissueConfig
from strokerepro.phantom.perfusion.config import PerfusionConfig

Pair = tuple[float, float]
Triple = tuple[float, float, float]
Shares = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class SlabConfig:
    """Where the slices lie; their number, thickness and spacing come from the real table."""

    field_px: Annotated[int, Knob("pixels, the real matrix", "S1")] = 256
    few_slices: Annotated[int, Knob("1, up to here the first of the two centres", "A")] = 4
    centre_few_mm: Annotated[Pair, Knob("mm above the pivot: mean, SD", "fit-ctp")] = (16.0, 6.0)
    centre_many_mm: Annotated[Pair, Knob("mm above the pivot: mean, SD", "A")] = (12.0, 4.0)
    subslices: Annotated[int, Knob("1, samples across the slice thickness", "A")] = 3


@dataclass(frozen=True)
class TimingConfig:
    """Hours between onset, CT perfusion and magnetic resonance."""

    onset_h: Annotated[Pair, Knob("h median; SD of the logarithm", "S2")] = (3.1, 0.22)
    gap_h: Annotated[Pair, Knob("h median from CTP to MRI; SD of the logarithm", "S2")] = (
        0.65,
        0.6,
    )
    growth_sd: Annotated[float, Knob("SD of the log threshold at the median gap", "A")] = 0.12
    growth_exponent: Annotated[float, Knob("1, growth with the gap", "A")] = 0.5
    shift_sd_mm: Annotated[float, Knob("mm in x and in y at the median gap", "fit-ctp")] = 2.5
    shift_exponent: Annotated[float, Knob("1, mis-registration with the gap", "A")] = 0.25


@dataclass(frozen=True)
class OcclusionConfig:
    """The occluded artery and the flow, volume and delay of its territory."""

    site_shares: Annotated[Shares, Knob("1", "fit-ctp")] = (
        ("M1", 0.17),
        ("M1-distal", 0.12),
        ("M2-superior", 0.19),
        ("M2-inferior", 0.18),
        ("M3", 0.25),
        ("ICA-T", 0.03),
        ("ACA", 0.03),
        ("LSA", 0.03),
    )
    border_noise: Annotated[Pair, Knob("mm: amplitude, sigma of the territory border", "A")] = (
        5.0,
        12.0,
    )
    retreat_mm: Annotated[
        Pair, Knob("mm that collaterals save at the border, range", "fit-ctp")
    ] = (8.0, 22.0)
    branch_radius_mm: Annotated[Pair, Knob("mm, range, of the disc of an M3 branch", "fit-ctp")] = (
        16.0,
        32.0,
    )
    midline_slope: Annotated[float, Knob("mm of margin per mm from the midline", "A")] = 3.0
    collateral_depth_mm: Annotated[Pair, Knob("mm median; SD of the logarithm", "fit-ctp")] = (
        10.0,
        0.25,
    )
    end_artery_exponent: Annotated[float, Knob("1, of the lenticulostriate severity", "A")] = 1.6
    branch_scale: Annotated[
        float, Knob("1, retreat and collateral depth of a branch over a trunk's", "fit-ctp")
    ] = 0.55
    core_flow: Annotated[
        Pair, Knob("1, range of the relative flow at full severity", "fit-ctp")
    ] = (0.04, 0.14)
    flow_noise: Annotated[Triple, Knob("log amplitude; weights fine, coarse", "fit-ctp")] = (
        0.5,
        0.8,
        0.6,
    )
    flow_noise_sigma_mm: Annotated[Pair, Knob("mm: fine, coarse", "A")] = (7.0, 18.0)
    volume_flow: Annotated[tuple[float, ...], Knob("1, relative flow of the anchors", "S3")] = (
        0.0,
        0.1,
        0.3,
        0.5,
        0.75,
        1.0,
    )
    volume_ratio: Annotated[tuple[float, ...], Knob("1, relative blood volume there", "S3")] = (
        0.12,
        0.215,
        0.91,
        1.15,
        1.08,
        1.0,
    )
    delay_s: Annotated[Pair, Knob("s median at full severity; SD of the logarithm", "fit-ctp")] = (
        4.8,
        0.42,
    )
    delay_noise: Annotated[Pair, Knob("relative amplitude; mm", "A")] = (0.25, 10.0)
    delay_noise_limits: Annotated[Pair, Knob("1", "A")] = (0.4, 1.8)
    dispersion_s: Annotated[Pair, Knob("s at rest; share of the delay", "A")] = (0.25, 0.28)
    reperfusion_share: Annotated[float, Knob("1, of patients, before CTP", "A")] = 0.14
    reperfusion_flow: Annotated[float, Knob("1, relative flow after reperfusion", "A")] = 1.05
    reperfusion_delay: Annotated[float, Knob("1, of the delay that is left", "A")] = 0.15
    reperfusion_field: Annotated[Triple, Knob("mm; level; width in units of the field", "A")] = (
        15.0,
        -0.3,
        0.2,
    )


@dataclass(frozen=True)
class RestConfig:
    """Perfusion of tissue that the stroke spares, in the order grey, white matter."""

    cbf_ml_100g_min: Annotated[Pair, Knob("ml/100 g/min, mean", "S3")] = (55.0, 24.0)
    cbf_sd_ml_100g_min: Annotated[Pair, Knob("ml/100 g/min, between patients", "A")] = (6.0, 3.0)
    cbv_ml_100g: Annotated[Pair, Knob("ml/100 g, mean", "S3")] = (3.5, 1.9)
    cbv_sd_ml_100g: Annotated[Pair, Knob("ml/100 g, between patients", "A")] = (0.3, 0.2)
    texture: Annotated[Pair, Knob("log amplitude; mm, drawn slice by slice", "A")] = (0.09, 5.0)
    trend: Annotated[Pair, Knob("log amplitude; mm", "A")] = (0.07, 20.0)
    mtt_limits_s: Annotated[Pair, Knob("s", "A")] = (1.5, 26.0)
    delay_s: Annotated[float, Knob("s after the measured artery", "A")] = 0.9
    delay_white_s: Annotated[float, Knob("s more in white matter", "A")] = 0.55
    delay_noise: Annotated[Pair, Knob("s; mm", "A")] = (0.5, 18.0)
    delay_posterior_s: Annotated[float, Knob("s more in the posterior circulation", "A")] = 0.6
    delay_border_s: Annotated[Pair, Knob("s more at the ACA border; mm of decay", "A")] = (0.5, 5.0)
    stenosis_share: Annotated[float, Knob("1, of patients", "A")] = 0.12
    stenosis_delay_s: Annotated[Pair, Knob("s more on one side, range", "A")] = (1.2, 3.2)


@dataclass(frozen=True)
class FateConfig:
    """Which tissue is dead when the DWI is made; CTP does not see these draws."""

    threshold: Annotated[Pair, Knob("relative flow, median; SD of the logarithm", "fit-ctp")] = (
        0.28,
        0.65,
    )
    threshold_per_h: Annotated[float, Knob("1/h, rise with the time since onset", "A")] = 0.05
    threshold_at_h: Annotated[float, Knob("h since onset of the stated threshold", "A")] = 3.0
    vulnerability: Annotated[Triple, Knob("log amplitude; weights fine, coarse", "fit-ctp")] = (
        1.7,
        0.8,
        0.6,
    )
    vulnerability_sigma_mm: Annotated[Pair, Knob("mm: fine, coarse", "A")] = (7.0, 21.0)
    tissue_margin: Annotated[Pair, Knob("log threshold: grey, white matter", "A")] = (0.05, -0.12)
    edge: Annotated[float, Knob("1, logistic width of the log margin", "A")] = 0.04
    least_severity: Annotated[float, Knob("1", "A")] = 0.12
    satellites: Annotated[float, Knob("Poisson mean", "A")] = 1.0
    satellite_radius_mm: Annotated[Pair, Knob("mm median; SD of the logarithm", "A")] = (4.5, 0.45)
    satellite_edge_mm: Annotated[float, Knob("mm", "A")] = 0.5
    elongation_sd: Annotated[float, Knob("SD of the logarithm of each axis", "A")] = 0.25
    roughness: Annotated[float, Knob("share of the radius", "A")] = 0.25
    label_threshold: Annotated[float, Knob("1, of the infarct share", "A")] = 0.40
    label_blur_mm: Annotated[float, Knob("mm, in plane", "A")] = 1.5
    least_parenchyma: Annotated[float, Knob("1, of the blurred voxel; less is fluid", "A")] = 0.3
    label_noise: Annotated[Pair, Knob("amplitude at the border; mm", "A")] = (0.12, 4.0)
    opening_mm: Annotated[float, Knob("mm, edge of the square that opens the label", "A")] = 3.0
    min_label_ml: Annotated[float, Knob("ml in every slab; smaller draws repeat", "S1")] = 0.7
    max_redraws: Annotated[int, Knob("1", "A")] = 200


@dataclass(frozen=True)
class ChronicConfig:
    """Old damage: an infarct at most, and white-matter hyperintensity."""

    old_infarct_share: Annotated[float, Knob("1, of patients", "A")] = 0.18
    old_infarct_radius_mm: Annotated[Pair, Knob("mm median; SD of the logarithm", "A")] = (8.0, 0.4)
    old_infarct_edge_mm: Annotated[float, Knob("mm, width of the logistic edge", "A")] = 0.5
    elongation_sd: Annotated[float, Knob("SD of the logarithm of each axis", "A")] = 0.25
    roughness: Annotated[float, Knob("share of the radius", "A")] = 0.25
    old_infarct_flow: Annotated[float, Knob("1, relative flow and volume", "A")] = 0.25
    wmh_log_threshold: Annotated[Pair, Knob("log of the field level: mean, SD", "A")] = (0.55, 0.25)
    wmh_sigma_mm: Annotated[float, Knob("mm", "A")] = 6.0
    wmh_depth_mm: Annotated[float, Knob("mm from the surface: half of full strength", "A")] = 12.0
    wmh_edge: Annotated[float, Knob("1, width of the edge in units of the field", "A")] = 0.15
    wmh_flow: Annotated[float, Knob("1, relative flow", "A")] = 0.8


@dataclass(frozen=True)
class HeadConfig:
    """Attenuation of the head without contrast agent."""

    brain_hu: Annotated[Triple, Knob("HU: grey, white matter, CSF", "S7")] = (37.0, 29.5, 8.0)
    texture: Annotated[Pair, Knob("HU; mm, drawn slice by slice", "A")] = (1.0, 4.0)
    trend: Annotated[Pair, Knob("HU; mm, drawn slice by slice", "A")] = (0.8, 15.0)
    cupping: Annotated[Pair, Knob("HU at the skull; mm of decay", "A")] = (3.5, 6.0)
    wmh_hu: Annotated[float, Knob("HU, change in white-matter hyperintensity", "A")] = -5.0
    old_infarct_hu: Annotated[float, Knob("HU", "A")] = 14.0
    oedema_hu: Annotated[float, Knob("HU per share of net water uptake", "S10")] = 33.0
    water_uptake: Annotated[Triple, Knob("1/h; 1; SD", "A")] = (0.015, 0.015, 0.02)
    water_uptake_limits: Annotated[Pair, Knob("1", "A")] = (0.0, 0.16)
    oedema_edge: Annotated[Pair, Knob("log margin: reach beyond the infarct; width", "A")] = (
        0.2,
        0.35,
    )
    csf_mm: Annotated[Pair, Knob("mm outside the brain, range", "A")] = (1.5, 4.0)
    skull_mm: Annotated[Pair, Knob("mm, range", "A")] = (5.0, 8.0)
    skull_hu: Annotated[Triple, Knob("HU: least, greatest of the tables; marrow share", "A")] = (
        850.0,
        1150.0,
        0.55,
    )
    scalp_mm: Annotated[float, Knob("mm", "A")] = 5.0
    scalp_hu: Annotated[float, Knob("HU", "A")] = 20.0
    face_mm: Annotated[float, Knob("mm outside the skull, below and before the brain", "A")] = 20.0
    face_hu: Annotated[float, Knob("HU", "A")] = 45.0
    air_hu: Annotated[float, Knob("HU", "physics")] = -1000.0
    blood_hu: Annotated[float, Knob("HU", "S3")] = 40.0


@dataclass(frozen=True)
class VesselConfig:
    """Large vessels seen in the series."""

    venous_delay_s: Annotated[float, Knob("s after the artery", "S3")] = 4.0
    venous_dispersion_s: Annotated[float, Knob("s", "A")] = 3.0
    occluded_filling: Annotated[float, Knob("1, retrograde filling beyond the clot", "A")] = 0.35
    occluded_delay: Annotated[float, Knob("1, of the delay at full severity", "A")] = 0.7
    arterial_dispersion_s: Annotated[float, Knob("s", "A")] = 0.2
    blur_mm: Annotated[float, Knob("mm, least SD of a vessel's profile in the image", "A")] = 0.8


@dataclass(frozen=True)
class UnitConfig:
    """Units of the stored maps, arbitrary and different in every case."""

    cbf_unit: Annotated[Pair, Knob("stored units per ml/100 g/min: median; log SD", "S1")] = (
        7.5,
        0.35,
    )
    cbv_unit: Annotated[Pair, Knob("stored units per ml/100 g: median; log SD", "A")] = (10.0, 0.35)


@dataclass(frozen=True)
class MagneticConfig:
    """The diffusion-weighted image on the grid of the CT."""

    share_3t: Annotated[float, Knob("1; the others 1.5 T", "A")] = 0.5
    bandwidth_15t_hz_mm: Annotated[Pair, Knob("Hz/mm along the phase encoding, range", "A")] = (
        7.2,
        10.0,
    )
    bandwidth_3t_hz_mm: Annotated[Pair, Knob("Hz/mm, range; with parallel imaging", "A")] = (
        12.2,
        16.7,
    )
    thickness_mm: Annotated[float, Knob("mm, averaged over thicker slices of CT", "A")] = 5.0
    echo_time_ms: Annotated[Pair, Knob("ms, range", "A")] = (80.0, 100.0)
    b_value_s_mm2: Annotated[float, Knob("s/mm2", "A")] = 1000.0
    snr: Annotated[Pair, Knob("1, range; parenchyma over noise SD", "A")] = (14.0, 28.0)
    parenchyma_level: Annotated[Pair, Knob("stored units, range", "A")] = (120.0, 400.0)
    bias: Annotated[Pair, Knob("log amplitude; mm", "A")] = (0.07, 45.0)
    flare: Annotated[Pair, Knob("relative gain at the surface; mm of decay", "A")] = (0.09, 12.0)


@dataclass(frozen=True)
class CtpConfig:
    """All knobs of the CT-perfusion phantom."""

    anatomy: AnatomyConfig = field(default_factory=AnatomyConfig)
    slab: SlabConfig = field(default_factory=SlabConfig)
    timing: TimingConfig = field(default_factory=TimingConfig)
    occlusion: OcclusionConfig = field(default_factory=OcclusionConfig)
    rest: RestConfig = field(default_factory=RestConfig)
    fate: FateConfig = field(default_factory=FateConfig)
    chronic: ChronicConfig = field(default_factory=ChronicConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    vessels: VesselConfig = field(default_factory=VesselConfig)
    perfusion: PerfusionConfig = field(default_factory=PerfusionConfig)
    units: UnitConfig = field(default_factory=UnitConfig)
    magnetic: MagneticConfig = field(default_factory=MagneticConfig)
    susceptibility: SusceptibilityConfig = field(default_factory=SusceptibilityConfig)
    tissue: TissueConfig = field(default_factory=TissueConfig)


CTP = CtpConfig()
