"""Cohort folders: NIfTI files and tables, whole or absent, resumed after an interruption."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from strokerepro.errors import InputError
from strokerepro.files import write_text
from strokerepro.phantom.anatomy import Grid
from strokerepro.phantom.volumes import (
    Placement,
    Signature,
    array_sha256,
    matches,
    signature,
    write_volume,
)

__all__ = [
    "CaseFiles",
    "CohortPlan",
    "array_sha256",
    "read_hashes",
    "verify_hashes",
    "write_cohort",
    "write_volume",
]

IDENTITY_FILE = "phantom.json"
HASH_FILE = "hashes.json"
_PARTIAL = ".partial"
_STALE_S = 3600.0


@dataclass(frozen=True)
class CaseFiles:
    """What one case adds to the cohort folder.

    Parameters
    ----------
    case_id
        Such as ``"sub-strokecase0001"``.
    folders
        Folders that belong to this case alone, relative to the root; the last one appears last
        and marks the case as complete.
    volumes
        Relative path, ``.nii`` or ``.nii.gz``, to an array (X, Y, Z) or (X, Y, Z, T) and its grid.
    facts
        Kept in the case's JSON file; what is no list is its row of ``participants.tsv``.
    """

    case_id: str
    folders: tuple[str, ...]
    volumes: Mapping[str, tuple[NDArray[Any], Grid | Placement]]
    facts: dict[str, Any]


@dataclass(frozen=True)
class CohortPlan:
    """A cohort to be written.

    Parameters
    ----------
    identity
        What decides the content (kind, version, hashes, seed, sizes); kept in the root.
    case_folders
        For each case number the folders of the case, as in :class:`CaseFiles`.
    facts_path
        For each case number the JSON file, in one of these folders, that keeps hashes and facts.
    make_case
        Generates one case.
    readme
        Text of the README.
    """

    identity: dict[str, Any]
    case_folders: Callable[[int], tuple[str, ...]]
    facts_path: Callable[[int], str]
    make_case: Callable[[int], CaseFiles]
    readme: str


def write_cohort(plan: CohortPlan, root: Path, progress: Callable[..., None] | None = None) -> Path:
    """Write all cases that are missing, then the tables and hashes.

    Parameters
    ----------
    plan
        What to write; ``plan.identity["cases"]`` is the number of cases.
    root
        Cohort folder; made if missing.
    progress
        Called with (cases done, cases in all) after each case.

    Returns
    -------
    Path
        `root`.

    Raises
    ------
    InputError
        When `root` cannot be written or holds something else.
    """
    _claim(root, plan.identity)
    cases = int(plan.identity["cases"])
    if (root / HASH_FILE).is_file():
        if progress:
            progress(cases, cases)
        return root
    for case in range(1, cases + 1):
        if not all((root / folder).is_dir() for folder in plan.case_folders(case)):
            _write_case(plan, case, root)
        if progress:
            progress(case, cases)
    _finish(plan, root)
    return root


def _claim(root: Path, identity: dict[str, Any]) -> None:
    marker = root / IDENTITY_FILE
    try:
        root.mkdir(parents=True, exist_ok=True)
        found = json.loads(marker.read_text()) if marker.is_file() else None
        if found is None and any(root.iterdir()):
            raise InputError(
                f"{root} with other content", "an empty or missing folder", "choose another --out"
            )
        if found is None:
            write_text(marker, json.dumps(identity, indent=1) + "\n")
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(
            f"{root}: {error}", "a folder that can be written", "choose another --out"
        ) from error
    if found is not None and found != identity:
        names = sorted(k for k in {*found, *identity} if found.get(k) != identity.get(k))
        raise InputError(
            f"{root} with a cohort that differs in {', '.join(names)}",
            "the same settings or an empty folder",
            "choose another --out, or delete that folder",
        )


def _write_case(plan: CohortPlan, case: int, root: Path) -> None:
    files = plan.make_case(case)
    parent = root / _PARTIAL
    parent.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{files.case_id}-", dir=parent))
    try:
        hashes: dict[str, Signature] = {}
        for name, (volume, place) in files.volumes.items():
            hashes[name] = signature(volume)
            write_volume(scratch / name, volume, place)
        record = {"case_id": files.case_id, "facts": files.facts, "sha256": hashes}
        write_text(scratch / plan.facts_path(case), json.dumps(record, indent=1) + "\n")
        for folder in files.folders:
            _move(scratch / folder, root / folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError:
        # A parallel run of the same cohort was faster; its folder holds the same bytes.
        if not target.is_dir():
            raise


def _finish(plan: CohortPlan, root: Path) -> None:
    numbers = range(1, int(plan.identity["cases"]) + 1)
    records = [json.loads((root / plan.facts_path(case)).read_text()) for case in numbers]
    rows = [{"participant_id": record["case_id"], **_cells(record)} for record in records]
    lines = ["\t".join(rows[0]), *("\t".join(str(v) for v in row.values()) for row in rows)]
    write_text(root / "participants.tsv", "\n".join(lines) + "\n")
    write_text(root / "README", plan.readme)
    hashes = {name: digest for record in records for name, digest in record["sha256"].items()}
    _remove_stale(root / _PARTIAL)
    write_text(root / HASH_FILE, json.dumps(hashes, indent=1) + "\n")


def _cells(record: dict[str, Any]) -> dict[str, Any]:
    return {key: v for key, v in record["facts"].items() if not isinstance(v, list | dict)}


def _remove_stale(partial: Path) -> None:
    # Younger folders may belong to a parallel run.
    if not partial.is_dir():
        return
    for folder in partial.iterdir():
        if time.time() - folder.stat().st_mtime > _STALE_S:
            shutil.rmtree(folder, ignore_errors=True)
    if not any(partial.iterdir()):
        partial.rmdir()


def verify_hashes(root: Path, names: Iterable[str] | None = None) -> list[str]:
    """Names of the volumes whose content is not what was generated.

    Integer volumes must be equal, floating-point maps equal within a tolerance.

    Parameters
    ----------
    root
        Cohort folder.
    names
        Relative paths to check; all by default.

    Returns
    -------
    list of str
        Relative paths of missing, unreadable or differing volumes, empty when all is well.

    Raises
    ------
    InputError
        When `root` is not a complete phantom cohort.
    """
    expected = read_hashes(root)
    wrong = []
    for name in expected if names is None else names:
        try:
            stored = np.asanyarray(nib.load(root / name).dataobj)
            same = matches(stored, expected[name])
        except (OSError, EOFError, KeyError, ImageFileError):
            same = False
        if not same:
            wrong.append(name)
    return wrong


def read_hashes(root: Path) -> dict[str, Signature]:
    """Relative path to hash or signature of every volume of a complete phantom cohort."""
    path = root / HASH_FILE
    if not path.is_file():
        raise InputError(
            f"{root} without {HASH_FILE}",
            "a complete phantom cohort",
            "make it with `strokerepro phantom make`",
        )
    hashes: dict[str, Signature] = json.loads(path.read_text())
    return hashes
