"""Find the cases of a data set on disk, without leaving its folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from strokerepro.errors import InputError
from strokerepro.manifest.model import Layout, Manifest


@dataclass(frozen=True)
class CaseFiles:
    """Where the files of one case are, or would have to be.

    Attributes
    ----------
    case_id
        Name of the case.
    images
        Absolute path per modality; the file need not exist.
    label
        Absolute path of the lesion mask, or None where the layout has none.
    """

    case_id: str
    images: Mapping[str, Path]
    label: Path | None


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
    """Cases below a data root in the order of their names, complete or not."""
    layout = manifest.layout
    found = [case_files(layout, root, match.groupdict()) for match in _case_folders(layout, root)]
    return sorted(found, key=lambda files: files.case_id)


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
    return CaseFiles(
        case_id=fields["case"],
        images={name: root / path.format(**fields) for name, path in layout.images.items()},
        label=root / layout.label.format(**fields) if layout.label else None,
    )


def leaves_root(path: Path, root: Path) -> bool:
    """Whether a path leads out of `root` once its links are followed."""
    return not path.resolve().is_relative_to(root.resolve())
