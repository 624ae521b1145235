"""Training the patch network and predicting whole cases with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from strokerepro.augment import apply_elastic, draw_elastic
from strokerepro.inference import lesion_probability
from strokerepro.losses import FocalLoss, GeneralizedDiceCE
from strokerepro.networks import build_network
from strokerepro.networks.core_resnet import CoreResNet
from strokerepro.papers.core_resnet.settings import CoreResNetSettings
from strokerepro.papers.method import RunContext
from strokerepro.papers.shared import on_device
from strokerepro.preprocess import PreparedCase
from strokerepro.sampling import BalancedPatches
from strokerepro.store import Store
from strokerepro.training import Parts, Plan, Progress, fit

#: Map sizes are halved once between two of five levels.
_SMALLEST_PATCH_PX = 16
_CHANNELS = 5


def patch_px(settings: CoreResNetSettings) -> int:
    """Side of a patch on the grid of the images: a multiple of 16, which the network needs."""
    wanted = settings.patch_px / settings.matrix_divisor
    return _SMALLEST_PATCH_PX * max(1, int(wanted / _SMALLEST_PATCH_PX + 0.5))


def step_px(settings: CoreResNetSettings, step: int | None = None) -> int:
    """Distance of neighbouring patches on the grid of the images."""
    return max(1, (step or settings.step_px) // settings.matrix_divisor)


def build(settings: CoreResNetSettings) -> CoreResNet:
    """Build the network of `settings`."""
    mirrored = settings.symmetry != "none"
    network = build_network(
        "core_resnet",
        in_channels=_CHANNELS * (2 if mirrored else 1),
        base_filters=settings.base_filters,
        levels=settings.levels,
        act=settings.act,
        skip=settings.skip,
        down=settings.down,
        residual=settings.residual,
        decoder_convs=settings.decoder_convs,
        dropout_train=settings.dropout_train,
        uf_levels=settings.uf_levels,
        uf_kind=settings.uf_kind,
        uf_rate=settings.uf_rate,
        bn_momentum=settings.bn_momentum,
    )
    assert isinstance(network, CoreResNet)
    return network


def build_loss(settings: CoreResNetSettings) -> nn.Module:
    """Build the loss of `settings`."""
    if settings.loss == "focal":
        return FocalLoss()
    return GeneralizedDiceCE(
        power=settings.gdl_power,
        dice_weight=float("gdl" in settings.loss),
        ce_weight=float("ce" in settings.loss),
    )


def train_network(
    settings: CoreResNetSettings,
    train: Sequence[PreparedCase],
    val: Sequence[PreparedCase],
    context: RunContext,
) -> tuple[CoreResNet, Progress]:
    """Train on balanced patches, stop by a metric on validation patches (Sec. 3).

    Parameters
    ----------
    settings
        All numbers.
    train, val
        Prepared cases with masks.
    context
        Device, seed and checkpoint.

    Returns
    -------
    network, progress
        The network with the weights of the best epoch, and the curves.
    """
    fabric = context.fabric
    torch.manual_seed(int(context.generator("network").initial_seed() % 2**31))
    network = on_device(build(settings), fabric)
    optimizer = torch.optim.Adadelta(
        network.parameters(), lr=settings.optimizer_lr, rho=settings.rho, eps=1e-6
    )
    criterion = build_loss(settings)
    side = patch_px(settings)
    store = Store.from_cases(train, fabric.device)
    patches = _sampler(store, settings, context, "train")
    deformation = context.generator("elastic")

    def step(index: int) -> Mapping[str, Tensor]:
        drawn = patches.batch(index, settings.batch)
        images, labels = store.window(drawn.corners, side)
        if settings.elastic and bool(drawn.is_repeat.any()):
            images, labels = _deform(images, labels, drawn.is_repeat, settings, deformation)
        optimizer.zero_grad(set_to_none=True)
        with fabric.autocast():
            logits = network(images)
        loss = criterion(logits, labels)
        fabric.backward(loss)
        optimizer.step()
        return {"train": loss.detach()}

    epoch = patches.steps_per_epoch(settings.batch)
    checkpoint = context.checkpoint
    progress = fit(
        Parts({"network": network}, {"optimizer": optimizer}, {"elastic": deformation}),
        step,
        _validator(network, val, settings, context),
        Plan(
            steps=epoch * settings.max_epochs,
            validate_every=epoch,
            select=settings.stop_metric,
            mode="max" if settings.stop_metric == "dice" else "min",
            patience=settings.patience,
            min_delta=settings.min_delta,
        ),
        checkpoint=checkpoint and checkpoint.with_name(f"{checkpoint.name}.network.partial.ckpt"),
        resume=context.resume,
        identity=context.identity,
        advance=context.advance,
    )
    return network, progress


def _sampler(
    store: Store, settings: CoreResNetSettings, context: RunContext, part: str
) -> BalancedPatches:
    training = part == "train"
    kind = settings.sampler if training else settings.val_sampler
    return BalancedPatches(
        store,
        patch_px=patch_px(settings),
        per_case=settings.patches_per_case if training else settings.val_patches_per_case,
        seed=int(context.generator(f"patches/{part}").initial_seed()),
        kind=kind,
        selection=settings.selection,
        offset=settings.offset,
        negatives=settings.negatives,
    )


def _deform(
    images: Tensor,
    labels: Tensor,
    chosen: Tensor,
    settings: CoreResNetSettings,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Deform the chosen patches of a batch elastically (Sec. 3.1)."""
    rows = chosen.to(images.device).nonzero()[:, 0]
    field = draw_elastic(
        len(rows),
        images.shape[-1],
        settings.elastic_alpha,
        settings.elastic_sigma,
        units=settings.elastic_units,
        generator=generator,
    )
    images[rows], labels[rows] = apply_elastic(images[rows], labels[rows], field)
    return images, labels


def _validator(
    network: CoreResNet,
    val: Sequence[PreparedCase],
    settings: CoreResNetSettings,
    context: RunContext,
) -> Callable[[], Mapping[str, float]]:
    """Build the function that scores the validation patches, the same ones at every epoch."""
    store = Store.from_cases(val, context.fabric.device)
    patches = _sampler(store, settings, context, "val")
    criterion = build_loss(settings)
    side = patch_px(settings)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for index in range(patches.steps_per_epoch(settings.batch)):
            yield store.window(patches.batch(index, settings.batch).corners, side)

    def validate() -> Mapping[str, float]:
        return patch_metrics(network, batches(), criterion, context.fabric)

    return validate


def patch_metrics(
    network: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    criterion: nn.Module,
    fabric: Fabric,
) -> dict[str, float]:
    """Loss and accuracy figures of the validation patches (Fig. 3).

    Parameters
    ----------
    network
        Maps ``(B, C, p, p)`` to logits ``(B, 2, p, p)``.
    batches
        Patches and labels ``(B, p, p)``.
    criterion
        The training loss.
    fabric
        Precision.

    Returns
    -------
    dict
        ``loss``; ``accuracy``; ``l1_error``, the mean absolute difference of lesion probability
        and label plus the share of wrong pixels (Sec. 3.3); ``dice`` of the pooled pixels at one
        half; ``soft_dice``, one minus the pooled Dice of the probabilities.
    """
    total: Tensor | float = 0.0
    losses: Tensor | float = 0.0
    patches = pixels = 0
    for images, labels in batches:
        with fabric.autocast():
            logits = network(images)
        losses = losses + criterion(logits, labels) * len(images)
        p, r = lesion_probability(logits), labels.ne(0).float()
        hit = (p > 0.5).float()
        sums = [(p - r).abs(), (hit != r).float(), hit * r, hit + r, p * r, p + r]
        total = total + torch.stack([item.sum(dtype=torch.float64) for item in sums])
        patches, pixels = patches + len(images), pixels + r.numel()
    l1, wrong, both, either, soft_both, soft_either = (
        torch.as_tensor(total).cpu().numpy() / pixels
    ).tolist()
    return {
        "loss": float(losses) / patches,
        "accuracy": 1.0 - wrong,
        "l1_error": l1 + wrong,
        "dice": 2.0 * both / either if either else float("nan"),
        "soft_dice": 1.0 - 2.0 * soft_both / soft_either,
    }
