"""`strokerepro run`: train and evaluate, or say that the record is there."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer

from strokerepro import records
from strokerepro.cli.output import print_json, print_table
from strokerepro.errors import UsageError
from strokerepro.experiment import RUNS, Job, checkpoint_path, estimate_s, jobs
from strokerepro.experiment import run as run_job
from strokerepro.papers import get_recipe
from strokerepro.papers.base import Recipe
from strokerepro.progress import progress_bar
from strokerepro.records import RunRecord
from strokerepro.report import means, method_table, record_rows

_SHOWN = ("dice", "n_fp", "n_fn", "detected")


def run(
    slug: Annotated[str, typer.Argument(help="Paper, such as edd_muscle.")],
    ablation: Annotated[str, typer.Option(help="Experiment, or all.")] = "main",
    profile: Annotated[str, typer.Option(help="smoke, quick, full or paper.")] = "quick",
    data: Annotated[str, typer.Option(help="Cohort; phantom is the recipe's own.")] = "phantom",
    root: Annotated[str, typer.Option(help="Folder of the cohort.")] = "",
    folds: Annotated[str, typer.Option(help="Folds such as 0,1.")] = "",
    fold_file: Annotated[
        str, typer.Option(help="Own folds: CSV with the columns case and fold; needs --name.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="FIELD=VALUE.")] = None,
    name: Annotated[str, typer.Option(help="Name of a run with --set.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    results_dir: Annotated[str, typer.Option(help="Folder for records and weights.")] = RUNS,
    force: Annotated[bool, typer.Option("--force", help="Train even if a record exists.")] = False,
    resume: Annotated[bool, typer.Option(help="Continue an interrupted training.")] = True,
    workers: Annotated[int, typer.Option(help="Runs at once, one CPU thread each.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train and evaluate a paper's method; a run that has its record is not repeated."""
    recipe = get_recipe(slug).profile(profile)
    own_folds = Path(fold_file) if fold_file else None
    todo = [
        job
        for item in _recipes(recipe, ablation, set_ or [], name, own_folds)
        for job in jobs(item, data=data, folds=parse_folds(folds), seed=seed, fold_file=own_folds)
    ]
    if dry_run:
        _print_plan(todo, results_dir, force, as_json)
        return
    one = partial(
        _run_one, root=root, results_dir=results_dir, device=device, force=force, resume=resume
    )
    done = _run_side_by_side(one, todo, workers) if workers > 1 else [one(job) for job in todo]
    _print_results(recipe, done, results_dir, todo, as_json)


def parse_folds(text: str) -> list[int]:
    """``"0,2"`` to ``[0, 2]``; empty text means the default folds."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UsageError(f"--folds {text}", "numbers such as 0,1", "separate by commas") from error


def _recipes(
    recipe: Recipe, ablation: str, pairs: list[str], name: str, fold_file: Path | None
) -> list[Recipe]:
    if ablation == "all":
        recipes = [recipe.ablation(key) for key in recipe.experiments]
    else:
        recipes = [recipe.ablation(ablation)]
    if not pairs and not name and fold_file is None:
        return recipes
    _check_own_run(recipe, ablation, pairs, name, fold_file)
    return [item.replace(_parse_pairs(pairs), "set by the user", name=name) for item in recipes]


def _check_own_run(
    recipe: Recipe, ablation: str, pairs: list[str], name: str, fold_file: Path | None
) -> None:
    option = "--set" if pairs else "--fold-file"
    if not name:
        raise UsageError(f"{option} without --name", "a name for the new run", "add --name mine")
    if not pairs and fold_file is None:
        raise UsageError("--name without --set", "what is different", "add --set FIELD=VALUE")
    if ablation == "all":
        raise UsageError(f"{option} with --ablation all", "one experiment", "name one --ablation")
    if name == "main" or name in recipe.ablations:
        raise UsageError(f"--name {name}, which is taken", "a new name", "choose another one")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):  # it becomes part of a file name
        raise UsageError(f"--name {name}", "letters, digits, _ and -", "choose such a name")


def _parse_pairs(pairs: list[str]) -> dict[str, Any]:
    values = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--set {pair}", "FIELD=VALUE", "write for example --set patch_px=48")
        values[key] = value
    return values


def _run_side_by_side(
    one: Callable[[Job], RunRecord], todo: list[Job], workers: int
) -> list[RunRecord]:
    """Run jobs in processes of one thread: two threads in one run gain a third, two runs all."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        waiting = [pool.submit(one, job) for job in todo]
        try:
            return [future.result() for future in waiting]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run_one(
    job: Job, root: str, results_dir: str, device: str, force: bool, resume: bool
) -> RunRecord:
    with progress_bar(job.stem, "step") as advance:
        return run_job(
            job,
            root=root or None,
            results_dir=results_dir,
            train="always" if force else "missing",
            device=device,
            resume=resume,
            advance=advance,
        )


def _print_plan(todo: list[Job], results_dir: str, force: bool, as_json: bool) -> None:
    folders = records.results_folders(results_dir)
    rows = []
    for job in todo:
        path = records.find_record(job.recipe.slug, job.stem, folders)
        there = path is not None and not force
        seconds = records.load_record(path).wall_s if path else _estimate_s(job, folders)
        state = "there" if there else "to run"
        rows.append({"run": job.stem, "state": state, "minutes": seconds / 60})
    frame = pd.DataFrame(rows)
    if as_json:
        print_json(frame)
        return
    print_table(frame, digits=1)
    minutes = frame.loc[frame["state"] == "to run", "minutes"].sum()
    print(f"to run: about {minutes:.0f} minutes on the machine of the committed records")


def _estimate_s(job: Job, folders: list[Path]) -> float:
    """Seconds by the operations of a recorded main run; NaN without one in this profile."""
    main = get_recipe(job.recipe.slug).profile(job.recipe.profile_name)
    measured = jobs(main)[0]
    path = records.find_record(job.recipe.slug, measured.stem, folders)
    if path is None:
        return float("nan")
    return estimate_s(job.recipe, main, records.load_record(path).wall_s)


def _print_results(
    recipe: Recipe, done: list[RunRecord], results_dir: str, todo: list[Job], as_json: bool
) -> None:
    tables = {}
    for name in dict.fromkeys(record.name for record in done):
        rows = record_rows(record for record in done if record.name == name)
        tables[name] = method_table(rows, list(rows["output"].unique()), _SHOWN)
    if as_json:
        print_json({"records": [record.stem for record in done], "test": tables})
        return
    for name, table in tables.items():
        title = f"{recipe.title}, {name}, {recipe.profile_name}, test cases: mean ± SD"
        print_table(means(table, "output").reset_index(names="output"), title)
    for job in todo:
        path = checkpoint_path(job, results_dir)
        there = f"weights in {path}" if path.exists() else "read from its record, --force trains it"
        print(f"{job.stem}: {there}")
    for note in sorted({note for record in done for note in record.notes}):
        print(f"note: {note}")
