"""Without a terminal, progress is plain lines with the rate of the present stage."""

from __future__ import annotations

import pytest

from strokerepro import progress


def test_lines_without_a_terminal_show_count_rate_and_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last step is always printed, on standard error."""
    with progress.progress_bar("train", "step") as advance:
        advance(1, 3, "")
        advance(3, 3, "loss 0.1")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("train: 3/3, ")
    assert printed.err.rstrip().endswith("loss 0.1")


def test_a_second_stage_is_timed_from_its_own_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the count falls a new stage begins, and the first one's time no longer counts."""
    now = iter([0.0, 100.0, 200.0, 204.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    clock = progress._Clock()
    assert clock.rate(50) == pytest.approx(0.5)  # 50 in 100 s
    assert clock.rate(2) == 0.0  # a new stage: nothing to measure yet
    assert clock.rate(10) == pytest.approx(2.0)  # 8 more in 4 s
