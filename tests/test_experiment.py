"""An experiment trains once, is read afterwards, and never mixes patients or recipes."""

from __future__ import annotations

import dataclasses
import errno
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from strokerepro import experiment, records
from strokerepro.cohort import load_cohort
from strokerepro.errors import InputError, UsageError
from strokerepro.experiment import Job, MissingRecordError, command, jobs, run
from strokerepro.papers import get_recipe
from strokerepro.papers.base import Recipe
from strokerepro.records import RunRecord
from strokerepro.training import load_state, save_state


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """The smoke profile, on thin slices as they are."""
    return get_recipe("edd_muscle").profile("smoke")


@pytest.fixture(scope="module")
def job(recipe: Recipe) -> Job:
    """The first fold on files in the layout of ISLES 2022."""
    return jobs(recipe, data="isles2022", folds=[0])[0]


@pytest.fixture(scope="module")
def root(write_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six cases in the layout of ISLES 2022; tests must not change them."""
    return write_cohort(tmp_path_factory.mktemp("cohort"), cases=6)


@dataclass(frozen=True)
class Made:
    """What one run returned, and the folder it wrote to; tests must not change it."""

    record: RunRecord
    folder: Path


@pytest.fixture(scope="module")
def made(job: Job, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One whole run, shared by the tests that only look at it."""
    folder = tmp_path_factory.mktemp("runs")
    return Made(run(job, root=root, results_dir=folder, train="missing"), folder)


def test_a_run_writes_a_record_that_the_next_run_reads(
    job: Job, made: Made, tmp_path: Path
) -> None:
    """The second call returns the same record without training."""
    again = run(job, root=tmp_path / "nowhere", results_dir=made.folder, train="never")
    assert (
        again.model_dump_json()
        == records.load_record(made.folder / "edd_muscle" / f"{job.stem}.json").model_dump_json()
    )
    assert again.key == made.record.key == job.key
    assert {row["split"] for row in again.rows} == {"train", "val", "test"}
    assert {"preprocess", "segmenter", "muscle", "total"} <= set(again.timings_s)


def test_only_the_record_and_the_weights_are_left(job: Job, made: Made) -> None:
    """Partial checkpoints and temporary files are gone after a complete run."""
    left = {path.name for path in (made.folder / "edd_muscle").iterdir()}
    assert left == {f"{job.stem}{suffix}" for suffix in (".json", ".npz", ".ckpt")}


def test_the_same_seed_gives_the_same_scores_and_curves(
    job: Job, root: Path, made: Made, tmp_path: Path
) -> None:
    """Two trainings on one machine agree in every number but the times."""
    second = run(job, root=root, results_dir=tmp_path)
    assert str(second.rows) == str(made.record.rows)
    assert second.curves == made.record.curves


def test_an_interrupted_run_continues_to_the_same_record(
    job: Job, root: Path, made: Made, tmp_path: Path
) -> None:
    """Ctrl-C after the first validation leaves a checkpoint, and the rerun ends as if nothing."""

    def interrupt(done: int, total: int, note: str) -> None:
        if done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, root=root, results_dir=tmp_path, advance=interrupt)
    left = [path.name for path in (tmp_path / "edd_muscle").iterdir()]
    assert left == [f"{job.stem}.segmenter.partial.ckpt"]
    resumed = run(job, root=root, results_dir=tmp_path)
    assert str(resumed.rows) == str(made.record.rows)
    assert resumed.curves == made.record.curves


def test_the_time_of_a_resumed_run_counts_the_training_before(
    job: Job, root: Path, tmp_path: Path
) -> None:
    """An hour in the checkpoint of an interrupted run is in its record, unless it starts anew."""

    def interrupt(done: int, total: int, note: str) -> None:
        if done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, root=root, results_dir=tmp_path, advance=interrupt)
    (partial,) = (tmp_path / "edd_muscle").glob("*.partial.ckpt")
    state = load_state(partial)
    state["progress"]["seconds"] += 3600
    save_state(partial, state)
    resumed = run(job, root=root, results_dir=tmp_path)
    assert 3600 < resumed.wall_s < 3900
    assert resumed.facts["train_s_segmenter"] > 3600
    assert run(job, root=root, results_dir=tmp_path, train="always").wall_s < 300


@pytest.mark.parametrize("cause", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_an_error_while_scoring_leaves_no_record(
    job: Job, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: BaseException
) -> None:
    """A record stands for a complete evaluation, or is not there."""

    def fail(*arguments: object, **options: object) -> None:
        raise cause

    monkeypatch.setattr(type(job.recipe.method), "score", fail)
    with pytest.raises(type(cause)):
        run(job, root=root, results_dir=tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_a_mode_of_training_that_does_not_exist_trains_nothing(job: Job, tmp_path: Path) -> None:
    """A misspelt ``never`` must not start hours of training."""
    with pytest.raises(UsageError, match="did you mean never"):
        run(job, results_dir=tmp_path, train="nevr")
    assert not list(tmp_path.iterdir())


def test_reading_a_missing_record_names_the_command_that_makes_it(job: Job, tmp_path: Path) -> None:
    """Building the book never trains; it says what to run."""
    with pytest.raises(MissingRecordError) as caught:
        run(job, results_dir=tmp_path, train="never")
    assert "strokerepro run edd_muscle --profile smoke --data isles2022" in str(caught.value)


def test_the_command_of_an_own_run_repeats_its_settings_name_and_folds(job: Job) -> None:
    """Replaced settings, whether by an experiment or by the user, the name and the fold file."""
    recipe = get_recipe("core_resnet").profile("smoke").ablation("sym_flip")
    own = recipe.replace({"batch": "5"}, "set by the user", name="mine")
    mine = dataclasses.replace(job, recipe=own, data="phantom_ctp", fold_file=Path("my folds.csv"))
    assert command(mine) == (
        "strokerepro run core_resnet --profile smoke --set batch=5 --set uf_passes=0 "
        "--set variants= --set symmetry=flip "
        f"--name mine --fold-file 'my folds.csv' --folds {job.fold} --seed {job.seed}"
    )


def test_a_record_of_another_recipe_is_refused_and_says_in_what_it_differs(
    recipe: Recipe, made: Made
) -> None:
    """A changed setting under the same name is not answered with the old result."""
    changed = jobs(recipe.replace({"lr": 0.01}, "user"), data="isles2022", folds=[0])[0]
    with pytest.raises(InputError, match=r"differs in lr"):
        run(changed, results_dir=made.folder, train="missing")


def test_no_patient_is_in_two_parts_of_a_split(
    recipe: Recipe, tiny_cohort: Callable[..., Path]
) -> None:
    """Training, validation and test patients are disjoint and the folds cover everybody."""
    cohort = load_cohort("isles2022", tiny_cohort(cases=9))
    tested = []
    for job in jobs(recipe, data="isles2022"):
        split = cohort.split(job.fold, job.n_folds, recipe.settings.val_fraction, 0)
        parts = [{cohort.patient_ids[i] for i in part}
                 for part in (split.train, split.val, split.test)]  # fmt: skip
        assert all(not a & b for a, b in itertools.combinations(parts, 2))
        tested += list(split.test)
    assert sorted(tested) == list(range(9))


def test_a_checkpoint_predicts_as_the_training_run_did(job: Job, root: Path, made: Made) -> None:
    """Restored networks give the scores that stand in the record."""
    record = made.record
    fabric = experiment.make_fabric("cpu", job.recipe.settings.precision)
    path = experiment.checkpoint_path(job, made.folder)
    trained = experiment.load_trained(job.recipe, path, fabric)
    cohort = load_cohort("isles2022", root)
    case_id = record.splits["test"][0]
    prepared = job.recipe.method.prepare(cohort[cohort.case_ids.index(case_id)], trained.settings)
    prediction = trained.predict(prepared, fabric, variants=True)
    rows = job.recipe.method.score(prediction, prepared, trained.settings)
    expected = [row for row in record.rows if row["case_id"] == case_id]
    for row, wanted in zip(rows, expected, strict=True):
        assert row["output"] == wanted["output"]
        np.testing.assert_allclose(row["dice"], wanted["dice"], rtol=1e-5)


def test_a_checkpoint_of_another_paper_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    """Weights are only loaded into the networks they were trained as."""
    save_state(tmp_path / "x.ckpt", {"slug": "core_resnet", "settings": {}, "state": {}})
    fabric = experiment.make_fabric("cpu", "32-true")
    with pytest.raises(InputError, match="a checkpoint of core_resnet; expected one of edd_muscle"):
        experiment.load_trained(recipe, tmp_path / "x.ckpt", fabric)


def test_weights_that_do_not_fit_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    """A checkpoint with the settings of one network and weights of another gives one line."""
    content = {
        "slug": "edd_muscle",
        "settings": recipe.settings_dict(),
        "state": {"segmenter": {}, "muscle": None},
    }
    save_state(tmp_path / "x.ckpt", content)
    fabric = experiment.make_fabric("cpu", "32-true")
    with pytest.raises(InputError, match="whose weights do not fit"):
        experiment.load_trained(recipe, tmp_path / "x.ckpt", fabric)


def test_pictures_are_scaled_between_percentiles() -> None:
    """The darkest and brightest voxels fill the range of a byte; what was cut away is black."""
    image = np.linspace(-5, 5, 1000, dtype=np.float32).reshape(10, 10, 10)
    image[0, 0, :3] = 0
    scaled = experiment.to_uint8(image)
    assert (scaled[0, 0, :3] == 0).all()
    assert (scaled[image != 0].min(), scaled.max(), scaled.dtype) == (1, 255, np.uint8)
