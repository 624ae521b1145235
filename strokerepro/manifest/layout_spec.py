"""Where the files of a case are: path templates, and what holds for each modality."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from string import Formatter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Filename = Annotated[str, StringConstraints(pattern=r"^[\w][\w .-]*$")]
Modality = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class Strict(BaseModel):
    """Immutable, and without fields that nobody declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Layout(Strict):
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
        Path template per modality and of the lesion mask, relative to the data root. A template
        may hold ``*`` for what nobody can know beforehand, such as the number of a file; exactly
        one file may match. A modality that releases name differently has a list of templates.
    reference
        The modality whose grid is the case's grid.
    series
        Modalities with a time axis, on the case's grid in space; read only when asked for.
    off_grid
        Modalities on a grid of their own; they are read only when asked for.
    optional
        Modalities whose absence does not make a case incomplete; read only when asked for.
    nonnegative
        Modalities in which a value below zero cannot mean anything.
    absence
        Per optional modality, why it may be absent and where it is to be found.
    """

    root_marker: Filename | None
    case_glob: str
    case_regex: str
    case_numbering: str | None = None
    reference: Modality
    images: dict[Modality, str | Annotated[tuple[str, ...], Field(min_length=1)]]
    series: tuple[Modality, ...] = ()
    off_grid: tuple[Modality, ...] = ()
    optional: tuple[Modality, ...] = ()
    nonnegative: tuple[Modality, ...] = ()
    absence: dict[Modality, str] = Field(default_factory=dict)
    label: str | None

    @model_validator(mode="after")
    def _is_consistent(self) -> Layout:
        try:
            groups = set(re.compile(self.case_regex).groupindex)
        except re.error as error:
            raise ValueError(f"case_regex does not compile ({error})") from error
        if "case" not in groups:
            raise ValueError("case_regex needs a group named 'case'")
        not_reference = (*self.series, *self.off_grid, *self.optional)
        for name in (self.reference, *not_reference, *self.nonnegative, *self.absence):
            if name not in self.images:
                raise ValueError(f"{name!r} is not among the images")
        if self.reference in not_reference:
            raise ValueError("the reference image can be neither off_grid nor optional nor series")
        for name in self.images:
            for template in self.templates(name):
                _check_template(template, groups)
        if self.label:
            _check_template(self.label, groups)
        if self.case_numbering:
            _check_template(self.case_numbering, {"number"})
        return self

    def templates(self, modality: str) -> tuple[str, ...]:
        """Path templates of a modality, the one of the current release first."""
        given = self.images[modality]
        return (given,) if isinstance(given, str) else given

    @property
    def on_grid(self) -> tuple[str, ...]:
        """Volumes on the grid of the reference image that every case has."""
        apart = {*self.series, *self.off_grid, *self.optional}
        return tuple(name for name in self.images if name not in apart)


def _check_template(template: str, fields: set[str]) -> None:
    used = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    if not used <= fields:
        raise ValueError(f"template {template!r} may use the fields {sorted(fields)} only")
    path = PurePosixPath(template)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"template {template!r} must stay below the data root")
    if "**" in path.parts:
        raise ValueError(f"template {template!r} must say how deep the file lies")
