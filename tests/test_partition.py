"""Folds of patients, of cases and of slices: what a job trains on and what it is tested on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from strokerepro.cohort import Cohort
from strokerepro.errors import UsageError
from strokerepro.experiment import jobs
from strokerepro.experiment.jobs import Job
from strokerepro.experiment.partition import job_split, part_to_test, part_to_train
from strokerepro.manifest import load_manifest
from strokerepro.papers import get_recipe
from strokerepro.preprocess import PreparedCase
from strokerepro.preprocess.geometry import Geometry, Window

SPACING_MM = (8.0, 1.0, 1.0)
RECIPE = get_recipe("ctp_gan").profile("quick")


class Names(Cohort):
    """The cases of ISLES 2018 by name, without a file."""

    def __init__(self) -> None:
        manifest = load_manifest("isles2018")
        super().__init__(manifest, None, (), ())  # type: ignore[arg-type]
        self.case_ids = tuple(manifest.patients.mapping)
        self.patient_ids = tuple(manifest.patients.mapping.values())

    def __len__(self) -> int:
        return len(self.case_ids)


def job(fold: int = 0, **settings: object) -> Job:
    """A job of the recipe with some settings replaced."""
    recipe = RECIPE.replace(settings, "test", name="test")
    return jobs(recipe, data="isles2018", folds=[fold])[0]


def case(name: str, depth: int) -> PreparedCase:
    """A case whose slices hold their own number."""
    image = np.ones((1, depth, 4, 4), np.float32) * np.arange(depth)[:, None, None]
    label = np.zeros((depth, 4, 4), np.uint8)
    geometry = Geometry(label.shape, SPACING_MM, 1, (1.0, 1.0), Window(0, 0, 4, 4))
    return PreparedCase(name, name, image, label, SPACING_MM, geometry, native_label=label)


def patients(cohort: Cohort, indices: tuple[int, ...]) -> set[str]:
    """Who some cases are of."""
    return {cohort.patient_ids[index] for index in indices}


@pytest.mark.parametrize(("by", "shared"), [("patient", False), ("case", True)])
def test_slabs_of_a_patient_are_parted_by_folds_of_cases_alone(by: str, shared: bool) -> None:
    """31 of the 63 patients have two slabs, of which a third of the folds would part most."""
    cohort = Names()
    split = job_split(cohort, job(split_by=by))
    assert sorted(split.train + split.test) == list(range(94))
    assert bool(patients(cohort, split.train) & patients(cohort, split.test)) == shared
    assert split.val == split.test  # curves of the reported cases


def test_folds_of_slices_have_every_case_on_both_sides_and_every_slice_on_one() -> None:
    """Over the folds each slice is tested once; a case of two slices is not in every test."""
    cohort = Names()
    cases = [case("case_1", 8), case("case_9", 2)]
    tested: dict[str, list[float]] = {item.case_id: [] for item in cases}
    for fold in range(3):
        one = job(fold, split_by="slice")
        split = job_split(cohort, one)
        assert split.train == split.test == split.val == tuple(range(94))
        train, test = part_to_train(cases, one, cohort), part_to_test(cases, one, cohort)
        for item in cases:
            sides = [
                [float(part.image[0, z, 0, 0]) for part in parts if part.case_id == item.case_id
                 for z in range(part.image.shape[1])]
                for parts in (train, test)
            ]  # fmt: skip
            assert sorted(sides[0] + sides[1]) == list(range(item.image.shape[1]))
            tested[item.case_id] += sides[1]
    assert {name: sorted(slices) for name, slices in tested.items()} == {
        "case_1": list(range(8)), "case_9": [0, 1],
    }  # fmt: skip


def test_whole_cases_pass_unless_slices_are_split() -> None:
    """Whoever splits by patient gets the very cases that were prepared."""
    cases = [case("case_1", 8)]
    assert part_to_train(cases, job(), Names()) == cases
    assert part_to_test(cases, job(), Names()) == cases


def test_patients_cannot_be_held_out_where_slices_are_split() -> None:
    """One line says which of the two to change."""
    with pytest.raises(UsageError, match="split_by slice with validate_on inner"):
        job_split(Names(), job(split_by="slice", validate_on="inner"))


@pytest.mark.parametrize("by", ["case", "slice"])
def test_a_file_of_folds_and_another_unit_contradict_each_other(by: str, tmp_path: Path) -> None:
    """The setting is not silently ignored."""
    file = tmp_path / "folds.csv"
    one = dataclasses.replace(job(split_by=by), fold_file=file)
    with pytest.raises(UsageError, match=f"split_by {by} with --fold-file") as caught:
        job_split(Names(), one)
    assert "\n" not in str(caught.value)


def test_a_recipe_without_the_choice_splits_by_patient() -> None:
    """The other papers' settings have no such field."""
    cohort = Names()
    other = jobs(get_recipe("ms_dcnn").profile("quick"), data="isles2018")[0]
    assert not hasattr(other.recipe.settings, "split_by")
    split = job_split(cohort, dataclasses.replace(other))
    assert not patients(cohort, split.train) & patients(cohort, split.test)
