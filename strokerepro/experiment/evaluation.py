"""Evaluation of a trained method: rows of scores, times per stage, pictures of three cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from strokerepro.cohort import Cohort, Split
from strokerepro.inference import Stopwatch
from strokerepro.papers.base import Recipe
from strokerepro.papers.method import Prediction, Trained
from strokerepro.preprocess import PreparedCase

#: Scores that need a whole case: distances through its slices, and counts of its components.
_OF_WHOLE_CASES = (
    *("hd_mm", "hd95_mm", "assd_mm"),
    *("n_fp", "n_fn", "n_tp", "size_fp_px", "size_fn_px", "size_truth_px", "detected"),
)
#: Slices kept of each shown case, around the one with most lesion.
_SHOWN_SLICES = 9
#: Voxels of images that a method made, kept of a shown case: noise does not compress.
_SHOWN_VOXELS = 60_000


@dataclass
class Evaluation:
    """Rows, times, pictures and notes of one run; see `strokerepro.records.RunRecord`."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    timings_s: dict[str, dict[str, float]] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Shown:
    dice: float
    prepared: PreparedCase
    prediction: Prediction


def evaluate(
    recipe: Recipe,
    cohort: Cohort,
    split: Split,
    trained: Trained,
    development: tuple[Sequence[PreparedCase], Sequence[PreparedCase]],
    fabric: Fabric,
    tested: Callable[[PreparedCase], Sequence[PreparedCase]] = lambda case: (case,),
) -> Evaluation:
    """Score all cases of a split; time the whole way on the test cases.

    Parameters
    ----------
    recipe, cohort, split
        What was trained on what.
    trained
        The trained method.
    development
        Prepared training and validation cases.
    fabric
        Device and precision.
    tested
        Which part of a prepared test case is tested, if any: all of it unless slices are split.
        Scores that a part of a case does not have are NaN.

    Returns
    -------
    Evaluation
        Rows of all splits; times, in seconds, and pictures of the test cases.
    """
    result = Evaluation()
    for part, cases in zip(("train", "val"), development, strict=True):
        for prepared in cases if part in recipe.scored_splits else ():
            result.rows += _rows(recipe, trained.predict(prepared, fabric), prepared, part)
    seconds: list[dict[str, float]] = []
    shown: list[_Shown] = []
    per_case: dict[str, list[np.ndarray]] = {}
    for index in split.test:
        watch = Stopwatch(fabric.device)
        whole = recipe.method.prepare(cohort[index], recipe.settings)
        watch.lap("preprocess")
        for prepared in tested(whole):
            prediction = trained.predict(prepared, fabric, variants=True)
            seconds.append({**watch.seconds, **prediction.seconds})
            result.notes += [f"{prepared.case_id}: {note}" for note in prepared.notes]
            rows = _rows(recipe, prediction, prepared, "test")
            for row in rows:
                if prepared is not whole:
                    row |= {key: np.nan for key in _OF_WHOLE_CASES if key in row}
                _set_arrays_aside(row, per_case)
            result.rows += rows
            result.arrays |= _kept_masks(recipe, prediction, prepared)
            dice = next(
                (row["dice"] for row in rows if row["output"] == recipe.main_output), np.nan
            )
            if np.isfinite(dice):
                shown.append(_Shown(dice, prepared, prediction))
    result.timings_s = _summarise_seconds(seconds)
    result.arrays |= {name: np.stack(values) for name, values in per_case.items()}
    result.arrays |= _pictures(shown, recipe)
    return result


def _rows(
    recipe: Recipe, prediction: Prediction, prepared: PreparedCase, part: str
) -> list[dict[str, Any]]:
    identity = {"case_id": prepared.case_id, "patient_id": prepared.patient_id, "split": part}
    scores = recipe.method.score(prediction, prepared, recipe.settings)
    return [{**identity, **row} for row in scores]


def _set_arrays_aside(row: dict[str, Any], per_case: dict[str, list[np.ndarray]]) -> None:
    """Move the arrays of a row, such as scores over a grid, to where they are stacked by case."""
    for key in [key for key, value in row.items() if isinstance(value, np.ndarray)]:
        per_case.setdefault(f"{row['output']}/{key}", []).append(row.pop(key).astype(np.float32))


def _kept_masks(
    recipe: Recipe, prediction: Prediction, prepared: PreparedCase
) -> dict[str, np.ndarray]:
    return {
        f"mask/{name}/{prepared.case_id}": prediction.masks[name].astype(np.uint8)
        for name in recipe.kept_masks
        if name in prediction.masks
    }


def _summarise_seconds(seconds: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    if not seconds:
        return {}
    table = {stage: np.array([row[stage] for row in seconds]) for stage in seconds[0]}
    table["total"] = np.array([sum(row.values()) for row in seconds])
    return {
        stage: {"mean": float(values.mean()), "sd": float(values.std()), "n": len(values)}
        for stage, values in table.items()
    }


def _pictures(shown: list[_Shown], recipe: Recipe) -> dict[str, np.ndarray]:
    """Best, median and worst case by the main output's Dice, a few slices each, as uint8."""
    if not shown:
        return {}
    ranked = sorted(shown, key=lambda item: item.dice)
    chosen = {"worst": ranked[0], "median": ranked[len(ranked) // 2], "best": ranked[-1]}
    arrays: dict[str, np.ndarray] = {}
    for rank, item in chosen.items():
        image, label = _under_masks(item, recipe.shown_channel)
        images = _made_images(item)
        slices = richest_slices(label, _slices_shown(images))
        arrays[f"{rank}/case_id"] = np.array(item.prepared.case_id)
        arrays[f"{rank}/first_slice"] = np.array(slices.start)
        arrays[f"{rank}/image"] = to_uint8(image)[slices]
        arrays[f"{rank}/truth"] = label[slices]
        for name in recipe.shown_outputs:
            if name in item.prediction.masks:
                arrays[f"{rank}/{name}"] = item.prediction.masks[name][slices]
        arrays |= {f"{rank}/{name}": volume[slices] for name, volume in images.items()}
    return arrays


def _made_images(item: _Shown) -> dict[str, np.ndarray]:
    """Images from 0 to 1 of a prediction as uint8, ``(Z, Y, X)`` on the grid of its masks."""
    images: dict[str, np.ndarray] = {}
    for name, image in item.prediction.images.items():
        if item.prediction.on_file_grid:
            image = item.prepared.geometry.restore(image)
        images[name] = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    return images


def _slices_shown(images: Mapping[str, np.ndarray]) -> int:
    """How many slices of a case are kept: fewer where there are images to keep with them."""
    if not images:
        return _SHOWN_SLICES
    voxels = sum(int((image != 0).sum(axis=(1, 2)).max()) for image in images.values())
    return max(1, min(_SHOWN_SLICES, _SHOWN_VOXELS // max(voxels, 1)))


def _under_masks(item: _Shown, channel: int) -> tuple[np.ndarray, np.ndarray]:
    """One channel and the reference ``(Z, Y, X)`` on the grid of the predicted masks."""
    image, label = item.prepared.image[channel], item.prepared.label
    if item.prediction.on_file_grid:
        image, label = item.prepared.geometry.restore(image), item.prepared.native_label
    assert label is not None  # only cases with a finite Dice are shown
    return image, label


def richest_slices(label: np.ndarray, count: int) -> slice:
    """`count` slices of a ``(Z, Y, X)`` mask around the one with most lesion, inside the volume."""
    centre = int(label.sum(axis=(1, 2)).argmax())
    first = max(0, min(centre - count // 2, len(label) - count))
    return slice(first, first + count)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Scale ``(Z, Y, X)`` intensities between their 0.5th and 99.8th percentile to 1..255.

    Voxels of exactly zero are what was cut away, before or after normalisation, and become 0: a
    prepared image has negative values in the brain, and its background would be grey.
    """
    inside = image != 0
    low, high = np.percentile(image[inside], (0.5, 99.8)) if inside.any() else (0.0, 1.0)
    scaled = (image - low) / max(float(high - low), 1e-6)
    image_8bit: np.ndarray = (1 + np.clip(scaled, 0, 1) * 254).round().astype(np.uint8)
    return np.where(inside, image_8bit, np.uint8(0))
