"""What lies behind one slice of a perfusion series: flow, vessels, attenuation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.ctp_acquisition import Slab
from strokerepro.phantom.ctp_config import CtpConfig
from strokerepro.phantom.ctp_head import air_share, load_air
from strokerepro.phantom.ctp_occlusion import Supply
from strokerepro.phantom.ctp_patient import Patient, Stroke
from strokerepro.phantom.ctp_places import Places, slice_places
from strokerepro.phantom.ctp_rest import Flow, perfused
from strokerepro.phantom.ctp_vessels import VesselShares, vessel_shares
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.random_fields import slice_field

_BRAIN_SHARE = 0.5


@dataclass(frozen=True)
class SliceSamples:
    """One slice before it is scanned.

    Parameters
    ----------
    near
        ``(X, Y)`` mask of the N pixels that can hold tissue or vessels.
    brain
        ``(X, Y)`` mask of the brain, fluid in its furrows and ventricles included.
    plain_hu
        ``(X, Y)`` attenuation without contrast.
    depth_mm
        ``(X, Y)`` depth in the closed brain mask, negative outside.
    flow
        Perfusion at the ``S * N`` samples, sub-slice by sub-slice.
    vessels
        Blood of large vessels in the N pixels.
    """

    near: NDArray[np.bool_]
    brain: NDArray[np.bool_]
    plain_hu: FloatArray
    depth_mm: FloatArray
    flow: Flow
    vessels: VesselShares


@dataclass(frozen=True)
class _Tissue:
    """Shares at the samples, each ``(S * N,)`` but for `normal`, which is ``(3, S * N)``."""

    normal: FloatArray
    old: FloatArray
    wmh: FloatArray


def sample_slice(
    rng: np.random.Generator,
    index: int,
    slab: Slab,
    patient: Patient,
    stroke: Stroke,
    atlas: Atlas,
    config: CtpConfig,
) -> SliceSamples:
    """Evaluate anatomy, perfusion and attenuation behind slice `index` of a slab.

    `rng` draws texture finer than the slices are thick.
    """
    air = load_air(config.susceptibility, atlas)
    places = slice_places(index, slab, patient.subject, atlas, air)
    points, parts = places.points_mm, slab.subslices
    normal = atlas.tissue(points)
    old = patient.chronic.old_infarct(points, normal)
    tissue = _Tissue(normal, old, patient.chronic.hyperintensity(points, atlas))
    supply = stroke.occlusion.supply(points)
    plane = slab.grid.shape[:2]
    texture = slice_field(rng, plane, slab.pixel_mm, config.rest.texture[1])
    flow = perfused(
        points,
        normal,
        np.tile(texture[places.near], parts),
        _viability(tissue, config),
        supply,
        patient.rest,
        stroke.occlusion,
    )
    vessels = vessel_shares(
        points, stroke.occlusion, slab.thickness_mm / parts, config.vessels
    ).mean(parts)
    brain = np.zeros(plane, dtype=bool)
    brain[places.near] = _mean(normal.sum(axis=0), parts) > _BRAIN_SHARE
    plain = _plain_hu(places, tissue, supply, patient, stroke)
    head = patient.head.config
    plain[places.near] += vessels.total * (head.blood_hu - head.brain_hu[2])
    for amplitude, sigma_mm in (head.texture, head.trend):
        plain += amplitude * brain * slice_field(rng, plane, slab.pixel_mm, sigma_mm)
    return SliceSamples(places.near, brain, plain, places.closed_mm.mean(axis=0), flow, vessels)


def _viability(tissue: _Tissue, config: CtpConfig) -> FloatArray:
    """Factor ``(S * N,)`` of flow and volume where old damage is."""
    knobs = config.chronic
    left = (1.0 - tissue.old * (1.0 - knobs.old_infarct_flow)) * (
        1.0 - tissue.wmh * (1.0 - knobs.wmh_flow)
    )
    return np.asarray(left)


def _plain_hu(
    places: Places, tissue: _Tissue, supply: Supply, patient: Patient, stroke: Stroke
) -> FloatArray:
    """Attenuation ``(X, Y)`` without contrast, noise and texture."""
    head = patient.head
    layers = head.layers_hu(places.closed_mm)
    layers += air_share(places.air) * (head.config.air_hu - layers)
    parenchyma = tissue.normal[0] + tissue.normal[1]
    margin = stroke.fate.margin(places.points_mm, tissue.normal, supply)
    oedema = parenchyma * (1.0 - tissue.old) * head.oedema_hu(margin)
    closed = places.closed_mm[:, places.near]
    brain = head.brain_hu(tissue.normal, closed.ravel(), tissue.wmh, tissue.old) - oedema
    # Within the fluid around the brain its tissue takes the fluid's place.
    within = closed > -head.csf_mm
    layers[:, places.near] = np.where(within, brain.reshape(closed.shape), layers[:, places.near])
    return np.asarray(layers.mean(axis=0))


def _mean(values: FloatArray, subslices: int) -> FloatArray:
    return np.asarray(values.reshape(subslices, -1).mean(axis=0))
