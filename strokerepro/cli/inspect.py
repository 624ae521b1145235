"""`strokerepro show` and `strokerepro compare`: recipes, records and runs side by side."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
import typer

from strokerepro import records
from strokerepro.cli.output import print_json, print_table
from strokerepro.errors import InputError
from strokerepro.experiment import RUNS, jobs
from strokerepro.papers import get_recipe
from strokerepro.records import RunRecord, code_hash
from strokerepro.report import method_table, paired_test, paired_values, record_rows

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Results = Annotated[str, typer.Option(help="Folder of your records.")]


def show(
    slug: str,
    profile: Annotated[str, typer.Option(help="smoke, quick, full or paper.")] = "full",
    results_dir: Results = RUNS,
    as_json: Json = False,
) -> None:
    """Show a paper's recipe with provenance, its experiments and the records there are."""
    recipe = get_recipe(slug).profile(profile)
    settings = pd.DataFrame([vars(info) for info in recipe.fields.values()])
    experiments = pd.DataFrame(
        [
            {"name": item.name, "question": item.question, "published": item.published}
            for item in recipe.ablations.values()
        ]
    )
    found = records.list_records(slug, records.results_folders(results_dir))
    code = code_hash()
    kept = pd.DataFrame([_describe(record, code) for record in found])
    if as_json:
        content = {"settings": settings, "experiments": experiments, "records": kept}
        print_json({"title": recipe.title, "citation": recipe.citation, **content})
        return
    print(recipe.citation)
    if recipe.doi:
        print(f"doi:{recipe.doi}")
    print_table(settings[["name", "value", "kind", "source"]], f"settings, profile {profile}")
    print_table(experiments, "experiments")
    print_table(kept, "records", digits=0)


def _describe(record: RunRecord, code: str) -> dict[str, object]:
    return {
        "record": record.stem,
        "made": record.created,
        "device": record.device,
        "wall_s": record.wall_s,
        "code": "as now" if record.code == code else "changed since",
    }


def compare(
    slug: str,
    names: Annotated[list[str], typer.Argument(help="Two or more experiments.")],
    profile: Annotated[str, typer.Option(help="Profile of the records.")] = "quick",
    data: Annotated[str, typer.Option(help="Cohort; phantom is the recipe's own.")] = "phantom",
    metric: Annotated[str, typer.Option(help="Metric to test.")] = "dice",
    results_dir: Results = RUNS,
    as_json: Json = False,
) -> None:
    """Set runs side by side on the cases they share, each paired against the first."""
    recipe = get_recipe(slug)
    cohort = jobs(recipe.profile(profile), data=data)[0].data
    kept = records.list_records(slug, records.results_folders(results_dir))
    found = [item for item in kept if (item.profile, item.data) == (profile, cohort)]
    rows = pd.concat([_final_rows(name, found, recipe.main_output) for name in names])
    rows["output"] = "final"  # networks of different experiments call their last map differently
    summary = method_table(rows, names, (metric, "n_fp", "n_fn"), by="name")
    tests = []
    for name in names[1:]:
        both = paired_values(rows, name, names[0], metric, by="name")
        result = paired_test(both[name], both[names[0]], generator=np.random.default_rng(0))
        tests.append({"run": name, "against": names[0], "metric": metric, **vars(result)})
    paired = pd.DataFrame(tests)
    if as_json:
        print_json({"summary": summary, "tests": paired})
        return
    print_table(summary, f"{recipe.title}, {profile}, test cases of {cohort}")
    print_table(paired, "paired differences (run minus against)")


def _final_rows(name: str, found: list[RunRecord], main_output: str) -> pd.DataFrame:
    chosen = [record for record in found if record.name == name]
    if not chosen:
        known = ", ".join(sorted({record.name for record in found})) or "none"
        raise InputError(f"no record of {name!r}", f"one of {known}", "run it first")
    rows = record_rows(chosen)
    outputs = [name for name in rows["output"].unique() if name != "threshold"]
    final = main_output if main_output in outputs else outputs[0]
    return pd.DataFrame(rows[rows["output"] == final])
