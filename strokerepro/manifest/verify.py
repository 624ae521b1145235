"""Compare a folder with a manifest and say precisely what is missing."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from strokerepro.manifest.layout import CaseFiles, data_root, find_cases, leaves_root
from strokerepro.manifest.model import Manifest
from strokerepro.progress import Advance, silent

_CHUNK_BYTES = 1 << 20
_LINES_SHOWN = 20


@dataclass(frozen=True)
class VerifyReport:
    """What a folder holds of a data set.

    Attributes
    ----------
    name
        The data set.
    root
        The data root that was looked at.
    expected_cases
        How many cases the data set has.
    found
        Cases that have a folder.
    complete
        Those of them with every required file, all readable.
    numbered
        All case names in order, where the data set numbers its cases.
    absent
        Those of them without a folder.
    missing
        Per case, the required files that are not there, as paths relative to the root.
    missing_optional
        Per case, the optional files that are not there.
    notes
        For optional modalities that some case lacks, why, and where they are to be found.
    unreadable
        Per file, why it cannot be read.
    access
        How to obtain the data set.
    """

    name: str
    root: Path
    expected_cases: int
    found: tuple[str, ...]
    complete: tuple[str, ...]
    numbered: tuple[str, ...]
    absent: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]]
    missing_optional: Mapping[str, tuple[str, ...]]
    notes: Mapping[str, str]
    unreadable: Mapping[str, str]
    access: str

    @property
    def ok(self) -> bool:
        """Whether all expected cases are there and every one of them is complete."""
        return len(self.complete) == self.expected_cases == len(self.found)

    def lines(self) -> list[str]:
        """Text for a person; long lists are cut and say so (`as_dict` has everything)."""
        verdict = "complete" if self.ok else "not complete"
        text = [
            f"{self.name} in {self.root}: {verdict}",
            f"cases: {self.expected_cases} expected, {len(self.found)} found, "
            f"{len(self.complete)} complete",
        ]
        text += [f"no folder: {run}" for run in _runs(self.absent, self.numbered)]
        text += _cut([f"missing: {path}" for path in _flat(self.missing)], "missing files")
        text += _cut(
            [f"unreadable: {path} ({why})" for path, why in self.unreadable.items()],
            "unreadable files",
        )
        if self.missing_optional:
            text.append(f"optional files missing in {len(self.missing_optional)} cases")
            text += [f"without {name}: {note}" for name, note in self.notes.items()]
        if not self.ok:
            text.append(f"to obtain it: {self.access}")
        return text

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "name": self.name,
            "root": str(self.root),
            "ok": self.ok,
            "expected_cases": self.expected_cases,
            "found": list(self.found),
            "complete": list(self.complete),
            "absent": list(self.absent),
            "missing": {case: list(paths) for case, paths in self.missing.items()},
            "missing_optional": {case: list(p) for case, p in self.missing_optional.items()},
            "notes": dict(self.notes),
            "unreadable": dict(self.unreadable),
        }


def _flat(per_case: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [path for paths in per_case.values() for path in paths]


def _runs(absent: tuple[str, ...], numbered: tuple[str, ...]) -> list[str]:
    """Names of absent cases, neighbours joined: nothing is left out and the list stays short."""
    missing = set(absent)
    runs: list[list[str]] = []
    for previous, case in zip((None, *numbered), numbered, strict=False):
        if case not in missing:
            continue
        if previous in missing:
            runs[-1].append(case)
        else:
            runs.append([case])
    return [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]} ({len(run)})" for run in runs]


def _cut(lines: list[str], what: str) -> list[str]:
    if len(lines) <= _LINES_SHOWN:
        return lines
    return [*lines[:_LINES_SHOWN], f"... {len(lines) - _LINES_SHOWN} more {what}"]


def verify(
    manifest: Manifest,
    root: Path,
    *,
    read_files: bool = True,
    progress: Advance = silent,
) -> VerifyReport:
    """Say which cases of a data set are complete in a folder, and what the others lack.

    Parameters
    ----------
    manifest
        The data set.
    root
        The data root or the folder above it.
    read_files
        Read every file to its end, which finds broken downloads; else look only for presence.
    progress
        Called with (cases done, cases in all, the case).

    Raises
    ------
    InputError
        `root` is no folder.
    """
    base = data_root(manifest, root)
    cases = find_cases(manifest, base)
    missing: dict[str, tuple[str, ...]] = {}
    missing_optional: dict[str, tuple[str, ...]] = {}
    unreadable: dict[str, str] = {}
    broken: set[str] = set()
    lacking: set[str] = set()
    for done, files in enumerate(cases, start=1):
        required, optional = _by_need(manifest, files)
        _note_absent(missing, files.case_id, required, base)
        _note_absent(missing_optional, files.case_id, optional, base)
        lacking |= {name for name in manifest.layout.absence if not _is_there(files.images[name])}
        surplus = {paths[0]: paths for paths in files.ambiguous.values()}
        for path in [*required, *optional]:
            problem = _problem(path, base, read_files) if _is_there(path) else None
            if path in surplus:
                problem = f"one of {len(surplus[path])} files where one is expected"
            if problem:
                unreadable[path.relative_to(base).as_posix()] = problem
                broken.add(files.case_id)
        progress(done, len(cases), files.case_id)
    found = tuple(files.case_id for files in cases)
    return VerifyReport(
        name=manifest.name,
        root=base,
        expected_cases=manifest.expected_cases,
        found=found,
        complete=tuple(case for case in found if case not in missing and case not in broken),
        numbered=manifest.expected_case_ids(),
        absent=tuple(case for case in manifest.expected_case_ids() if case not in found),
        missing=missing,
        missing_optional=missing_optional,
        notes={name: note for name, note in manifest.layout.absence.items() if name in lacking},
        unreadable=unreadable,
        access=manifest.access,
    )


def _by_need(manifest: Manifest, files: CaseFiles) -> tuple[list[Path], list[Path]]:
    optional = manifest.layout.optional
    required = [path for name, path in files.images.items() if name not in optional]
    return (
        required + ([files.label] if files.label else []),
        [path for name, path in files.images.items() if name in optional],
    )


def _is_there(path: Path) -> bool:
    return path.is_file() or path.is_symlink()


def _note_absent(
    missing: dict[str, tuple[str, ...]], case_id: str, paths: list[Path], base: Path
) -> None:
    absent = tuple(p.relative_to(base).as_posix() for p in paths if not _is_there(p))
    if absent:
        missing[case_id] = absent


def _problem(path: Path, base: Path, read_files: bool) -> str | None:
    """Why a file that is there cannot be used, or None."""
    if leaves_root(path, base):
        return "a link that leads out of the data folder"
    if not path.is_file():
        return "a link to nothing"
    if path.stat().st_size == 0:
        return "an empty file"
    return _content_problem(path) if read_files else None


def _content_problem(path: Path) -> str | None:
    try:
        image = nib.load(path)
        announced = _announced_bytes(image)
        present = _content_bytes(path)
    except (ImageFileError, HeaderDataError):
        return "no NIfTI image"
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return "a broken or truncated gzip stream"
    except (OSError, ValueError, OverflowError) as error:
        return f"not readable: {error}"
    if present < announced:
        return f"truncated: {present} of {announced} bytes"
    return None


def _announced_bytes(image: Any) -> int:
    voxels = math.prod(int(n) for n in image.shape)
    return int(image.dataobj.offset) + voxels * int(image.get_data_dtype().itemsize)


def _content_bytes(path: Path) -> int:
    if path.suffix != ".gz":
        return path.stat().st_size
    total = 0
    with gzip.open(path) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            total += len(chunk)
    return total
