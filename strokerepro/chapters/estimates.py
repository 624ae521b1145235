"""What the larger profiles would cost on machines that nobody ran them on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from strokerepro.experiment import estimate_s, jobs
from strokerepro.papers import get_recipe
from strokerepro.papers.base import Recipe
from strokerepro.records import RunRecord

#: Multiply-accumulates a second that training sustains on a GPU: a guess, 10 TFLOP/s, well below
#: what current data-centre GPUs reach in dense arithmetic, since these networks are small.
GPU_MACS_PER_S = 5e12
_LARGE = ("full", "paper")
_GPU = "GPU, 10 TFLOP/s"


def estimate_rows(
    slug: str, records: Sequence[RunRecord]
) -> list[tuple[str, str, str, int, float]]:
    """Estimate the large profiles of a paper where no record says what they cost.

    Parameters
    ----------
    slug
        The paper.
    records
        Its records; a measured main run on a CPU gives that machine's speed.

    Returns
    -------
    list of tuple
        Profile, data, machine, number of runs, and seconds of all of them by their operations.
    """
    recipe = get_recipe(slug)
    rows = []
    for profile in _LARGE:
        if any(record.profile == profile for record in records):
            continue
        runs, macs = _operations(slug, profile)
        if (measured := _measured_main(recipe, records)) is not None:
            small = recipe.profile(measured.profile)
            main_s = estimate_s(recipe.profile(profile), small, measured.wall_s)
            main_macs = recipe.method.cost(recipe.profile(profile).settings)
            rows.append((profile, recipe.data, measured.device, runs, main_s * macs / main_macs))
        rows.append((profile, recipe.data, _GPU, runs, macs / GPU_MACS_PER_S))
    return rows


def _measured_main(recipe: Recipe, records: Sequence[RunRecord]) -> RunRecord | None:
    found = (
        record
        for record in records
        if (record.name, record.data) == ("main", recipe.data) and "-core" in record.device
    )
    return next(found, None)


@lru_cache
def _operations(slug: str, profile: str) -> tuple[int, float]:
    """Runs of all experiments of a profile, and their multiply-accumulates in training."""
    recipe = get_recipe(slug).profile(profile)
    recipes = [recipe.ablation(name) for name in recipe.experiments]
    runs = [len(jobs(item)) for item in recipes]
    macs = [recipe.method.cost(item.settings) for item in recipes]
    return sum(runs), sum(count * cost for count, cost in zip(runs, macs, strict=True))
