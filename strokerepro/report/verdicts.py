"""A verdict on each claim of a paper, built from numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import pandas as pd

from strokerepro.errors import InputError, UsageError
from strokerepro.report.statistics import PairedTest

Status = Literal["same data", "substitute data", "phantom: trend only", "not attempted"]
Outcome = Literal["confirmed", "not confirmed", "opposite", "not tested"]
Expected = Literal["increase", "decrease", "no difference"]
STATUSES: tuple[str, ...] = get_args(Status)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
_EXPECTATIONS: tuple[str, ...] = get_args(Expected)


@dataclass(frozen=True)
class Verdict:
    """What became of one claim.

    Attributes
    ----------
    claim, text
        Identifier and statement of the claim.
    status
        Which data the test used: one of `STATUSES`.
    outcome
        One of `OUTCOMES`; ``not tested`` exactly if the status is ``not attempted``.
    evidence
        The numbers behind the outcome, or why there are none.

    Raises
    ------
    UsageError
        If status or outcome is unknown.
    InputError
        If they contradict each other, or the evidence is empty.
    """

    claim: str
    text: str
    status: Status
    outcome: Outcome
    evidence: str

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise UsageError.unknown("status of a claim", self.status, STATUSES)
        if self.outcome not in OUTCOMES:
            raise UsageError.unknown("outcome of a claim", self.outcome, OUTCOMES)
        if (self.status == "not attempted") != (self.outcome == "not tested"):
            raise InputError(
                f"claim {self.claim} with status {self.status!r} and outcome {self.outcome!r}",
                "'not tested' for claims that were not attempted, and for no other",
                "change one of the two",
            )
        if not self.evidence.strip():
            raise InputError(f"claim {self.claim} without evidence", "numbers", "state them")


def verdict_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row a claim: ``claim``, ``text``, ``status``, ``outcome``, ``evidence``."""
    columns = list(Verdict.__dataclass_fields__)
    return pd.DataFrame([asdict(verdict) for verdict in verdicts], columns=columns)


def judge_difference(
    test: PairedTest, expected: Expected, margin: float | None, alpha: float
) -> Outcome:
    """Judge one paired test.

    A difference is confirmed if the t-test rejects at `alpha` and its sign is the expected one.
    Equality is confirmed if the whole 95 % interval lies within the margin, and contradicted if
    the whole interval lies outside it.

    Parameters
    ----------
    test
        First minus second.
    expected
        Sign that is predicted, or ``no difference``.
    margin
        Largest difference that counts as none; only for ``no difference``.
    alpha
        Level of the t-test.

    Raises
    ------
    InputError
        A margin that is missing, or given where it has no meaning.
    """
    if (expected == "no difference") == (margin is None):
        raise InputError(
            f"an expected {expected} with the margin {margin}",
            "a margin exactly if no difference is expected",
            "state the largest difference that counts as none",
        )
    if margin is not None:
        if -margin < test.ci_low and test.ci_high < margin:
            return "confirmed"
        outside = test.ci_low > margin or test.ci_high < -margin
        return "opposite" if outside else "not confirmed"
    if test.p_t >= alpha:
        return "not confirmed"
    increased = test.mean_difference > 0
    return "confirmed" if increased == (expected == "increase") else "opposite"
