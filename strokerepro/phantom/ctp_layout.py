"""The CT-perfusion cohort in the layout of the ISLES 2018 archive."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokerepro.phantom.anatomy import Grid
from strokerepro.phantom.ctp import CtpCase, make_ctp_case
from strokerepro.phantom.ctp_config import CtpConfig
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.volumes import Placement
from strokerepro.phantom.writing import CaseFiles, CohortPlan

FOLDER = "TRAINING"

# Numbers of the archive's files, as third parties list them: the CT of case 1 and the step to the
# next case, and where the other files lie from it. The numbers jump at cases 18 and 19.
_CT_ID, _STEP = 345562, 7
_OFFSETS = {
    "CT_4DPWI": -1,
    "CT": 0,
    "CT_CBF": 1,
    "CT_CBV": 2,
    "CT_MTT": 3,
    "OT": 4,
    "CT_Tmax": 5,
}
_JUMPS = {18: 3, 19: 7}  # files added from this case on; how far the real ones jump is not known
# MR_DWI was in the first release only, whose numbers were others.
_DWI_ID, _DWI_STEP = 339202, 8

_README = """SYNTHETIC DATA. No image in this folder shows a person.

A cohort of simulated CT perfusion of acute ischaemic stroke in the folder layout of the ISLES 2018
archive. CBF, CBV, MTT and Tmax are computed from the simulated series by deconvolution.

TRAINING/case_<k>/SMIR.Brain.XX.O.<MOD>.<id>/SMIR.Brain.XX.O.<MOD>.<id>.nii
  CT        non-contrast CT, Hounsfield units
  CT_4DPWI  perfusion series (X, Y, Z, T), Hounsfield units
  CT_CBF    cerebral blood flow, in units of its own per case
  CT_CBV    cerebral blood volume, in units of its own per case
  CT_MTT    mean transit time, s
  CT_Tmax   time to the maximum of the residue function, s
  MR_DWI    diffusion-weighted image, a little later and a little out of register
  OT        lesion as seen on diffusion
TRAINING/case_<k>/facts.json
            what was drawn for the case, and the arterial input

The archive had two releases: CT_ names without DWI, and MR_ names with MR_DWI. This cohort is a
hybrid with CT_ names and MR_DWI. As in the archive, the affine is an identity (but for the
direction of its first axis) and the spacing stands in the header's zooms only; the number of
slices, their distance, the number of time points and the patient of case k are those of case k
there, and case 95 begins anew with those of case 1.

participants.tsv  what was drawn for each case
hashes.json       SHA-256 of the integer arrays; mean, SD and 64 values of the others
phantom.json      settings that decide the content

Made by strokerepro, https://github.com/strokerepro/strokerepro; CC BY 4.0.
"""


def case_name(case: int) -> str:
    """Name of a case, ``case_1`` for case 1."""
    return f"case_{case}"


def file_id(case: int, modality: str) -> int:
    """Number in the name of a file, in the manner of the archive: never compute it for reading.

    Parameters
    ----------
    case
        Number of the case, from 1.
    modality
        As in the file's name, such as ``"CT_CBF"``.
    """
    if modality == "MR_DWI":
        return _DWI_ID + _DWI_STEP * (case - 1)
    jump = max((added for first, added in _JUMPS.items() if case >= first), default=0)
    return _CT_ID + _STEP * (case - 1) + jump + _OFFSETS[modality]


def ctp_plan(*, identity: dict[str, Any], size_px: int, seed: int, config: CtpConfig) -> CohortPlan:
    """Plan of a CT-perfusion cohort for :func:`strokerepro.phantom.writing.write_cohort`."""

    def make(case: int) -> CaseFiles:
        return _case_files(case, make_ctp_case(case, size_px=size_px, seed=seed, config=config))

    return CohortPlan(identity, _folders, _facts_path, make, _README)


def _folders(case: int) -> tuple[str, ...]:
    return (f"{FOLDER}/{case_name(case)}",)


def _facts_path(case: int) -> str:
    return f"{FOLDER}/{case_name(case)}/facts.json"


def _case_files(case: int, made: CtpCase) -> CaseFiles:
    volumes: dict[str, NDArray[Any]] = {
        "CT": made.ct,
        "CT_CBF": made.cbf,
        "CT_CBV": made.cbv,
        "CT_MTT": made.mtt_s,
        "CT_Tmax": made.tmax_s,
        "MR_DWI": made.dwi,
        "OT": made.label,
        "CT_4DPWI": made.series,
    }
    affine = identity_like(made.grid)
    placed: dict[str, tuple[NDArray[Any], Grid | Placement]] = {}
    for modality, volume in volumes.items():
        name = f"SMIR.Brain.XX.O.{modality}.{file_id(case, modality)}"
        dt_s = made.dt_s if modality == "CT_4DPWI" else None
        place = Placement(affine, made.grid.spacing_mm, dt_s)
        placed[f"{FOLDER}/{case_name(case)}/{name}/{name}.nii"] = (volume, place)
    return CaseFiles(case_name(case), _folders(case), placed, made.facts)


def identity_like(grid: Grid) -> FloatArray:
    """Affine ``(4, 4)`` with the directions of a grid, but neither its spacing nor its place."""
    affine = np.eye(4)
    affine[:3, :3] = grid.affine[:3, :3] / np.asarray(grid.spacing_mm)
    return affine
