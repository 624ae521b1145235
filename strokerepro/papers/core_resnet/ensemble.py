"""The networks of all folds as one: the mean of their probabilities (Sec. 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning_fabric import Fabric

from strokerepro.errors import UsageError
from strokerepro.papers.core_resnet.operating_point import Point, apply
from strokerepro.papers.core_resnet.settings import CoreResNetSettings
from strokerepro.papers.method import Prediction
from strokerepro.preprocess import PreparedCase

if TYPE_CHECKING:
    from strokerepro.papers.core_resnet.pipeline import TrainedCoreResNet

ENSEMBLE = "ensemble"


def member_name(number: int) -> str:
    """Output name of one network of the ensemble."""
    return f"network_{number}"


@dataclass(frozen=True)
class EnsembleCoreResNet:
    """Several trained networks that vote with their probabilities.

    T and S_min are the stated ones, for the ensemble and for its members alike: no case of the
    cohort it is tested on has helped to choose them.
    """

    members: tuple[TrainedCoreResNet, ...]

    @property
    def settings(self) -> CoreResNetSettings:
        """The settings of the first member."""
        return self.members[0].settings

    @property
    def curves(self) -> Mapping[str, Sequence[Sequence[float]]]:
        """Nothing: it was not trained as a whole."""
        return {}

    @property
    def notes(self) -> Sequence[str]:
        """How many networks vote."""
        return (f"mean of {len(self.members)} networks",)

    @property
    def facts(self) -> Mapping[str, float]:
        """The number of networks and the pair of T and S_min."""
        point = self._point
        return {
            "networks": len(self.members),
            f"threshold_{ENSEMBLE}": point.threshold,
            f"min_size_{ENSEMBLE}": point.min_size,
        }

    @property
    def _point(self) -> Point:
        return Point(self.settings.ensemble_threshold, self.settings.ensemble_min_size)

    def predict(
        self, prepared: PreparedCase, fabric: Fabric, *, variants: bool = False
    ) -> Prediction:
        """Segment one prepared case with the ensemble; `variants` adds every member alone."""
        maps: dict[str, np.ndarray] = {}
        seconds: dict[str, float] = {}
        for number, member in enumerate(self.members):
            single = member.predict(prepared, fabric)
            maps[member_name(number)] = single.probability
            for stage, value in single.seconds.items():
                seconds[stage] = seconds.get(stage, 0.0) + value
        mean = np.asarray(np.mean(list(maps.values()), axis=0), dtype=np.float32)
        shown = {ENSEMBLE: mean, **(maps if variants else {})}
        masks = {
            name: self.mask(probability, prepared.spacing_mm).astype(np.uint8)
            for name, probability in shown.items()
        }
        return Prediction(masks, mean, seconds)

    def mask(self, probability: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
        """Binary mask from a probability ``(Z, Y, X)``."""
        return apply(probability, self._point, spacing_mm, self.settings)

    def state(self) -> dict[str, Any]:
        """Refuse: an ensemble is restored from the checkpoints of its members."""
        raise UsageError("a checkpoint of an ensemble", "one of each member", "save the members")
