"""What a claim predicts about numbers, so that every claim of every paper is judged by one code.

A *method* is named ``run/output``: ``"main/edd"`` is EDD Net in the main experiment,
``"arch_fcn/fcn"`` the FCN of the ablation of that name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from strokerepro.errors import InputError
from strokerepro.papers.slice_predicates import HigherOnCommonSlices
from strokerepro.papers.stability_predicates import CurveSteadier, LessSpread

Expected = Literal["increase", "decrease", "no difference"]
Subset = Literal["all", "small", "large"]
Split = Literal["train", "test"]


@dataclass(frozen=True)
class PairedDifference:
    """On the same cases, `first` differs from `second` as expected.

    Attributes
    ----------
    first, second
        Methods ``run/output``; the difference is first minus second.
    metric
        Key of `strokerepro.metrics.score_case`.
    expected
        Sign of the difference, or that there is none.
    margin
        Largest difference that counts as none.
    subset
        Cases with small or large lesions only (cut at the cohort's mean lesion size), or all.
    split
        Test cases, or the cases that both were trained on, which then must be scored.

    Raises
    ------
    InputError
        If a margin is missing where no difference is expected, or given where one is; a subset
        of the training cases, which no claim is about.
    """

    first: str
    second: str
    metric: str
    expected: Expected
    margin: float | None = None
    subset: Subset = "all"
    split: Split = "test"

    def __post_init__(self) -> None:
        if self.split == "train" and self.subset != "all":
            raise InputError(
                f"a subset {self.subset} of the training cases", "all of them", "leave one out"
            )
        if (self.expected == "no difference") == (self.margin is None):
            raise InputError(
                f"an expected {self.expected} with the margin {self.margin}",
                "a margin exactly if no difference is expected",
                "state the largest difference that counts as none",
            )

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return (self.first.split("/")[0], self.second.split("/")[0])


@dataclass(frozen=True)
class MetricExceeds:
    """On the same test cases, one metric of a method is larger than another one."""

    method: str
    larger: str
    smaller: str

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return (self.method.split("/")[0],)


@dataclass(frozen=True)
class SmallerGap:
    """From training to test cases, a method loses less of a metric than another one does.

    Both are compared after the same trainings. Case by case the difference of the two methods is
    taken, and its mean over the training cases is compared with that over the test cases, so that
    training and test cases need not be equally difficult.

    Attributes
    ----------
    method, other
        Methods ``run/output``; the first is expected to have the smaller gap. Their training
        cases must be scored.
    metric
        Key of `strokerepro.metrics.score_case` that is better when larger.
    """

    method: str
    other: str
    metric: str

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return (self.method.split("/")[0], self.other.split("/")[0])


@dataclass(frozen=True)
class LargeBeatsSmall:
    """Cases with large lesions score higher than cases with small ones, for every method."""

    methods: tuple[str, ...]
    metric: str

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return tuple(method.split("/")[0] for method in self.methods)


@dataclass(frozen=True)
class ShareAtMost:
    """At least `share` of the sizes listed per case under `key` are at most `limit`."""

    method: str
    key: str
    limit: float
    share: float

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return (self.method.split("/")[0],)


@dataclass(frozen=True)
class MeanBelow:
    """The mean over the test cases of the number under `key` is below `limit`."""

    method: str
    key: str
    limit: float

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return (self.method.split("/")[0],)


@dataclass(frozen=True)
class MeanAbove:
    """The mean over the test cases of the number under `key` is above `limit`."""

    method: str
    key: str
    limit: float

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return (self.method.split("/")[0],)


@dataclass(frozen=True)
class StageShare:
    """A stage takes at most `share` of the total test time."""

    run: str
    stage: str
    share: float

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return (self.run,)


@dataclass(frozen=True)
class VolumeAgreementRises:
    """Predicted and true lesion volumes agree better from method to method (R2 rises).

    Confirmed if R2 rises at every step and the bootstrap interval of the whole rise excludes 0.

    Attributes
    ----------
    methods
        In the order in which agreement should rise.
    kind
        Which R2, see `strokerepro.metrics.r_squared`.
    """

    methods: tuple[str, ...]
    kind: Literal["identity", "pearson"] = "identity"

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return tuple(method.split("/")[0] for method in self.methods)


@dataclass(frozen=True)
class CurveTracks:
    """One validation curve follows a target curve more closely than another one does.

    `first` and `second` are costs, which fall as the target rises: closeness is minus their rank
    correlation with the target over the validations of a training. So a loss that rises together
    with the Dice counts as far from it.

    Attributes
    ----------
    run
        Experiment whose trainings are looked at.
    first, second, target
        Names of curves, such as ``"val/dice"``; `first` should be the closer one.
    """

    run: str
    first: str
    second: str
    target: str

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return (self.run,)


@dataclass(frozen=True)
class TimeRatio:
    """Some stages take `at_least` to `at_most` times as long as others, summed, per test case."""

    run: str
    stages: tuple[str, ...]
    others: tuple[str, ...]
    at_least: float
    at_most: float

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return (self.run,)


Predicate = (
    PairedDifference
    | MetricExceeds
    | SmallerGap
    | LargeBeatsSmall
    | ShareAtMost
    | MeanBelow
    | MeanAbove
    | StageShare
    | VolumeAgreementRises
    | CurveTracks
    | TimeRatio
    | CurveSteadier
    | LessSpread
    | HigherOnCommonSlices
)
