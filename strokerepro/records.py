"""Run records: what one training and evaluation produced, as JSON beside an optional npz."""

from __future__ import annotations

import ast
import datetime
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from strokerepro.errors import InputError
from strokerepro.files import atomic_path, bundled, hash_json, write_text

SCHEMA = 1
#: Arrays beside a record stay below this, so that a checkout stays small.
MAX_ARRAYS_BYTES = 500_000
_VERSIONED = ("torch", "numpy", "scipy", "nibabel", "lightning-fabric")
# Modules that only show results: a change in them cannot change a number in a record.
_SHOWING = ("cli", "chapters", "bookext", "report", "figures", "progress")


class RunRecord(BaseModel):
    """One training and evaluation, complete or not written at all.

    Attributes
    ----------
    slug, name, profile, data, fold, n_folds, seed
        Which run it is; they also make its file name.
    key
        Hash of recipe, manifest, phantom version and split.
    settings
        Effective settings of the recipe.
    splits
        ``train``, ``val``, ``test`` to case ids.
    rows
        One dictionary per case and output: identifiers, split and scores.
    curves
        Training curves, name to ``[[step, value], ...]``.
    timings_s
        Stage to mean, sd and n of the wall time per test case.
    facts
        Further numbers of the run: parameters, training seconds per stage, ...
    notes
        What a reader must know.
    created, commit, code, versions, device, wall_s, peak_memory_mb
        Circumstances. The hardware is a class such as ``2-core x86-64``, never a host. The time
        is that of the last sitting and, if it was resumed, of the training before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA
    slug: str
    name: str
    profile: str
    data: str
    fold: int
    n_folds: int
    seed: int
    key: str
    settings: dict[str, Any]
    splits: dict[str, list[str]]
    rows: list[dict[str, Any]]
    curves: dict[str, list[list[float]]]
    timings_s: dict[str, dict[str, float]]
    facts: dict[str, float]
    notes: list[str]
    created: str
    commit: str
    code: str
    versions: dict[str, str]
    device: str
    wall_s: float
    peak_memory_mb: float

    @field_validator("rows", "curves", "timings_s", "facts", mode="before")
    @classmethod
    def _null_is_nan(cls, value: Any) -> Any:
        return _replace_none(value)

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return record_stem(self.name, self.profile, self.data, self.fold, self.seed)


def record_stem(name: str, profile: str, data: str, fold: int, seed: int) -> str:
    """File name of a record without its suffix."""
    return f"{name}-{profile}-{data}-f{fold}-s{seed}"


def save_record(
    record: RunRecord, folder: Path, arrays: Mapping[str, np.ndarray] | None = None
) -> Path:
    """Write a record, and its arrays first, so that a record never lacks them.

    Parameters
    ----------
    record
        The complete record.
    folder
        Results folder; the record goes to ``<folder>/<slug>/``.
    arrays
        Small arrays for pictures: uint8 slices, probability maps.

    Returns
    -------
    Path
        The JSON file.
    """
    path = folder / record.slug / f"{record.stem}.json"
    if arrays:
        save_arrays(path.with_suffix(".npz"), arrays)
    write_text(path, _to_json(record.model_dump()))
    return path


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a compressed npz of at most `MAX_ARRAYS_BYTES`."""
    named: dict[str, Any] = dict(arrays)  # nothing else: older numpy stores every keyword
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **named)
        size = temporary.stat().st_size
        if size > MAX_ARRAYS_BYTES:
            raise InputError(
                f"{path.name} of {size} bytes", f"at most {MAX_ARRAYS_BYTES}", "keep fewer slices"
            )


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays beside a record; pickled content is refused."""
    try:
        with np.load(path, allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files}
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path.name}, which cannot be read", "arrays beside a record", "run it again"
        ) from error


def load_record(path: Path) -> RunRecord:
    """Read a record.

    Raises
    ------
    InputError
        A file that is missing, truncated, not a record, or of another schema.
    """
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"no record {path.name}", "a run record", "run the experiment") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{path.name} with a fault in {where} ({first['msg']})",
            f"a run record of schema {SCHEMA}",
            "delete it and run the experiment again",
        ) from error


def find_record(slug: str, stem: str, folders: Iterable[Path]) -> Path | None:
    """First existing record of that name in the given results folders."""
    candidates = (folder / slug / f"{stem}.json" for folder in folders)
    return next((path for path in candidates if path.is_file()), None)


def list_records(slug: str, folders: Iterable[Path]) -> list[RunRecord]:
    """Return all records of a paper, one per name: earlier folders hide later ones."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted((folder / slug).glob("*-f[0-9]*-s[0-9]*.json")):
            found.setdefault(path.stem, path)
    return [load_record(found[stem]) for stem in sorted(found)]


def results_folders(results_dir: str | Path | None) -> list[Path]:
    """Where records are looked for: the user's folder first, then the committed ones."""
    own = [Path(results_dir)] if results_dir else []
    return [*own, bundled("results")]


def circumstances(device: torch.device) -> dict[str, Any]:
    """Fields of a record that say where and with what it was made."""
    return {
        "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "code": code_hash(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _VERSIONED},
        },
        "device": device_class(device),
    }


def device_class(device: torch.device) -> str:
    """Class of the hardware, such as ``2-core x86-64`` or ``H200``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device).removeprefix("NVIDIA ")
    machine = platform.machine().replace("x86_64", "x86-64").replace("AMD64", "x86-64")
    return f"{os.cpu_count()}-core {machine}"


def code_hash() -> str:
    """Hash of the package's code that can change a result; comments and docstrings do not."""
    package = Path(__file__).resolve().parent
    parsed = {
        str(path.relative_to(package)): _code_without_docstrings(path)
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package).parts[0].removesuffix(".py") not in _SHOWING
    }
    return hash_json(parsed)[:16]


def _code_without_docstrings(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:]
    return ast.unparse(tree)


def _commit() -> str:
    """Short commit of the checkout the package runs from, ``+`` if changed, or a release."""
    folder = Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return f"release {version('strokerepro')}"
    try:
        head = _git(folder, "rev-parse", "--short=10", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", "strokerepro")
    except (OSError, subprocess.CalledProcessError):
        return f"release {version('strokerepro')}"
    return f"{head}{'+' if changed else ''}"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def _to_json(content: Mapping[str, Any]) -> str:
    """One line per row, curve and entry, so that differences of records are readable."""
    lines = []
    for key, value in content.items():
        if key in ("rows", "curves", "timings_s", "settings") and value:
            lines.append(f' "{key}": {_nested(value)}')
        else:
            lines.append(f' "{key}": {json.dumps(_rounded(value))}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _nested(value: list[Any] | dict[str, Any]) -> str:
    if isinstance(value, list):
        return "[\n  " + ",\n  ".join(json.dumps(_rounded(item)) for item in value) + "\n ]"
    items = (f"{json.dumps(key)}: {json.dumps(_rounded(item))}" for key, item in value.items())
    return "{\n  " + ",\n  ".join(items) + "\n }"


def _replace_none(value: Any) -> Any:
    """Undo what JSON does to NaN, which it has no word for."""
    if value is None:
        return math.nan
    if isinstance(value, Mapping):
        return {key: _replace_none(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_none(item) for item in value]
    return value


def _rounded(value: Any) -> Any:
    """Round floats to six significant digits (more would pretend precision); NaN to null."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
