"""What a data set on disk must look like; verify a folder; fetch what is open."""

from strokerepro.manifest.fetch import download, fetch
from strokerepro.manifest.layout import (
    CaseFiles,
    case_files,
    data_root,
    find_cases,
    leaves_root,
)
from strokerepro.manifest.layout_spec import Layout
from strokerepro.manifest.model import (
    Archive,
    Manifest,
    PhantomSpec,
    load_manifest,
    manifest_names,
    read_manifest,
)
from strokerepro.manifest.verify import VerifyReport, verify

__all__ = [
    "Archive",
    "CaseFiles",
    "Layout",
    "Manifest",
    "PhantomSpec",
    "VerifyReport",
    "case_files",
    "data_root",
    "download",
    "fetch",
    "find_cases",
    "leaves_root",
    "load_manifest",
    "manifest_names",
    "read_manifest",
    "verify",
]
