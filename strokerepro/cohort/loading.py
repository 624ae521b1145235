"""A data set on disk as a sequence of cases that are read when they are asked for."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from strokerepro.cohort.case import Case
from strokerepro.cohort.reading import missing_files, read_case, refuse_ambiguous
from strokerepro.cohort.splits import Split, SplitBy, case_folds, hold_out, patient_folds
from strokerepro.errors import InputError, UsageError
from strokerepro.manifest import (
    CaseFiles,
    Manifest,
    case_files,
    data_root,
    find_cases,
    load_manifest,
)
from strokerepro.phantom import cohort_cache_dir, make_cohort
from strokerepro.progress import Advance, silent


class Cohort(Sequence[Case]):
    """The cases of a data set, in the order of their names.

    Indexing reads one case from disk and checks it; nothing is kept in memory.

    Parameters
    ----------
    manifest
        The data set.
    root
        Its data root.
    files
        Where each case's files are.
    modalities
        What is read per case.
    where_present
        What is read besides of those cases that have it.
    """

    def __init__(
        self,
        manifest: Manifest,
        root: Path,
        files: Sequence[CaseFiles],
        modalities: tuple[str, ...],
        where_present: tuple[str, ...] = (),
    ) -> None:
        self.manifest = manifest
        self.root = root
        self.modalities = modalities
        self._where_present = where_present
        self._files = tuple(files)
        self.case_ids = tuple(entry.case_id for entry in files)
        self.patient_ids = tuple(manifest.patients.patient_of(case) for case in self.case_ids)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Case:  # type: ignore[override]
        files = self._files[operator.index(index)]
        absent = missing_files(files, self._where_present, with_label=False)
        further = (name for name in self._where_present if name not in absent)
        return read_case(files, self.manifest, self.root, (*self.modalities, *further))

    def folds(
        self, k: int | None = None, seed: int | None = None, by: SplitBy = "patient"
    ) -> list[Split]:
        """Cross-validation.

        Parameters
        ----------
        k, seed
            Number of folds and seed of the shuffle; those of the manifest if left out.
        by
            What is never parted; by case, two slabs of a patient may stand on both sides.
        """
        default = self.manifest.folds
        make = {"patient": patient_folds, "case": case_folds}[by]
        return make(
            self._units(by),
            default.k if k is None else k,
            default.seed if seed is None else seed,
        )

    def _units(self, by: SplitBy) -> tuple[str, ...]:
        return self.patient_ids if by == "patient" else self.case_ids

    def split(
        self, fold: int, k: int, val_fraction: float, seed: int, by: SplitBy = "patient"
    ) -> Split:
        """One fold with a validation set taken from its training patients.

        The test sets are those of ``folds(k, seed, by)``. Every fold draws its validation patients
        independently of the others.

        Parameters
        ----------
        fold
            Which of the `k` folds is the test set, from 0.
        k
            Number of folds.
        val_fraction
            Share of the training patients to validate on; 0 for none.
        seed
            Seed of both shuffles.
        by
            See `folds`.

        Raises
        ------
        UsageError
            Another `by`, no such fold, or the share leaves nobody to train on.
        """
        if by not in get_args(SplitBy):
            raise UsageError.unknown("kind of fold", by, get_args(SplitBy))
        folds = self.folds(k, seed, by)
        if not 0 <= fold < k:
            raise UsageError(f"fold {fold}", f"a fold from 0 to {k - 1}", "choose another fold")
        generator = np.random.default_rng([seed, fold])
        return hold_out(folds[fold], self._units(by), val_fraction, generator)


def load_cohort(
    name: str,
    root: Path | str | None = None,
    modalities: Sequence[str] | None = None,
    progress: Advance = silent,
    *,
    where_present: Sequence[str] = (),
) -> Cohort:
    """Open a data set; the presence of all files is checked here, their content on reading.

    Parameters
    ----------
    name
        Name of its manifest, such as ``"isles2022"`` or ``"phantom_dwi"``.
    root
        The data root or the folder above it. A phantom without one is made in the user's cache.
    modalities
        What to read per case; if left out, everything on the common grid.
    progress
        Called with (cases made, cases in all, the case) while a phantom is made.
    where_present
        What to read besides of those cases that have it; a data set may also not know it.

    Raises
    ------
    UsageError
        Unknown data set or modality, or real data without a root.
    InputError
        No case in the folder, or cases that lack files.
    """
    manifest = load_manifest(name)
    wanted = _known_modalities(manifest, modalities)
    base = data_root(manifest, _given_or_made(manifest, root, progress))
    files = find_cases(manifest, base)
    verify_hint = f"`strokerepro data verify {name} --root {base}` lists everything"
    if not files:
        raise InputError(
            f"{base} without a folder {manifest.layout.case_glob}",
            f"the cases of {name}",
            f"to obtain it: {manifest.access}",
        )
    for entry in files:
        refuse_ambiguous(entry, [*wanted, "label"])
    _refuse_incomplete(manifest, files, wanted, verify_hint)
    known = (name for name in where_present if name in manifest.layout.images)
    further = tuple(name for name in known if name not in wanted)
    return Cohort(manifest, base, files, wanted, further)


def _refuse_incomplete(
    manifest: Manifest, files: Sequence[CaseFiles], wanted: tuple[str, ...], verify_hint: str
) -> None:
    incomplete = {entry.case_id: list(missing_files(entry, wanted)) for entry in files}
    incomplete = {case: names for case, names in incomplete.items() if names}
    if incomplete:
        case, names = next(iter(incomplete.items()))
        notes = [manifest.layout.absence[name] for name in names if name in manifest.layout.absence]
        mask = " and the lesion mask" if manifest.layout.label else ""
        raise InputError(
            f"{len(incomplete)} of {len(files)} cases incomplete, {case} lacks {', '.join(names)}",
            f"{', '.join(wanted)}{mask} of every case",
            "; ".join([*notes, verify_hint]),
        )


def _known_modalities(manifest: Manifest, modalities: Sequence[str] | None) -> tuple[str, ...]:
    layout = manifest.layout
    for name in modalities or ():
        if name not in layout.images:
            raise UsageError.unknown(f"modality of {manifest.name}", name, layout.images)
    wanted = layout.on_grid if modalities is None else tuple(modalities)
    return (layout.reference, *(name for name in wanted if name != layout.reference))


def _given_or_made(manifest: Manifest, root: Path | str | None, progress: Advance) -> Path:
    if root is not None and str(root):
        return Path(root)
    spec = manifest.phantom
    if spec is None:
        raise UsageError(
            f"no folder for {manifest.name}", "the folder that holds it", "add --root DIR"
        )
    folder = cohort_cache_dir(spec.kind, spec.cases, spec.size_px, spec.seed)
    return make_cohort(
        spec.kind,
        folder,
        cases=spec.cases,
        size_px=spec.size_px,
        seed=spec.seed,
        progress=lambda done, total: progress(done, total, ""),
    )


def read_case_dir(path: Path, manifest: Manifest, modalities: Sequence[str] | None = None) -> Case:
    """Read one case's folder, for a prediction; a lesion mask is read if it is there.

    The folder either stands in the layout of the data set (``.../sub-strokecase0009``), or is
    laid out inside as a case of it (``anything/SMIR.Brain.XX.O.CT.1/...``), or holds anywhere
    inside exactly one file per modality, named ``dwi.nii.gz`` or ``..._dwi.nii.gz``.

    Parameters
    ----------
    path
        The folder.
    manifest
        The data set whose modalities and layout apply.
    modalities
        What to read; if left out, everything on the common grid. What the layout calls optional
        is left out where the case lacks it: the preparation knows whether a prediction needs it.

    Raises
    ------
    InputError
        No such folder, or a file that is missing, ambiguous or faulty.
    """
    if not path.is_dir():
        raise InputError(f"{path}, which is no folder", "the folder of one case", "check --case")
    wanted, optional = _known_modalities(manifest, modalities), manifest.layout.optional
    path = path.absolute()
    patient_id = manifest.patients.mapping.get(path.name, path.name)
    found = _in_layout(path, manifest)
    if found is None:
        wanted = tuple(n for n in wanted if n not in optional or _named_files(path, n))
        images = {name: _only_file(path, name) for name in wanted}
        files, root = CaseFiles(path.name, images, None), path
    else:
        files, root = found
        absent = missing_files(files, tuple(n for n in wanted if n in optional), with_label=False)
        wanted = tuple(name for name in wanted if name not in absent)
    if missing_files(files, ()):
        files = replace(files, label=None)
    return read_case(files, manifest, root, wanted, patient_id=patient_id)


def _in_layout(path: Path, manifest: Manifest) -> tuple[CaseFiles, Path] | None:
    """Files and data root of a folder that is laid out as a case of the data set, or None."""
    layout = manifest.layout
    depth = len(Path(layout.case_glob).parts)
    root = path.parents[depth - 1]
    match = re.fullmatch(layout.case_regex, path.relative_to(root).as_posix())
    if match is not None:
        return case_files(layout, root, match.groupdict()), root
    if set(re.compile(layout.case_regex).groupindex) != {"case"}:
        return None
    files = case_files(layout, path.parent, {"case": path.name})
    return (files, path.parent) if files.images[layout.reference].is_file() else None


def _only_file(folder: Path, modality: str) -> Path:
    """Return the one file of a folder whose name says that it is this modality."""
    found = _named_files(folder, modality)
    if len(found) != 1:
        raise InputError(
            f"{len(found)} files for {modality} in {folder}",
            f"exactly one, named {modality}.nii.gz or ..._{modality}.nii.gz",
            "rename the file, or move the others away",
        )
    return found[0]


def _named_files(folder: Path, modality: str) -> list[Path]:
    name = re.compile(rf"(.*_)?{re.escape(modality)}\.nii(\.gz)?", re.IGNORECASE)
    return [path for path in sorted(folder.rglob("*")) if name.fullmatch(path.name)]
