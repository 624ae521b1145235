"""What records say, in words: so that no sentence of a chapter outlives the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from strokerepro.errors import UsageError
from strokerepro.records import RunRecord
from strokerepro.report.statistics import PairedTest, holm
from strokerepro.report.verdicts import Verdict

_ALPHA = 0.05


def claim_sentences(verdicts: Iterable[Verdict], names: Sequence[str]) -> str:
    """Markdown list: what became of some claims, in the order of their names.

    Parameters
    ----------
    verdicts
        As `judge_claims` gives.
    names
        Claims to speak of, such as ``"C3"``.

    Raises
    ------
    UsageError
        An unknown claim.
    """
    known = {verdict.claim: verdict for verdict in verdicts}
    lines = []
    for name in names:
        if name not in known:
            raise UsageError.unknown("claim", name, known)
        found = known[name]
        lines.append(f"- {name}, {found.text[0].lower()}{found.text[1:]}: **{found.outcome}**")
        if found.outcome == "not tested":
            lines[-1] += f" ({found.evidence})"
    return "\n".join(lines)


def difference_sentences(tests: Sequence[tuple[str, PairedTest]]) -> str:
    """Say which differences of a family are left after Holm's correction, and which before it.

    Parameters
    ----------
    tests
        What was compared, and its test, as for `comparison_table`.
    """
    if not tests:
        return "No comparison: none of these experiments has a record in this profile."
    adjusted = holm([test.p_t for _, test in tests])
    kept = [_change(*item) for item, p in zip(tests, adjusted, strict=True) if p < _ALPHA]
    lost = [
        _change(*item) for item, p in zip(tests, adjusted, strict=True) if item[1].p_t < _ALPHA <= p
    ]
    text = f"Significant after Holm's correction: {len(kept)} of {len(tests)}"
    text += f": {', '.join(kept)}." if kept else "."
    return text + (f" Before it alone: {', '.join(lost)}." if lost else "")


def last_against_best(records: Sequence[RunRecord], curve: str) -> str:
    """Say how far the last point of a curve lies below its best one, record by record.

    Parameters
    ----------
    records
        Of one experiment, a fold each.
    curve
        Name of a curve that is better when higher, such as ``"val/dice"``.
    """
    lines = []
    for record in records:
        points = record.curves[curve]
        step, best = max(points, key=lambda point: point[1])
        last_step, last = points[-1]
        when = "at the end" if step == last_step else f"after {step / last_step:.0%} of the steps"
        lines.append(
            f"fold {record.fold}: highest {when} ({best:.3f}), last {last:.3f}, "
            f"{best - last:.3f} lower"
        )
    return "\n".join(lines)


def _change(name: str, test: PairedTest) -> str:
    return f"{name} ({test.mean_difference:+.3f})"
