"""An arterial input from the middle of the ranges, and its table of curves."""

from __future__ import annotations

import pytest

from strokerepro.phantom.perfusion.arterial_input import ArterialInput
from strokerepro.phantom.perfusion.tissue_curves import CurveTable


@pytest.fixture(scope="session")
def arterial() -> ArterialInput:
    """Arrival at 7 s, first peak of 245 HU at 13 s, a second pass and a tail."""
    return ArterialInput(
        amplitude_hu=245.0,
        arrival_s=7.0,
        shape=3.0,
        scale_s=2.0,
        recirculation_share=0.17,
        recirculation_lag_s=11.0,
        recirculation_widening=2.0,
        tail_share=0.08,
    )


@pytest.fixture(scope="session")
def table(arterial: ArterialInput) -> CurveTable:
    """Curves for a residue half-way between an exponential and a plug."""
    return CurveTable.build(arterial, 1.7)
