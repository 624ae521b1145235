"""Training the segmentation network: EDD Net, or a single network of Tables 2 and 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from strokerepro.augment import apply_flip_rotation, draw_flip_rotation, window_px
from strokerepro.inference import predict_slices
from strokerepro.losses import EnsembleCrossEntropy
from strokerepro.metrics import dice
from strokerepro.networks import build_network
from strokerepro.networks.edd_muscle import EDDOutput
from strokerepro.papers.edd_muscle.settings import EddMuscleSettings
from strokerepro.papers.method import RunContext
from strokerepro.papers.shared import on_device, reference
from strokerepro.preprocess import PreparedCase
from strokerepro.sampling import PatchSampler
from strokerepro.store import Store
from strokerepro.training import Parts, Plan, Progress, fit


def build_segmenter(settings: EddMuscleSettings) -> nn.Module:
    """Build the segmentation network of `settings`, at its width."""
    scale = settings.width_scale
    options: dict[str, Any] = {"width_scale": scale, "bn_momentum": settings.bn_momentum}
    if settings.arch in ("edd", "deconvnet"):
        stacks = len(settings.convs)
        options |= {
            "convs": settings.convs,
            "widths": settings.widths[:stacks],
            "unpool": settings.unpool,
        }
    if settings.arch == "edd":
        options |= {
            "branches": settings.n_branches,
            "ensemble": settings.ensemble_op,
            "refine_input": settings.refine_input,
            "joint": settings.joint,
        }
    if settings.arch == "unet":
        options["skips"] = settings.skips
    return build_network(f"edd_muscle.{settings.arch}", **options)


def named_maps(output: Tensor | EDDOutput, settings: EddMuscleSettings) -> dict[str, Tensor]:
    """``(B, 2, Y, X)`` logit maps by the name they have in tables, the final one last."""
    if isinstance(output, EDDOutput):
        return output.by_name()
    return {settings.arch: output}


def final_output(settings: EddMuscleSettings) -> str:
    """Name of the segmentation network's final map."""
    return settings.arch


def make_optimizer(settings: EddMuscleSettings, network: nn.Module) -> torch.optim.Optimizer:
    """SGD as the paper says, or AdaDelta as the released solver does."""
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            network.parameters(),
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
    return torch.optim.Adadelta(
        network.parameters(),
        lr=settings.lr,
        rho=settings.momentum,
        eps=1e-6,
        weight_decay=settings.weight_decay,
    )


def train_segmenter(
    settings: EddMuscleSettings,
    train: Sequence[PreparedCase],
    val: Sequence[PreparedCase],
    context: RunContext,
    stage: str = "segmenter",
) -> tuple[nn.Module, Progress]:
    """Train the segmentation network on lesion-centred patches.

    Parameters
    ----------
    settings
        All numbers.
    train, val
        Prepared cases; validation is on whole slices.
    context
        Device, seed and checkpoint.
    stage
        Name of this training in checkpoints and random streams.

    Returns
    -------
    network, progress
        The network with the selected weights, and the curves.
    """
    fabric = context.fabric
    torch.manual_seed(int(context.generator(stage).initial_seed() % 2**31))
    network = on_device(build_segmenter(settings), fabric)
    optimizer = make_optimizer(settings, network)
    generator = context.generator(f"{stage}/patches")
    window = window_px(settings.patch_px, settings.max_rotation_deg)
    store = Store.from_cases(train, fabric.device)
    sampler = PatchSampler(
        store,
        kind=settings.sampler,
        patch_px=settings.patch_px,
        window_px=window,
        negative_fraction=settings.negative_fraction,
        generator=generator,
    )
    criterion = EnsembleCrossEntropy()

    def step(_index: int) -> Mapping[str, Tensor]:
        drawn = draw_flip_rotation(
            settings.batch, settings.flip_probability, settings.max_rotation_deg, generator
        )
        corners = sampler.corners(settings.batch, drawn.angle_rad)
        images, labels = store.window(corners, window)
        images, labels = apply_flip_rotation(images, labels, drawn, settings.patch_px)
        optimizer.zero_grad(set_to_none=True)
        with fabric.autocast():
            output = network(images)
        loss = criterion(output, labels)
        fabric.backward(loss)
        optimizer.step()
        return {"train": loss.detach()}

    def validate() -> Mapping[str, float]:
        return {"dice": mean_dice(network, val, settings, fabric)}

    checkpoint = context.checkpoint
    progress = fit(
        Parts({"network": network}, {"optimizer": optimizer}, {"patches": generator}),
        step,
        validate,
        Plan(settings.steps, settings.validate_every, settings.select),
        checkpoint=checkpoint and checkpoint.with_name(f"{checkpoint.name}.{stage}.partial.ckpt"),
        resume=context.resume,
        identity=context.identity,
        advance=context.advance,
    )
    return network, progress


def segment(
    network: nn.Module, image: np.ndarray, settings: EddMuscleSettings, fabric: Fabric
) -> dict[str, np.ndarray]:
    """Lesion probabilities ``(Z, Y, X)`` of every map of the network, by output name."""
    return predict_slices(lambda slices: named_maps(network(slices), settings), image, fabric)


def mean_dice(
    network: nn.Module,
    cases: Sequence[PreparedCase],
    settings: EddMuscleSettings,
    fabric: Fabric,
) -> float:
    """Mean Dice of the final map over the cases that have a lesion."""
    values = []
    for case in cases:
        probability = segment(network, case.image, settings, fabric)[final_output(settings)]
        mask = probability > settings.threshold
        values.append(dice(mask, reference(case)))
    return float(np.nanmean(values))
