"""How much the images of the CT-perfusion phantom know about the lesion, and why.

A voxel-wise classifier, not a network: gradient boosting on each image at three in-plane scales,
scored by average precision in cross-validation by patient. It shows which images carry how much
information, and which of the phantom's knobs decide the difference between perfusion maps and
diffusion.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from strokerepro import phantom
from strokerepro.experiment.information_variants import shifted, variants
from strokerepro.experiment.information_voxels import SCALES_MM, Float, Voxels, brain_voxels
from strokerepro.files import write_text
from strokerepro.phantom.ctp import make_ctp_case
from strokerepro.phantom.ctp_config import CTP, CtpConfig
from strokerepro.progress import Advance, silent

CASES = range(23, 70)  # slabs of two and four slices; both slabs of a patient or none
SIZE_PX, SEED = 128, 1  # those of the embedded cohort, so that 'base' are slabs of it
SHIFT = 0.30
FOLDS = 3  # by patient
_TRAIN_VOXELS, _SCORED_VOXELS = 150_000, 100_000
_RESAMPLES = 100
_INTERVAL = (2.5, 97.5)
_INPUTS = {"maps": ("maps",), "dwi": ("dwi",)}
_BASE_INPUTS = {**_INPUTS, "ct": ("ct",), "maps + ct": ("maps", "ct")}


def write_information(
    out: Path,
    *,
    cases: Sequence[int] = CASES,
    size_px: int = SIZE_PX,
    seed: int = SEED,
    config: CtpConfig = CTP,
    progress: Advance = silent,
) -> Path:
    """Write ``<out>/phantom_ctp/information.json``.

    Parameters
    ----------
    out
        Results folder.
    cases
        Numbers of the cases to make, the same for every variant; both slabs of a patient or none.
    size_px
        In-plane matrix.
    seed
        Seed of the cases and of all other draws.
    config
        The phantom as it is.
    progress
        Called with (cases made, cases in all, the variant).

    Returns
    -------
    Path
        The file written.
    """
    started = time.process_time()
    moved, factors = shifted(config, SHIFT, np.random.default_rng(seed))
    described = {
        **variants(config),
        "shifted": (f"all knobs shifted by up to {SHIFT:.0%}", moved),
    }
    rows, inputs = [], {}
    for number, (name, (text, knobs)) in enumerate(described.items()):
        voxels = []
        for done, case in enumerate(cases, start=1):
            voxels.append(
                brain_voxels(case, make_ctp_case(case, size_px=size_px, seed=seed, config=knobs))
            )
            progress(number * len(cases) + done, len(described) * len(cases), name)
        scores = _scores(voxels, _BASE_INPUTS if name == "base" else _INPUTS, seed)
        rows.append({"name": name, "description": text, **_row(voxels, scores)})
        if name == "base":
            inputs = {key: value for key, value in scores.items() if key != "gap"}
    content = {
        "phantom_version": phantom.VERSIONS["ctp"],
        "config_hash": phantom.config_hash("ctp"),
        "cases": list(cases),
        "size_px": size_px,
        "seed": seed,
        "scales_mm": list(SCALES_MM),
        "variants": rows,
        "inputs": inputs,
        "shift": {"largest": SHIFT, "factors": factors},
        "cpu_s": round(time.process_time() - started),
    }
    path = out / "phantom_ctp" / "information.json"
    write_text(path, json.dumps(content, indent=1) + "\n")
    return path


def information_table(found: Mapping[str, Any]) -> pd.DataFrame:
    """Average precision of maps and DWI in every variant, for a page.

    Parameters
    ----------
    found
        Content of ``information.json``.

    Returns
    -------
    pandas.DataFrame
        A row per variant; intervals are 95 % over resampled patients.
    """
    return pd.DataFrame(
        {
            "variant": row["description"],
            "AP of maps": row["maps"]["value"],
            "AP of DWI": row["dwi"]["value"],
            "DWI - maps": row["gap"]["value"],
            "95 % interval": "{:.3f} to {:.3f}".format(*row["gap"]["interval"]),
            "Dice of rCBF < 30 %": row["dice_rcbf30"],
            "Dice with Tmax > 6 s": row["dice_rcbf30_gated"],
            "median lesion, ml": row["lesion_ml_median"],
        }
        for row in found["variants"]
    )


def inputs_table(found: Mapping[str, Any]) -> pd.DataFrame:
    """Average precision of each input on the phantom as it is, for a page."""
    return pd.DataFrame(
        {
            "input": name,
            "AP": score["value"],
            "95 % interval": "{:.3f} to {:.3f}".format(*score["interval"]),
        }
        for name, score in found["inputs"].items()
    )


def _scores(
    voxels: Sequence[Voxels], inputs: Mapping[str, Sequence[str]], seed: int
) -> dict[str, Any]:
    """Average precision of each input with its interval, and of DWI minus maps.

    Every patient is predicted by a classifier that was fitted without him.
    """
    generator = np.random.default_rng(seed)
    scored = _drawn(voxels, _SCORED_VOXELS, generator)
    folds = [
        [i for i, part in enumerate(voxels) if part.patient % FOLDS == fold]
        for fold in range(FOLDS)
    ]
    predicted = {name: [np.zeros(0)] * len(voxels) for name in inputs}
    for fold in folds:
        train = [part for i, part in enumerate(voxels) if i not in fold]
        drawn = _drawn(train, _TRAIN_VOXELS, generator)
        lesion = _gather([part.lesion for part in train], drawn)
        for name, images in inputs.items():
            fitted = _fitted(_features(train, images, drawn), lesion)
            for i in fold:
                rows = _features([voxels[i]], images, [scored[i]])
                predicted[name][i] = fitted.predict_proba(rows)[:, 1]
    patients = np.repeat([part.patient for part in voxels], [len(index) for index in scored])
    truth = _gather([part.lesion for part in voxels], scored)
    whole = {name: np.concatenate(parts) for name, parts in predicted.items()}
    return _with_intervals(whole, truth, patients, generator)


def _drawn(
    parts: Sequence[Voxels], count: int, generator: np.random.Generator
) -> list[npt.NDArray[np.intp]]:
    """Indices of about `count` voxels, the same share of every case."""
    share = min(1.0, count / sum(part.lesion.size for part in parts))
    return [np.flatnonzero(generator.random(part.lesion.size) < share) for part in parts]


def _gather(arrays: Sequence[Any], drawn: Sequence[npt.NDArray[np.intp]]) -> Any:
    return np.concatenate([array[index] for array, index in zip(arrays, drawn, strict=True)])


def _features(
    parts: Sequence[Voxels], images: Sequence[str], drawn: Sequence[npt.NDArray[np.intp]]
) -> Float:
    columns = [np.concatenate([part.features[name] for name in images], axis=1) for part in parts]
    features: Float = _gather(columns, drawn)
    return features


def _fitted(features: Float, lesion: npt.NDArray[np.bool_]) -> Any:
    # Imported here because it takes a second that no other command needs.
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(early_stopping=False, random_state=0).fit(
        features, lesion
    )


def _with_intervals(
    predicted: Mapping[str, npt.NDArray[np.float64]],
    truth: npt.NDArray[np.bool_],
    patients: npt.NDArray[np.int64],
    generator: np.random.Generator,
) -> dict[str, Any]:
    """Scores, and their intervals over patients drawn with replacement, the same for all inputs."""
    from sklearn.metrics import average_precision_score

    voxels_of = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    whole = {name: float(average_precision_score(truth, p)) for name, p in predicted.items()}
    samples: dict[str, list[float]] = {name: [] for name in predicted}
    for _ in range(_RESAMPLES):
        chosen = generator.integers(len(voxels_of), size=len(voxels_of))
        index = np.concatenate([voxels_of[patient] for patient in chosen])
        for name, probability in predicted.items():
            score = average_precision_score(truth[index], probability[index])
            samples[name].append(float(score))
    gaps = np.subtract(samples["dwi"], samples["maps"])
    return {
        **{name: _score(whole[name], np.array(samples[name])) for name in predicted},
        "gap": _score(whole["dwi"] - whole["maps"], gaps),
    }


def _score(value: float, samples: npt.NDArray[np.float64]) -> dict[str, Any]:
    low, high = np.percentile(samples, _INTERVAL)
    return {"value": round(value, 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def _row(voxels: Sequence[Voxels], scores: Mapping[str, Any]) -> dict[str, Any]:
    measured = pd.DataFrame([part.measured for part in voxels])
    return {
        **{name: scores[name] for name in ("maps", "dwi", "gap")},
        "dice_rcbf30": round(float(measured["dice_rcbf30"].mean()), 4),
        "dice_rcbf30_gated": round(float(measured["dice_rcbf30_gated"].mean()), 4),
        "lesion_ml_median": round(float(measured["lesion_ml"].median()), 2),
        "lesion_share": round(float(np.mean(np.concatenate([p.lesion for p in voxels]))), 4),
    }
