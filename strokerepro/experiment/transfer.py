"""Weights trained on one cohort, tested on the cases of another."""

from __future__ import annotations

import dataclasses
import time
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
from strokerepro.records import RunRecord
from strokerepro.training import load_state

#: How the names of such records begin.
TRANSFERRED = "transfer-"


def transfer(
    job: Job,
    data: str,
    *,
    root: str | Path | None = None,
    results_dir: str | Path | None = None,
    device: str = "auto",
) -> RunRecord:
    """Test the weights of a job on all cases of another cohort.

    With the data and the weights at hand the cases are predicted and scored, and the record is
    written; otherwise the record is looked up.

    Parameters
    ----------
    job
        The training whose weights are used.
    data
        Cohort to test on.
    root
        Folder of that cohort; None where there is none on this machine.
    results_dir
        Folder with the weights, and for the record.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    RunRecord
        Named ``transfer-<experiment>``; its rows are numbers only, no picture is kept.

    Raises
    ------
    MissingRecordError
        Neither data and weights nor a record.
    InputError
        Weights or a record of another recipe.
    """
    name = f"{TRANSFERRED}{job.recipe.name}"
    weights = checkpoint_path(job, results_dir)
    if root is not None and weights.exists():
        return _test(job, name, data, Path(root), weights, Path(results_dir or RUNS), device)
    stem = records.record_stem(name, job.recipe.profile_name, data, job.fold, job.seed)
    folders = records.results_folders(results_dir)
    path = records.find_record(job.recipe.slug, stem, folders)
    if path is None:
        raise MissingRecordError(
            f"no record {stem}",
            f"a committed record, or cases of {data} and the weights {weights}",
            f"set STROKEREPRO_REAL_DATA and run `strokerepro run {job.recipe.slug} --folds 0`",
        )
    record = records.load_record(path)
    _check_key(path, record.key, _key(job, data))
    return record


def _key(job: Job, data: str) -> str:
    return hash_json([job.key, data_hash(data)])


def _check_key(path: Path, found: str | None, wanted: str) -> None:
    if found != wanted:
        raise InputError(
            f"{path.name}, made with another recipe or other data",
            "one of this recipe and data",
            "run the training and the test again with --force, or choose another --results-dir",
        )


def _test(
    job: Job, name: str, data: str, root: Path, weights: Path, folder: Path, device: str
) -> RunRecord:
    started = time.perf_counter()
    fabric = make_fabric(device, job.recipe.settings.precision)
    _check_key(weights, load_state(weights).get("key"), job.key)
    trained = load_trained(job.recipe, weights, fabric)
    cohort = load_cohort(data, root)
    split = Split(train=(), test=tuple(range(len(cohort))))
    # Without outputs to show, no picture of a real patient gets into a record.
    recipe = dataclasses.replace(job.recipe, shown_outputs=(), main_output="")
    result = evaluate(recipe, cohort, split, trained, ((), ()), fabric)
    record = RunRecord(
        slug=recipe.slug, name=name, profile=recipe.profile_name, data=data, fold=job.fold,
        n_folds=job.n_folds, seed=job.seed, key=_key(job, data),
        settings=recipe.settings_dict(),
        splits={"train": [], "val": [], "test": list(cohort.case_ids)}, rows=result.rows,
        curves={}, timings_s=result.timings_s, facts={},
        notes=[f"trained as {job.stem}, tested on {len(cohort)} cases of {data}"],
        wall_s=time.perf_counter() - started, peak_memory_mb=peak_memory_mb(fabric.device),
        **records.circumstances(fabric.device),
    )  # fmt: skip
    records.save_record(record, folder)
    return record
