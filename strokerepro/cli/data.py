"""`strokerepro data` and `strokerepro phantom`: what data there is, fetching and making it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from strokerepro.cli.output import print_json, print_table
from strokerepro.cohort import load_cohort
from strokerepro.experiment import summarise_phantom
from strokerepro.experiment.ctp_seeds import write_seeds
from strokerepro.experiment.information_content import write_information
from strokerepro.manifest import fetch as fetch_archive
from strokerepro.manifest import load_manifest, manifest_names, verify
from strokerepro.phantom import KINDS, make_cohort
from strokerepro.progress import progress_bar

app = typer.Typer(help="Data sets: list, verify, fetch.", no_args_is_help=True)
phantom_app = typer.Typer(help="The synthetic cohort.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Root = Annotated[Path, typer.Option(help="Folder of the data set.")]


@app.command("list")
def list_data(as_json: Json = False) -> None:
    """List the data sets the project knows, with licence and access."""
    manifests = [load_manifest(name) for name in manifest_names()]
    rows = [
        {"name": item.name, "title": item.title, "licence": item.licence, "access": item.access}
        for item in manifests
    ]
    frame = pd.DataFrame(rows)
    print_json(frame) if as_json else print_table(frame)


@app.command("verify")
def verify_data(name: str, root: Root, as_json: Json = False) -> None:
    """Say precisely what of a data set is there and what is missing."""
    report = verify(load_manifest(name), root)
    if as_json:
        print_json(report.as_dict())
    else:
        print("\n".join(report.lines()))
    if not report.ok:
        raise typer.Exit(1)


@app.command("fetch")
def fetch_data(name: str, root: Root) -> None:
    """Download an open data set, continuing a partial download, and unpack it safely."""
    with progress_bar(f"fetch {name}", "MB") as advance:
        folder = fetch_archive(load_manifest(name), root, advance)
    print(f"{name} is in {folder}")


@phantom_app.command("make")
def make(
    kind: Annotated[str, typer.Argument(help=" or ".join(KINDS))],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    cases: Annotated[int, typer.Option(help="Number of cases.")] = 36,
    size: Annotated[int, typer.Option(help="In-plane matrix, pixels.")] = 128,
    seed: Annotated[int, typer.Option(help="Seed.")] = 2017,
) -> None:
    """Write a synthetic cohort as NIfTI in the layout of the real one."""
    with progress_bar(f"phantom {kind}", "case") as advance:
        folder = make_cohort(kind, out, cases=cases, size_px=size, seed=seed, progress=advance)
    print(f"{cases} synthetic cases are in {folder}")


@phantom_app.command("describe")
def describe(
    name: Annotated[str, typer.Argument(help="Cohort such as phantom_ctp.")],
    out: Annotated[Path, typer.Option(help="Results folder to write to.")],
    root: Annotated[str, typer.Option(help="Folder of the cohort; made if omitted.")] = "",
) -> None:
    """Write the marginals and examples of a phantom cohort that the data page shows."""
    with progress_bar(f"phantom {name}", "case") as advance:
        cohort = load_cohort(name, root or None, progress=advance)
    print(f"written to {summarise_phantom(cohort, out)}")


@phantom_app.command("information")
def information(
    out: Annotated[Path, typer.Option(help="Results folder to write to.")],
) -> None:
    """Measure which images of the CT-perfusion phantom know the lesion, cause by cause (slow)."""
    with progress_bar("phantom information", "case") as advance:
        path = write_information(out, progress=advance)
    print(f"written to {path}")


@phantom_app.command("seeds")
def seeds(
    out: Annotated[Path, typer.Option(help="Results folder to write to.")],
) -> None:
    """Measure how the marginals of the CT-perfusion phantom vary between cohorts (slow)."""
    with progress_bar("phantom seeds", "case") as advance:
        path = write_seeds(out, progress=advance)
    print(f"written to {path}")
