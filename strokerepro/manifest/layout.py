"""Find the cases of a data set on disk, without leaving its folder."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from strokerepro.errors import InputError
from strokerepro.manifest.layout_spec import Layout
from strokerepro.manifest.model import Manifest

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class CaseFiles:
    """Where the files of one case are, or would have to be.

    Attributes
    ----------
    case_id
        Name of the case.
    images
        Absolute path per modality; the file need not exist, and where it does not, the name may
        still hold the ``*`` of its template.
    label
        Absolute path of the lesion mask, or None where the layout has none.
    ambiguous
        Per modality, or ``"label"``, the files that match where only one may.
    """

    case_id: str
    images: Mapping[str, Path]
    label: Path | None
    ambiguous: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)


def data_root(manifest: Manifest, root: Path) -> Path:
    """Folder that holds the cases: `root` itself or the marker folder inside it.

    Raises
    ------
    InputError
        There is no such folder.
    """
    if not root.is_dir():
        raise InputError(
            f"{root}, which is no folder",
            f"a folder with {manifest.name}",
            f"to obtain it: {manifest.access}",
        )
    marker = manifest.layout.root_marker
    inner = root / marker if marker else root
    if inner.is_dir() and (any_case(manifest, inner) or not any_case(manifest, root)):
        return inner
    return root


def any_case(manifest: Manifest, root: Path) -> bool:
    """Whether at least one folder of `root` has the name of a case."""
    return next(iter(_case_folders(manifest.layout, root)), None) is not None


def find_cases(manifest: Manifest, root: Path) -> list[CaseFiles]:
    """Cases below a data root, complete or not, in the order of their names and numbers."""
    layout = manifest.layout
    found = [case_files(layout, root, match.groupdict()) for match in _case_folders(layout, root)]
    return sorted(found, key=lambda files: _by_number(files.case_id))


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sort key that puts case_2 before case_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]


def _case_folders(layout: Layout, root: Path) -> list[re.Match[str]]:
    pattern = re.compile(layout.case_regex)
    folders = (path for path in root.glob(layout.case_glob) if path.is_dir())
    matches = (pattern.fullmatch(path.relative_to(root).as_posix()) for path in folders)
    return [match for match in matches if match]


def case_files(layout: Layout, root: Path, fields: Mapping[str, str]) -> CaseFiles:
    """Fill the path templates of a layout.

    Parameters
    ----------
    layout
        The templates.
    root
        The data root that the paths are relative to.
    fields
        The named groups of ``layout.case_regex``.
    """
    matches = {name: _matches(root, layout.templates(name), fields) for name in layout.images} | (
        {"label": _matches(root, (layout.label,), fields)} if layout.label else {}
    )
    label = matches["label"][0] if layout.label else None
    return CaseFiles(
        case_id=fields["case"],
        images={name: matches[name][0] for name in layout.images},
        label=label,
        ambiguous={name: paths for name, paths in matches.items() if len(paths) > 1},
    )


def _matches(root: Path, templates: Sequence[str], fields: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that match, or where the first template says that one should be."""
    escaped = {name: glob.escape(value) for name, value in fields.items()}
    found = [
        path
        for template in templates
        if "*" in template or len(templates) > 1
        for path in sorted(root.glob(template.format(**escaped)))
    ]
    return tuple(found) or (root / templates[0].format(**fields),)


def leaves_root(path: Path, root: Path) -> bool:
    """Whether a path leads out of `root` once its links are followed."""
    return not path.resolve().is_relative_to(root.resolve())
