"""Alternating training of the discriminator and of generator and segmentor (Sec. 2.3, 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer

from strokerepro.augment import apply_affine, draw_affine
from strokerepro.inference import lesion_probability
from strokerepro.papers.ctp_gan.networks import Networks, build
from strokerepro.papers.ctp_gan.settings import CtpGanSettings
from strokerepro.papers.ctp_gan.updates import Updates, build_loss, make_optimizers
from strokerepro.papers.method import RunContext
from strokerepro.papers.slice_dice import SliceDice
from strokerepro.preprocess import PreparedCase
from strokerepro.sampling import SliceBatches
from strokerepro.store import Store
from strokerepro.training import Parts, Plan, Progress, fit

#: The argmax of two classes.
ARGMAX = 0.5
#: Matrix in whose pixels shifts are stated.
_MATRIX_PX = 256


def train_networks(
    settings: CtpGanSettings,
    train: Sequence[PreparedCase],
    val: Sequence[PreparedCase],
    context: RunContext,
) -> tuple[Networks, Progress]:
    """Train all networks of a pipeline on whole slices.

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
    networks, progress
        The networks with the selected weights, and the curves.
    """
    fabric = context.fabric
    networks = build(settings, context.generator("network")).to_device(fabric)
    optimizers = make_optimizers(settings, networks)
    updates = Updates(settings, networks, optimizers, fabric)
    store = Store.from_cases(train, fabric.device)
    slices = SliceBatches(store, seed=int(context.generator("slices").initial_seed()))
    augmentation = context.generator("augmentation")
    epoch = slices.steps_per_epoch(settings.batch)

    def step(index: int) -> Mapping[str, Tensor]:
        set_rate(optimizers, learning_rate(settings, index // epoch))
        rows = slices.batch(index, settings.batch)
        images, labels = whole_slices(settings, store, slices, rows)
        images, labels = augment(images, labels, settings, augmentation)
        return updates(images, labels, epoch=index // epoch)

    checkpoint = context.checkpoint
    progress = fit(
        Parts(networks.modules, optimizers, {"augmentation": augmentation}),
        step,
        _validator(networks, val, settings, context),
        Plan(
            steps=epoch * settings.epochs,
            validate_every=epoch * settings.validate_every,
            select=settings.select,
        ),
        checkpoint=checkpoint and checkpoint.with_name(f"{checkpoint.name}.networks.partial.ckpt"),
        resume=context.resume,
        identity=context.identity,
        advance=context.advance,
    )
    return networks, progress


def whole_slices(
    settings: CtpGanSettings, store: Store, slices: SliceBatches, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Images and masks of some slices, in squares of the window's side or a larger one.

    A brain that does not fit into the window comes in a larger slice, which prediction takes
    whole; only the batches with such a slice have its side.
    """
    side = max(settings.window_px, slices.largest_px(rows))
    return store.window(slices.corners(rows, side), side)


def learning_rate(settings: CtpGanSettings, epoch: int) -> float:
    """Learning rate of an epoch, counted from 0: halved at each milestone (Sec. 3.1)."""
    passed = sum(epoch >= milestone for milestone in settings.lr_milestones)
    return settings.optimizer_lr * 0.5**passed


def set_rate(optimizers: Mapping[str, Optimizer], rate: float) -> None:
    """Give all optimisers one learning rate, which so depends on the step alone."""
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = rate


def augment(
    images: Tensor, labels: Tensor, settings: CtpGanSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Scale, flip, turn and shift slices; all channels, the DWI too, and the mask alike."""
    drawn = draw_affine(
        len(images),
        flip_probability=settings.flip_probability,
        rotation_deg=settings.max_rotation_deg,
        scale=settings.scale_range,
        shift_px=settings.max_shift_px * settings.matrix_px / _MATRIX_PX,
        generator=generator,
    )
    return apply_affine(images, labels, drawn)


def _validator(
    networks: Networks,
    val: Sequence[PreparedCase],
    settings: CtpGanSettings,
    context: RunContext,
) -> Callable[[], Mapping[str, float]]:
    """Build the function that scores the validation slices, in the same batches each time."""
    store = Store.from_cases(val, context.fabric.device)
    slices = SliceBatches(store, seed=int(context.generator("val").initial_seed()))

    def validate() -> Mapping[str, float]:
        return slice_metrics(networks, store, slices, context.fabric)

    return validate


def slice_metrics(
    networks: Networks, store: Store, slices: SliceBatches, fabric: Fabric
) -> dict[str, float]:
    """Segmentation loss and Dice of all slices on the networks' grid, and error of the DWI.

    Parameters
    ----------
    networks
        In ``eval`` mode.
    store, slices
        The slices, and their batches, of which the first epoch is taken.
    fabric
        Precision.

    Returns
    -------
    dict
        ``loss``, the mean over the batches; ``dice``, the mean over the cases with a lesion;
        with a generator ``g_reconstruction``, the mean squared error over all pixels.
    """
    settings = networks.settings
    criterion, dice = build_loss(settings), SliceDice(store)
    losses: list[Tensor] = []
    squares: list[Tensor] = []
    for index in range(slices.steps_per_epoch(settings.batch)):
        rows = slices.batch(index, settings.batch)
        images, labels = whole_slices(settings, store, slices, rows)
        with fabric.autocast():
            logits, generated = networks.outputs(images)
        if generated is not None:
            error = (generated.float() - networks.real_dwi(images)).square()
            squares.append(error.mean(dim=(1, 2, 3)))
        losses.append(criterion(logits, labels))
        dice.add(rows, lesion_probability(logits) > ARGMAX, labels.ne(0))
    found = {"loss": float(torch.stack(losses).mean()), "dice": dice.mean()}
    if squares:
        found["g_reconstruction"] = float(torch.cat(squares).mean())
    return found
