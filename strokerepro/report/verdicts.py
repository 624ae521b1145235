"""A verdict on each claim of a paper, built from numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol, get_args

import pandas as pd

from strokerepro.errors import InputError, UsageError
from strokerepro.report.statistics import PairedTest

Status = Literal["same data", "substitute data", "phantom: trend only", "not attempted"]
Outcome = Literal["confirmed", "not confirmed", "opposite", "not tested"]
Expected = Literal["increase", "decrease", "no difference"]
STATUSES: tuple[str, ...] = get_args(Status)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
_EXPECTATIONS: tuple[str, ...] = get_args(Expected)


class NamedClaim(Protocol):
    """A claim with an identifier and a text."""

    @property
    def name(self) -> str:
        """Short identifier such as ``"C3"``."""

    @property
    def text(self) -> str:
        """The statement."""


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


def claim_verdict(
    claim: NamedClaim,
    tests: PairedTest | Sequence[PairedTest],
    expected: Expected,
    *,
    status: Status,
    margin: float | None = None,
    alpha: float = 0.05,
) -> Verdict:
    """Judge a claim by one or several paired tests (a chain such as A < B < C needs two).

    A difference confirms the claim if the t-test rejects at `alpha` and the sign is the expected
    one. Equality is confirmed if the whole 95 % interval lies within the margin, and contradicted
    if the whole interval lies outside it. Several tests must all agree, which needs no correction
    for their number (an intersection-union test).

    Parameters
    ----------
    claim
        Anything with a ``name`` and a ``text``.
    tests
        First minus second, as `paired_test` gives; empty if the claim was not attempted.
    expected
        The sign of the difference that the claim predicts, or ``no difference``.
    status
        Which data the tests used.
    margin
        Largest difference that counts as none; only for ``no difference``.
    alpha
        Level of the t-test.

    Returns
    -------
    Verdict
        With the numbers of every test as evidence.

    Raises
    ------
    UsageError
        If the expectation is unknown.
    InputError
        If tests or the margin are missing, or given where they have no meaning.
    """
    if expected not in _EXPECTATIONS:
        raise UsageError.unknown("expectation", expected, _EXPECTATIONS)
    series = [tests] if isinstance(tests, PairedTest) else list(tests)
    _check_claim(claim, series, expected, status, margin)
    if not series:
        return Verdict(claim.name, claim.text, status, "not tested", f"expected {expected}")
    outcomes = {judge_difference(test, expected, margin, alpha) for test in series}
    outcome: Outcome = outcomes.pop() if len(outcomes) == 1 else "not confirmed"
    within = "" if margin is None else f" within {margin:g}"
    evidence = f"expected {expected}{within}: " + "; ".join(map(str, series))
    if outcome == "not confirmed" and expected != "no difference":
        evidence += "; " + "; ".join(test.power_note for test in series)
    return Verdict(claim.name, claim.text, status, outcome, evidence)


def verdict_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row a claim: ``claim``, ``text``, ``status``, ``outcome``, ``evidence``."""
    columns = list(Verdict.__dataclass_fields__)
    return pd.DataFrame([asdict(verdict) for verdict in verdicts], columns=columns)


def judge_difference(
    test: PairedTest, expected: Expected, margin: float | None, alpha: float
) -> Outcome:
    """Judge one paired test, as `claim_verdict` says."""
    if margin is not None:
        if -margin < test.ci_low and test.ci_high < margin:
            return "confirmed"
        outside = test.ci_low > margin or test.ci_high < -margin
        return "opposite" if outside else "not confirmed"
    if test.p_t >= alpha:
        return "not confirmed"
    increased = test.mean_difference > 0
    return "confirmed" if increased == (expected == "increase") else "opposite"


def _check_claim(
    claim: NamedClaim,
    tests: Sequence[PairedTest],
    expected: Expected,
    status: Status,
    margin: float | None,
) -> None:
    if bool(tests) == (status == "not attempted"):
        raise InputError(
            f"claim {claim.name} with status {status!r} and {len(tests)} tests",
            "tests for a claim that was attempted, and for no other",
            "pass the tests or change the status",
        )
    if (expected == "no difference") == (margin is None) and tests:
        raise InputError(
            f"claim {claim.name}, expecting {expected}, with the margin {margin}",
            "a margin exactly if no difference is expected",
            "state the largest difference that counts as none",
        )
