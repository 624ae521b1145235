"""What the tissue of one subject is at each template point, and how bright it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import KDTree

from strokerepro.files import hash_json
from strokerepro.phantom.atlas import COARSE_STEP_MM, Atlas
from strokerepro.phantom.cache import cached_arrays
from strokerepro.phantom.dwi_config import FlairConfig, LesionConfig, TissueConfig
from strokerepro.phantom.dwi_lesions import white_matter_lesions
from strokerepro.phantom.lattice import BOX_START_MM, FloatArray, Lattice, box_shape, node_points
from strokerepro.phantom.lesions import Lesion, Roughness, lesion_coverage
from strokerepro.phantom.mr_signal import (
    PARENCHYMA,
    diffusion_signal,
    inversion_recovery_signal,
)
from strokerepro.phantom.territories import Points, fill_polyline

# Tracts that are bright on normal diffusion images; right hemisphere, MNI mm, placed by hand.
TRACTS: tuple[Points, ...] = (
    ((28, -22, 52), (25, -20, 30), (23, -17, 12), (16, -16, -6), (8, -20, -22), (4, -28, -45)),
    ((36, 16, -4), (38, 4, 0), (38, -10, 4)),
)  # corticospinal tract, insula


@dataclass(frozen=True)
class Disease:
    """All lesions of one subject and how they look.

    Parameters
    ----------
    acute, old
        Rough ellipsoids.
    roughness
        Irregularity of their outlines.
    wmh_field, wmh_level
        White-matter hyperintensity lies where the field exceeds the level.
    texture
        Unit-variance field that modulates the acute contrast.
    adc_factor, t2_factor
        Acute change of ADC and T2.
    """

    acute: list[Lesion]
    old: list[Lesion]
    roughness: Roughness
    wmh_field: Lattice
    wmh_level: float
    texture: Lattice
    adc_factor: float
    t2_factor: float


@dataclass(frozen=True)
class TissueState:
    """Mixture at ``N`` template points.

    Parameters
    ----------
    tissue
        ``(3, N)`` shares of grey matter, white matter and CSF.
    acute
        ``(N,)`` share of acute lesion: what the label is made from.
    acute_contrast
        ``(N,)`` weight of the acute signal change (share times conspicuity times texture).
    wmh, old
        ``(N,)`` shares of white-matter hyperintensity and of old infarct.
    """

    tissue: FloatArray
    acute: FloatArray
    acute_contrast: FloatArray
    wmh: FloatArray
    old: FloatArray


def tissue_state(
    points_mm: FloatArray,
    disease: Disease,
    atlas: Atlas,
    lesion: LesionConfig,
    constants: TissueConfig,
) -> TissueState:
    """Evaluate anatomy and disease at ``(3, N)`` template points."""
    tissue = atlas.tissue(points_mm)
    parenchyma = tissue[0] + tissue[1]
    acute, conspicuity = lesion_coverage(
        points_mm, disease.acute, disease.roughness, lesion.edge_mm
    )
    old, _ = lesion_coverage(points_mm, disease.old, disease.roughness, lesion.edge_mm)
    acute = acute * parenchyma * (1.0 - old)
    contrast = acute * conspicuity
    touched = np.flatnonzero(contrast > 1e-3)
    amplitude, _ = constants.lesion_texture
    texture = disease.texture.at(points_mm[:, touched])
    contrast[touched] *= np.maximum(1.0 + amplitude * texture, constants.lesion_texture_min)
    wmh = white_matter_lesions(points_mm, disease.wmh_field, disease.wmh_level, atlas, lesion)
    return TissueState(tissue, acute, contrast, wmh, old * parenchyma)


def diffusion_weighted(
    state: TissueState,
    disease: Disease,
    constants: TissueConfig,
    echo_time_ms: float,
    b_value_s_mm2: float,
) -> FloatArray:
    """Noise-free diffusion signal ``(N,)``: sum over tissues, healthy and diseased."""
    density, t2, adc = (
        np.asarray(values)
        for values in (constants.proton_density, constants.t2_ms, constants.adc_um2_ms)
    )

    def signal(pd: FloatArray, t2_ms: FloatArray, adc_um2_ms: FloatArray) -> FloatArray:
        return diffusion_signal(pd, t2_ms, adc_um2_ms, echo_time_ms, b_value_s_mm2)

    acute = signal(density, t2 * disease.t2_factor, adc * disease.adc_factor)
    wmh = signal(density, t2 * constants.wmh_t2_factor, adc * constants.wmh_adc_factor)
    old_t2 = np.full(3, constants.old_infarct_t2_ms)
    old = signal(density, old_t2, np.full(3, constants.old_infarct_adc_um2_ms))
    return _mix(state, signal(density, t2, adc), acute, wmh, old)


def fluid_attenuated(
    state: TissueState, disease: Disease, constants: TissueConfig, sequence: FlairConfig
) -> FloatArray:
    """Noise-free FLAIR signal ``(N,)``: lesions show by their longer T2."""
    density, t1, t2 = (
        np.asarray(values)
        for values in (constants.proton_density, constants.t1_ms, constants.t2_ms)
    )

    def signal(t2_ms: FloatArray) -> FloatArray:
        return inversion_recovery_signal(
            density,
            t1,
            t2_ms,
            sequence.echo_time_ms,
            sequence.repetition_time_ms,
            sequence.inversion_time_ms,
        )

    acute = signal(t2 * disease.t2_factor)
    wmh = signal(t2 * constants.wmh_t2_factor)
    old = signal(np.full(3, constants.old_infarct_t2_ms))
    return _mix(state, signal(t2), acute, wmh, old)


def _mix(
    state: TissueState, normal: FloatArray, acute: FloatArray, wmh: FloatArray, old: FloatArray
) -> FloatArray:
    total = state.tissue[PARENCHYMA] * normal[PARENCHYMA]
    for k in range(PARENCHYMA):
        healthy = (
            normal[k] * (1.0 - state.wmh - state.old) + wmh[k] * state.wmh + old[k] * state.old
        )
        total = total + state.tissue[k] * (healthy + state.acute_contrast * (acute[k] - normal[k]))
    return np.asarray(np.maximum(total, 0.0))


@lru_cache(maxsize=2)
def load_tract_gain(constants: TissueConfig) -> Lattice:
    """Relative gain of normally bright tracts on the 2 mm template grid, from the cache."""
    gains, radii = constants.tract_gain, constants.tract_radius_mm
    key = hash_json([1, gains, radii, TRACTS])
    shape = box_shape(COARSE_STEP_MM)

    def build() -> dict[str, FloatArray]:
        points = np.abs(node_points(shape, COARSE_STEP_MM) * [[1.0], [0.0], [0.0]])
        points = points + node_points(shape, COARSE_STEP_MM) * [[0.0], [1.0], [1.0]]
        total = np.zeros(points.shape[1])
        for polyline, gain, radius in zip(TRACTS, gains, radii, strict=True):
            distance = KDTree(fill_polyline(polyline)).query(points.T)[0]
            total += gain * np.exp(-0.5 * (distance / radius) ** 2)
        return {"gain": total.reshape(shape)}

    gain = cached_arrays("tracts", key, build)["gain"]
    return Lattice(gain, BOX_START_MM, COARSE_STEP_MM)
