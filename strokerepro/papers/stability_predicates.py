"""What a claim predicts about how steady something is; see `strokerepro.papers.predicates`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CurveSteadier:
    """A curve of one experiment jumps less from point to point than that of another one.

    Measured by the standard deviation of the changes between neighbouring points, so that a
    steady rise counts as steady; on the folds that both experiments were trained on.

    Attributes
    ----------
    first, second
        Experiments; the first is expected to be the steadier one.
    curve
        Name of the curve, such as ``"val/dice"``.
    """

    first: str
    second: str
    curve: str

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return (self.first, self.second)


@dataclass(frozen=True)
class LessSpread:
    """The means of a metric lie closer together in one group of methods than in another one.

    Attributes
    ----------
    methods, others
        Methods ``run/output``; the range of means is expected to be smaller in the first group.
    metric
        Key of `strokerepro.metrics.score_case`.
    """

    methods: tuple[str, ...]
    others: tuple[str, ...]
    metric: str

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed."""
        return tuple(method.split("/")[0] for method in (*self.methods, *self.others))
