"""What the data page shows of a phantom: its marginals, an example, where lesions lie."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from strokerepro import phantom
from strokerepro.cohort import Cohort
from strokerepro.errors import UsageError
from strokerepro.experiment.ctp_summary import summarise_ctp
from strokerepro.experiment.evaluation import richest_slices, to_uint8
from strokerepro.files import write_text
from strokerepro.phantom.acceptance import acceptance
from strokerepro.records import save_arrays

_SLICES_PER_TYPE = 5


def summarise_phantom(cohort: Cohort, out: Path) -> Path:
    """Write ``acceptance.json`` and ``examples.npz`` of a phantom, whichever its kind.

    Parameters
    ----------
    cohort
        A complete phantom cohort.
    out
        Results folder; the files go to ``<out>/<cohort name>/``.

    Returns
    -------
    Path
        The folder written.

    Raises
    ------
    UsageError
        The cohort is not a phantom.
    """
    spec = cohort.manifest.phantom
    if spec is None:
        raise UsageError(
            f"{cohort.manifest.name}, which is no phantom", "a phantom cohort", "choose another"
        )
    if spec.kind == "ctp":
        return summarise_ctp(cohort, out)
    folder = out / cohort.manifest.name
    subjects = pd.read_csv(cohort.root / "participants.tsv", sep="\t")
    summary = {
        "phantom_version": phantom.VERSIONS["dwi"],
        "config_hash": phantom.config_hash("dwi"),
        **acceptance(cohort.root),
    }
    save_arrays(folder / "examples.npz", _examples(cohort, subjects))
    write_text(folder / "acceptance.json", json.dumps(summary, indent=1) + "\n")
    return folder


def read_acceptance(folder: Path) -> dict[str, Any]:
    """Read the ``acceptance.json`` that `summarise_phantom` wrote."""
    content: dict[str, Any] = json.loads((folder / "acceptance.json").read_text(encoding="utf-8"))
    return content


def _examples(cohort: Cohort, subjects: pd.DataFrame) -> Mapping[str, np.ndarray]:
    """One whole raw case, a few slices of a typical case of each type, the lesion frequency."""
    typical = _typical_cases(subjects)
    raw = cohort[cohort.case_ids.index(typical.get("shower", next(iter(typical.values()))))]
    assert raw.label is not None  # phantoms have masks
    arrays: dict[str, np.ndarray] = {
        "dwi": raw.arrays["dwi"].astype(np.int16),
        "lesion": raw.label,
        "spacing_mm": np.array(raw.spacing_mm),
    }
    for kind, case_id in typical.items():
        case = cohort[cohort.case_ids.index(case_id)]
        assert case.label is not None
        slices = richest_slices(case.label, _SLICES_PER_TYPE)
        arrays[f"{kind}/image"] = to_uint8(case.arrays["dwi"])[slices]
        arrays[f"{kind}/lesion"] = case.label[slices]
        arrays[f"{kind}/spacing_mm"] = np.array(case.spacing_mm)
    frequency, affine = _lesion_frequency(cohort)
    return {**arrays, "frequency": frequency, "frequency_affine": affine}


def _typical_cases(subjects: pd.DataFrame) -> dict[str, str]:
    """Return, for each lesion type, the case whose lesion volume is nearest to the median."""
    typical = {}
    for kind, group in subjects.groupby("lesion_type"):
        distance = (group["lesion_volume_ml"] - group["lesion_volume_ml"].median()).abs()
        typical[str(kind)] = str(group["participant_id"].iloc[int(distance.argmin())])
    return typical


def _lesion_frequency(cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
    """Count subjects with a lesion at each voxel of MNI space, ``(Z, Y, X)`` uint16."""
    counts, affine = np.zeros(0, np.uint16), np.eye(4)
    for path in sorted(cohort.root.glob("derivatives/*/*/*_space-MNI152_label-lesion.nii.gz")):
        image = nib.load(path)
        mask = np.asarray(image.dataobj).T > 0  # (X, Y, Z) -> (Z, Y, X)
        counts = mask.astype(np.uint16) if counts.size == 0 else counts + mask
        affine = image.affine
    return counts, affine


def acceptance_table(found: Mapping[str, Any]) -> pd.DataFrame:
    """Marginals of a phantom cohort beside the published ones they were set on.

    Parameters
    ----------
    found
        As `read_acceptance` gives.

    Returns
    -------
    pandas.DataFrame
        Columns ``quantity``, ``phantom``, ``published``, ``source``; NaN where none is published.
    """
    reference = found["reference"]
    middle = 1  # of the percentiles 5, 50, 95
    edd, eastwood = "Chen et al. 2017, Sec. 5.5", "Eastwood et al. 2003"
    rows = [
        ("mean lesion size of a subject, px of 1.6 mm, mean over subjects",
         found["mean_size_px"], reference["edd_mean_size_px"], edd),
        ("share of subjects with a mean size below 37 px",
         found["small_share"], reference["edd_small_share"], edd),
        ("signal inside lesions / of normal tissue, median",
         found["interior_ratio_percentiles_5_50_95"][middle],
         reference["eastwood_signal_ratio"], eastwood),
        ("the same over whole masks, with their border voxels",
         found["signal_ratio_percentiles_5_50_95"][middle], np.nan, "none"),
    ]  # fmt: skip
    columns = ["quantity", f"phantom, n = {found['subjects']}", "published", "source"]
    return pd.DataFrame(rows, columns=columns).round(2)


def volume_table(found: Mapping[str, Any]) -> pd.DataFrame:
    """Percentiles of the lesion volume, ml, beside those of a public cohort (SOOP)."""
    reference = found["reference"]
    table = pd.DataFrame(
        {"phantom": found["volume_ml_percentiles"], "SOOP": reference["soop_volume_ml"]},
        index=[f"{level} %" for level in reference["soop_percentiles"]],
    )
    table.loc["mean"] = [found["volume_ml_mean"], reference["soop_volume_ml_mean"]]
    return table.round(2).T
