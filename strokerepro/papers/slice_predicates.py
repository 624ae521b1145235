"""What a claim predicts about slices that two experiments share; see `predicates`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HigherOnCommonSlices:
    """On the slices of each case that both were tested on, one method has the higher Dice.

    For experiments that test parts of cases: the Dice of a part and that of a whole case are of
    different voxels, and their difference says nothing.

    Attributes
    ----------
    first, second
        Methods ``run/output`` whose rows hold `strokerepro.metrics.slice_counts`; the first is
        expected to be higher.
    """

    first: str
    second: str

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return (self.first.split("/")[0], self.second.split("/")[0])
