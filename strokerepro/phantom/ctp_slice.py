"""Samples behind one slice of a perfusion series: places, tissue, flow, attenuation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.ctp_acquisition import Slab
from strokerepro.phantom.ctp_config import CtpConfig
from strokerepro.phantom.ctp_head import load_air
from strokerepro.phantom.ctp_patient import Patient, Stroke
from strokerepro.phantom.ctp_rest import Flow, perfused
from strokerepro.phantom.ctp_vessels import VesselShares, vessel_shares
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.random_fields import slice_field

# Further outside the brain there is neither tissue nor a vessel.
_REACH_MM = 8.0
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
        ``(X, Y)`` depth below the inner surface of the skull, negative outside.
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
    plane = slab.grid.shape[:2]
    subject, head = patient.subject, patient.head
    rough = np.concatenate(
        [subject.to_template(points, rough=True) for points in _planes(slab, index)], axis=1
    )
    closed = atlas.closed_depth_mm.at(rough)
    near = (closed.reshape(slab.subslices, -1).max(axis=0) > -_REACH_MM).reshape(plane)
    layers = head.layers_hu(closed)
    layers += load_air(config.susceptibility, atlas).at(rough) * (head.config.air_hu - layers)
    plain = _mean(layers, slab.subslices).reshape(plane)
    points = np.concatenate(
        [subject.to_template(points[:, near.ravel()]) for points in _planes(slab, index)], axis=1
    )
    texture = slice_field(rng, plane, slab.pixel_mm, config.rest.texture[1])[near]
    tissue = atlas.tissue(points)
    old = patient.chronic.old_infarct(points, tissue)
    wmh = patient.chronic.hyperintensity(points, atlas)
    viability = 1.0 - old * (1.0 - config.chronic.old_infarct_flow)
    viability *= 1.0 - wmh * (1.0 - config.chronic.wmh_flow)
    repeated = np.tile(texture, slab.subslices)
    flow = perfused(points, tissue, repeated, viability, patient.rest, stroke.occlusion)
    vessels = vessel_shares(
        points, stroke.occlusion, slab.thickness_mm / slab.subslices, config.vessels
    ).mean(slab.subslices)
    inside = np.tile(near.ravel(), slab.subslices)
    brain_hu = _brain_hu(points, tissue, closed[inside], wmh, old, patient, stroke)
    # Within the skull the layers are fluid: tissue replaces them by its share.
    is_inside = closed[inside] > -head.csf_mm
    mixed = _mean(np.where(is_inside, brain_hu, layers[inside]), slab.subslices)
    mixed += vessels.total * (head.config.blood_hu - head.config.brain_hu[2])
    plain[near] = mixed
    is_brain = np.zeros(plane, dtype=bool)
    is_brain[near] = _mean(tissue.sum(axis=0), slab.subslices) > _BRAIN_SHARE
    grain, trend = head.config.texture, head.config.trend
    plain += is_brain * (
        grain[0] * slice_field(rng, plane, slab.pixel_mm, grain[1])
        + trend[0] * slice_field(rng, plane, slab.pixel_mm, trend[1])
    )
    depth = _mean(closed, slab.subslices).reshape(plane)
    return SliceSamples(near, is_brain, plain, depth, flow, vessels)


def _planes(slab: Slab, index: int) -> list[FloatArray]:
    selected = np.zeros(slab.grid.shape, dtype=bool)
    selected[:, :, index] = True
    return [slab.grid.points_mm(selected, float(offset)) for offset in slab.subslice_offsets_mm]


def _mean(values: FloatArray, subslices: int) -> FloatArray:
    return np.asarray(values.reshape(subslices, -1).mean(axis=0))


def _brain_hu(
    points: FloatArray,
    tissue: FloatArray,
    closed_mm: FloatArray,
    wmh: FloatArray,
    old: FloatArray,
    patient: Patient,
    stroke: Stroke,
) -> FloatArray:
    severity = stroke.occlusion.severity(points)
    flow = stroke.occlusion.relative_flow(points, severity)
    margin = stroke.fate.margin(points, tissue, severity, flow)
    parenchyma = tissue[0] + tissue[1]
    oedema = parenchyma * (1.0 - old) * patient.head.oedema_hu(margin)
    return np.asarray(patient.head.brain_hu(tissue, closed_mm, wmh, old) - oedema)
