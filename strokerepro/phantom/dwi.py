"""One subject of the diffusion cohort: draw, image, label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokerepro.errors import InputError
from strokerepro.phantom.anatomy import Grid, draw_subject
from strokerepro.phantom.atlas import Atlas, load_atlas
from strokerepro.phantom.brain_extraction import extracted_brain
from strokerepro.phantom.dwi_acquisition import Acquisition, draw_acquisition
from strokerepro.phantom.dwi_config import DwiConfig
from strokerepro.phantom.dwi_lesions import (
    draw_acute_lesions,
    draw_old_infarcts,
    draw_roughness,
    lesion_sites,
    type_of_case,
)
from strokerepro.phantom.dwi_sampling import Sampling, receive_gain, sample_grid
from strokerepro.phantom.dwi_tissue import (
    Disease,
    TissueState,
    diffusion_weighted,
    load_tract_gain,
    tissue_state,
)
from strokerepro.phantom.flair import flair_volume
from strokerepro.phantom.lattice import BOX_START_MM, FloatArray, box_shape
from strokerepro.phantom.mr_signal import apparent_diffusion, rician_magnitude
from strokerepro.phantom.random_fields import component_rng, gaussian_field

MNI_STEP_MM = 4.0


@dataclass(frozen=True)
class DwiCase:
    """Images of one subject in file order (X, Y, Z).

    Parameters
    ----------
    grid
        Voxel grid of `dwi`, `adc` and `label`.
    dwi, adc
        int16; ADC in 1e-6 mm2/s, 0 in the background.
    label
        uint8, 1 in the acute lesion.
    flair_grid, flair
        The fluid-attenuated scan, int16, on its own grid.
    mni_label
        uint8 on the 4 mm template grid, 1 where the label was drawn.
    facts
        What was drawn, for ``participants.tsv``.
    """

    grid: Grid
    dwi: NDArray[np.int16]
    adc: NDArray[np.int16]
    label: NDArray[np.uint8]
    flair_grid: Grid
    flair: NDArray[np.int16]
    mni_label: NDArray[np.uint8]
    facts: dict[str, Any]


def make_dwi_case(case: int, *, size_px: int, seed: int, config: DwiConfig) -> DwiCase:
    """Generate one subject.

    Parameters
    ----------
    case
        Number of the case; with `seed` it decides everything.
    size_px
        Largest in-plane matrix, see :func:`draw_acquisition`.
    seed
        Root seed of the cohort.
    config
        All knobs.

    Raises
    ------
    InputError
        When no draw in `config.lesion.max_redraws` leaves a visible lesion in the slab.
    """

    def rng(component: str) -> np.random.Generator:
        return component_rng(seed, "dwi", case, component)

    atlas = load_atlas(config.anatomy)
    scan = draw_acquisition(rng("acquisition"), size_px, config)
    subject = draw_subject(rng("anatomy"), config.anatomy)
    sampling = sample_grid(scan, subject, atlas, config)
    lesion_type = type_of_case(seed, case, config.lesion)
    background, facts = _draw_background(rng, atlas, config)
    disease, state = _draw_visible(
        rng("lesions"), lesion_type, background, sampling, scan, atlas, config
    )
    dwi, adc = _image(rng("noise"), state, disease, sampling, scan, atlas, config)
    label = _label(state.acute, sampling, scan, config)
    flair, flair_grid = flair_volume(rng("flair"), subject, disease, size_px, atlas, config)
    return DwiCase(
        grid=scan.grid,
        dwi=dwi,
        adc=adc,
        label=label,
        flair_grid=flair_grid,
        flair=flair,
        mni_label=_mni_label(label, sampling, scan),
        facts={
            "lesion_type": lesion_type,
            **facts,
            **scan.facts(),
            "lesion_volume_ml": round(float(label.sum()) * scan.voxel_ml, 4),
            "n_lesions": len(disease.acute),
            "min_jacobian": round(subject.min_jacobian, 3),
        },
    )


def _draw_background(
    rng: Callable[[str], np.random.Generator], atlas: Atlas, config: DwiConfig
) -> tuple[Disease, dict[str, Any]]:
    """Draw everything about the disease but the acute lesions themselves."""
    tissue, lesion = config.tissue, config.lesion
    chronic, appearance = rng("chronic"), rng("appearance")
    old = draw_old_infarcts(chronic, lesion_sites(atlas), lesion)
    wmh_level = float(np.exp(chronic.normal(*lesion.wmh_log_threshold)))
    wmh_field = gaussian_field(chronic, lesion.wmh_sigma_mm)
    age_days = float(appearance.gamma(*tissue.age_days))
    adc = float(np.clip(appearance.normal(*tissue.lesion_adc_factor), *tissue.lesion_adc_limits))
    gain = tissue.lesion_t2_gain_per_h * 24.0 * age_days + appearance.normal(*tissue.lesion_t2_gain)
    t2 = 1.0 + float(np.clip(gain, 0.0, tissue.lesion_t2_gain_max))
    texture = gaussian_field(appearance, tissue.lesion_texture[1])
    roughness = draw_roughness(appearance, lesion)
    facts = {"age_days": round(age_days, 2), "old_infarct": int(bool(old))}
    return Disease([], old, roughness, wmh_field, wmh_level, texture, adc, t2), facts


def _draw_visible(
    rng: np.random.Generator,
    lesion_type: str,
    background: Disease,
    sampling: Sampling,
    scan: Acquisition,
    atlas: Atlas,
    config: DwiConfig,
) -> tuple[Disease, TissueState]:
    """Draw acute lesions until the slab shows at least `min_label_ml` of them."""
    sites = lesion_sites(atlas)
    for _ in range(config.lesion.max_redraws):
        acute = draw_acute_lesions(rng, lesion_type, sites, config.lesion)
        disease = replace(background, acute=acute)
        state = tissue_state(sampling.template_mm, disease, atlas, config.lesion, config.tissue)
        label = _label(state.acute, sampling, scan, config)
        if label.sum() * scan.voxel_ml >= config.lesion.min_label_ml:
            return disease, state
    raise InputError(
        f"{config.lesion.max_redraws} draws of a {lesion_type} without a visible lesion",
        f"a label of at least {config.lesion.min_label_ml} ml",
        "use a finer grid (a larger size_px)",
    )


def _image(
    rng: np.random.Generator,
    state: TissueState,
    disease: Disease,
    sampling: Sampling,
    scan: Acquisition,
    atlas: Atlas,
    config: DwiConfig,
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Diffusion-weighted image and ADC: gain, noise, brain extraction, rounding."""
    acquisition = config.acquisition
    gain = sampling.gain * receive_gain(
        rng, sampling, scan, atlas, bias=acquisition.bias, flare=acquisition.flare
    )
    tract = 1.0 + load_tract_gain(config.tissue).at(sampling.template_mm)
    clean = np.zeros((2, *scan.grid.shape))
    for image, b_value in zip(clean, (acquisition.b_value_s_mm2, 0.0), strict=True):
        signal = tract * diffusion_weighted(
            state, disease, config.tissue, scan.echo_time_ms, b_value
        )
        image[sampling.near] = gain * signal.reshape(scan.subslices, -1).mean(axis=0)
    level = float(np.median(clean[0][sampling.near][_is_parenchyma(state, scan)]))
    noise_sd = level / scan.snr
    weighted, unweighted = (rician_magnitude(rng, image, noise_sd) for image in clean)
    unweighted_level = float(np.median(clean[1][sampling.near][_is_parenchyma(state, scan)]))
    brain = extracted_brain(clean[1], unweighted_level, acquisition.brain_floor)
    dwi = np.rint(brain * weighted * scan.parenchyma_level / level).astype(np.int16)
    adc = apparent_diffusion(unweighted, weighted, acquisition.b_value_s_mm2)
    # Scanners leave the ADC out where the unweighted image is hardly above the noise.
    is_signal = brain & (unweighted > acquisition.adc_floor_sd * noise_sd)
    adc = np.where(is_signal, np.minimum(adc, acquisition.adc_max), 0.0)
    return dwi, np.rint(adc).astype(np.int16)


def _is_parenchyma(state: TissueState, scan: Acquisition) -> NDArray[np.bool_]:
    share = (state.tissue[0] + state.tissue[1]).reshape(scan.subslices, -1).mean(axis=0)
    return np.asarray(share > 0.8)


def _label(
    acute: FloatArray, sampling: Sampling, scan: Acquisition, config: DwiConfig
) -> NDArray[np.uint8]:
    label = np.zeros(scan.grid.shape, dtype=np.uint8)
    share = acute.reshape(scan.subslices, -1).mean(axis=0)
    label[sampling.near] = share > config.lesion.label_threshold
    return label


def mni_grid() -> Grid:
    """The 4 mm template grid of the lesion-frequency maps."""
    affine = np.diag([MNI_STEP_MM, MNI_STEP_MM, MNI_STEP_MM, 1.0])
    affine[:3, 3] = BOX_START_MM
    return Grid(box_shape(MNI_STEP_MM), affine)


def _mni_label(
    label: NDArray[np.uint8], sampling: Sampling, scan: Acquisition
) -> NDArray[np.uint8]:
    # Every sub-slice sample of a lesion voxel marks the template voxel it was taken from.
    inside = np.tile(label[sampling.near] > 0, scan.subslices)
    points = sampling.template_mm[:, inside]
    index = np.rint((points - np.asarray(BOX_START_MM)[:, None]) / MNI_STEP_MM).astype(np.int64)
    marked = np.zeros(box_shape(MNI_STEP_MM), dtype=np.uint8)
    last = np.asarray(marked.shape)[:, None] - 1
    marked[tuple(np.clip(index, 0, last))] = 1
    return marked
