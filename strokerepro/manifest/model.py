"""What a data set on disk must look like: the manifest and how it is read from YAML."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from strokerepro.errors import InputError, UsageError
from strokerepro.files import bundled, hash_json

_FOLDER = "data_manifests"
# Plain http is for the loopback interface only.
_Url = Annotated[str, StringConstraints(pattern=r"^(https://|http://127\.0\.0\.1[:/])")]
_Filename = Annotated[str, StringConstraints(pattern=r"^[\w][\w .-]*$")]
_Modality = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Archive(_Strict):
    """One published archive: where it is, how long it is, and its hash."""

    url: _Url
    filename: _Filename
    size_bytes: PositiveInt
    unpacked_bytes_max: PositiveInt
    md5: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _has_a_hash(self) -> Archive:
        if self.md5 is None and self.sha256 is None:
            raise ValueError("an md5 or a sha256 is needed")
        return self

    @property
    def digest(self) -> tuple[str, str]:
        """Name of the hash algorithm and the published digest, the stronger one if both."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5 or "")


class Layout(_Strict):
    r"""How cases are found below the data root, and where their files are.

    Attributes
    ----------
    root_marker
        Name of the data root where the archive has one; a user may give its parent instead.
    case_glob, case_regex
        Folders that may be cases, and the full match of their path relative to the data root;
        the named groups, ``case`` at least, are the fields of the path templates.
    case_numbering
        Template with ``{number}`` where cases are numbered 1, 2, ... without gaps.
    images, label
        Path template per modality and of the lesion mask, relative to the data root.
    reference
        The modality whose grid is the case's grid.
    off_grid
        Modalities on a grid of their own; they are read only when asked for.
    optional
        Modalities whose absence does not make a case incomplete.
    """

    root_marker: _Filename | None
    case_glob: str
    case_regex: str
    case_numbering: str | None = None
    reference: _Modality
    images: dict[_Modality, str]
    off_grid: tuple[_Modality, ...] = ()
    optional: tuple[_Modality, ...] = ()
    label: str | None

    @model_validator(mode="after")
    def _is_consistent(self) -> Layout:
        try:
            groups = set(re.compile(self.case_regex).groupindex)
        except re.error as error:
            raise ValueError(f"case_regex does not compile ({error})") from error
        if "case" not in groups:
            raise ValueError("case_regex needs a group named 'case'")
        for name in (self.reference, *self.off_grid, *self.optional):
            if name not in self.images:
                raise ValueError(f"{name!r} is not among the images")
        if self.reference in (*self.off_grid, *self.optional):
            raise ValueError("the reference image can be neither off_grid nor optional")
        for template in (*self.images.values(), *([self.label] if self.label else [])):
            _check_template(template, groups)
        if self.case_numbering:
            _check_template(self.case_numbering, {"number"})
        return self

    @property
    def on_grid(self) -> tuple[str, ...]:
        """Modalities that share the grid of the reference image."""
        return tuple(name for name in self.images if name not in self.off_grid)


def _check_template(template: str, fields: set[str]) -> None:
    used = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    if not used <= fields:
        raise ValueError(f"template {template!r} may use the fields {sorted(fields)} only")
    path = PurePosixPath(template)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"template {template!r} must stay below the data root")


class Patients(_Strict):
    """Which patient a case belongs to; folds never separate the cases of one patient."""

    rule: Literal["one_case_one_patient", "mapping"]
    mapping: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _mapping_where_it_is_used(self) -> Patients:
        if bool(self.mapping) != (self.rule == "mapping"):
            raise ValueError("a mapping is given if, and only if, the rule is 'mapping'")
        return self

    def patient_of(self, case_id: str) -> str:
        """Patient of a case.

        Raises
        ------
        InputError
            The case is not in the mapping.
        """
        if self.rule == "one_case_one_patient":
            return case_id
        if case_id not in self.mapping:
            raise InputError(
                f"case {case_id} without a patient",
                "a case that the manifest's mapping names",
                "add the case to `patients.mapping` of the manifest",
            )
        return self.mapping[case_id]


class Folds(_Strict):
    """The default cross-validation of a data set."""

    by: Literal["patient"]
    k: Annotated[int, Field(ge=2)]
    seed: Annotated[int, Field(ge=0)]


class PhantomSpec(_Strict):
    """What `strokerepro.phantom.make_cohort` is asked for."""

    kind: str
    cases: PositiveInt
    size_px: PositiveInt
    seed: Annotated[int, Field(ge=0)]


class Manifest(_Strict):
    """A data set: what it is, how to get it, what must lie on disk, who is who."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
    title: str
    licence: str
    citation: str
    access: str
    archives: tuple[Archive, ...] = ()
    phantom: PhantomSpec | None = None
    layout: Layout
    expected_cases: PositiveInt
    patients: Patients
    folds: Folds
    known_empty_masks: tuple[str, ...] = ()
    quirks: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of what decides the data; wording, licence and citation do not enter."""
        prose = {"title", "licence", "citation", "access", "quirks"}
        return hash_json(self.model_dump(mode="json", exclude=prose))

    def expected_case_ids(self) -> tuple[str, ...]:
        """All case names where the layout numbers them, else nothing."""
        template = self.layout.case_numbering
        if template is None:
            return ()
        return tuple(template.format(number=n) for n in range(1, self.expected_cases + 1))


def manifest_names() -> tuple[str, ...]:
    """Names of the data sets that the package knows, sorted."""
    return tuple(sorted(path.stem for path in bundled(_FOLDER).glob("*.yaml")))


def load_manifest(name: str) -> Manifest:
    """Manifest of a data set by its name, such as ``"isles2022"``.

    Raises
    ------
    UsageError
        No data set has this name.
    """
    if name not in manifest_names():
        raise UsageError.unknown("data set", name, manifest_names())
    return read_manifest(bundled(_FOLDER) / f"{name}.yaml")


def read_manifest(path: Path) -> Manifest:
    """Manifest from a YAML file.

    Raises
    ------
    InputError
        No YAML, or a field that is missing, unknown or wrong: one line with file and field.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise _first_problem(path, error) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}: {error}", "a YAML file", "correct the file") from error


def _first_problem(path: Path, error: ValidationError) -> InputError:
    problems = error.errors(include_url=False)
    first: Any = problems[0]
    field = ".".join(str(part) for part in first["loc"]) or "the whole file"
    value = "nothing" if first["type"] == "missing" else repr(first["input"])
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    more = f" ({len(problems) - 1} more after it)" if len(problems) > 1 else ""
    return InputError(
        f"{path.name}, field {field}: {shown}", first["msg"], f"correct this field{more}"
    )
