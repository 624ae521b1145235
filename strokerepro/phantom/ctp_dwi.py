"""The diffusion-weighted image on the grid of the CT, and what it shows of the infarct."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokerepro.phantom.anatomy import Grid
from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.ctp_acquisition import Slab
from strokerepro.phantom.ctp_config import CtpConfig, MagneticConfig
from strokerepro.phantom.ctp_patient import Patient, Stroke
from strokerepro.phantom.dwi_acquisition import Acquisition
from strokerepro.phantom.dwi_config import DwiConfig, TissueConfig
from strokerepro.phantom.dwi_sampling import Sampling, receive_gain, sample_grid
from strokerepro.phantom.dwi_tissue import (
    Disease,
    TissueState,
    diffusion_weighted,
    load_tract_gain,
)
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.mr_signal import rician_magnitude
from strokerepro.phantom.random_fields import component_rng, slice_field


@dataclass(frozen=True)
class Resliced(Acquisition):
    """Thin slices of magnetic resonance, averaged over the thickness of the CT's slices.

    Parameters
    ----------
    slab_mm
        Thickness of the CT's slices.
    """

    slab_mm: float

    @property
    def subslice_offsets_mm(self) -> FloatArray:
        """Centres of equal parts of the thickness of a CT slice."""
        parts = np.arange(self.subslices) + 0.5
        return np.asarray((parts / self.subslices - 0.5) * self.slab_mm)


@dataclass(frozen=True)
class MagneticView:
    """One slab as magnetic resonance sees it: shifted against the CT, and distorted.

    Parameters
    ----------
    scan
        Sequence; its grid is the CT's, displaced by the registration error.
    sampling
        Where the voxels get their signal from.
    tissue
        ``(3, S * N)`` shares at the samples.
    old, wmh
        ``(S * N,)`` shares of old infarct and of white-matter hyperintensity.
    """

    scan: Resliced
    sampling: Sampling
    tissue: FloatArray
    old: FloatArray
    wmh: FloatArray

    @property
    def parenchyma(self) -> FloatArray:
        """Share ``(S * N,)`` of tissue that can still die."""
        return np.asarray((self.tissue[0] + self.tissue[1]) * (1.0 - self.old))


def view_slab(
    slab: Slab, patient: Patient, *, seed: int, atlas: Atlas, config: CtpConfig
) -> MagneticView:
    """Draw sequence and mis-registration of a slab and sample its anatomy."""
    registration = component_rng(seed, "ctp", slab.case, "registration")
    shift_mm = registration.normal(0.0, patient.timing.shift_sd_mm, size=2)
    scan = _draw_scan(registration, slab, shift_mm, config)
    # Of the diffusion phantom's knobs the distortion reads those of the susceptibility only.
    knobs = DwiConfig(anatomy=config.anatomy, susceptibility=config.susceptibility)
    sampling = sample_grid(scan, patient.subject, atlas, knobs)
    tissue = atlas.tissue(sampling.template_mm)
    old = patient.chronic.old_infarct(sampling.template_mm, tissue)
    wmh = patient.chronic.hyperintensity(sampling.template_mm, atlas)
    return MagneticView(scan, sampling, tissue, old, wmh)


def _draw_scan(
    rng: np.random.Generator, slab: Slab, shift_mm: FloatArray, config: CtpConfig
) -> Resliced:
    knobs: MagneticConfig = config.magnetic
    affine = slab.grid.affine.copy()
    affine[:2, 3] += shift_mm
    is_3t = bool(rng.random() < knobs.share_3t)
    field_t = 3.0 if is_3t else 1.5
    bandwidth = knobs.bandwidth_3t_hz_mm if is_3t else knobs.bandwidth_15t_hz_mm
    polarity = 1.0 if rng.random() < 0.5 else -1.0
    return Resliced(
        grid=Grid(slab.grid.shape, affine),
        thickness_mm=min(knobs.thickness_mm, slab.thickness_mm),
        subslices=slab.subslices,
        field_t=field_t,
        echo_time_ms=float(rng.uniform(*knobs.echo_time_ms)),
        signed_hz_per_ppm=polarity * config.susceptibility.larmor_15t_mhz * field_t / 1.5,
        bandwidth_hz_mm=float(rng.uniform(*bandwidth)),
        snr=float(rng.uniform(*knobs.snr)),
        parenchyma_level=float(rng.uniform(*knobs.parenchyma_level)),
        slab_mm=slab.thickness_mm,
    )


def infarct_samples(view: MagneticView, stroke: Stroke) -> FloatArray:
    """Share of fresh infarct ``(S * N,)`` at the samples of a view."""
    points = view.sampling.template_mm
    margin = stroke.fate.margin(points, view.tissue, stroke.occlusion.supply(points))
    return np.asarray(stroke.fate.infarct(points, margin) * view.parenchyma)


def on_grid(view: MagneticView, share: FloatArray) -> FloatArray:
    """Volume ``(X, Y, Z)`` of a share at the samples ``(S * N,)``, mean over the sub-slices."""
    volume = np.zeros(view.scan.grid.shape)
    volume[view.sampling.near] = share.reshape(view.scan.subslices, -1).mean(axis=0)
    return volume


def diffusion_image(
    rng: np.random.Generator,
    view: MagneticView,
    infarct: FloatArray,
    patient: Patient,
    atlas: Atlas,
    config: CtpConfig,
) -> NDArray[np.int16]:
    """Diffusion-weighted image ``(X, Y, Z)``, int16.

    Parameters
    ----------
    rng
        Random stream.
    view
        The slab.
    infarct
        ``(S * N,)``, see :func:`infarct_samples`.
    patient, atlas, config
        The person, anatomy and knobs.
    """
    scan, sampling, knobs = view.scan, view.sampling, config.magnetic
    disease = _draw_disease(rng, patient, config.tissue)
    contrast = infarct * np.tile(_texture(rng, view, config.tissue), scan.subslices)
    state = TissueState(view.tissue, infarct, contrast, view.wmh, view.old)
    signal = diffusion_weighted(
        state, disease, config.tissue, scan.echo_time_ms, knobs.b_value_s_mm2
    )
    signal *= 1.0 + load_tract_gain(config.tissue).at(sampling.template_mm)
    gain = receive_gain(rng, sampling, scan, atlas, bias=knobs.bias, flare=knobs.flare)
    clean = np.zeros(scan.grid.shape)
    clean[sampling.near] = sampling.gain * gain * signal.reshape(scan.subslices, -1).mean(axis=0)
    parenchyma = view.tissue[:2].sum(axis=0).reshape(scan.subslices, -1).mean(axis=0) > 0.8
    level = float(np.median(clean[sampling.near][parenchyma]))
    noisy = rician_magnitude(rng, clean, level / scan.snr)
    return np.rint(noisy * scan.parenchyma_level / level).astype(np.int16)


def _texture(rng: np.random.Generator, view: MagneticView, constants: TissueConfig) -> FloatArray:
    amplitude, sigma_mm = constants.lesion_texture
    shape = view.scan.grid.shape
    pixel_mm = view.scan.grid.spacing_mm[0]
    planes = [slice_field(rng, shape[:2], pixel_mm, sigma_mm) for _ in range(shape[2])]
    texture = np.stack(planes, axis=-1)[view.sampling.near]
    return np.asarray(np.maximum(1.0 + amplitude * texture, constants.lesion_texture_min))


def _draw_disease(rng: np.random.Generator, patient: Patient, constants: TissueConfig) -> Disease:
    hours = patient.timing.onset_h + patient.timing.gap_h
    adc = np.clip(rng.normal(*constants.lesion_adc_factor), *constants.lesion_adc_limits)
    gain = constants.lesion_t2_gain_per_h * hours + rng.normal(*constants.lesion_t2_gain)
    chronic = patient.chronic
    return Disease(
        acute=[],  # the infarct comes as a field, not as ellipsoids
        old=chronic.infarcts,
        roughness=chronic.roughness,
        wmh_field=chronic.wmh_field,
        wmh_level=chronic.wmh_level,
        texture=chronic.wmh_field,
        adc_factor=float(adc),
        t2_factor=1.0 + float(np.clip(gain, 0.0, constants.lesion_t2_gain_max)),
    )
