"""Weights trained on one cohort, tested on the cases of another."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from strokerepro import records
from strokerepro.cohort import Split, load_cohort
from strokerepro.errors import InputError
from strokerepro.experiment.evaluation import evaluate
from strokerepro.experiment.jobs import Job, data_hash
from strokerepro.experiment.run import (
    RUNS,
    MissingRecordError,
    checkpoint_path,
    load_trained,
    make_fabric,
    peak_memory_mb,
)
from strokerepro.files import hash_json
from strokerepro.manifest import load_manifest
from strokerepro.records import RunRecord
from strokerepro.training import load_state

#: How the names of such records begin.
TRANSFERRED = "transfer-"


def transfer(
    trainings: Job | Sequence[Job],
    data: str,
    *,
    root: str | Path | None = None,
    results_dir: str | Path | None = None,
    device: str = "auto",
) -> RunRecord:
    """Test the weights of a job, or the average of several, on all cases of another cohort.

    With the data and the weights at hand the cases are predicted and scored, and the record is
    written; otherwise the record is looked up.

    Parameters
    ----------
    trainings
        The training whose weights are used; several, such as all folds, are averaged.
    data
        Cohort to test on.
    root
        Folder of that cohort; None where there is none on this machine, or for a phantom.
    results_dir
        Folder with the weights, and for the record.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    RunRecord
        Named ``transfer-<experiment>``, or ``transfer-ensemble-<experiment>``; its rows are
        numbers only, no picture is kept.

    Raises
    ------
    MissingRecordError
        Neither data and weights nor a record.
    InputError
        Weights or a record of another recipe.
    """
    members = [trainings] if isinstance(trainings, Job) else list(trainings)
    job = members[0]
    name = f"{TRANSFERRED}{'ensemble-' if len(members) > 1 else ''}{job.recipe.name}"
    weights = [checkpoint_path(member, results_dir) for member in members]
    at_hand = root is not None or load_manifest(data).phantom is not None
    if at_hand and all(path.exists() for path in weights):
        return _test(members, name, data, root, weights, Path(results_dir or RUNS), device)
    stem = records.record_stem(name, job.recipe.profile_name, data, job.fold, job.seed)
    folders = records.results_folders(results_dir)
    path = records.find_record(job.recipe.slug, stem, folders)
    if path is None:
        raise MissingRecordError(
            f"no record {stem}",
            f"a committed record, or cases of {data} and the weights {weights[0]}",
            f"set STROKEREPRO_REAL_DATA and run `strokerepro run {job.recipe.slug} --folds 0`",
        )
    record = records.load_record(path)
    _check_key(path, record.key, _key(members, data))
    return record


def _key(members: Sequence[Job], data: str) -> str:
    return hash_json([*(member.key for member in members), data_hash(data)])


def _check_key(path: Path, found: str | None, wanted: str) -> None:
    if found != wanted:
        raise InputError(
            f"{path.name}, made with another recipe or other data",
            "one of this recipe and data",
            "run the training and the test again with --force, or choose another --results-dir",
        )


def _test(
    members: Sequence[Job],
    name: str,
    data: str,
    root: str | Path | None,
    weights: Sequence[Path],
    folder: Path,
    device: str,
) -> RunRecord:
    started = time.perf_counter()
    job = members[0]
    fabric = make_fabric(device, job.recipe.settings.precision)
    for member, path in zip(members, weights, strict=True):
        _check_key(path, load_state(path).get("key"), member.key)
    loaded = [load_trained(job.recipe, path, fabric) for path in weights]
    trained = loaded[0] if len(loaded) == 1 else job.recipe.method.average(loaded)
    needed = job.recipe.images(training=False)
    # Scores against what was only needed to train, such as a target image, where a case has it.
    learned = job.recipe.images(training=True) or ()
    cohort = load_cohort(data, root, needed, where_present=learned)
    split = Split(train=(), test=tuple(range(len(cohort))))
    # Without outputs to show, no picture of a real patient gets into a record.
    recipe = dataclasses.replace(job.recipe, shown_outputs=(), kept_masks=(), main_output="")
    result = evaluate(recipe, cohort, split, trained, ((), ()), fabric)
    stems = ", ".join(member.stem for member in members)
    record = RunRecord(
        slug=recipe.slug, name=name, profile=recipe.profile_name, data=data, fold=job.fold,
        n_folds=job.n_folds, seed=job.seed, key=_key(members, data),
        settings=recipe.settings_dict(),
        splits={"train": [], "val": [], "test": list(cohort.case_ids)}, rows=result.rows,
        curves={}, timings_s=result.timings_s, facts=dict(trained.facts) if len(loaded) > 1 else {},
        notes=[f"trained as {stems}, tested on {len(cohort)} cases of {data}", *result.notes],
        wall_s=time.perf_counter() - started, peak_memory_mb=peak_memory_mb(fabric.device),
        **records.circumstances(fabric.device),
    )  # fmt: skip
    records.save_record(record, folder)
    return record
