"""What a data set on disk must look like: the manifest and how it is read from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    Field,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from strokerepro.errors import InputError, UsageError
from strokerepro.files import bundled, hash_json
from strokerepro.manifest.layout_spec import Filename, Layout, Strict

_FOLDER = "data_manifests"
_PROSE: Any = {
    **dict.fromkeys(("title", "licence", "citation", "access", "quirks"), True),
    "layout": {"absence"},
    "patients": {"source"},
}
# Plain http is for the loopback interface only.
_Url = Annotated[str, StringConstraints(pattern=r"^(https://|http://127\.0\.0\.1[:/])")]


class Archive(Strict):
    """One published archive: where it is, how long it is, and its hash."""

    url: _Url
    filename: Filename
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


class Patients(Strict):
    """Which patient a case belongs to; folds never separate the cases of one patient."""

    rule: Literal["one_case_one_patient", "mapping"]
    mapping: dict[str, str] = Field(default_factory=dict)
    source: str = ""

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


class Folds(Strict):
    """The default cross-validation of a data set."""

    by: Literal["patient"]
    k: Annotated[int, Field(ge=2)]
    seed: Annotated[int, Field(ge=0)]


class PhantomSpec(Strict):
    """What `strokerepro.phantom.make_cohort` is asked for."""

    kind: str
    cases: PositiveInt
    size_px: PositiveInt
    seed: Annotated[int, Field(ge=0)]


class Manifest(Strict):
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
        content = self.model_dump(mode="json", exclude=_PROSE)
        # These fields are younger than the first records: they enter only where they are used.
        for name in ("series", "nonnegative"):
            if not content["layout"][name]:
                del content["layout"][name]
        return hash_json(content)

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
