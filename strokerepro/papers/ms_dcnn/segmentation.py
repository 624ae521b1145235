"""Training the slice network: which maps go where, batches, augmentation, curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from strokerepro.augment import (
    apply_elastic,
    apply_flip_rotation,
    draw_elastic,
    draw_flip_rotation,
)
from strokerepro.inference import lesion_probability
from strokerepro.losses import SoftDice
from strokerepro.networks import build_network
from strokerepro.networks.ms_dcnn import MsDcnn
from strokerepro.papers.method import RunContext
from strokerepro.papers.ms_dcnn.settings import MsDcnnSettings, Routing
from strokerepro.papers.shared import on_device
from strokerepro.papers.slice_dice import SliceDice
from strokerepro.preprocess import PreparedCase
from strokerepro.sampling import SliceBatches
from strokerepro.store import Store
from strokerepro.training import Parts, Plan, Progress, fit

#: Channels of a prepared image: the first group of three (Sec. 2.2), then the group of one.
MODALITIES = ("tmax", "cbf", "cbv", "mtt")
#: Paths that a routing uses, 0 and 1 being those of the paper, and the channels that each gets.
_PATHS: Mapping[Routing, Mapping[int, tuple[int, ...]]] = {
    "grouped": {0: (0, 1, 2), 1: (3,)},
    "all4_both": {0: (0, 1, 2, 3), 1: (0, 1, 2, 3)},
    "all4_one": {0: (0, 1, 2, 3)},
    "group_a": {0: (0, 1, 2)},
    "group_b": {1: (3,)},
}


def build(settings: MsDcnnSettings) -> MsDcnn:
    """Build the network of `settings`."""
    paths = _PATHS[settings.routing]

    def scaled(width: int) -> int:
        return max(1, round(width * settings.width_scale))

    network = build_network(
        "ms_dcnn",
        in_channels=tuple(len(channels) for channels in paths.values()),
        units=settings.units,
        growth=scaled(settings.growth),
        stem_width=scaled(settings.stem_width),
        stem_kernels=tuple(settings.stem_kernels[path] for path in paths),
        stem_stride=settings.stem_stride,
        bottleneck=settings.bottleneck,
        transition=settings.transition,
        up_widths=tuple(scaled(width) for width in settings.up_widths),
        dropout=tuple(settings.dropout[path] for path in paths),
        dropout_kind=settings.dropout_kind,
        head=settings.head,
        head_width=scaled(settings.head_width),
        block=settings.block,
        checkpointing=settings.checkpointing,
    )
    assert isinstance(network, MsDcnn)
    return network


def network_input(images: Tensor, settings: MsDcnnSettings) -> Tensor:
    """Order the maps as the paths take them: ``(B, 4, Y, X)`` to ``(B, C, Y, X)``."""
    chosen = [channel for channels in _PATHS[settings.routing].values() for channel in channels]
    if chosen == list(range(images.shape[1])):
        return images
    return images[:, chosen].contiguous(memory_format=torch.channels_last)


def build_loss(settings: MsDcnnSettings) -> SoftDice:
    """Build the loss of `settings` (Eq. 4)."""
    return SoftDice(
        reduce=settings.dice_reduce,
        eps=settings.dice_eps,
        bce_weight=float("bce" in settings.loss),
        dice_weight=float("dice" in settings.loss),
    )


def make_optimizer(settings: MsDcnnSettings, network: nn.Module) -> torch.optim.Optimizer:
    """Adam, or SGD with Nesterov's momentum, at a constant rate."""
    if settings.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=settings.lr, fused=True)
    return torch.optim.SGD(network.parameters(), lr=settings.lr, momentum=0.9, nesterov=True)


def train_network(
    settings: MsDcnnSettings,
    train: Sequence[PreparedCase],
    val: Sequence[PreparedCase],
    context: RunContext,
) -> tuple[MsDcnn, Progress]:
    """Train on whole slices, flipped and rotated, with the soft Dice of each batch (Sec. 3.1).

    Parameters
    ----------
    settings
        All numbers.
    train, val
        Prepared cases with masks; `val` is for curves unless `settings` selects by it.
    context
        Device, seed and checkpoint.

    Returns
    -------
    network, progress
        The network with the selected weights, and the curves.
    """
    fabric = context.fabric
    torch.manual_seed(int(context.generator("network").initial_seed() % 2**31))
    network = on_device(build(settings), fabric)
    optimizer = make_optimizer(settings, network)
    criterion = build_loss(settings)
    side = settings.resize_px
    store = Store.from_cases(train, fabric.device)
    slices = SliceBatches(
        store,
        seed=int(context.generator("slices").initial_seed()),
        keep=settings.train_slices,
    )
    augmentation = context.generator("augmentation")

    def step(index: int) -> Mapping[str, Tensor]:
        rows = slices.batch(index, settings.batch)
        images, labels = store.window(slices.corners(rows, side), side)
        images, labels = augment(images, labels, settings, augmentation)
        optimizer.zero_grad(set_to_none=True)
        with fabric.autocast():
            logits = network(network_input(images, settings))
        loss = criterion(logits, labels)
        fabric.backward(loss)
        optimizer.step()
        return {"train": loss.detach()}

    epoch = slices.steps_per_epoch(settings.batch)
    checkpoint = context.checkpoint
    progress = fit(
        Parts({"network": network}, {"optimizer": optimizer}, {"augmentation": augmentation}),
        step,
        _validator(network, val, settings, context),
        Plan(
            steps=epoch * settings.epochs,
            validate_every=epoch * settings.validate_every,
            select=settings.select,
        ),
        checkpoint=checkpoint and checkpoint.with_name(f"{checkpoint.name}.network.partial.ckpt"),
        resume=context.resume,
        identity=context.identity,
        advance=context.advance,
    )
    return network, progress


def augment(
    images: Tensor, labels: Tensor, settings: MsDcnnSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Flip, rotate and, if asked, deform a batch of slices; what is turned in is 0."""
    side = settings.resize_px
    drawn = draw_flip_rotation(
        len(images), settings.flip_probability, settings.max_rotation_deg, generator
    )
    images, labels = apply_flip_rotation(images, labels, drawn, side)
    if not settings.elastic:
        return images, labels
    field = draw_elastic(
        len(images), side, settings.elastic_alpha, settings.elastic_sigma, generator=generator
    )
    return apply_elastic(images, labels, field)


def _validator(
    network: MsDcnn,
    val: Sequence[PreparedCase],
    settings: MsDcnnSettings,
    context: RunContext,
) -> Callable[[], Mapping[str, float]]:
    """Build the function that scores the validation slices, in the same batches each time."""
    store = Store.from_cases(val, context.fabric.device)
    slices = SliceBatches(store, seed=int(context.generator("val").initial_seed()))
    criterion = build_loss(settings)

    def validate() -> Mapping[str, float]:
        return slice_metrics(network, store, slices, criterion, settings, context.fabric)

    return validate


def slice_metrics(
    network: nn.Module,
    store: Store,
    slices: SliceBatches,
    criterion: nn.Module,
    settings: MsDcnnSettings,
    fabric: Fabric,
) -> dict[str, float]:
    """Loss and Dice of all slices, on the network's grid and without the median filter.

    Parameters
    ----------
    network
        Maps ``(B, C, Y, X)`` to logits.
    store, slices
        The slices, and their batches, of which the first epoch is taken.
    criterion
        The training loss.
    settings
        Routing, batch and threshold.
    fabric
        Precision.

    Returns
    -------
    dict
        ``loss``, the mean over the batches; ``dice``, the mean over the cases with a lesion.
    """
    side = settings.resize_px
    dice = SliceDice(store)
    loss: Tensor | float = 0.0
    count = slices.steps_per_epoch(settings.batch)
    for index in range(count):
        rows = slices.batch(index, settings.batch)
        images, labels = store.window(slices.corners(rows, side), side)
        with fabric.autocast():
            logits = network(network_input(images, settings))
        loss = loss + criterion(logits, labels)
        dice.add(rows, lesion_probability(logits) > settings.threshold, labels.ne(0))
    return {"loss": float(loss) / count, "dice": dice.mean()}
