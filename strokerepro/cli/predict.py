"""`strokerepro predict` and `strokerepro score`: a trained method on one case, masks scored."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from strokerepro.cli.output import print_json, print_table
from strokerepro.cohort import read_case_dir, read_volume, save_volume
from strokerepro.errors import InputError, UsageError
from strokerepro.experiment import load_trained, make_fabric
from strokerepro.files import write_text
from strokerepro.inference import Stopwatch
from strokerepro.manifest import load_manifest
from strokerepro.metrics import score_case
from strokerepro.metrics.case import EmptyPolicy
from strokerepro.metrics.lesionwise import Connectivity
from strokerepro.papers import get_recipe

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SHOWN = ("dice", "precision", "recall", "hd95_mm", "assd_mm", "avd_ml", "n_fp", "n_fn")


def predict(
    slug: Annotated[str, typer.Argument(help="Paper, such as edd_muscle.")],
    checkpoint: Annotated[
        list[Path], typer.Option(help="Weights written by run; several are averaged.")
    ],
    case: Annotated[Path, typer.Option(help="Folder of one case in the data set's layout.")],
    out: Annotated[Path, typer.Option(help="Mask to write, .nii.gz.")],
    probability: Annotated[Path | None, typer.Option(help="Also write probabilities.")] = None,
    data: Annotated[
        str, typer.Option(help="Layout of the case; the paper's own if left out.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Json = False,
) -> None:
    """Segment one case on its own grid and print the time of each stage."""
    for option, path in (("--out", out), ("--probability", probability)):
        if path is not None and not path.name.endswith((".nii", ".nii.gz")):
            raise UsageError(f"{option} {path.name}", "a name ending in .nii.gz", "rename it")
    recipe = get_recipe(slug)
    fabric = make_fabric(device, recipe.settings.precision)
    loaded = [load_trained(recipe, path, fabric) for path in checkpoint]
    trained = loaded[0] if len(loaded) == 1 else recipe.method.average(loaded)
    needed = dataclasses.replace(recipe, settings=trained.settings).images(training=False)
    examined = read_case_dir(case, load_manifest(data or recipe.real_data[0]), needed)
    watch = Stopwatch(fabric.device)
    prepared = recipe.method.prepare(examined, trained.settings)
    watch.lap("preprocess")
    result = trained.predict(prepared, fabric)
    restored = prepared.geometry.restore(result.probability)
    mask = trained.mask(restored, examined.spacing_mm)
    save_volume(out, mask.astype(np.uint8), like=examined)
    if probability is not None:
        save_volume(probability, restored.astype(np.float32), like=examined)
    seconds = {**watch.seconds, **result.seconds}
    volume_ml = float(mask.sum() * np.prod(examined.spacing_mm) / 1000)
    if as_json:
        print_json({"mask": str(out), "volume_ml": volume_ml, "seconds": seconds})
        return
    stages = ", ".join(f"{stage} {value:.2f} s" for stage, value in seconds.items())
    print(f"{out}: {int(mask.sum())} voxels, {volume_ml:.2f} ml ({stages})")


def score(
    pred: Annotated[Path, typer.Option(help="Predicted mask, or a folder of them.")],
    truth: Annotated[Path, typer.Option(help="Reference mask, or a folder of them.")],
    csv: Annotated[Path | None, typer.Option(help="Also write the table.")] = None,
    connectivity: Annotated[Connectivity, typer.Option(help="What one lesion is.")] = "2d8",
    empty: Annotated[EmptyPolicy, typer.Option(help="Policy for empty masks.")] = "nan",
    as_json: Json = False,
) -> None:
    """Score masks against references of the same name, on their own grid."""
    rows = []
    for predicted, reference in _pairs(pred, truth):
        mask = read_volume(predicted, predicted.parent)
        expected = read_volume(reference, reference.parent)
        scores = score_case(
            mask.array, expected.array, expected.spacing_mm, connectivity=connectivity, empty=empty
        )
        rows.append({"case": predicted.name.removesuffix(".gz").removesuffix(".nii"), **scores})
    frame = pd.DataFrame(rows)
    if csv is not None:
        write_text(csv, frame.to_csv(index=False))
    if as_json:
        print_json(frame)
        return
    print_table(frame[["case", *_SHOWN]])
    undefined = int(frame["dice"].isna().sum())
    print(f"n = {len(frame)}, undefined Dice (empty reference) in {undefined}")


def _pairs(pred: Path, truth: Path) -> list[tuple[Path, Path]]:
    if pred.is_file() and truth.is_file():
        return [(pred, truth)]
    if not (pred.is_dir() and truth.is_dir()):
        missing = pred if not pred.exists() else truth
        raise InputError(f"--pred {pred} and --truth {truth}", "two files or two folders",
                         f"check {missing}")  # fmt: skip
    predicted = sorted(pred.glob("*.nii*"))
    if not predicted:
        raise InputError(f"no .nii or .nii.gz in {pred}", "predicted masks", "check --pred")
    absent = [path.name for path in predicted if not (truth / path.name).is_file()]
    if absent:
        raise InputError(
            f"{len(absent)} predictions without a reference, first {absent[0]}",
            "a reference of the same name for each",
            f"add it to {truth}",
        )
    return [(path, truth / path.name) for path in predicted]
