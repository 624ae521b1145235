"""What the pages show of the CT-perfusion phantom: its marginals, examples, and curves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from strokerepro import phantom
from strokerepro.cohort import Case, Cohort, load_cohort
from strokerepro.experiment.ctp_acceptance import ctp_acceptance
from strokerepro.experiment.evaluation import richest_slices
from strokerepro.files import write_text
from strokerepro.phantom.ctp_config import CTP
from strokerepro.phantom.perfusion.deconvolution import deconvolve, residue_functions
from strokerepro.phantom.perfusion.slice_maps import baseline_frames
from strokerepro.phantom.perfusion.smoothing import gaussian_weights, smooth_plane
from strokerepro.preprocess import brain_mask, rcbf_core, relative_cbf, tmax_region
from strokerepro.records import save_arrays

_MODALITIES = ("ct", "cbf", "cbv", "mtt", "tmax", "dwi", "ctp")
_SLICES = (4, 8)  # of the typical case: enough to look through, few enough to store
_GALLERY_QUANTILES = (0.1, 0.4, 0.7, 0.95)
_CURVES = 60
# Display ranges. Voxels outside are shown as the nearest value inside.
_RANGES = {
    "ct": (0.0, 80.0),  # HU
    "cbf": (0.0, 2.0),  # of normal tissue
    "cbv": (0.0, 2.5),  # of normal tissue
    "mtt": (0.0, 20.0),  # s
    "tmax": (0.0, 20.0),  # s
    "peak": (0.0, 40.0),  # HU above the baseline
}

Arrays = dict[str, npt.NDArray[Any]]


def summarise_ctp(cohort: Cohort, out: Path) -> Path:
    """Write ``acceptance.json`` and ``examples.npz`` of a CT-perfusion phantom.

    Parameters
    ----------
    cohort
        A complete phantom cohort.
    out
        Results folder; the files go to ``<out>/<cohort name>/``.

    Returns
    -------
    Path
        The folder written.
    """
    folder = out / cohort.manifest.name
    found = ctp_acceptance(cohort)
    whole = load_cohort(cohort.manifest.name, cohort.root, _MODALITIES)
    measured = pd.DataFrame(found["per_case"]).set_index("case")["lesion_ml"]
    typical = _typical(whole, measured)
    gallery = _spread(measured)
    facts = _facts(whole, typical)
    arrays = {
        **_typical_arrays(whole[whole.case_ids.index(typical)], facts["arterial_hu"]),
        **_gallery_arrays([whole[whole.case_ids.index(case)] for case in gallery]),
        "gallery/lesion_ml": measured[gallery].to_numpy(np.float32),
    }
    summary = {
        "phantom_version": phantom.VERSIONS["ctp"],
        "config_hash": phantom.config_hash("ctp"),
        **found,
        "typical": {
            "case": typical,
            **{key: value for key, value in facts.items() if key != "arterial_hu"},
        },
        "gallery_cases": gallery,
    }
    save_arrays(folder / "examples.npz", arrays)
    write_text(folder / "acceptance.json", json.dumps(summary, indent=1) + "\n")
    return folder


def _typical(cohort: Cohort, lesion_ml: pd.Series) -> str:
    """Return the case nearest to the median volume among those with a few slices."""
    least, most = _SLICES
    fitting = [
        case
        for index, case in enumerate(cohort.case_ids)
        if least <= cohort[index].shape[0] <= most
    ] or list(cohort.case_ids)
    distance = (lesion_ml[fitting] - lesion_ml.median()).abs()
    return str(distance.idxmin())


def _spread(lesion_ml: pd.Series) -> list[str]:
    ordered = lesion_ml.sort_values().index
    return [str(ordered[round(q * (len(ordered) - 1))]) for q in _GALLERY_QUANTILES]


def _facts(cohort: Cohort, case_id: str) -> dict[str, Any]:
    content = json.loads((cohort.root / case_id / "facts.json").read_text(encoding="utf-8"))
    facts: dict[str, Any] = content["facts"]
    return facts


def _typical_arrays(case: Case, arterial_hu: list[float]) -> Arrays:
    assert case.label is not None  # phantoms have masks
    brain = brain_mask(case)
    shown = richest_slices(case.label, _SLICES[0])
    enhancement = _enhancement(case, brain)
    images = {**_in_units(case, brain), "peak": enhancement.max(axis=0)}
    arrays: Arrays = {}
    for name, image in images.items():
        low, high = _RANGES.get(name, (0.0, float(np.percentile(image, 99.8))))
        arrays[f"typical/{name}"] = _to_uint8(image[shown], low, high)
        arrays[f"typical/{name}_range"] = np.array([low, high], np.float32)
    tmax_s = case.arrays["tmax"]
    masks = {
        "lesion": case.label > 0,
        "rcbf30": rcbf_core(case.arrays["cbf"], tmax_s, brain, case.spacing_mm),
        "tmax6": tmax_region(tmax_s, brain),
    }
    arrays |= {f"typical/{name}": mask[shown].astype(np.uint8) for name, mask in masks.items()}
    arrays["typical/spacing_mm"] = np.array(case.spacing_mm)
    dt_s = case.series["ctp"].dt_s
    curves = _curves(enhancement[:, shown], brain[shown], np.array(arterial_hu), dt_s)
    place = tuple(curves["curves/place"].T.astype(np.intp))
    return arrays | curves | {"curves/in_lesion": case.label[shown][place]}


def _in_units(case: Case, brain: npt.NDArray[np.bool_]) -> Arrays:
    """Maps in display units: flow and volume relative to normal tissue, times in s, HU."""
    arrays, tmax_s = case.arrays, case.arrays["tmax"]
    return {
        "ct": arrays["ct"],
        "cbf": relative_cbf(arrays["cbf"], tmax_s, brain),
        "cbv": relative_cbf(arrays["cbv"], tmax_s, brain),
        "mtt": arrays["mtt"],
        "tmax": tmax_s,
        "dwi": arrays["dwi"],
    }


def _enhancement(case: Case, brain: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Enhancement (T, Z, Y, X) in HU, smoothed in plane over the brain as for the maps."""
    series, maps = case.series["ctp"].array, CTP.perfusion.maps
    weights = gaussian_weights(maps.smoothing_mm / case.spacing_mm[1])
    smoothed = np.zeros(series.shape, np.float32)
    for z, mask in enumerate(brain):
        frames = series[:, z]
        count = baseline_frames(frames[:, mask].mean(axis=1, dtype=np.float64), maps.rise_share)
        baseline = frames[:count].mean(axis=0, dtype=np.float64)
        coverage = smooth_plane(mask.astype(np.float64), weights)
        for time, frame in enumerate(frames):
            plane = smooth_plane(np.where(mask, frame - baseline, 0.0), weights)
            smoothed[time, z, mask] = plane[mask] / coverage[mask]
    return smoothed


def _curves(
    enhancement: npt.NDArray[np.float32],
    brain: npt.NDArray[np.bool_],
    arterial_hu: npt.NDArray[np.float64],
    dt_s: float,
) -> Arrays:
    """Curves of voxels spread evenly over the slice with most brain."""
    z = int(brain.sum(axis=(1, 2)).argmax())
    step = max(1, int(np.sqrt(brain[z].sum() / _CURVES)))
    rows, columns = np.nonzero(brain[z])
    on_grid = (rows % step == step // 2) & (columns % step == step // 2)
    rows, columns = rows[on_grid], columns[on_grid]
    tissue_hu = enhancement[:, z, rows, columns].astype(np.float64)  # (T, N)
    maps = deconvolve(tissue_hu, arterial_hu, dt_s)
    residue = residue_functions(tissue_hu, arterial_hu, dt_s)[: len(tissue_hu)]
    return {
        "curves/place": np.stack([np.full_like(rows, z), rows, columns], axis=1).astype(np.int16),
        "curves/time_s": (dt_s * np.arange(len(tissue_hu))).astype(np.float32),
        "curves/arterial_hu": arterial_hu.astype(np.float32),
        "curves/concentration_hu": tissue_hu.T.astype(np.float16),
        "curves/residue": residue.T.astype(np.float16),
        "curves/cbf_ml_100g_min": maps.cbf_ml_100g_min.astype(np.float32),
        "curves/cbv_ml_100g": maps.cbv_ml_100g.astype(np.float32),
        "curves/mtt_s": maps.mtt_s.astype(np.float32),
        "curves/tmax_s": maps.tmax_s.astype(np.float32),
    }


def _gallery_arrays(cases: list[Case]) -> Arrays:
    """One slice each of cases with small to large lesions."""
    slices: dict[str, list[npt.NDArray[Any]]] = {}
    ranges: dict[str, list[tuple[float, float]]] = {}
    for case in cases:
        assert case.label is not None
        z = int(case.label.sum(axis=(1, 2)).argmax())
        images: Mapping[str, npt.NDArray[Any]] = _in_units(case, brain_mask(case))
        for name in ("cbf", "tmax", "dwi"):
            low, high = _RANGES.get(name, (0.0, float(np.percentile(images[name], 99.8))))
            slices.setdefault(name, []).append(_to_uint8(images[name][z], low, high))
            ranges.setdefault(f"{name}_range", []).append((low, high))
        slices.setdefault("lesion", []).append(case.label[z])
    stacked = {f"gallery/{name}": np.stack(images) for name, images in slices.items()}
    return stacked | {f"gallery/{name}": np.array(pairs) for name, pairs in ranges.items()}


def _to_uint8(image: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    scaled: npt.NDArray[np.uint8] = np.rint(
        255 * np.clip((image - low) / max(high - low, 1e-6), 0, 1)
    ).astype(np.uint8)
    return scaled
