"""Jobs: which trainings an experiment consists of, and what identifies each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strokerepro import phantom, records
from strokerepro.cohort import count_folds
from strokerepro.errors import UsageError
from strokerepro.files import hash_file, hash_json
from strokerepro.manifest import load_manifest
from strokerepro.papers.base import Recipe


@dataclass(frozen=True)
class Job:
    """One training: a recipe at a profile, a cohort, a fold and a seed."""

    recipe: Recipe
    data: str
    fold: int
    n_folds: int
    seed: int
    fold_file: Path | None = None

    @property
    def key(self) -> str:
        """Hash of everything that decides the result: recipe, data, split and seed."""
        split: dict[str, Any] = {"fold": self.fold, "n_folds": self.n_folds, "seed": self.seed}
        if self.fold_file is not None:
            split["fold_file"] = hash_file(self.fold_file)
        return hash_json([self.recipe.key(data_hash(self.data)), split])

    @property
    def stem(self) -> str:
        """File name, without suffix, of the record and the checkpoint."""
        return records.record_stem(
            self.recipe.name, self.recipe.profile_name, self.data, self.fold, self.seed
        )


def data_hash(name: str) -> str:
    """Hash of a cohort's manifest and, for a phantom, of its frozen configuration."""
    manifest = load_manifest(name)
    made = phantom.config_hash(manifest.phantom.kind) if manifest.phantom else ""
    return hash_json([manifest.sha256, made])


def jobs(
    recipe: Recipe,
    *,
    data: str = "phantom",
    folds: Sequence[int] | None = None,
    seed: int = 0,
    fold_file: Path | None = None,
) -> list[Job]:
    """List the jobs of an experiment.

    Parameters
    ----------
    recipe
        At its profile and ablation.
    data
        Cohort name; ``"phantom"`` is the recipe's own.
    folds
        Folds to run; by default all for the main experiment and those that say so, else the first.
    seed
        Seed of training, not negative; the folds do not depend on it.
    fold_file
        Folds of the user's own, as `strokerepro.cohort.read_folds` reads them; the experiment
        needs a name of its own, since the record does not say which folds it has.

    Raises
    ------
    UsageError
        A fold, a seed or a cohort that does not exist for this recipe.
    """
    if seed < 0:
        raise UsageError(f"seed {seed}", "a seed of at least 0", "choose another --seed")
    n_folds = count_folds(fold_file) if fold_file else recipe.folds[recipe.profile_name]
    on_all = recipe.runs_on_all_folds or fold_file is not None
    chosen = list(folds) if folds else list(range(n_folds if on_all else 1))
    for fold in chosen:
        if not 0 <= fold < n_folds:
            raise UsageError(
                f"fold {fold}", f"0 to {n_folds - 1} in profile {recipe.profile_name}",
                "choose other --folds",
            )  # fmt: skip
    name = recipe.data if data == "phantom" else data
    if name not in (recipe.data, *recipe.real_data):
        raise UsageError.unknown(
            f"data set for {recipe.slug}", name, [recipe.data, *recipe.real_data]
        )
    return [Job(recipe, name, fold, n_folds, seed, fold_file) for fold in chosen]


def command(job: Job, *others: Job) -> str:
    """Command line that makes the record of a job, and of others that differ in the fold alone."""
    recipe = job.recipe
    parts = ["strokerepro run", recipe.slug, f"--profile {recipe.profile_name}"]
    if recipe.name in recipe.ablations:
        parts.append(f"--ablation {recipe.name}")
    elif recipe.name != "main":
        values = recipe.settings_dict()
        profile = f"profile {recipe.profile_name}"
        chosen = [key for key, reason in recipe.reasons.items() if reason != profile]
        parts += [f"--set {shlex.quote(f'{key}={_typed(values[key])}')}" for key in chosen]
        parts.append(f"--name {shlex.quote(recipe.name)}")
    if job.fold_file is not None:
        parts.append(f"--fold-file {shlex.quote(str(job.fold_file))}")
    if job.data != recipe.data:
        parts.append(f"--data {job.data} --root DIR")
    folds = ",".join(str(item.fold) for item in (job, *others))
    return " ".join([*parts, f"--folds {folds}", f"--seed {job.seed}"])


def _typed(value: Any) -> str:
    """A setting as it is typed after ``--set``."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def estimate_s(recipe: Recipe, measured: Recipe, measured_s: float) -> float:
    """Estimate the time of a run from that of another one on the same machine.

    Parameters
    ----------
    recipe
        What is asked about.
    measured, measured_s
        A recipe that was run, and the seconds it took.

    Returns
    -------
    float
        Seconds, by the ratio of operations in training; what else a run does is left out.
    """
    cost = recipe.method.cost
    return measured_s * cost(recipe.settings) / cost(measured.settings)
