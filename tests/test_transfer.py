"""Weights meet the cases of another cohort; the record of that holds numbers and no picture."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from strokerepro import experiment, records
from strokerepro.cohort import load_cohort
from strokerepro.errors import InputError
from strokerepro.experiment import Job, MissingRecordError, jobs, run, transfer
from strokerepro.papers import get_recipe

OTHER = "isles2022"
RECORD = f"transfer-main-smoke-{OTHER}-f0-s0"


@pytest.fixture(scope="module")
def job() -> Job:
    """The first fold of the smoke profile on a phantom."""
    return jobs(get_recipe("edd_muscle").profile("smoke"), folds=[0])[0]


@pytest.fixture(scope="module")
def trained(
    job: Job, write_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Results folder with the weights and the record of the job; tests copy it."""
    folder = tmp_path_factory.mktemp("trained")
    cohort = write_cohort(folder, cases=6) / "ISLES-2022"
    run(job, root=cohort, results_dir=folder / "runs")
    return folder / "runs"


@pytest.fixture
def results(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained results that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


@pytest.fixture
def other(write_cohort: Callable[..., Path], tmp_path: Path) -> Path:
    """Two cases of another cohort, drawn from another seed."""
    return write_cohort(tmp_path / "other", cases=2, seed=50)


def test_all_cases_of_the_other_cohort_are_tested(job: Job, results: Path, other: Path) -> None:
    """Every case is a test case, scored for each output; the note says what was trained."""
    record = transfer(job, OTHER, root=other, results_dir=results)
    cases = load_cohort(OTHER, other).case_ids
    assert record.stem == RECORD
    assert record.splits == {"train": [], "val": [], "test": list(cases)}
    assert {(row["case_id"], row["split"]) for row in record.rows} == {
        (case, "test") for case in cases
    }
    assert {"edd", "edd_muscle", "threshold"} <= {row["output"] for row in record.rows}
    assert record.notes == [f"trained as {job.stem}, tested on 2 cases of {OTHER}"]
    assert record.timings_s["total"]["n"] == 2


def test_scores_are_those_of_the_trained_networks(job: Job, results: Path, other: Path) -> None:
    """They equal a prediction by the restored weights."""
    record = transfer(job, OTHER, root=other, results_dir=results)
    fabric = experiment.make_fabric("cpu", job.recipe.settings.precision)
    weights = experiment.checkpoint_path(job, results)
    method = experiment.load_trained(job.recipe, weights, fabric)
    prepared = job.recipe.method.prepare(load_cohort(OTHER, other)[0], method.settings)
    prediction = method.predict(prepared, fabric, variants=True)
    expected = job.recipe.method.score(prediction, prepared, method.settings)
    found = [row["dice"] for row in record.rows if row["case_id"] == prepared.case_id]
    assert found == pytest.approx([row["dice"] for row in expected], nan_ok=True, rel=1e-5)


def test_no_picture_of_a_tested_case_is_kept(job: Job, results: Path, other: Path) -> None:
    """Cases of real patients stay where they are: one JSON file is added, no arrays."""
    before = set(results.rglob("*"))
    transfer(job, OTHER, root=other, results_dir=results)
    added = {path.name for path in set(results.rglob("*")) - before}
    assert added == {f"{RECORD}.json"}


def test_the_record_is_read_where_there_are_no_cases(
    job: Job, results: Path, other: Path, tmp_path: Path
) -> None:
    """With or without the weights: the book shows the numbers on any machine."""
    made = transfer(job, OTHER, root=other, results_dir=results)
    path = results / "edd_muscle" / f"{RECORD}.json"
    written = path.read_bytes()
    read = transfer(job, OTHER, root=None, results_dir=results)
    assert [row["case_id"] for row in read.rows] == [row["case_id"] for row in made.rows]
    assert read == records.load_record(path) or str(read) == str(records.load_record(path))
    experiment.checkpoint_path(job, results).unlink()
    assert transfer(job, OTHER, root=tmp_path, results_dir=results).key == made.key
    assert path.read_bytes() == written


def test_without_cases_and_without_a_record_the_line_says_what_to_run(
    job: Job, results: Path
) -> None:
    """The chapter names the record, the weights it looked for, and the command."""
    with pytest.raises(MissingRecordError) as caught:
        transfer(job, OTHER, root=None, results_dir=results)
    assert caught.value.got == f"no record {RECORD}"
    assert str(experiment.checkpoint_path(job, results)) in caught.value.expected
    assert "strokerepro run edd_muscle" in caught.value.fix


def test_cases_without_weights_do_not_make_a_record(job: Job, other: Path, tmp_path: Path) -> None:
    """Nothing is trained on the way, and nothing is written."""
    with pytest.raises(MissingRecordError):
        transfer(job, OTHER, root=other, results_dir=tmp_path / "empty")
    assert not (tmp_path / "empty").exists()


def changed(job: Job) -> Job:
    return dataclasses.replace(job, recipe=job.recipe.replace({"lr": 0.01}, "user"))


def test_weights_of_another_recipe_are_not_tested_under_this_ones_name(
    job: Job, results: Path, other: Path
) -> None:
    """The record would state settings that the weights were not trained with."""
    with pytest.raises(InputError, match=r"f0-s0\.ckpt, made with another recipe"):
        transfer(changed(job), OTHER, root=other, results_dir=results)
    assert not list(results.rglob("transfer-*"))


def test_a_record_of_another_recipe_is_not_shown(job: Job, results: Path, other: Path) -> None:
    """A changed setting under the same name is not answered with the old result."""
    transfer(job, OTHER, root=other, results_dir=results)
    with pytest.raises(InputError, match=r"f0-s0\.json, made with another recipe"):
        transfer(changed(job), OTHER, root=None, results_dir=results)
