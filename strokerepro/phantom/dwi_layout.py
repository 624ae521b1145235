"""The diffusion cohort in the layout of the ISLES 2022 archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from strokerepro.phantom.anatomy import Grid
from strokerepro.phantom.dwi import DwiCase, make_dwi_case, mni_grid
from strokerepro.phantom.dwi_config import DwiConfig
from strokerepro.phantom.writing import CaseFiles, CohortPlan

_SESSION = "ses-0001"

_README = """SYNTHETIC DATA. No image in this folder shows a person.

A cohort of simulated acute ischaemic stroke in the folder layout of the ISLES 2022 archive:
diffusion-weighted image, ADC (1e-6 mm2/s) and mask on one grid, FLAIR on another.
Anatomy comes from the MNI152 templates, contrast and artefacts from the physics of the scan.
Images are zero outside the brain. The third spacing is slice thickness plus gap.

participants.tsv  what was drawn for each subject
hashes.json       SHA-256 of the integer arrays
phantom.json      settings that decide the content
derivatives/*/*_space-MNI152_label-lesion.nii.gz
                  the mask carried back to template space, 4 mm, for lesion-frequency maps

Made by strokerepro, https://github.com/strokerepro/strokerepro; CC BY 4.0.
"""


def case_name(case: int) -> str:
    """Name of a subject, ``sub-strokecase0001`` for case 1."""
    return f"sub-strokecase{case:04d}"


def dwi_plan(*, identity: dict[str, Any], size_px: int, seed: int, config: DwiConfig) -> CohortPlan:
    """Plan of a diffusion cohort for :func:`strokerepro.phantom.writing.write_cohort`."""

    def make(case: int) -> CaseFiles:
        return _case_files(case, make_dwi_case(case, size_px=size_px, seed=seed, config=config))

    return CohortPlan(identity, _folders, _facts_path, make, _README)


def _folders(case: int) -> tuple[str, ...]:
    return f"derivatives/{case_name(case)}", case_name(case)


def _facts_path(case: int) -> str:
    return str(Path("derivatives", case_name(case), _SESSION, f"{case_name(case)}_facts.json"))


def _case_files(case: int, made: DwiCase) -> CaseFiles:
    name = case_name(case)
    stem = f"{name}_{_SESSION}"
    images, derived = f"{name}/{_SESSION}", f"derivatives/{name}/{_SESSION}"
    volumes: dict[str, tuple[NDArray[Any], Grid]] = {
        f"{images}/dwi/{stem}_dwi.nii.gz": (made.dwi, made.grid),
        f"{images}/dwi/{stem}_adc.nii.gz": (made.adc, made.grid),
        f"{images}/anat/{stem}_FLAIR.nii.gz": (made.flair, made.flair_grid),
        f"{derived}/{stem}_msk.nii.gz": (made.label, made.grid),
        f"{derived}/{stem}_space-MNI152_label-lesion.nii.gz": (made.mni_label, mni_grid()),
    }
    return CaseFiles(name, _folders(case), volumes, made.facts)
