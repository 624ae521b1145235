"""A perfusion series and its maps, slice by slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.ctp_acquisition import Slab
from strokerepro.phantom.ctp_config import CtpConfig
from strokerepro.phantom.ctp_patient import Patient, Stroke
from strokerepro.phantom.ctp_rest import Flow
from strokerepro.phantom.ctp_slice import SliceSamples, sample_slice
from strokerepro.phantom.ctp_vessels import vessel_enhancement
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.perfusion.ct_acquisition import (
    acquire_slice,
    draw_noise_hu,
    measured_input,
    pixel_noise_hu,
    slice_maps,
)
from strokerepro.phantom.perfusion.tissue_curves import CurveTable

DT_S = 1.0
_SCALP_TO_BRAIN_MM = 14.0  # depth of the brain's surface below the skin


@dataclass(frozen=True)
class PerfusionStudy:
    """Plain CT, perfusion series and maps of one slab in file order.

    Parameters
    ----------
    ct
        ``(X, Y, Z)`` int16 HU.
    series
        ``(X, Y, Z, T)`` int16 HU.
    arterial_hu
        ``(T,)`` measured arterial enhancement.
    cbf_ml_100g_min, cbv_ml_100g, mtt_s, tmax_s
        ``(X, Y, Z)`` float64 maps, 0 outside the brain's tissue.
    noise_hu
        Noise SD of a frame at the reference voxel.
    """

    ct: NDArray[np.int16]
    series: NDArray[np.int16]
    arterial_hu: FloatArray
    cbf_ml_100g_min: FloatArray
    cbv_ml_100g: FloatArray
    mtt_s: FloatArray
    tmax_s: FloatArray
    noise_hu: float


def make_study(
    rng: Callable[[str], np.random.Generator],
    slab: Slab,
    patient: Patient,
    stroke: Stroke,
    atlas: Atlas,
    config: CtpConfig,
) -> PerfusionStudy:
    """Scan a slab.

    Parameters
    ----------
    rng
        Gives the random stream of a named component of the case.
    slab, patient, stroke
        What is scanned.
    atlas, config
        Anatomy and knobs.
    """
    scan = config.perfusion.scan
    time_s = DT_S * np.arange(slab.time_points, dtype=np.float64)
    table = CurveTable.build(patient.arterial, patient.alpha, config=config.perfusion.transit)
    texture, noise = rng("texture"), rng("noise")
    noise_hu = draw_noise_hu(noise, scan)
    pixel_noise = pixel_noise_hu(noise_hu, slab.pixel_mm, slab.thickness_mm, scan)
    arterial = measured_input(
        rng("arterial"), patient.arterial, time_s, pixel_noise, config.perfusion.arterial
    )
    shape = slab.grid.shape
    ct = np.zeros(shape, dtype=np.int16)
    series = np.zeros((*shape, slab.time_points), dtype=np.int16)
    maps = np.zeros((4, *shape))
    for k in range(shape[2]):
        samples = sample_slice(texture, k, slab, patient, stroke, atlas, config)
        enhancement = _enhancement(samples, slab, stroke, table, time_s, config)
        frames = _acquire(noise, samples, enhancement, noise_hu, slab, config)
        still = np.zeros((1, *shape[:2]))
        share = scan.plain_ct_share
        ct[:, :, k] = _acquire(noise, samples, still, share * noise_hu, slab, config)[0]
        series[:, :, k] = np.moveaxis(frames, 0, -1)
        # The physics works on (Y, X) planes; the maps come back in file order.
        planes = slice_maps(
            frames.transpose(0, 2, 1),
            arterial,
            DT_S,
            samples.brain.T,
            slab.pixel_mm,
            config.perfusion.maps,
        )
        fields = planes.cbf_ml_100g_min, planes.cbv_ml_100g, planes.mtt_s, planes.tmax_s
        maps[..., k] = np.stack([field.T for field in fields])
    cbf, cbv, mtt, tmax = maps
    return PerfusionStudy(ct, series, arterial, cbf, cbv, mtt, tmax, noise_hu)


def _enhancement(
    samples: SliceSamples,
    slab: Slab,
    stroke: Stroke,
    table: CurveTable,
    time_s: FloatArray,
    config: CtpConfig,
) -> FloatArray:
    """Contrast ``(T, X, Y)`` in HU: mean over the sub-slices, and the large vessels."""
    flow = _by_subslice(samples.flow, slab.subslices)
    total = np.zeros((len(time_s), int(samples.near.sum())))
    for part in flow:
        total += table.tissue_curves(
            part.cbf_ml_100g_min, part.mtt_s, part.delay_s, part.dispersion_s, time_s
        )
    total /= slab.subslices
    vessels = samples.vessels
    filled = np.flatnonzero(vessels.total > 1e-3)
    total[:, filled] *= 1.0 - vessels.total[filled]
    total[:, filled] += vessel_enhancement(
        vessels.at(filled), stroke.occlusion, table, time_s, config.vessels
    )
    enhancement = np.zeros((len(time_s), *samples.near.shape))
    enhancement[:, samples.near] = total
    return enhancement


def _by_subslice(flow: Flow, subslices: int) -> list[Flow]:
    fields = (flow.cbf_ml_100g_min, flow.mtt_s, flow.delay_s, flow.dispersion_s)
    parts = [field.reshape(subslices, -1) for field in fields]
    return [Flow(*(part[s] for part in parts)) for s in range(subslices)]


def _acquire(
    rng: np.random.Generator,
    samples: SliceSamples,
    enhancement: FloatArray,
    noise_hu: float,
    slab: Slab,
    config: CtpConfig,
) -> NDArray[np.int16]:
    return acquire_slice(
        rng,
        samples.plain_hu,
        enhancement,
        px_mm=slab.pixel_mm,
        thickness_mm=slab.thickness_mm,
        depth_mm=samples.depth_mm + _SCALP_TO_BRAIN_MM,
        config=config.perfusion.scan,
        noise_hu=noise_hu,
    )
