"""What of a run's predictions is scored, stacked and kept, shown with a toy method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from strokerepro.cohort import Split
from strokerepro.experiment import make_fabric
from strokerepro.experiment.evaluation import _slices_shown, evaluate
from strokerepro.experiment.jobs import jobs
from strokerepro.experiment.partition import job_split
from strokerepro.papers import get_recipe
from strokerepro.papers.base import Recipe
from strokerepro.papers.method import Prediction


def case(number: int) -> SimpleNamespace:
    label = np.zeros((2, 4, 4), np.uint8)
    label[0, 0, : number + 1] = 1
    image = np.arange(2 * 32, dtype=np.float32).reshape(2, 2, 4, 4)
    return SimpleNamespace(
        case_id=f"case_{number}", patient_id=f"p{number}", image=image, label=label,
        notes=("no registration",) if number == 3 else (),
    )  # fmt: skip


class ToyMethod:
    """Predicts the first voxel; its rows carry a score over a grid."""

    def prepare(self, item: SimpleNamespace, settings: Any) -> SimpleNamespace:
        return item

    def score(
        self, prediction: Prediction, prepared: SimpleNamespace, settings: Any
    ) -> list[dict[str, Any]]:
        share = 1.0 / float(prepared.label.sum())
        return [{"output": "out", "dice": share, "hd_mm": 1.0, "grid_dice": np.full((2, 3), share)}]


class ToyTrained:
    settings: Any = None
    curves: Mapping[str, Any] = {}
    notes = ()
    facts: Mapping[str, float] = {}

    def predict(self, prepared: Any, fabric: Any, *, variants: bool = False) -> Prediction:
        mask = np.zeros(prepared.label.shape, np.uint8)
        mask[0, 0, 0] = 1
        return Prediction({"out": mask}, mask.astype(np.float32), {"network": 0.5})


def toy_recipe(**changes: Any) -> Recipe:
    recipe = dataclasses.replace(
        get_recipe("edd_muscle"), method=ToyMethod(), main_output="out", shown_outputs=("out",)
    )
    return dataclasses.replace(recipe, **changes)


def evaluated(recipe: Recipe) -> Any:
    cohort = [case(number) for number in range(4)]
    split = Split(train=(0, 1), test=(2, 3))
    development = ([cohort[0], cohort[1]], [])
    return evaluate(recipe, cohort, split, ToyTrained(), development, make_fabric("cpu", "32-true"))


def test_scores_over_a_grid_are_stacked_by_test_case_and_leave_the_rows() -> None:
    """Rows stay small; the grid of test case 2 is 1/3 everywhere, that of case 3 is 1/4."""
    result = evaluated(toy_recipe(scored_splits=("test",)))
    assert [row["hd_mm"] for row in result.rows] == [1.0, 1.0]  # whole cases keep theirs
    assert result.arrays["out/grid_dice"].shape == (2, 2, 3)
    np.testing.assert_allclose(result.arrays["out/grid_dice"][:, 0, 0], [1 / 3, 1 / 4])
    assert all("grid_dice" not in row for row in result.rows)


@pytest.mark.parametrize(
    ("scored", "expected"),
    [(("test",), ["test"] * 2), (("train", "test"), ["train"] * 2 + ["test"] * 2)],
)
def test_only_the_splits_that_a_recipe_names_are_scored(
    scored: tuple[str, ...], expected: list[str]
) -> None:
    """Inference on training cases is left out where no claim needs it."""
    recipe = toy_recipe(scored_splits=scored)
    assert [row["split"] for row in evaluated(recipe).rows] == expected


def test_masks_of_all_test_cases_are_kept_where_asked_for() -> None:
    """Experiments can then be compared on the same case; by default only three cases are kept."""
    kept = evaluated(toy_recipe(kept_masks=("out",))).arrays
    assert {"mask/out/case_2", "mask/out/case_3"} <= set(kept)
    assert kept["mask/out/case_2"].sum() == 1
    assert not any(name.startswith("mask/") for name in evaluated(toy_recipe()).arrays)


def test_what_went_wrong_in_a_preparation_is_noted_with_its_case() -> None:
    """A reader of the record learns which test case was prepared otherwise."""
    assert evaluated(toy_recipe()).notes == ["case_3: no registration"]


def test_shown_cases_say_who_they_are_and_show_the_chosen_channel() -> None:
    """The best case is case 2, of three voxels, and its picture is of channel 1."""
    arrays = evaluated(toy_recipe(shown_channel=1)).arrays
    assert str(arrays["best/case_id"]) == "case_2"
    assert int(arrays["best/first_slice"]) == 0
    first = evaluated(toy_recipe(shown_channel=0)).arrays["best/image"]
    assert not np.array_equal(arrays["best/image"], first)


def test_masks_on_the_grid_of_the_file_are_shown_on_it() -> None:
    """Image and reference follow: here the file has twice the rows of the prepared slices."""

    class Native(ToyTrained):
        def predict(self, prepared: Any, fabric: Any, *, variants: bool = False) -> Prediction:
            mask = np.ones((2, 8, 4), np.uint8)
            probability = np.ones((2, 4, 4), np.float32)
            return Prediction({"out": mask}, probability, {"network": 0.5}, on_file_grid=True)

    items = [case(number) for number in range(4)]
    for item in items:
        item.geometry = SimpleNamespace(restore=lambda volume: volume.repeat(2, axis=1))
        item.native_label = item.label.repeat(2, axis=1)
    arrays = evaluate(
        toy_recipe(),
        items,  # type: ignore[arg-type]
        Split(train=(0, 1), test=(2, 3)),
        Native(),
        (items[:2], []),  # type: ignore[arg-type]
        make_fabric("cpu", "32-true"),
    ).arrays
    assert {arrays[f"best/{name}"].shape for name in ("image", "truth", "out")} == {(2, 8, 4)}
    assert arrays["best/truth"].sum() == 2 * 3


class Painter(ToyTrained):
    """Makes an image beside its mask; the second slice is brighter than anything can be."""

    def predict(self, prepared: Any, fabric: Any, *, variants: bool = False) -> Prediction:
        made = np.zeros(prepared.label.shape, np.float32)
        made[0], made[1] = 0.2, 3.0
        mask = prepared.label.copy()
        return Prediction({"out": mask}, made, {"network": 0.5}, images={"made": made})


def test_images_that_a_method_made_are_kept_of_the_shown_cases() -> None:
    """On one scale from 0 to 1, which becomes 0 to 255, whatever their own range is."""
    cohort = [case(number) for number in range(4)]
    arrays = evaluate(
        toy_recipe(shown_outputs=("out", "missing")),
        cohort,  # type: ignore[arg-type]
        Split(train=(0, 1), test=(2, 3)),
        Painter(),
        (cohort[:2], []),  # type: ignore[arg-type]
        make_fabric("cpu", "32-true"),
    ).arrays
    assert arrays["best/made"].dtype == np.uint8
    assert np.unique(arrays["best/made"][0]).tolist() == [51]
    assert np.unique(arrays["best/made"][1]).tolist() == [255]
    assert "best/missing" not in arrays


@pytest.mark.parametrize(("side", "slices"), [(0, 9), (50, 9), (100, 3), (400, 1)])
def test_fewer_slices_are_kept_the_more_voxels_their_images_have(side: int, slices: int) -> None:
    """Two images of 100 x 100 px: 20,000 voxels a slice, of which 60,000 are kept."""
    images = {name: np.ones((2, side, side), np.uint8) for name in ("a", "b")} if side else {}
    assert _slices_shown(images) == slices


def test_only_the_tested_part_of_a_case_is_scored() -> None:
    """Without such a part a case has no row; the other one is scored on its first slice."""

    def first_slice(item: SimpleNamespace) -> list[SimpleNamespace]:
        if item.case_id == "case_3":
            return []
        part = SimpleNamespace(**vars(item))
        part.image, part.label = item.image[:, :1], item.label[:1]
        return [part]

    cohort = [case(number) for number in range(4)]
    found = evaluate(
        toy_recipe(scored_splits=("test",)),
        cohort,  # type: ignore[arg-type]
        Split(train=(0, 1), test=(2, 3)),
        ToyTrained(),
        (cohort[:2], []),  # type: ignore[arg-type]
        make_fabric("cpu", "32-true"),
        tested=first_slice,  # type: ignore[arg-type]
    )
    assert [row["case_id"] for row in found.rows] == ["case_2"]
    assert np.isnan(found.rows[0]["hd_mm"])  # a part has no distance through slices
    assert found.arrays["best/truth"].shape == (1, 4, 4)


@dataclasses.dataclass(frozen=True)
class _Settings:
    val_fraction: float
    validate_on: str


class _Cohort:
    manifest = SimpleNamespace(folds=SimpleNamespace(seed=0))

    def split(self, fold: int, k: int, val_fraction: float, seed: int, by: str) -> Split:
        return Split(train=(0, 1, 2), test=(3,), val=(2,) if val_fraction else ())


@pytest.mark.parametrize(("where", "val"), [("outer", (3,)), ("inner", (2,))])
def test_outer_validation_takes_the_reported_cases(where: str, val: tuple[int, ...]) -> None:
    """What a paper without a third set did is reproduced as such, and can be switched off."""
    job = jobs(get_recipe("edd_muscle").profile("smoke"))[0]
    recipe = dataclasses.replace(job.recipe, settings=_Settings(0.5, where))
    job = dataclasses.replace(job, recipe=recipe)
    assert job_split(_Cohort(), job).val == val  # type: ignore[arg-type]


def test_an_ablation_that_says_so_runs_on_all_folds() -> None:
    """Rows of a paper's main table need every case; other experiments one split."""
    recipe = get_recipe("core_resnet").profile("quick")
    assert len(jobs(recipe.ablation("rt"))) == len(jobs(recipe)) == 3
    assert len(jobs(recipe.ablation("loss_ce"))) == 1
