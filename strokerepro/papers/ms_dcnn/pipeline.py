"""The whole method: training, restoring to the file's grid, threshold, median filter, scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.utils.flop_counter import FlopCounterMode

from strokerepro.cohort import Case
from strokerepro.errors import UsageError
from strokerepro.inference import Stopwatch, predict_slices
from strokerepro.metrics import score_case
from strokerepro.networks.ms_dcnn import MsDcnn
from strokerepro.papers.method import Prediction, RunContext
from strokerepro.papers.ms_dcnn.ablations import FOLDS
from strokerepro.papers.ms_dcnn.segmentation import (
    MODALITIES,
    build,
    network_input,
    train_network,
)
from strokerepro.papers.ms_dcnn.settings import MsDcnnSettings
from strokerepro.papers.shared import isles2018_fold_slices, native_reference, on_device
from strokerepro.postprocess import median_mask
from strokerepro.preprocess import Geometry, PreparedCase, prepare_ctp

#: The thresholded probability, and the same after the median filter: the paper's result.
RAW, FILTERED = "raw", "median"
#: Threshold and median at the network's resolution, the mask restored afterwards.
MASK_FIRST = "mask_first"
#: Settings that decide what one pass costs; experiments that share them are counted once.
_SHAPING = (
    "resize_px", "routing", "stem_kernels", "stem_width", "stem_stride", "units", "growth",
    "bottleneck", "transition", "block", "up_widths", "width_scale", "head_width", "head",
)  # fmt: skip
_MEDIAN = re.compile(r"median(\d+)")


@dataclass
class TrainedMsDcnn:
    """A trained network, or several whose probabilities are averaged."""

    settings: MsDcnnSettings
    networks: tuple[MsDcnn, ...]
    curves: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    facts: Mapping[str, float] = field(default_factory=dict)

    def predict(
        self, prepared: PreparedCase, fabric: Fabric, *, variants: bool = False
    ) -> Prediction:
        """Segment one prepared case on the grid of its file; `variants` adds the settings' ones."""
        watch = Stopwatch(fabric.device)
        maps = [self._probability(network, prepared, fabric) for network in self.networks]
        probability = np.asarray(np.mean(maps, axis=0), dtype=np.float32)
        watch.lap("network")
        restored = prepared.geometry.restore(probability)
        raw = self._above(restored)
        watch.lap("restore")
        masks = {RAW: raw, FILTERED: median_mask(raw, self.settings.median_px)}
        watch.lap("median")
        for name in self.settings.variants if variants else ():
            masks[name] = self._variant(name, raw, probability, prepared.geometry)
            watch.lap("variants")
        as_bytes = {name: mask.astype(np.uint8) for name, mask in masks.items()}
        return Prediction(as_bytes, probability, watch.seconds, on_file_grid=True)

    def mask(self, probability: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
        """Binary mask of the main output from its probability ``(Z, Y, X)`` on the file's grid."""
        return median_mask(self._above(probability), self.settings.median_px)

    def state(self) -> dict[str, Any]:
        """Weights of the network, or of each of several."""
        return {"networks": [network.state_dict() for network in self.networks]}

    def _probability(self, network: MsDcnn, prepared: PreparedCase, fabric: Fabric) -> np.ndarray:
        found = predict_slices(
            lambda slices: {RAW: network(network_input(slices, self.settings))},
            prepared.image,
            fabric,
        )
        return found[RAW]

    def _above(self, probability: np.ndarray) -> np.ndarray:
        above: np.ndarray = probability > self.settings.threshold
        return above

    def _variant(
        self, name: str, raw: np.ndarray, probability: np.ndarray, geometry: Geometry
    ) -> np.ndarray:
        """Another post-processing: ``medianN`` of the raw mask, or ``mask_first``."""
        if name == MASK_FIRST:
            small = median_mask(self._above(probability), self.settings.median_px)
            restored: np.ndarray = geometry.restore(small.astype(np.float32)) >= 0.5
            return restored
        match = _MEDIAN.fullmatch(name)
        if match is None:
            raise UsageError(
                f"variant {name}", f"medianN or {MASK_FIRST}", "correct --set variants=..."
            )
        return median_mask(raw, int(match[1]))


class MsDcnnMethod:
    """The dual-path dense U-net as a `strokerepro.papers.method.Method`."""

    def prepare(self, case: Case, settings: MsDcnnSettings) -> PreparedCase:
        """Normalise the four maps and resize their slices (Sec. 3.1)."""
        return prepare_ctp(
            case,
            modalities=MODALITIES,
            symmetry="none",
            normalise=settings.normalise,
            resize_px=settings.resize_px,
        )

    def fit(
        self,
        settings: MsDcnnSettings,
        train: Sequence[PreparedCase],
        val: Sequence[PreparedCase],
        context: RunContext,
    ) -> TrainedMsDcnn:
        """Train the network; with the paper's settings nothing is chosen on `val`."""
        network, progress = train_network(settings, train, val, context)
        facts = {
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "layers": network.count_layers(),
            "train_s": progress.seconds,
            "steps": progress.step,
        }
        return TrainedMsDcnn(settings, (network,), curves=progress.curves, facts=facts)

    def cost(self, settings: MsDcnnSettings) -> float:
        """Multiply-accumulates of a training on a fold of the real set."""
        shape = MsDcnnSettings(**{name: getattr(settings, name) for name in _SHAPING})
        return 3.0 * _forward_macs(shape) * settings.epochs * isles2018_fold_slices(FOLDS["full"])

    def restore(
        self, settings: MsDcnnSettings, state: Mapping[str, Any], fabric: Fabric
    ) -> TrainedMsDcnn:
        """Rebuild a trained method from what `TrainedMsDcnn.state` gave."""
        networks = []
        for weights in state["networks"]:
            network = build(settings)
            network.load_state_dict(weights)
            networks.append(on_device(network, fabric).eval())
        return TrainedMsDcnn(settings, tuple(networks))

    def average(self, trained: Sequence[Any]) -> TrainedMsDcnn:
        """Average the probabilities of the networks of several folds."""
        networks = tuple(network for item in trained for network in item.networks)
        return TrainedMsDcnn(
            trained[0].settings,
            networks,
            notes=(f"mean of {len(networks)} networks",),
            facts={"networks": len(networks)},
        )

    def score(
        self, prediction: Prediction, prepared: PreparedCase, settings: MsDcnnSettings
    ) -> list[dict[str, Any]]:
        """Score every output, and the clinical rules beside them, on the grid of the file."""
        truth, spacing_mm = native_reference(prepared), prepared.native_spacing_mm
        masks = {**prediction.masks, **prepared.native_baselines}
        return [
            {"output": name, **score_case(mask, truth, spacing_mm)} for name, mask in masks.items()
        ]


@lru_cache
def _forward_macs(settings: MsDcnnSettings) -> float:
    """Multiply-accumulates of one slice."""
    side = settings.resize_px
    # Shapes are enough to count: on the meta device nothing is computed.
    with torch.device("meta"):
        network = build(settings).eval()
        images = network_input(torch.zeros(1, len(MODALITIES), side, side), settings)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    return float(counter.get_total_flops()) / 2
