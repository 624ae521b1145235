"""MUSCLE Net: training on candidates of the segmentation network, and judging new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from strokerepro.cohort import patient_folds
from strokerepro.networks import build_network
from strokerepro.papers.edd_muscle.segmentation import (
    final_output,
    segment,
    train_segmenter,
)
from strokerepro.papers.edd_muscle.settings import EddMuscleSettings
from strokerepro.papers.method import RunContext
from strokerepro.papers.shared import on_device, reference
from strokerepro.postprocess import Candidates, candidate_labels, extract_candidates
from strokerepro.preprocess import PreparedCase
from strokerepro.training import Parts, Plan, Progress, fit

#: Parts of the training subjects when candidates come from networks that did not see them.
OOF_PARTS = 3


@dataclass(frozen=True)
class CandidateSet:
    """Candidates of many subjects.

    Attributes
    ----------
    patches
        ``(N, C, side, side)`` float32.
    is_lesion
        ``(N,)`` bool: overlaps a real lesion.
    """

    patches: np.ndarray
    is_lesion: np.ndarray


def build_muscle(settings: EddMuscleSettings) -> nn.Module:
    """Build MUSCLE Net for the number of scales in `settings`."""
    return build_network(
        "edd_muscle.muscle",
        in_channels=len(settings.muscle_scales) + 1,
        side_px=settings.muscle_side,
        bn=settings.muscle_bn,
        dropout=settings.muscle_dropout,
    )


def find_candidates(
    probability: np.ndarray, image: np.ndarray, settings: EddMuscleSettings
) -> Candidates:
    """Extract small candidates of one subject from ``(Z, Y, X)`` probability and image."""
    return extract_candidates(
        probability,
        image,
        threshold=settings.threshold,
        max_px=settings.muscle_max_px,
        scales=settings.muscle_scales,
        side=settings.muscle_side,
    )


def collect_candidates(
    network: nn.Module,
    cases: Sequence[PreparedCase],
    settings: EddMuscleSettings,
    fabric: Fabric,
) -> CandidateSet:
    """Candidates and their labels from all given cases."""
    patches, labels = [], []
    for case in cases:
        probability = segment(network, case.image, settings, fabric)[final_output(settings)]
        found = find_candidates(probability, case.image[0], settings)
        patches.append(found.patches)
        labels.append(
            candidate_labels(found, reference(case), pos_iou=settings.muscle_positive_iou)
        )
    return CandidateSet(np.concatenate(patches), np.concatenate(labels))


def training_candidates(
    network: nn.Module,
    train: Sequence[PreparedCase],
    val: Sequence[PreparedCase],
    settings: EddMuscleSettings,
    context: RunContext,
) -> CandidateSet:
    """Candidates that MUSCLE Net learns from, as `settings.muscle_candidates` says."""
    if settings.muscle_candidates == "train":
        return collect_candidates(network, train, settings, context.fabric)
    if settings.muscle_candidates == "val":
        return collect_candidates(network, val, settings, context.fabric)
    sets = []
    parts = patient_folds([case.patient_id for case in train], OOF_PARTS, context.seed)
    for number, part in enumerate(parts):
        kept = [train[index] for index in part.train]
        other, _ = train_segmenter(settings, kept, val, context, stage=f"oof{number}")
        cases = [train[index] for index in part.test]
        sets.append(collect_candidates(other, cases, settings, context.fabric))
    return CandidateSet(
        np.concatenate([item.patches for item in sets]),
        np.concatenate([item.is_lesion for item in sets]),
    )


def train_muscle(
    candidates: CandidateSet, settings: EddMuscleSettings, context: RunContext
) -> tuple[nn.Module, Progress]:
    """Train MUSCLE Net on candidates turned and mirrored at random.

    Raises
    ------
    ValueError
        Without both real and false candidates there is nothing to learn; callers check first.
    """
    fabric = context.fabric
    torch.manual_seed(int(context.generator("muscle").initial_seed() % 2**31))
    network = on_device(build_muscle(settings), fabric)
    optimizer = torch.optim.SGD(network.parameters(), lr=settings.muscle_lr, momentum=0.9)
    generator = context.generator("muscle/batches")
    patches = fabric.to_device(torch.from_numpy(candidates.patches))
    labels = fabric.to_device(torch.from_numpy(candidates.is_lesion.astype(np.int64)))
    pools = _pools(labels.cpu(), settings.muscle_balance)

    def step(_index: int) -> Mapping[str, Tensor]:
        chosen = _draw(pools, settings.muscle_batch, generator).to(fabric.device)
        batch = _turn(patches[chosen], int(torch.randint(8, (), generator=generator)))
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(network(batch), labels[chosen])
        fabric.backward(loss)
        optimizer.step()
        return {"muscle": loss.detach()}

    checkpoint = context.checkpoint
    progress = fit(
        Parts({"muscle": network}, {"optimizer": optimizer}, {"batches": generator}),
        step,
        dict,
        Plan(settings.muscle_steps, settings.muscle_steps),
        checkpoint=checkpoint and checkpoint.with_name(f"{checkpoint.name}.muscle.partial.ckpt"),
        resume=context.resume,
        identity=context.identity,
        advance=context.advance,
    )
    return network, progress


def _pools(labels: Tensor, balance: bool) -> list[Tensor]:
    """Index pools drawn from in turn: one per class when batches are balanced."""
    if not balance:
        return [torch.arange(len(labels))]
    return [torch.nonzero(labels == kind).flatten() for kind in (0, 1)]


def _draw(pools: list[Tensor], batch: int, generator: torch.Generator) -> Tensor:
    share = batch // len(pools)
    return torch.cat([pool[torch.randint(len(pool), (share,), generator=generator)]
                      for pool in pools])  # fmt: skip


def _turn(patches: Tensor, element: int) -> Tensor:
    """One of the eight symmetries of the square, for the whole batch."""
    turned = torch.rot90(patches, element % 4, dims=(-2, -1))
    return turned.flip(-1) if element >= 4 else turned


@torch.no_grad()
def judge(network: nn.Module, candidates: Candidates, fabric: Fabric) -> np.ndarray:
    """Probability ``(N,)`` that each candidate is a real lesion."""
    if len(candidates) == 0:
        return np.zeros(0, np.float32)
    patches = fabric.to_device(torch.from_numpy(candidates.patches))
    patches = patches.contiguous(memory_format=torch.channels_last)
    with fabric.autocast():
        logits = network(patches)
    probability: np.ndarray = logits.float().softmax(1)[:, 1].cpu().numpy()
    return probability
