"""Run a job: load its record if it is there, train and evaluate otherwise."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from lightning_fabric import Fabric

from strokerepro import records
from strokerepro.cohort import Cohort, Split, load_cohort
from strokerepro.errors import InputError, UsageError
from strokerepro.experiment.evaluation import evaluate
from strokerepro.experiment.jobs import Job, command, jobs
from strokerepro.experiment.partition import job_split, part_to_test, part_to_train
from strokerepro.papers.base import Recipe
from strokerepro.papers.method import RunContext, Trained
from strokerepro.preprocess import PreparedCase
from strokerepro.progress import Advance, silent
from strokerepro.records import RunRecord
from strokerepro.training import load_state, save_state

TrainMode = Literal["never", "missing", "always"]
_DEVICES = ("auto", "cpu", "cuda")
#: Where `strokerepro run` writes unless told otherwise.
RUNS = "runs"


class MissingRecordError(InputError):
    """No record of a job exists and training was not asked for."""


def run(
    job: Job,
    *,
    root: str | Path | None = None,
    results_dir: str | Path | None = None,
    train: TrainMode = "missing",
    device: str = "auto",
    resume: bool = True,
    advance: Advance = silent,
) -> RunRecord:
    """Return the record of a job, training only if it is missing and may be made.

    Parameters
    ----------
    job
        What to run.
    root
        Folder of a real cohort; a phantom is made in the user's cache when it is omitted.
    results_dir
        Folder for records and checkpoints; committed records are looked up after it.
    train
        ``"never"`` reads only, ``"missing"`` trains where no record exists, ``"always"`` anew.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    resume
        Continue an interrupted training.
    advance
        Progress.

    Raises
    ------
    UsageError
        An unknown mode of training.
    InputError
        A missing record with ``train="never"``; a record of another recipe.
    """
    if train not in get_args(TrainMode):
        raise UsageError.unknown("mode of training", train, get_args(TrainMode))
    _check_device(device)
    path = records.find_record(job.recipe.slug, job.stem, records.results_folders(results_dir))
    if path is not None and train != "always":
        return _check_key(records.load_record(path), job, path)
    if train == "never":
        raise MissingRecordError(
            f"no record {job.stem}", "a committed run record", f"run `{command(job)}`"
        )
    return _train(job, root, Path(results_dir or RUNS), device, resume, advance)


def run_experiment(recipe: Recipe, **options: Any) -> list[RunRecord]:
    """Return the records of all folds of an experiment: `jobs`, then `run` each.

    Parameters
    ----------
    recipe
        At its profile and ablation.
    **options
        Of `jobs` and of `run`.
    """
    selection = {key: options.pop(key) for key in ("data", "folds", "seed") if key in options}
    return [run(job, **options) for job in jobs(recipe, **selection)]


def available(
    recipe: Recipe, *, train: TrainMode = "never", **options: Any
) -> dict[str, list[RunRecord]]:
    """Records of all experiments of a recipe, by name; those without a record are left out.

    Parameters
    ----------
    recipe
        At its profile.
    train
        As in `run`; experiments beyond those that the profile covers are only read.
    **options
        Further options of `run_experiment`.
    """
    found = {}
    for name in ("main", *recipe.ablations):
        mode = train if name in recipe.experiments else "never"
        try:
            found[name] = run_experiment(recipe.ablation(name), train=mode, **options)
        except MissingRecordError:
            continue
    return found


def _check_key(record: RunRecord, job: Job, path: Path) -> RunRecord:
    if record.key == job.key:
        return record
    wanted = job.recipe.settings_dict()
    differing = [name for name, value in wanted.items() if record.settings.get(name) != value]
    what = ", ".join(differing) or "data, manifest, phantom or split"
    raise InputError(
        f"{path.name}, a record of another recipe (differs in {what})",
        "a record of this recipe and data",
        "choose another --name, or run with --force to replace it",
    )


def _check_device(device: str) -> None:
    if device not in _DEVICES:
        raise UsageError.unknown("device", device, _DEVICES)


def make_fabric(device: str, precision: str) -> Fabric:
    """Fabric on one device; ``"auto"`` takes a GPU where there is one."""
    _check_device(device)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda without a CUDA device", "a GPU", "use --device auto")
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # not at each start
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    return Fabric(accelerator=device, devices=1, precision=precision)


def prepare_cases(
    cohort: Cohort, indices: Iterable[int], recipe: Recipe, advance: Advance = silent
) -> list[PreparedCase]:
    """Read and prepare some cases of a cohort."""
    chosen = list(indices)
    prepared = []
    for done, index in enumerate(chosen):
        prepared.append(recipe.method.prepare(cohort[index], recipe.settings))
        advance(done + 1, len(chosen), "prepared")
    return prepared


def load_trained(recipe: Recipe, checkpoint: Path, fabric: Fabric) -> Trained:
    """Restore a trained method, with the settings it was trained with, from what `run` wrote.

    Raises
    ------
    InputError
        A broken file, a checkpoint of another paper, or weights that do not fit its settings.
    """
    content = load_state(checkpoint)
    if content.get("slug") != recipe.slug:
        raise InputError(
            f"{checkpoint.name}, a checkpoint of {content.get('slug', 'something else')}",
            f"one of {recipe.slug}",
            f"train it with `strokerepro run {recipe.slug}`",
        )
    settings = recipe.replace(content["settings"], "checkpoint").settings
    try:
        return recipe.method.restore(settings, content["state"], fabric)
    except (RuntimeError, KeyError) as error:
        raise InputError(
            f"{checkpoint.name}, whose weights do not fit",
            f"weights of the {recipe.slug} networks",
            "train again with this version",
        ) from error


def _train(
    job: Job, root: str | Path | None, folder: Path, device: str, resume: bool, advance: Advance
) -> RunRecord:
    started = time.perf_counter()
    recipe = job.recipe
    fabric = make_fabric(device, recipe.settings.precision)
    cohort = load_cohort(job.data, root, recipe.images(training=True), progress=advance)
    split = job_split(cohort, job)
    train = part_to_train(prepare_cases(cohort, split.train, recipe), job, cohort)
    val = part_to_test(prepare_cases(cohort, split.val, recipe), job, cohort)
    stem = folder / recipe.slug / job.stem
    stem.parent.mkdir(parents=True, exist_ok=True)
    earlier_s = _earlier_sittings_s(stem, job.key) if resume else 0.0
    context = RunContext(fabric, job.seed, stem, resume, job.key, advance)
    trained = recipe.method.fit(recipe.settings, train, val, context)
    _save_weights(stem, job, trained)
    result = evaluate(
        recipe, cohort, split, trained, (train, val), fabric,
        tested=lambda case: part_to_test([case], job, cohort),
    )  # fmt: skip
    record = RunRecord(
        slug=recipe.slug, name=recipe.name, profile=recipe.profile_name, data=job.data,
        fold=job.fold, n_folds=job.n_folds, seed=job.seed, key=job.key,
        settings=recipe.settings_dict(), splits=_split_ids(cohort, split), rows=result.rows,
        curves={name: [list(point) for point in curve] for name, curve in trained.curves.items()},
        timings_s=result.timings_s, facts=dict(trained.facts),
        notes=[*trained.notes, *result.notes],
        wall_s=earlier_s + time.perf_counter() - started,
        peak_memory_mb=peak_memory_mb(fabric.device),
        **records.circumstances(fabric.device),
    )  # fmt: skip
    records.save_record(record, folder, result.arrays)
    for partial in stem.parent.glob(f"{stem.name}.*.partial.ckpt"):
        partial.unlink()
    return record


def _earlier_sittings_s(stem: Path, key: str) -> float:
    """Seconds of training that earlier sittings of this run left in its partial checkpoints."""
    states = map(load_state, stem.parent.glob(f"{stem.name}.*.partial.ckpt"))
    # One of another run is refused where its training begins, with a message that says why.
    return sum(float(item["progress"]["seconds"]) for item in states if item.get("identity") == key)


def checkpoint_path(job: Job, results_dir: str | Path | None = None) -> Path:
    """Where `run` writes the weights of a job."""
    return Path(results_dir or RUNS) / job.recipe.slug / f"{job.stem}.ckpt"


def _save_weights(stem: Path, job: Job, trained: Trained) -> None:
    content = {
        "slug": job.recipe.slug,
        "key": job.key,
        "settings": job.recipe.settings_dict(),
        "state": trained.state(),
    }
    save_state(stem.with_name(f"{stem.name}.ckpt"), content)


def _split_ids(cohort: Cohort, split: Split) -> dict[str, list[str]]:
    parts = {"train": split.train, "val": split.val, "test": split.test}
    return {name: [cohort.case_ids[index] for index in part] for name, part in parts.items()}


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of this process on the device (GPU) or in all (CPU), MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # Linux counts KiB
