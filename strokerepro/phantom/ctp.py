"""One case of the CT-perfusion cohort: plain CT, series, maps, DWI, label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokerepro.errors import InputError
from strokerepro.phantom.anatomy import Grid
from strokerepro.phantom.atlas import Atlas, load_atlas
from strokerepro.phantom.ctp_acquisition import Slab, cases_of, slab_of
from strokerepro.phantom.ctp_config import CtpConfig
from strokerepro.phantom.ctp_dwi import (
    MagneticView,
    diffusion_image,
    infarct_samples,
    on_grid,
    view_slab,
)
from strokerepro.phantom.ctp_fate import draw_label
from strokerepro.phantom.ctp_patient import Patient, Stroke, draw_patient, draw_stroke
from strokerepro.phantom.ctp_series import DT_S, PerfusionStudy, make_study
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.random_fields import component_rng

_LARGEST_UINT16 = 65535.0


@dataclass(frozen=True)
class CtpCase:
    """Images of one case in file order (X, Y, Z).

    Parameters
    ----------
    grid
        Voxel grid of all volumes.
    ct
        Plain CT, int16 HU.
    series
        ``(X, Y, Z, T)`` int16 HU.
    dt_s
        Time between frames.
    cbf, cbv
        uint16, in units that differ from case to case.
    mtt_s, tmax_s
        float32.
    dwi
        int16, arbitrary units.
    label
        uint8, 1 in the infarct as the DWI shows it.
    facts
        What was drawn, fit for JSON.
    """

    grid: Grid
    ct: NDArray[np.int16]
    series: NDArray[np.int16]
    dt_s: float
    cbf: NDArray[np.uint16]
    cbv: NDArray[np.uint16]
    mtt_s: NDArray[np.float32]
    tmax_s: NDArray[np.float32]
    dwi: NDArray[np.int16]
    label: NDArray[np.uint8]
    facts: dict[str, Any]


def make_ctp_case(case: int, *, size_px: int, seed: int, config: CtpConfig) -> CtpCase:
    """Generate one case; the slabs of one patient show the same head and stroke.

    Parameters
    ----------
    case
        Number of the case, from 1; it takes the geometry of the real case of that number.
    size_px
        In-plane matrix; 256 is the real one.
    seed
        Root seed of the cohort.
    config
        All knobs.

    Raises
    ------
    InputError
        When no draw in `config.fate.max_redraws` leaves an infarct in every slab of the patient.
    """

    def rng(component: str) -> np.random.Generator:
        return component_rng(seed, "ctp", case, component)

    atlas = load_atlas(config.anatomy)
    slab = slab_of(case, size_px=size_px, seed=seed, config=config.slab)
    patient = draw_patient(slab.patient, seed=seed, atlas=atlas, config=config)
    outcome = _draw_outcome(slab, patient, seed=seed, atlas=atlas, config=config)
    study = make_study(rng, slab, patient, outcome.stroke, atlas, config)
    dwi = diffusion_image(rng("diffusion"), outcome.view, outcome.infarct, patient, atlas, config)
    units = rng("maps")
    cbf_unit, cbv_unit = (
        float(median * np.exp(units.normal(0.0, log_sd)))
        for median, log_sd in (config.units.cbf_unit, config.units.cbv_unit)
    )
    return CtpCase(
        grid=slab.grid,
        ct=study.ct,
        series=study.series,
        dt_s=DT_S,
        cbf=_stored(study.cbf_ml_100g_min, cbf_unit),
        cbv=_stored(study.cbv_ml_100g, cbv_unit),
        mtt_s=study.mtt_s.astype(np.float32),
        tmax_s=study.tmax_s.astype(np.float32),
        dwi=dwi,
        label=outcome.label,
        facts=_facts(slab, patient, outcome, study, cbf_unit, cbv_unit),
    )


@dataclass(frozen=True)
class _Outcome:
    stroke: Stroke
    view: MagneticView
    infarct: FloatArray
    label: NDArray[np.uint8]


def _draw_outcome(
    slab: Slab, patient: Patient, *, seed: int, atlas: Atlas, config: CtpConfig
) -> _Outcome:
    """Draw strokes until every slab of the patient shows enough infarct."""
    slabs = [
        slab_of(case, size_px=slab.grid.shape[0], seed=seed, config=config.slab)
        for case in cases_of(slab.patient)
    ]
    views = [view_slab(part, patient, seed=seed, atlas=atlas, config=config) for part in slabs]
    for attempt in range(config.fate.max_redraws):
        stroke = draw_stroke(patient, attempt, seed=seed, atlas=atlas, config=config)
        found = None
        for part, view in zip(slabs, views, strict=True):
            infarct = infarct_samples(view, stroke)
            border = component_rng(seed, "ctp", part.case, "border")
            dead, tissue = on_grid(view, infarct), on_grid(view, view.parenchyma)
            label = draw_label(border, dead, tissue, part.pixel_mm, config.fate)
            if label.sum() * part.voxel_ml < config.fate.min_label_ml:
                break
            if part.case == slab.case:
                found = _Outcome(stroke, view, infarct, label)
        else:
            if found is not None:
                return found
    raise InputError(
        f"{config.fate.max_redraws} strokes of patient {slab.patient} that spare a slab",
        f"at least {config.fate.min_label_ml} ml of infarct in every slab",
        "use another seed or a finer grid (a larger size_px)",
    )


def _stored(values: FloatArray, unit: float) -> NDArray[np.uint16]:
    return np.minimum(np.rint(values * unit), _LARGEST_UINT16).astype(np.uint16)


def _facts(
    slab: Slab,
    patient: Patient,
    outcome: _Outcome,
    study: PerfusionStudy,
    cbf_unit: float,
    cbv_unit: float,
) -> dict[str, Any]:
    occlusion = outcome.stroke.occlusion
    return {
        "patient": patient.number,
        "site": occlusion.site,
        "side": "right" if occlusion.side > 0 else "left",
        "onset_h": round(patient.timing.onset_h, 2),
        "gap_h": round(patient.timing.gap_h, 2),
        "reperfused": int(occlusion.reperfused is not None),
        "stenosis": int(patient.rest.stenosis_side != 0),
        "old_infarct": int(bool(patient.chronic.infarcts)),
        "satellites": len(outcome.stroke.fate.satellites),
        "rejected_draws": outcome.stroke.attempt,
        "infarct_threshold": round(float(np.exp(outcome.stroke.fate.log_threshold)), 4),
        "lesion_volume_ml": round(float(outcome.label.sum()) * slab.voxel_ml, 4),
        "cbf_unit": round(cbf_unit, 4),
        "cbv_unit": round(cbv_unit, 4),
        "noise_hu": round(study.noise_hu, 3),
        "residue_alpha": round(patient.alpha, 4),
        "min_jacobian": round(patient.subject.min_jacobian, 3),
        "arterial_hu": [round(float(value), 3) for value in study.arterial_hu],
    }
