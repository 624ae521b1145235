"""What a recipe is: settings with provenance, claims, ablations and profiles of one paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from strokerepro.errors import UsageError
from strokerepro.files import hash_json
from strokerepro.papers.method import Method
from strokerepro.papers.predicates import Predicate

ProvenanceKind = Literal["stated", "released", "inferred", "ours"]
PROFILES = ("smoke", "quick", "full", "paper")


@dataclass(frozen=True)
class Provenance:
    """Where a value comes from: the paper, the authors' code, an inference, or our choice."""

    kind: ProvenanceKind
    source: str


@dataclass(frozen=True)
class SettingInfo:
    """One setting as a chapter prints it.

    Attributes
    ----------
    name, value
        The setting and its effective value.
    kind, source
        Provenance of that value; a value replaced by a profile or an ablation is ``ours``.
    meaning
        What the setting does, in one line.
    """

    name: str
    value: Any
    kind: ProvenanceKind
    source: str
    meaning: str


def _setting(kind: ProvenanceKind, default: Any, source: str, meaning: str) -> Any:
    metadata = {"provenance": Provenance(kind, source), "meaning": meaning}
    return field(default=default, metadata=metadata)


def stated(default: Any, source: str, meaning: str) -> Any:
    """Declare a setting that the paper states in the section or table `source`."""
    return _setting("stated", default, source, meaning)


def released(default: Any, source: str, meaning: str) -> Any:
    """Declare a setting that only the authors' published code or configuration gives."""
    return _setting("released", default, source, meaning)


def inferred(default: Any, source: str, meaning: str) -> Any:
    """Declare a setting that follows from something published; `source` says from what."""
    return _setting("inferred", default, source, meaning)


def ours(default: Any, source: str, meaning: str) -> Any:
    """Declare a setting on which everything published is silent; `source` says why this value."""
    return _setting("ours", default, source, meaning)


@dataclass(frozen=True)
class Claim:
    """A testable statement of the paper.

    Attributes
    ----------
    name
        Short identifier such as ``"C3"``.
    text
        The statement in our words, as a prediction about numbers.
    where
        Section, table or figure of the paper.
    predicates
        What must hold for the claim to be confirmed; all of it.
    """

    name: str
    text: str
    where: str
    predicates: tuple[Predicate, ...]

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed, each once."""
        return tuple(dict.fromkeys(run for item in self.predicates for run in item.runs))


@dataclass(frozen=True)
class Ablation:
    """An experiment beside the main one: a name and a few replaced settings.

    Attributes
    ----------
    name
        Identifier on the command line and in records.
    replaces
        Settings that differ from the main experiment.
    question
        What it asks.
    published
        The paper's own answer as a trend in words, or that it gives none.
    in_quick
        Whether the ``quick`` profile covers it.
    all_folds
        Whether it runs on every fold, as the main experiment does, and not on the first alone.
    """

    name: str
    replaces: Mapping[str, Any]
    question: str
    published: str
    in_quick: bool = False
    all_folds: bool = False


@dataclass(frozen=True)
class Recipe:
    """Everything that defines the reproduction of one paper.

    Attributes
    ----------
    slug
        The paper's name in every room of the project.
    title, citation, doi
        How to cite it; the DOI is empty where none is known.
    data
        The cohort that ``data="phantom"`` means.
    real_data
        Cohorts of real cases the method can be run on.
    modalities
        Images of a case that are read; None for all on its grid.
    needed
        Which of them an experiment needs, given its settings and whether it trains; None for all.
    main_output
        The output of the method that the paper reports as its result.
    shown_outputs
        Outputs whose masks are kept for the case browser.
    shown_channel
        Channel of the prepared image that is kept with them.
    kept_masks
        Outputs whose masks are kept for all test cases, to compare experiments case by case.
    scored_splits
        Which cases of a run are scored; the test cases always are.
    settings
        A frozen dataclass whose fields were declared with `stated`, `released`, ...
    claims, tables, ablations
        The paper's statements, its published tables (file stems) and the experiments.
    profiles
        Replaced settings for each of ``smoke``, ``quick``, ``full`` and ``paper``.
    folds
        Folds of the main experiment in each profile.
    method
        What trains and predicts.
    """

    slug: str
    title: str
    citation: str
    doi: str
    data: str
    real_data: tuple[str, ...]
    main_output: str
    shown_outputs: tuple[str, ...]
    settings: Any
    claims: tuple[Claim, ...]
    tables: tuple[str, ...]
    ablations: Mapping[str, Ablation]
    profiles: Mapping[str, Mapping[str, Any]]
    folds: Mapping[str, int]
    method: Method
    profile_name: str = "full"
    name: str = "main"
    reasons: Mapping[str, str] = field(default_factory=dict)
    modalities: tuple[str, ...] | None = None
    shown_channel: int = 0
    kept_masks: tuple[str, ...] = ()
    scored_splits: tuple[str, ...] = ("train", "val", "test")
    needed: Callable[[Any, bool], tuple[str, ...]] | None = None

    def images(self, *, training: bool) -> tuple[str, ...] | None:
        """Images of a case that training, or testing alone, cannot do without."""
        return self.modalities if self.needed is None else self.needed(self.settings, training)

    @property
    def runs_on_all_folds(self) -> bool:
        """Whether this experiment runs on every fold by default."""
        return self.name == "main" or (
            self.name in self.ablations and self.ablations[self.name].all_folds
        )

    @property
    def fields(self) -> dict[str, SettingInfo]:
        """Every setting with its effective value and the provenance of that value."""
        return {item.name: self._describe(item) for item in dataclasses.fields(self.settings)}

    def _describe(self, item: dataclasses.Field[Any]) -> SettingInfo:
        provenance: Provenance = item.metadata["provenance"]
        value = getattr(self.settings, item.name)
        meaning: str = item.metadata["meaning"]
        reason = self.reasons.get(item.name)
        if reason is None or value == item.default:
            return SettingInfo(item.name, value, provenance.kind, provenance.source, meaning)
        source = f"{reason}; {provenance.kind} value {item.default!r} ({provenance.source})"
        return SettingInfo(item.name, value, "ours", source, meaning)

    def profile(self, name: str) -> Recipe:
        """Return the recipe at the scale of a profile; it replaces settings, never the method."""
        if name not in self.profiles:
            raise UsageError.unknown("profile", name, self.profiles)
        recipe = self.replace(self.profiles[name], f"profile {name}")
        return dataclasses.replace(recipe, profile_name=name)

    def ablation(self, name: str) -> Recipe:
        """Return the recipe of a named experiment; ``"main"`` is the recipe itself."""
        if name == "main":
            return self
        if name not in self.ablations:
            raise UsageError.unknown("ablation", name, ["main", *self.ablations])
        recipe = self.replace(self.ablations[name].replaces, f"ablation {name}")
        return dataclasses.replace(recipe, name=name)

    @property
    def experiments(self) -> tuple[str, ...]:
        """Experiments that the profile covers: the main one, and the quick ones or all."""
        everything = self.profile_name in ("full", "paper")
        chosen = [name for name, item in self.ablations.items() if everything or item.in_quick]
        return ("main", *chosen)

    def replace(self, values: Mapping[str, Any], reason: str, name: str | None = None) -> Recipe:
        """Return the recipe with other values for some settings.

        Parameters
        ----------
        values
            Setting names and values; text such as ``"2,4,5"`` is converted to the field's type.
        reason
            What replaced them, shown as their provenance.
        name
            A new name for the experiment.

        Raises
        ------
        UsageError
            An unknown setting, with the nearest names, or a value of the wrong type.
        """
        hints = get_type_hints(type(self.settings), include_extras=True)
        for key in values:
            if key not in hints:
                raise UsageError.unknown("setting", key, hints)
        converted = {key: _convert(key, value, hints[key]) for key, value in values.items()}
        return dataclasses.replace(
            self,
            settings=dataclasses.replace(self.settings, **converted),
            reasons={**self.reasons, **dict.fromkeys(converted, reason)},
            name=name or self.name,
        )

    def settings_dict(self) -> dict[str, Any]:
        """Effective settings as plain JSON values."""
        values = dataclasses.asdict(self.settings)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    def key(self, data_hash: str) -> str:
        """Identify a run: recipe plus the hash of manifest and phantom version."""
        return hash_json({"slug": self.slug, "settings": self.settings_dict(), "data": data_hash})


def _convert(name: str, value: Any, annotation: Any) -> Any:
    """Validate one value against the field's annotation; commas separate a tuple's items."""
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(plain) is tuple and isinstance(value, str):
        value = [part for part in value.strip("()[] ").split(",") if part.strip()]
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        choices = get_args(plain) if get_origin(plain) is Literal else ()
        reason = error.errors()[0]["msg"].removeprefix("Input should be ")
        expected = f"one of {', '.join(map(str, choices))}" if choices else reason
        raise UsageError(f"{name}={value!r}", expected, "change the value") from error
