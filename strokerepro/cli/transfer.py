"""`strokerepro transfer`: trained weights tested on another cohort, several of them averaged."""

from __future__ import annotations

from typing import Annotated

import typer

from strokerepro.cli.output import print_json, print_table
from strokerepro.cli.run import parse_folds
from strokerepro.errors import InputError
from strokerepro.experiment import RUNS, checkpoint_path, jobs
from strokerepro.experiment import transfer as transfer_to
from strokerepro.papers import get_recipe
from strokerepro.report import means, method_table, record_rows

_SHOWN = ("dice", "precision", "recall", "hd_mm")


def transfer(
    slug: Annotated[str, typer.Argument(help="Paper, such as core_resnet.")],
    to: Annotated[str, typer.Option(help="Cohort to test on, such as phantom_ctp_test.")],
    root: Annotated[str, typer.Option(help="Folder of that cohort, if it is real.")] = "",
    folds: Annotated[str, typer.Option(help="Folds whose weights are averaged; all.")] = "",
    ablation: Annotated[str, typer.Option(help="Experiment they were trained in.")] = "main",
    profile: Annotated[str, typer.Option(help="smoke, quick, full or paper.")] = "quick",
    data: Annotated[str, typer.Option(help="Cohort they were trained on.")] = "phantom",
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    results_dir: Annotated[str, typer.Option(help="Folder with weights, for the record.")] = RUNS,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Test the weights of a run on all cases of another cohort and write the record."""
    recipe = get_recipe(slug).profile(profile).ablation(ablation)
    trainings = jobs(recipe, data=data, folds=parse_folds(folds), seed=seed)
    for job in trainings:
        weights = checkpoint_path(job, results_dir)
        if not weights.exists():
            raise InputError(
                f"no weights {weights}", "those of every fold", "train them with `strokerepro run`"
            )
    chosen = trainings[0] if len(trainings) == 1 else trainings
    record = transfer_to(chosen, to, root=root or None, results_dir=results_dir, device=device)
    rows = record_rows([record])
    table = method_table(rows, list(rows["output"].unique()), _SHOWN)
    if as_json:
        print_json({"record": record.stem, "test": table})
        return
    title = f"{recipe.title}, {record.notes[0]}: mean ± SD"
    print_table(means(table, "output").reset_index(names="output"), title)
