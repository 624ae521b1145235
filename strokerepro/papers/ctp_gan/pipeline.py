"""The whole method: training, segmentation of generated and of real DWI, scores of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from strokerepro.cohort import Case
from strokerepro.inference import Stopwatch, lesion_probability, map_slices
from strokerepro.metrics import score_case, score_synthesis, slice_counts
from strokerepro.papers.ctp_gan import preparation
from strokerepro.papers.ctp_gan.ablations import FOLDS
from strokerepro.papers.ctp_gan.networks import Networks, build
from strokerepro.papers.ctp_gan.settings import CtpGanSettings
from strokerepro.papers.ctp_gan.training import ARGMAX, train_networks
from strokerepro.papers.method import Prediction, RunContext
from strokerepro.papers.shared import isles2018_fold_slices, native_reference, reference
from strokerepro.preprocess import PreparedCase
from strokerepro.preprocess.ctp_channels import DWI

#: The paper's result, and what its segmentor makes of the real DWI, which no test case has.
SEGMENTATION, ORACLE = "segmentation", "oracle_dwi"
#: What is said of weights that were chosen by the Dice of the test cases.
CHOSEN_ON_TEST = "weights chosen by their Dice on the reported cases: the scores are too good"
#: Images that are kept of the shown cases.
GENERATED_DWI, REAL_DWI = "generated_dwi", "real_dwi"


@dataclass
class TrainedCtpGan:
    """Trained networks, or those of several folds whose probabilities are averaged."""

    settings: CtpGanSettings
    members: tuple[Networks, ...]
    curves: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    facts: Mapping[str, float] = field(default_factory=dict)

    def predict(
        self, prepared: PreparedCase, fabric: Fabric, *, variants: bool = False
    ) -> Prediction:
        """Segment one prepared case; `variants` adds the segmentation of its real DWI.

        Masks lie on the grid of the file; that segmentation and the real image are left out where
        the case has no DWI.
        """
        watch = Stopwatch(fabric.device)
        has_dwi = DWI in prepared.channels
        maps = self._mean(prepared, fabric, _segmented)
        watch.lap("network")
        images = {}
        if GENERATED_DWI in maps:
            images[GENERATED_DWI] = maps.pop(GENERATED_DWI)
            if has_dwi:
                images[REAL_DWI] = prepared.image[prepared.channels.index(DWI)]
        masks = {SEGMENTATION: self._restored(maps[SEGMENTATION], prepared)}
        watch.lap("restore")
        # The oracle is no part of the method, whose time per case ends here.
        if variants and has_dwi and self.settings.pipeline == "gan":
            real = self._mean(prepared, fabric, _segmented_real)
            masks[ORACLE] = self._restored(real[ORACLE], prepared)
        return Prediction(
            masks, maps[SEGMENTATION], watch.seconds, images=images, on_file_grid=True
        )

    def mask(self, probability: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
        """Return the argmax of two classes, given the probability ``(Z, Y, X)`` of one."""
        return (probability > ARGMAX).astype(np.uint8)

    def state(self) -> dict[str, Any]:
        """Weights of all networks of every member."""
        return {"members": [item.state() for item in self.members]}

    def _mean(
        self,
        prepared: PreparedCase,
        fabric: Fabric,
        forward: Callable[[Networks, Tensor], dict[str, Tensor]],
    ) -> dict[str, np.ndarray]:
        """Volumes ``(Z, Y, X)`` of what a function makes of slices, averaged over the members."""
        found = [
            map_slices(partial(forward, networks), prepared.image, fabric)
            for networks in self.members
        ]
        return {
            name: np.asarray(np.mean([item[name] for item in found], axis=0), np.float32)
            for name in found[0]
        }

    def _restored(self, probability: np.ndarray, prepared: PreparedCase) -> np.ndarray:
        return self.mask(prepared.geometry.restore(probability), prepared.native_spacing_mm)


class CtpGanMethod:
    """Generator, discriminator and segmentor as a `strokerepro.papers.method.Method`."""

    def prepare(self, case: Case, settings: CtpGanSettings) -> PreparedCase:
        """Normalise the channels and cut out the window around the brain (Sec. 2.1)."""
        return preparation.prepare(case, settings)

    def fit(
        self,
        settings: CtpGanSettings,
        train: Sequence[PreparedCase],
        val: Sequence[PreparedCase],
        context: RunContext,
    ) -> TrainedCtpGan:
        """Train the networks; with the paper's settings nothing is chosen on `val`."""
        if settings.pipeline == "gan":
            preparation.require_dwi([*train, *val])
        networks, progress = train_networks(settings, train, val, context)
        sizes = {
            f"parameters_{name}": sum(weight.numel() for weight in module.parameters())
            for name, module in networks.modules.items()
        }
        facts = {
            "parameters": sum(sizes.values()), **sizes,
            "train_s": progress.seconds, "steps": progress.step,
        }  # fmt: skip
        chosen_on_test = settings.select != "last" and settings.validate_on == "outer"
        return TrainedCtpGan(
            settings,
            (networks,),
            curves=progress.curves,
            notes=(CHOSEN_ON_TEST,) if chosen_on_test else (),
            facts=facts,
        )

    def cost(self, settings: CtpGanSettings) -> float:
        """Multiply-accumulates of a training on a fold of the real set."""
        side, visits = settings.window_px, settings.epochs * isles2018_fold_slices(FOLDS["full"])
        # Shapes are enough to count: on the meta device nothing is computed.
        with torch.device("meta"), torch.no_grad():
            networks = build(settings)
            inputs = torch.zeros(1, len(settings.inputs), side, side)
            dwi = torch.zeros(1, 1, side, side)
            if networks.generator is None:
                seen = inputs if settings.pipeline == "direct" else dwi
                return 3.0 * _macs(lambda: networks.segmentor(seen)) * visits
            segmentor = _macs(lambda: networks.segment(dwi, inputs))
            generator = _macs(lambda: networks.generate(inputs))
            discriminator = _macs(lambda: networks.judge(dwi, inputs))
        segmentor *= 2 if settings.seg_mix_real else 1
        # A backward pass costs two forward ones, but one where weights get no gradient. The
        # discriminator sees two images in its own step and one in the generator's.
        return (3.0 * (segmentor + generator) + (6.0 + 2.0) * discriminator) * visits

    def restore(
        self, settings: CtpGanSettings, state: Mapping[str, Any], fabric: Fabric
    ) -> TrainedCtpGan:
        """Rebuild a trained method from what `TrainedCtpGan.state` gave."""
        members = []
        for weights in state["members"]:
            networks = build(settings)
            for name, module in networks.modules.items():
                module.load_state_dict(weights[name])
                module.eval()
            members.append(networks.to_device(fabric))
        return TrainedCtpGan(settings, tuple(members))

    def average(self, trained: Sequence[Any]) -> TrainedCtpGan:
        """Average the probabilities and the generated DWI of the networks of several folds."""
        members = tuple(networks for item in trained for networks in item.members)
        return TrainedCtpGan(
            trained[0].settings,
            members,
            notes=(f"mean of {len(members)} networks",),
            facts={"networks": len(members)},
        )

    def score(
        self, prediction: Prediction, prepared: PreparedCase, settings: CtpGanSettings
    ) -> list[dict[str, Any]]:
        """Score masks and threshold rules on the grid of the file, the generated DWI beside.

        The row of the segmentation has the voxels of each slice, see `slice_counts`, and the keys
        of `score_synthesis` after ``dwi_``, where there are both images.
        """
        truth, spacing_mm = native_reference(prepared), prepared.native_spacing_mm
        rows: list[dict[str, Any]] = [
            {"output": name, **score_case(mask, truth, spacing_mm)}
            for name, mask in {**prediction.masks, **prepared.native_baselines}.items()
        ]
        rows[0]["slice_counts"] = slice_counts(
            prediction.masks[SEGMENTATION], truth, prepared.file_slices
        )
        if REAL_DWI in prediction.images:
            brain = prepared.foreground
            assert brain is not None  # `prepare` gives one
            synthesis = score_synthesis(
                prediction.images[GENERATED_DWI],
                prediction.images[REAL_DWI],
                brain,
                reference(prepared),
            )
            rows[0] |= {f"dwi_{key}": value for key, value in synthesis.items()}
        return rows


def _segmented(networks: Networks, images: Tensor) -> dict[str, Tensor]:
    """Lesion probability of slices and, with a generator, their DWI."""
    logits, generated = networks.outputs(images)
    made = {} if generated is None else {GENERATED_DWI: generated[:, 0]}
    return {SEGMENTATION: lesion_probability(logits), **made}


def _segmented_real(networks: Networks, images: Tensor) -> dict[str, Tensor]:
    """Lesion probability of slices whose real DWI the segmentor sees."""
    logits = networks.segment(networks.real_dwi(images), networks.inputs(images))
    return {ORACLE: lesion_probability(logits)}


def _macs(forward: Any) -> float:
    """Multiply-accumulates of a call."""
    with FlopCounterMode(display=False) as counter:
        forward()
    return float(counter.get_total_flops()) / 2
