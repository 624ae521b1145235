"""The README's picture, from the slices that a committed record keeps."""

from __future__ import annotations

from pathlib import Path

from strokerepro.chapters.execute import book_folder
from strokerepro.errors import InputError
from strokerepro.figures import PALETTE, static_overview
from strokerepro.papers import get_recipe
from strokerepro.records import load_arrays, load_record

_RANK = "median"  # neither the best case nor the worst


def write_overview(slug: str = "edd_muscle", root: Path | None = None) -> Path:
    """Write ``book/_static/overview.png``: the case of median Dice, its reference and prediction.

    Parameters
    ----------
    slug
        The paper whose first record of the main experiment is shown.
    root
        The repository's root.

    Raises
    ------
    InputError
        No record with pictures.
    """
    book = book_folder(root)
    found = sorted((book / "results" / slug).glob("main-*.npz"))
    if not found:
        raise InputError(
            f"no book/results/{slug}/main-*.npz", "a record with pictures", "commit one first"
        )
    record = load_record(found[0].with_suffix(".json"))
    arrays = load_arrays(found[0])
    overlays = {
        "reference": (arrays[f"{_RANK}/truth"], PALETTE["green"]),
        "prediction": (arrays[f"{_RANK}/{get_recipe(slug).main_output}"], PALETTE["vermillion"]),
    }
    path = book / "_static" / "overview.png"
    title = f"{slug} on {record.data}, case of median Dice"
    static_overview(arrays[f"{_RANK}/image"], overlays, title=title, path=path)
    return path
