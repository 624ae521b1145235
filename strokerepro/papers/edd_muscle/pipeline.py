"""The whole method: segmentation, candidate evaluation, fusion; trained, applied and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from strokerepro.cohort import Case
from strokerepro.errors import UsageError
from strokerepro.inference import Stopwatch
from strokerepro.metrics import best_threshold_dice, score_case
from strokerepro.papers.edd_muscle.candidates import (
    OOF_PARTS,
    build_muscle,
    find_candidates,
    judge,
    train_muscle,
    training_candidates,
)
from strokerepro.papers.edd_muscle.false_lesions import (
    false_positive_overlap,
    false_positive_sizes,
)
from strokerepro.papers.edd_muscle.segmentation import (
    build_segmenter,
    final_output,
    segment,
    train_segmenter,
)
from strokerepro.papers.edd_muscle.settings import EddMuscleSettings
from strokerepro.papers.method import Prediction, RunContext
from strokerepro.papers.shared import on_device, reference
from strokerepro.postprocess import Candidates, fuse
from strokerepro.postprocess.fusion import FusionRule, FusionScope
from strokerepro.preprocess import PreparedCase, prepare_dwi

#: Fusion rules that are scored beside the chosen one; they need no further training.
FUSIONS: tuple[tuple[FusionRule, FusionScope], ...] = (
    ("bayes_odds", "component"),
    ("product", "component"),
    ("gate", "component"),
    ("bayes_odds", "window16"),
)
#: The baseline every subject gets: the best single threshold, chosen with the reference in hand.
THRESHOLD = "threshold"


def fusion_name(rule: str, scope: str) -> str:
    """Output name of a fusion variant in rows and tables."""
    return f"fusion_{rule}_{scope}"


@dataclass
class TrainedEddMuscle:
    """A trained segmentation network and, for EDD Net, its MUSCLE Net if it could be trained."""

    settings: EddMuscleSettings
    segmenter: nn.Module
    muscle: nn.Module | None
    curves: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    facts: Mapping[str, float] = field(default_factory=dict)

    def predict(
        self, prepared: PreparedCase, fabric: Fabric, *, variants: bool = False
    ) -> Prediction:
        """Segment one prepared case with every output; `variants` adds the other fusions."""
        settings, watch = self.settings, Stopwatch(fabric.device)
        maps = segment(self.segmenter, prepared.image, settings, fabric)
        watch.lap("segmenter")
        masks = {name: maps[name] > settings.threshold for name in maps}
        probability = maps[final_output(settings)]
        if settings.arch == "edd":
            candidates, q = self._judge(probability, prepared, fabric)
            fused = self._fuse(probability, candidates, q, settings.fusion, settings.fusion_scope)
            watch.lap("muscle")
            masks["edd_muscle"] = fused > settings.threshold
            for rule, scope in FUSIONS if variants else ():
                variant = self._fuse(probability, candidates, q, rule, scope)
                masks[fusion_name(rule, scope)] = variant > settings.threshold
            probability = fused
        return Prediction(
            {name: mask.astype(np.uint8) for name, mask in masks.items()},
            probability,
            watch.seconds,
        )

    def _judge(
        self, probability: np.ndarray, prepared: PreparedCase, fabric: Fabric
    ) -> tuple[Candidates, np.ndarray]:
        candidates = find_candidates(probability, prepared.image[0], self.settings)
        if self.muscle is None:  # the notes say so; an uninformative q leaves p as it is
            return candidates, np.full(len(candidates.patches), self.settings.fusion_prior)
        return candidates, judge(self.muscle, candidates, fabric)

    def _fuse(
        self,
        probability: np.ndarray,
        candidates: Candidates,
        q: np.ndarray,
        rule: FusionRule,
        scope: FusionScope,
    ) -> np.ndarray:
        if self.muscle is None:
            return probability
        prior = self.settings.fusion_prior
        return fuse(probability, candidates, q, rule=rule, prior=prior, scope=scope)

    def mask(self, probability: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
        """Binary mask from the fused probability; its pixels need no size here."""
        del spacing_mm
        return np.asarray(probability > self.settings.threshold)

    def state(self) -> dict[str, Any]:
        """Weights of both networks."""
        muscle = None if self.muscle is None else self.muscle.state_dict()
        return {"segmenter": self.segmenter.state_dict(), "muscle": muscle}


class EddMuscle:
    """EDD Net and MUSCLE Net as a `strokerepro.papers.method.Method`."""

    def prepare(self, case: Case, settings: EddMuscleSettings) -> PreparedCase:
        """Resample, normalise and crop the DWI (Sec. 4.1)."""
        return prepare_dwi(
            case,
            px_mm=settings.px_mm,
            crop=settings.crop,
            norm=settings.norm,
            slice_mode=settings.slice_mode,
            mask_resample=settings.mask_resample,
            thick_mask=settings.thick_mask,
        )

    def fit(
        self,
        settings: EddMuscleSettings,
        train: Sequence[PreparedCase],
        val: Sequence[PreparedCase],
        context: RunContext,
    ) -> TrainedEddMuscle:
        """Train the segmentation network, then MUSCLE Net on its candidates."""
        segmenter, progress = train_segmenter(settings, train, val, context)
        facts = {
            "parameters_segmenter": _parameters(segmenter),
            "train_s_segmenter": progress.seconds,
            "best_step": progress.best_step,
        }
        trained = TrainedEddMuscle(settings, segmenter, None, progress.curves, (), facts)
        if settings.arch != "edd":
            return trained
        return self._add_muscle(trained, train, val, context)

    def _add_muscle(
        self,
        trained: TrainedEddMuscle,
        train: Sequence[PreparedCase],
        val: Sequence[PreparedCase],
        context: RunContext,
    ) -> TrainedEddMuscle:
        settings = trained.settings
        candidates = training_candidates(trained.segmenter, train, val, settings, context)
        real = int(candidates.is_lesion.sum())
        false = len(candidates.is_lesion) - real
        facts = {**trained.facts, "candidates_real": real, "candidates_false": false}
        if min(real, false) == 0:
            note = f"MUSCLE Net was not trained: {real} real and {false} false candidates"
            return TrainedEddMuscle(
                settings, trained.segmenter, None, trained.curves, (note,), facts
            )
        muscle, progress = train_muscle(candidates, settings, context)
        facts |= {
            "parameters_muscle": _parameters(muscle),
            "train_s_muscle": progress.seconds,
        }
        curves = {**trained.curves, **progress.curves}
        return TrainedEddMuscle(settings, trained.segmenter, muscle, curves, (), facts)

    def cost(self, settings: EddMuscleSettings) -> float:
        """Multiply-accumulates of the training: forward once, backward twice as much."""
        patch = torch.zeros(1, 1, settings.patch_px, settings.patch_px)
        trainings = 1 + OOF_PARTS * (settings.muscle_candidates == "oof")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            build_segmenter(settings).eval()(patch)
        forward = float(counter.get_total_flops()) / 2
        return 3.0 * forward * settings.batch * settings.steps * trainings

    def restore(
        self, settings: EddMuscleSettings, state: Mapping[str, Any], fabric: Fabric
    ) -> TrainedEddMuscle:
        """Rebuild both networks from `TrainedEddMuscle.state`."""
        segmenter = build_segmenter(settings)
        segmenter.load_state_dict(state["segmenter"])
        muscle = None
        if state["muscle"] is not None:
            muscle = build_muscle(settings)
            muscle.load_state_dict(state["muscle"])
            muscle = on_device(muscle, fabric).eval()
        return TrainedEddMuscle(settings, on_device(segmenter, fabric).eval(), muscle)

    def average(self, trained: Sequence[Any]) -> TrainedEddMuscle:
        """Refuse: the paper averages branches of one network, never networks."""
        raise UsageError(
            f"an average of {len(trained)} networks", "one checkpoint", "name one --checkpoint"
        )

    def score(
        self, prediction: Prediction, prepared: PreparedCase, settings: EddMuscleSettings
    ) -> list[dict[str, Any]]:
        """Score every output against the reference on the prepared grid, in pixels of 1.6 mm."""
        truth = reference(prepared)
        best = best_threshold_dice(prepared.image[0], truth).threshold
        masks = {**prediction.masks, THRESHOLD: prepared.image[0] > best}
        members = [mask for name, mask in masks.items() if name.startswith("branch_")]
        rows = []
        for name, mask in masks.items():
            scores: dict[str, Any] = score_case(
                mask, truth, prepared.spacing_mm, connectivity=settings.connectivity
            )
            rows.append({"output": name, **scores})
            if name == final_output(settings):
                rows[-1]["fp_sizes_px"] = false_positive_sizes(mask, truth)
            if name == "naive" and len(members) > 1:
                rows[-1]["fp_overlap"] = false_positive_overlap(members, truth)
        return rows


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
