"""The whole method: training, averaged predictions, operating point, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.utils.flop_counter import FlopCounterMode

from strokerepro.cohort import Case
from strokerepro.metrics import score_case
from strokerepro.networks.core_resnet import CoreResNet
from strokerepro.papers.core_resnet.ensemble import EnsembleCoreResNet
from strokerepro.papers.core_resnet.operating_point import Point, apply, case_grid, choose
from strokerepro.papers.core_resnet.prediction import FILTERED, SINGLE, probability_maps
from strokerepro.papers.core_resnet.segmentation import (
    build,
    patch_px,
    train_network,
)
from strokerepro.papers.core_resnet.settings import CoreResNetSettings
from strokerepro.papers.method import Prediction, RunContext
from strokerepro.papers.shared import on_device, reference
from strokerepro.preprocess import PreparedCase, prepare_ctp

#: Training and validation cases of a fold (Sec. 4.1).
_FOLD_CASES = (75, 19)
#: Scores that are kept at every pair of T and S_min.
GRID_SCORES = ("dice", "precision", "recall", "hd_mm", "hd_vox", "volume_ml_pred")


@dataclass
class TrainedCoreResNet:
    """A trained network and the pair of T and S_min of each of its outputs."""

    settings: CoreResNetSettings
    network: CoreResNet
    seed: int
    points: dict[str, Point] = field(default_factory=dict)
    curves: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def main_output(self) -> str:
        """The output that the settings ask for: filtered, or the plain network's."""
        return FILTERED if self.settings.uf_passes else SINGLE

    def tune(self, cases: Sequence[PreparedCase], fabric: Fabric) -> None:
        """Choose T and S_min of each output on some cases (Sec. 3.3)."""
        settings = self.settings
        grids: dict[str, list[Any]] = {}
        for case in cases:
            maps, _ = probability_maps(
                self.network, case, settings, fabric, self.seed, variants=False
            )
            for name, probability in maps.items():
                grid = case_grid(probability, reference(case), case.spacing_mm, settings)
                grids.setdefault(name, []).append(grid)
        self.points = {name: choose(items, settings) for name, items in grids.items()}

    def predict(
        self, prepared: PreparedCase, fabric: Fabric, *, variants: bool = False
    ) -> Prediction:
        """Segment one prepared case with every output; `variants` adds the settings' variants."""
        maps, seconds = probability_maps(
            self.network, prepared, self.settings, fabric, self.seed, variants=variants
        )
        masks = {
            name: apply(probability, self._point(name), prepared.spacing_mm, self.settings)
            for name, probability in maps.items()
        }
        return Prediction(
            {name: mask.astype(np.uint8) for name, mask in masks.items()},
            maps[self.main_output],
            seconds,
            maps,
        )

    def mask(self, probability: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
        """Binary mask of the main output from its probability ``(Z, Y, X)``."""
        return apply(probability, self._point(self.main_output), spacing_mm, self.settings)

    def _point(self, name: str) -> Point:
        # A variant of the filtering or of the step is judged at the point of what it varies.
        if name in self.points:
            return self.points[name]
        return self.points[FILTERED if name.startswith(FILTERED) else SINGLE]

    def state(self) -> dict[str, Any]:
        """Weights, operating points and the seed of the dropout at prediction."""
        points = {name: list(point) for name, point in self.points.items()}
        return {"network": self.network.state_dict(), "points": points, "seed": self.seed}


class CoreResNetMethod:
    """The residual encoder-decoder as a `strokerepro.papers.method.Method`."""

    def prepare(self, case: Case, settings: CoreResNetSettings) -> PreparedCase:
        """Strip the skull, normalise, append mirrored channels (Sec. 2.1.1)."""
        return prepare_ctp(
            case,
            symmetry=settings.symmetry,
            normalise=settings.normalise,
            register_on=settings.register_on,
        )

    def fit(
        self,
        settings: CoreResNetSettings,
        train: Sequence[PreparedCase],
        val: Sequence[PreparedCase],
        context: RunContext,
    ) -> TrainedCoreResNet:
        """Train the network, then choose T and S_min on the validation cases."""
        network, progress = train_network(settings, train, val, context)
        trained = TrainedCoreResNet(settings, network, context.seed, curves=progress.curves)
        trained.tune(val, context.fabric)
        trained.facts = {
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "train_s": progress.seconds,
            "steps": progress.step,
            "best_step": progress.best_step,
            **_point_facts(trained.points),
        }
        trained.notes = _notes(settings)
        return trained

    def cost(self, settings: CoreResNetSettings) -> float:
        """Multiply-accumulates of a training of `max_epochs` on a fold of the paper."""
        side = patch_px(settings)
        network = build(settings).eval()
        channels = network.stem.in_channels
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, channels, side, side))
        forward = float(counter.get_total_flops()) / 2
        train, val = _FOLD_CASES
        # A backward pass costs two forward ones.
        patches = 3.0 * train * settings.patches_per_case + val * settings.val_patches_per_case
        return forward * patches * settings.max_epochs

    def restore(
        self, settings: CoreResNetSettings, state: Mapping[str, Any], fabric: Fabric
    ) -> TrainedCoreResNet:
        """Rebuild a trained method from what `TrainedCoreResNet.state` gave."""
        network = build(settings)
        network.load_state_dict(state["network"])
        points = {name: Point(*map(float, point)) for name, point in state["points"].items()}
        return TrainedCoreResNet(
            settings, on_device(network, fabric).eval(), int(state["seed"]), points
        )

    def average(self, trained: Sequence[Any]) -> EnsembleCoreResNet:
        """Combine the networks of several folds (Sec. 4.2)."""
        return EnsembleCoreResNet(tuple(trained))

    def score(
        self, prediction: Prediction, prepared: PreparedCase, settings: CoreResNetSettings
    ) -> list[dict[str, Any]]:
        """Score every output, the clinical rules beside them, and the whole grid of the maps."""
        truth = reference(prepared)
        rows = []
        for name, mask in {**prediction.masks, **prepared.baselines}.items():
            row: dict[str, Any] = {"output": name}
            row |= score_case(mask, truth, prepared.spacing_mm, connectivity=settings.connectivity)
            row["hd_vox"] = score_case(mask, truth, (1.0, 1.0, 1.0))["hd_mm"]
            if name in prediction.maps:
                grid = case_grid(prediction.maps[name], truth, prepared.spacing_mm, settings)
                row |= {f"grid_{key}": getattr(grid, key) for key in GRID_SCORES}
            rows.append(row)
        return rows


def _point_facts(points: Mapping[str, Point]) -> dict[str, float]:
    facts = {}
    for name, point in points.items():
        facts[f"threshold_{name}"] = point.threshold
        facts[f"min_size_{name}"] = point.min_size
    return facts


def _notes(settings: CoreResNetSettings) -> tuple[str, ...]:
    used = patch_px(settings) * settings.matrix_divisor
    if used == settings.patch_px:
        return ()
    note = f"patches of {used} px instead of {settings.patch_px}: sides are multiples of 16 pixels"
    return (f"{note} on images of {256 // settings.matrix_divisor}",)
